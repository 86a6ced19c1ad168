/* How many rows of each loaded export hour are repeats by the two rules of silver.events. They are counted from bronze, by the ids, the contents and
 * the upload of the events that silver has: another way than that by which silver.events leaves them out, so that the two can be compared
 * (gold.export_reconciliation). The model runs by day because it looks for the ids among all events. */
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
    rows_are_sound(
      keys := (project, export_hour),
      columns := (project, export_hour, bronze_rows, repeats),
      criteria := (repeats >= 0, repeats <= bronze_rows)
    )
  )
);

WITH copies AS (
  /* Rows that differ in nothing by which repeats are found. */
  SELECT
    events._project AS project,
    events.app,
    events._export_hour AS export_hour,
    IFF(events.device_id <> '' AND events._insert_id <> '', events.device_id, NULL) AS device_id,
    IFF(events.device_id <> '' AND events._insert_id <> '', events._insert_id, NULL) AS insert_id,
    IFF(events.device_id <> '' AND events._insert_id <> '', NULL, events.uuid) AS uuid,
    events.event_type,
    events.event_time,
    COALESCE(events.server_upload_time, events._export_hour) AS uploaded_at,
    COUNT(*) AS copies
  FROM bronze.events AS events
  JOIN @counted_hours() AS hours
    ON hours.project = events._project
    AND hours.export_hour = events._export_hour
    AND hours._dlt_load_id = events._dlt_load_id
  WHERE
    events._export_hour BETWEEN @start_ts AND @end_ts
    AND events._export_hour >= @VAR('first_hour')::TIMESTAMPNTZ
  GROUP BY ALL
), alike AS (
  /* With each event of silver that has the same ids. */
  SELECT
    copies.*,
    events.event_type = copies.event_type AND events.event_time = copies.event_time AS is_copy,
    events.export_hour AS first_export_hour,
    COALESCE(events.server_upload_time, events.export_hour) AS first_uploaded_at
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
    copies.*,
    TRUE AS is_copy,
    events.export_hour AS first_export_hour,
    COALESCE(events.server_upload_time, events.export_hour) AS first_uploaded_at
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
), known AS (
  SELECT
    project,
    app,
    export_hour,
    device_id,
    insert_id,
    uuid,
    event_type,
    event_time,
    uploaded_at,
    copies,
    COUNT_IF(is_copy AND first_export_hour = export_hour AND first_uploaded_at = uploaded_at) > 0 AS has_event
  FROM alike
  WHERE
    first_export_hour <= export_hour
    AND (
      is_copy OR uploaded_at <= DATEADD(DAY, 7, first_uploaded_at)
    )
  GROUP BY ALL
), repeats AS (
  SELECT
    project,
    export_hour,
    SUM(IFF(has_event, copies - 1, copies)) AS repeats
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
  COALESCE(repeats.repeats, 0)::BIGINT AS repeats /* Those that repeat an event of this hour or an earlier one */
FROM hours
LEFT JOIN repeats
  ON repeats.project = hours.project AND repeats.export_hour = hours.export_hour
