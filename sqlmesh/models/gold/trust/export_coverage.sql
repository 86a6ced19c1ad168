/* Every hour of a project, from its first to the newest that was ever asked for: loaded, empty,
 * pending, or missing. */
MODEL (
  name gold.export_coverage,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, export_hour),
  audits (
    rows_are_sound(
      keys := (project, export_hour),
      columns := (project, export_hour, status),
      criteria := (
        status IN ('loaded', 'empty', 'pending', 'missing')
      )
    )
  )
);

WITH ledger AS (
  /* An hour's row of the newest load that dlt has finished. */
  SELECT
    hours.*,
    loads.load_id IS NULL AS is_unfinished
  FROM bronze.export_hours AS hours
  LEFT JOIN bronze._dlt_loads AS loads
    ON loads.load_id = hours._dlt_load_id AND loads.status = 0
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY hours.project, hours.export_hour
      ORDER BY loads.load_id DESC NULLS LAST
    ) = 1
), spans AS (
  /* To the newest hour of all projects, because silver waits for a project that is behind the others; a retired project ends before its mark. */
  SELECT
    project,
    MIN(export_hour) AS first_hour,
    MAX(IFF(status = 'retired', NULL, export_hour)) AS last_hour,
    COALESCE(
      DATEADD(HOUR, -1, MAX(IFF(status = 'retired', export_hour, NULL))),
      MAX(MAX(IFF(status = 'retired', NULL, export_hour))) OVER ()
    ) AS newest_hour
  FROM ledger
  GROUP BY
    project
), hours AS (
  SELECT
    spans.project,
    spans.last_hour,
    DATEADD(HOUR, -numbers.n, spans.newest_hour) AS export_hour
  FROM spans
  JOIN @numbers(262800) AS numbers
    ON numbers.n <= DATEDIFF(HOUR, spans.first_hour, spans.newest_hour)
)
SELECT
  hours.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  hours.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour of the export (UTC): the hour of upload */
  COALESCE(
    IFF(ledger.is_unfinished, 'pending', ledger.status),
    IFF(hours.export_hour > hours.last_hour, 'pending', 'missing')
  )::VARCHAR AS status, /* loaded, empty (no data), pending (may still come), missing (never asked for, though a later hour was) */
  COALESCE(ledger.files, 0)::BIGINT AS files, /* Files of the hour in the archive */
  COALESCE(ledger.bytes, 0)::BIGINT AS bytes, /* Their size in bytes, compressed */
  COALESCE(ledger.loaded_rows, 0)::BIGINT AS loaded_rows, /* Rows of the hour in bronze.events */
  COALESCE(ledger.rejected_rows, 0)::BIGINT AS rejected_rows, /* Rows of the hour in bronze.rejected_rows */
  COALESCE(ledger.erased_rows, 0)::BIGINT AS erased_rows, /* Rows of the hour that are left out because their persons were erased */
  ledger.revision::BIGINT AS revision, /* How many contents the hour has had; above 1 Amplitude sent it anew */
  ledger.loaded_at::TIMESTAMPNTZ AS loaded_at /* When it was last loaded (UTC) */
FROM hours
LEFT JOIN ledger
  ON ledger.project = hours.project AND ledger.export_hour = hours.export_hour
