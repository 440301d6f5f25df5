-- The event store: what was said, once per identity, and what could not be kept.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE learning_events (
    id                bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000),
    event_time        timestamptz  NOT NULL,
    event_time_ms     bigint       NOT NULL,
    received_at       timestamptz  NOT NULL,
    created_at        timestamptz  NOT NULL DEFAULT now(),
    client_id         varchar(50)  NOT NULL,
    event_id          varchar(64)  NOT NULL,
    session_id        varchar(100) NOT NULL,
    user_id           varchar(50),
    event_type        varchar(50)  NOT NULL,
    body_hash         varchar(32)  NOT NULL,
    processing_status varchar(20)  NOT NULL DEFAULT 'pending',
    industry          varchar(100),
    campaign_type     varchar(100),
    success           boolean,
    success_score     double precision,
    event_data        jsonb        NOT NULL,
    PRIMARY KEY (event_time, client_id, event_id),
    CONSTRAINT processing_status_known CHECK (processing_status IN ('pending', 'stored', 'late')),
    CONSTRAINT success_score_valid CHECK (success_score BETWEEN 0 AND 10)
) PARTITION BY RANGE (event_time);

CREATE INDEX learning_events_session ON learning_events (client_id, session_id, event_time);
CREATE INDEX learning_events_client ON learning_events (client_id, event_time);
CREATE INDEX learning_events_type ON learning_events (event_type, event_time);
CREATE INDEX learning_events_data ON learning_events USING gin (event_data jsonb_path_ops);

COMMENT ON TABLE learning_events IS
    'Every accepted event once: the copy with the smallest (body_hash, event_time). Monthly partitions.';
COMMENT ON COLUMN learning_events.event_time IS 'When it happened, by the sender; else its first receipt';
COMMENT ON COLUMN learning_events.event_time_ms IS 'event_time in milliseconds since the epoch';
COMMENT ON COLUMN learning_events.received_at IS 'First receipt by a gateway';
COMMENT ON COLUMN learning_events.created_at IS 'When this row was written';
COMMENT ON COLUMN learning_events.client_id IS 'Tenant, from the API key';
COMMENT ON COLUMN learning_events.body_hash IS 'Hash of what the sender said; decides between two copies';
COMMENT ON COLUMN learning_events.processing_status IS
    'stored: came in time for its window. late: came after its window had fired, so it went to the late repair. pending: written by another tool, seen by no engine';
COMMENT ON COLUMN learning_events.industry IS 'Fact promoted from event_data';
COMMENT ON COLUMN learning_events.campaign_type IS 'Fact promoted from event_data';
COMMENT ON COLUMN learning_events.success IS 'Fact promoted from event_data';
COMMENT ON COLUMN learning_events.success_score IS 'Fact promoted from event_data, 0 to 10';

CREATE TABLE event_identities (
    event_time_ms bigint       NOT NULL,
    offset_       bigint       NOT NULL,
    partition     integer      NOT NULL,
    client_id     varchar(50)  NOT NULL,
    event_id      varchar(64)  NOT NULL,
    body_hash     varchar(32)  NOT NULL,
    session_id    varchar(100) NOT NULL,
    PRIMARY KEY (client_id, event_id)
) WITH (fillfactor = 95);

COMMENT ON TABLE event_identities IS
    'Which copy of each (client_id, event_id) is the stored one; unpartitioned, so that an identity is unique over all months.';
COMMENT ON COLUMN event_identities.partition IS 'Partition of learning-events that holds the stored copy';
COMMENT ON COLUMN event_identities.offset_ IS 'Offset of the stored copy in that partition';

CREATE TABLE window_generations (
    window_start timestamptz  NOT NULL,
    client_id    varchar(50)  NOT NULL,
    session_id   varchar(100) NOT NULL,
    generation   integer      NOT NULL CHECK (generation > 0),
    PRIMARY KEY (client_id, session_id, window_start)
);

COMMENT ON TABLE window_generations IS
    'Windows from which an event was taken away or exchanged. Their results come from the late repair, under this generation, and outrank what an engine says.';

CREATE TABLE dead_letters (
    topic     text        NOT NULL,
    partition integer     NOT NULL,
    offset_   bigint      NOT NULL,
    reason    text        NOT NULL,
    detail    text        NOT NULL,
    raw       bytea       NOT NULL,
    client_id text,
    event_id  text,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, offset_, reason)
);
CREATE INDEX dead_letters_client ON dead_letters (client_id, at);

COMMENT ON TABLE dead_letters IS
    'Records that could not be used, and bodies that lost to another under the same identity.';
COMMENT ON COLUMN dead_letters.raw IS 'The record as it lay in the log, untouched';
COMMENT ON COLUMN dead_letters.reason IS 'Short code, one of a closed set';
