AUDIT (
  name no_hour_is_out_of_reach
);

/* Bronze holds no finished hour before the models' first one, which silver would never take in. The pipeline's `status` names such hours, too. */
SELECT
  project,
  MIN(export_hour) AS first_hour,
  MAX(export_hour) AS last_hour
FROM @counted_hours() AS hours
WHERE
  status IN ('loaded', 'empty') AND export_hour < @VAR('first_hour')::TIMESTAMPNTZ
GROUP BY
  project
