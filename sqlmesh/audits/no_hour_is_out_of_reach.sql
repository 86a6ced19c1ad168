AUDIT (
  name no_hour_is_out_of_reach
);

/* Bronze holds no finished hour before the models' first one, which silver would never take in. The pipeline's `status` names such hours, too. */
SELECT
  hours.project,
  MIN(hours.export_hour) AS first_hour,
  MAX(hours.export_hour) AS last_hour
FROM bronze.export_hours AS hours
JOIN bronze._dlt_loads AS loads
  ON loads.load_id = hours._dlt_load_id AND loads.status = 0
WHERE
  hours.status IN ('loaded', 'empty')
  AND hours.export_hour < @VAR('first_hour')::TIMESTAMPNTZ
GROUP BY
  hours.project
