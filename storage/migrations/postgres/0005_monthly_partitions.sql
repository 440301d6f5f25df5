-- Months exist before anything is written to them.

CREATE FUNCTION manage_partitions(at timestamptz DEFAULT now())
RETURNS integer
LANGUAGE plpgsql
AS $$
-- Creates what is missing of the months from 25 before `at` (events may be two years old, and a
-- record may lie in the log for a week) to 12 after it; returns how many it created. Safe to call
-- at any time by any number of callers: they take turns. A new month is built beside its table and
-- then attached, which needs no lock that readers or writers would wait for.
DECLARE
    parent text;
    first_day timestamp;
    child text;
    created integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('sagestream.manage_partitions', 0));
    FOREACH parent IN ARRAY ARRAY['learning_events', 'session_windows'] LOOP
        FOR months IN -25..12 LOOP
            first_day := date_trunc('month', at AT TIME ZONE 'UTC') + months * interval '1 month';
            child := parent || '_' || to_char(first_day, 'YYYY_MM');
            CONTINUE WHEN to_regclass(format('%I', child)) IS NOT NULL;
            EXECUTE format(
                'CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)', child, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, child,
                first_day AT TIME ZONE 'UTC',
                (first_day + interval '1 month') AT TIME ZONE 'UTC');
            created := created + 1;
        END LOOP;
    END LOOP;
    RETURN created;
END $$;

COMMENT ON FUNCTION manage_partitions(timestamptz) IS
    'Create missing monthly partitions, 25 months back and 12 ahead; drops nothing';

SELECT manage_partitions();
