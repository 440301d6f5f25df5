-- What was learnt: results of windows, and the totals that are sums of their differences.

CREATE TABLE session_windows (
    window_start      timestamptz  NOT NULL,
    updated_at        timestamptz  NOT NULL DEFAULT now(),
    algorithm_version integer      NOT NULL,
    generation        integer      NOT NULL,
    revision          integer      NOT NULL,
    client_id         varchar(50)  NOT NULL,
    session_id        varchar(100) NOT NULL,
    engine            text         NOT NULL,
    industry          varchar(100) NOT NULL,
    campaign_type     varchar(100) NOT NULL,
    observations      jsonb        NOT NULL,
    PRIMARY KEY (window_start, client_id, session_id),
    CONSTRAINT session_windows_version_valid
        CHECK (algorithm_version > 0 AND generation >= 0 AND revision >= 0)
) PARTITION BY RANGE (window_start);

COMMENT ON TABLE session_windows IS
    'Newest result of each five-minute window of a session. Newer = higher (algorithm_version, generation, revision). Monthly partitions.';
COMMENT ON COLUMN session_windows.revision IS 'Distinct events in the window; 0 = every event was taken away';
COMMENT ON COLUMN session_windows.engine IS 'Who computed it; never part of the result';
COMMENT ON COLUMN session_windows.observations IS
    '[[path or null, success in parts per million], ...]: one trial each, null is the window itself';

-- Totals change by adding signed differences in one upsert. A CHECK would judge the difference
-- before it is added, so the writer looks at the sums that come out and rolls back a wrong one.
CREATE TABLE context_totals (
    trials            bigint       NOT NULL,
    success_ppm_sum   bigint       NOT NULL,
    change_seq        bigint       NOT NULL DEFAULT 1,
    dirty_since       timestamptz,
    algorithm_version integer      NOT NULL,
    industry          varchar(100) NOT NULL,
    campaign_type     varchar(100) NOT NULL,
    PRIMARY KEY (algorithm_version, industry, campaign_type)
) WITH (fillfactor = 30);

COMMENT ON TABLE context_totals IS 'Base rate of each context: all its windows.';
COMMENT ON COLUMN context_totals.success_ppm_sum IS 'Sum of success, parts per million';
COMMENT ON COLUMN context_totals.change_seq IS 'Rises with every change of the context or of one of its patterns';
COMMENT ON COLUMN context_totals.dirty_since IS
    'Set while patterns of this context have a confidence older than its totals; survives a crash';

CREATE TABLE success_patterns (
    id                bigint GENERATED ALWAYS AS IDENTITY (CACHE 100),
    success_ppm_sum   bigint        NOT NULL,
    first_seen        timestamptz   NOT NULL,
    last_seen         timestamptz   NOT NULL,
    created_at        timestamptz   NOT NULL DEFAULT now(),
    updated_at        timestamptz   NOT NULL DEFAULT now(),
    sample_size       integer       NOT NULL,
    client_count      integer       NOT NULL DEFAULT 0,
    algorithm_version integer       NOT NULL,
    embedding_version integer       NOT NULL,
    detected          boolean       NOT NULL DEFAULT false,
    pending           boolean       NOT NULL DEFAULT true,
    success_rate      decimal(5, 4) NOT NULL,
    confidence_score  decimal(5, 4) NOT NULL DEFAULT 0,
    lift              double precision,
    pattern_hash      varchar(64)   NOT NULL,
    pattern_type      varchar(50)   NOT NULL,
    campaign_type     varchar(100)  NOT NULL,
    industries        text[]        NOT NULL,
    path              text[],
    conditions        jsonb         NOT NULL,
    outcomes          jsonb         NOT NULL DEFAULT '{}',
    pattern_data      jsonb         NOT NULL,
    embedding         vector(512),
    PRIMARY KEY (pattern_hash),
    CONSTRAINT success_rate_valid CHECK (success_rate >= 0 AND success_rate <= 1),
    CONSTRAINT confidence_valid CHECK (confidence_score >= 0 AND confidence_score <= 1)
) PARTITION BY HASH (pattern_hash);

-- Half-empty pages leave room for the next version of a row on its own page: totals change
-- without touching any index.
DO $$
BEGIN
    FOR remainder IN 0..31 LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF success_patterns
             FOR VALUES WITH (MODULUS 32, REMAINDER %s) WITH (fillfactor = 50)',
            'success_patterns_p' || remainder, remainder);
    END LOOP;
END $$;

-- No index holds a column that totals change: not success_rate, not confidence_score.
CREATE INDEX success_patterns_context ON success_patterns (campaign_type, industries, pattern_hash);
CREATE INDEX success_patterns_type ON success_patterns (pattern_type);
CREATE INDEX success_patterns_industries ON success_patterns USING gin (industries);

COMMENT ON TABLE success_patterns IS
    'What tends to follow a behaviour in a context. Totals are exact sums over session_windows; 32 hash partitions.';
COMMENT ON COLUMN success_patterns.sample_size IS 'Trials: windows in which the path occurs';
COMMENT ON COLUMN success_patterns.success_ppm_sum IS 'Sum of success over the trials, parts per million';
COMMENT ON COLUMN success_patterns.client_count IS 'Clients with at least one trial; decides who may see the pattern';
COMMENT ON COLUMN success_patterns.detected IS 'Confidence and sample size reached the limits at the last refresh';
COMMENT ON COLUMN success_patterns.pending IS 'Totals changed since the last refresh';
COMMENT ON COLUMN success_patterns.success_rate IS 'success_ppm_sum over sample_size, 4 decimals';
COMMENT ON COLUMN success_patterns.confidence_score IS 'Probability that the pattern beats its context';
COMMENT ON COLUMN success_patterns.lift IS 'Success rate over the rate of the context; null while that is 0';
COMMENT ON COLUMN success_patterns.conditions IS 'When it applies: industry, campaign_type, path';
COMMENT ON COLUMN success_patterns.outcomes IS 'What follows: Wilson 95 % interval, rate and trials of the context';
COMMENT ON COLUMN success_patterns.pattern_data IS 'The canonical object whose SHA-256 is pattern_hash';
COMMENT ON COLUMN success_patterns.embedding IS 'Meaning only, never totals: it is written once';

CREATE TABLE pattern_contributors (
    trials       bigint      NOT NULL,
    pattern_hash varchar(64) NOT NULL,
    client_id    varchar(50) NOT NULL,
    PRIMARY KEY (pattern_hash, client_id)
) WITH (fillfactor = 70);

COMMENT ON TABLE pattern_contributors IS 'Trials of each pattern by client: the sharing rule and erasure read it.';
