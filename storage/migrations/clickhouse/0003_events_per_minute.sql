CREATE VIEW IF NOT EXISTS events_per_minute AS
SELECT toStartOfMinute(event_time) AS minute, client_id, event_type, count() AS events
FROM events
GROUP BY minute, client_id, event_type
COMMENT 'Events by minute of event time, client and type'
