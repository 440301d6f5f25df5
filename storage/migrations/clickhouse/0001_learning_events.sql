-- Every accepted event, for analysts. Copies of an event (same client and event id) may lie here
-- several times until parts merge; the view `events` shows each event once.
CREATE TABLE IF NOT EXISTS learning_events
(
    event_id        String                           COMMENT 'given by the sender, or made by the gateway',
    client_id       LowCardinality(String)           COMMENT 'the tenant',
    session_id      String                           COMMENT 'events of one session stay in order',
    user_id         Nullable(String)                 COMMENT 'the person, as the sender names them',
    event_type      LowCardinality(String)           COMMENT 'what happened',
    event_time      DateTime64(3, 'UTC')             COMMENT 'when it happened, by the sender',
    received_at     DateTime64(3, 'UTC')             COMMENT 'when the gateway first received it',
    industry        LowCardinality(Nullable(String)) COMMENT 'event_data.industry, where it is text',
    campaign_type   LowCardinality(Nullable(String)) COMMENT 'event_data.campaign_type, where it is text',
    success         Nullable(Bool)                   COMMENT 'event_data.success, where it is a truth value',
    success_score   Nullable(Float64)                COMMENT 'event_data.success_score, 0 to 10',
    signal          Nullable(Float64)                COMMENT 'how far the event speaks of success, 0 to 1, as the detector sees it; null = says nothing',
    event_data      String CODEC(ZSTD(3))            COMMENT 'the whole event_data as JSON text',
    body_hash       FixedString(32)                  COMMENT 'of two bodies under one id the smaller hash wins',
    kafka_partition UInt16                           COMMENT 'where the record lies in learning-events',
    kafka_offset    UInt64                           COMMENT 'where the record lies in learning-events',
    precedence      UInt256 MATERIALIZED bitNot(bitOr(
        bitShiftLeft(toUInt256(reinterpretAsUInt128(reverse(unhex(body_hash)))), 64),
        toUInt256(toUnixTimestamp64Milli(event_time))
    ))                                               COMMENT 'among copies the largest wins: the complement of (body_hash, event_time)',
    INDEX by_time event_time TYPE minmax GRANULARITY 4,
    INDEX by_session session_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(event_time)
ORDER BY (client_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Accepted events as they arrived, copies included; read the view events instead'
