AUDIT (
  name export_is_fresh,
  standalone TRUE,
  owner data,
  cron '@hourly',
  description 'The newest finished hour of each project that is not retired is no older than FRESHNESS_HOURS.'
);

WITH ledger AS (
  /* An hour's row of the newest load that dlt has finished. */
  SELECT
    hours.project,
    hours.export_hour,
    hours.status
  FROM bronze.export_hours AS hours
  JOIN bronze._dlt_loads AS loads
    ON loads.load_id = hours._dlt_load_id AND loads.status = 0
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY hours.project, hours.export_hour ORDER BY hours._dlt_load_id DESC) = 1
)
SELECT
  project,
  MAX(IFF(status IN ('loaded', 'empty'), export_hour, NULL)) AS newest_hour
FROM ledger
GROUP BY
  project
HAVING
  COUNT_IF(status = 'retired') = 0
  AND MAX(IFF(status IN ('loaded', 'empty'), export_hour, NULL)) < DATEADD(
    HOUR,
    -@freshness_hours,
    COALESCE(NULLIF(@VAR('now'), ''), @execution_ts)::TIMESTAMPNTZ
  )
