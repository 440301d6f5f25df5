-- The stable name for analysts: each event once, the winning copy of each id.
CREATE VIEW IF NOT EXISTS events AS
SELECT
    event_time, client_id, session_id, user_id, event_type,
    industry, campaign_type, success, success_score, signal,
    event_data, event_id, received_at, body_hash
FROM learning_events FINAL
COMMENT 'Every event once. Narrow by event_time first: it prunes whole months'
