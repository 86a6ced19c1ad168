AUDIT (
  name silver_events_are_unique,
  standalone TRUE,
  owner data,
  cron '@daily',
  description 'The whole of silver.events holds each event once: the audit in the model sees the hours of one run only.'
);

SELECT
  project,
  app,
  event_key,
  COUNT(*) AS copies
FROM silver.events
GROUP BY ALL
HAVING
  COUNT(*) > 1
