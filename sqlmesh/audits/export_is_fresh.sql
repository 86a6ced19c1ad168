AUDIT (
  name export_is_fresh,
  standalone TRUE,
  owner data,
  cron '@hourly',
  description 'Of each project the newest hour that was exported and is final is no older than the variable freshness_hours.'
);

SELECT
  hours.project,
  MAX(hours.export_hour) AS newest_hour
FROM bronze.export_hours AS hours
JOIN bronze._dlt_loads AS loads
  ON loads.load_id = hours._dlt_load_id AND loads.status = 0
WHERE
  hours.status IN ('loaded', 'empty')
  AND NOT hours.project IN (
    SELECT
      marks.project
    FROM bronze.export_hours AS marks
    WHERE
      marks.status = 'retired'
  )
GROUP BY
  hours.project
HAVING
  MAX(hours.export_hour) < DATEADD(
    HOUR,
    -@freshness_hours,
    COALESCE(NULLIF(@VAR('now'), ''), @execution_ts)::TIMESTAMPNTZ
  )
