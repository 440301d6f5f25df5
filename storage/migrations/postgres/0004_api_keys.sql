-- Who may send and read.

CREATE TABLE api_keys (
    key_id     varchar(8)  PRIMARY KEY,
    key_prefix varchar(16) NOT NULL,
    key_hash   bytea       NOT NULL CHECK (length(key_hash) = 32),
    client_id  varchar(50) NOT NULL,
    scopes     text[]      NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT api_keys_scopes_known
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['ingest', 'read', 'admin'])
);
CREATE INDEX api_keys_client ON api_keys (client_id);

COMMENT ON TABLE api_keys IS 'Keys of tenants; the secret itself is nowhere, only its SHA-256.';
COMMENT ON COLUMN api_keys.key_prefix IS 'Start of the key as a person sees it in a list';
