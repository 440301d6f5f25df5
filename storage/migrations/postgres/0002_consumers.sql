-- What a consumer has done, written in the transaction that did it.

CREATE TABLE consumer_offsets (
    consumer_group text        NOT NULL,
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    next_offset    bigint      NOT NULL CHECK (next_offset >= 0),
    watermark_ms   bigint,
    records        bigint      NOT NULL DEFAULT 0,
    heartbeats     bigint      NOT NULL DEFAULT 0,
    inserted       bigint      NOT NULL DEFAULT 0,
    duplicates     bigint      NOT NULL DEFAULT 0,
    conflicts      bigint      NOT NULL DEFAULT 0,
    dead_letters   bigint      NOT NULL DEFAULT 0,
    late           bigint      NOT NULL DEFAULT 0,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);

COMMENT ON TABLE consumer_offsets IS
    'Position and ledger of every consumer that writes here. records = heartbeats + inserted + duplicates + conflicts + dead_letters, always.';
COMMENT ON COLUMN consumer_offsets.next_offset IS 'First record not yet handled; a batch that did not start here is refused';
COMMENT ON COLUMN consumer_offsets.watermark_ms IS 'Clock of the log in this partition, ms since the epoch';
COMMENT ON COLUMN consumer_offsets.inserted IS 'Records that became a row (pattern writer: windows that were newer)';
COMMENT ON COLUMN consumer_offsets.duplicates IS 'Copies of what is stored (pattern writer: windows that were not newer)';
COMMENT ON COLUMN consumer_offsets.late IS 'Of the inserted, how many came after their window had fired';

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now(),
    writer     text        NOT NULL,
    topic      text        NOT NULL,
    key        bytea,
    value      bytea       NOT NULL,
    PRIMARY KEY (writer, id)
);

COMMENT ON TABLE outbox IS
    'Records to publish, written in the transaction they belong to; published in id order, then deleted.';
COMMENT ON COLUMN outbox.writer IS 'Consumer group whose processes publish the row';
