/* How many rows of each loaded export hour are repeats, counted from bronze by the ids that make copies alike and by the hours of the events that
 * silver has: another way than that by which silver.events leaves them out, so that the two can be compared (gold.export_reconciliation). By day,
 * since it looks for the ids among all events. */
MODEL (
  name silver.export_repeats,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour,
    batch_size 30
  ),
  cron '@daily',
  start @day_before_first_hour,
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, export_hour),
  audits (
    not_null(columns := (project, export_hour, bronze_rows, repeats)),
    unique_combination_of_columns(columns := (project, export_hour)),
    forall(criteria := (repeats >= 0, repeats <= bronze_rows))
  )
);

WITH ledger AS (
  SELECT
    hours.project,
    hours.export_hour,
    MAX(hours._dlt_load_id) AS load_id
  FROM bronze.export_hours AS hours
  JOIN bronze._dlt_loads AS loads
    ON loads.load_id = hours._dlt_load_id AND loads.status = 0
  WHERE
    hours.export_hour BETWEEN @start_ts AND @end_ts
  GROUP BY
    hours.project,
    hours.export_hour
), copies AS (
  SELECT
    events._project AS project,
    events.app,
    events._export_hour AS export_hour,
    IFF(events.device_id <> '' AND events._insert_id <> '', events.device_id, NULL) AS device_id,
    IFF(events.device_id <> '' AND events._insert_id <> '', events._insert_id, NULL) AS insert_id,
    IFF(events.device_id <> '' AND events._insert_id <> '', NULL, events.uuid) AS uuid,
    COUNT(*) AS copies
  FROM bronze.events AS events
  JOIN ledger
    ON ledger.project = events._project
    AND ledger.export_hour = events._export_hour
    AND ledger.load_id = events._dlt_load_id
  WHERE
    events._export_hour BETWEEN @start_ts AND @end_ts
    AND events._export_hour >= @VAR('first_hour')::TIMESTAMPNTZ
  GROUP BY
    events._project,
    events.app,
    events._export_hour,
    IFF(events.device_id <> '' AND events._insert_id <> '', events.device_id, NULL),
    IFF(events.device_id <> '' AND events._insert_id <> '', events._insert_id, NULL),
    IFF(events.device_id <> '' AND events._insert_id <> '', NULL, events.uuid)
), known AS (
  /* What of it silver has as an event of the same hour or an earlier one. */
  SELECT
    copies.project,
    copies.export_hour,
    copies.copies,
    events.export_hour AS first_export_hour
  FROM silver.events AS events
  JOIN copies
    ON copies.project = events.project
    AND copies.app = events.app
    AND copies.device_id = events.device_id
    AND copies.insert_id = events.insert_id
  WHERE
    events.export_hour <= @end_ts
  UNION ALL
  SELECT
    copies.project,
    copies.export_hour,
    copies.copies,
    events.export_hour AS first_export_hour
  FROM silver.events AS events
  JOIN copies
    ON copies.project = events.project
    AND copies.app = events.app
    AND copies.uuid = events.uuid
  WHERE
    events.export_hour <= @end_ts
    AND (
      events.device_id IS NULL OR events.insert_id IS NULL
    )
), repeats AS (
  SELECT
    project,
    export_hour,
    SUM(
      CASE
        WHEN first_export_hour < export_hour
        THEN copies
        WHEN first_export_hour = export_hour
        THEN copies - 1
        ELSE 0
      END
    ) AS repeats
  FROM known
  GROUP BY
    project,
    export_hour
), hours AS (
  SELECT
    project,
    export_hour,
    SUM(copies) AS bronze_rows
  FROM copies
  GROUP BY
    project,
    export_hour
)
SELECT
  hours.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  hours.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export */
  hours.bronze_rows::BIGINT AS bronze_rows, /* Rows of the hour in bronze.events, of the load that counts */
  COALESCE(repeats.repeats, 0)::BIGINT AS repeats /* Those whose event was there before, in this hour or an earlier one */
FROM hours
LEFT JOIN repeats
  ON repeats.project = hours.project AND repeats.export_hour = hours.export_hour
