AUDIT (
  name no_hour_is_missing,
  standalone TRUE,
  owner data,
  cron '@hourly',
  description 'No hour is missing between two that were asked for: silver would wait for it. The status command names the command that loads it.'
);

SELECT
  project,
  export_hour
FROM gold.export_coverage
WHERE
  status = 'missing'
