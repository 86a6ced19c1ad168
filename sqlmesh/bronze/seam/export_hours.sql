/* The ledger that a foreign table has not: every hour of upload from the models' first one to the newest with a row. The newest is pending, because
 * more of it may come; an hour before it is loaded, or empty if it has no row. */
MODEL (
  name bronze.export_hours,
  kind EMBEDDED,
  owner data,
  grain (project, export_hour),
  ignored_rules ('missingaudits', 'missingunittest')
);

WITH newest AS (
  SELECT
    project,
    DATE_TRUNC('HOUR', MAX(server_upload_time)) AS newest_hour
  FROM bronze.exported_events
  GROUP BY
    project
), hours AS (
  SELECT
    newest.project,
    newest.newest_hour,
    DATEADD(HOUR, numbers.n, @VAR('first_hour')::TIMESTAMPNTZ) AS export_hour
  FROM newest
  JOIN @numbers(262800) AS numbers
    ON numbers.n <= DATEDIFF(HOUR, @VAR('first_hour')::TIMESTAMPNTZ, newest.newest_hour)
), uploads AS (
  SELECT
    project,
    DATE_TRUNC('HOUR', server_upload_time) AS export_hour,
    COUNT(DISTINCT uuid) AS loaded_rows
  FROM bronze.exported_events
  GROUP BY
    project,
    DATE_TRUNC('HOUR', server_upload_time)
)
SELECT
  hours.project::VARCHAR AS project, /* The Amplitude project that bronze_tables names */
  hours.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the upload */
  CASE
    WHEN hours.export_hour = hours.newest_hour
    THEN 'pending'
    WHEN uploads.export_hour IS NULL
    THEN 'empty'
    ELSE 'loaded'
  END::VARCHAR AS status, /* loaded, empty or pending */
  0::BIGINT AS files, /* None: there is no archive */
  0::BIGINT AS bytes, /* None: there is no archive */
  COALESCE(uploads.loaded_rows, 0)::BIGINT AS loaded_rows, /* Rows of the hour, each uuid once */
  0::BIGINT AS rejected_rows, /* None: the table does not say what it refused */
  NULL::VARCHAR AS sha256, /* Nobody has made a checksum */
  1::BIGINT AS revision, /* Nobody counts the contents of an hour */
  NULL::TIMESTAMPNTZ AS revised_at, /* Nobody notes when an hour changed */
  NULL::TIMESTAMPNTZ AS exported_at, /* Nobody notes when an hour was asked for */
  NULL::TIMESTAMPNTZ AS loaded_at, /* Nobody notes when an hour was loaded */
  0::BIGINT AS erased_rows, /* None: this pipeline erases nobody there */
  '-'::VARCHAR AS _dlt_load_id /* Of the only load that there is */
FROM hours
LEFT JOIN uploads
  ON uploads.project = hours.project AND uploads.export_hour = hours.export_hour
