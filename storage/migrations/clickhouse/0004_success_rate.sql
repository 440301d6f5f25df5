-- A session succeeds as far as its strongest event says; its context is the last one it named.
CREATE VIEW IF NOT EXISTS success_rate_by_industry_and_campaign AS
SELECT
    industry,
    campaign_type,
    client_id,
    count()                AS sessions,
    countIf(best > 0)      AS successful_sessions,
    round(avg(best), 4)    AS success_rate,
    sum(events_in_session) AS events
FROM
(
    SELECT
        client_id,
        session_id,
        coalesce(argMaxIf(toNullable(e.industry), (e.event_time, e.event_id), isNotNull(e.industry)), 'unknown')           AS industry,
        coalesce(argMaxIf(toNullable(e.campaign_type), (e.event_time, e.event_id), isNotNull(e.campaign_type)), 'unknown') AS campaign_type,
        max(coalesce(e.signal, 0))                                                                                         AS best,
        count()                                                                                                            AS events_in_session
    FROM events AS e
    GROUP BY client_id, session_id
)
GROUP BY industry, campaign_type, client_id
COMMENT 'Sessions and how many of them succeeded, by the context they were in'
