/* The events that Amplitude marked as the first of their user: those with data.first_event. Amplitude names the field on its pages of exports ("Amazon S3",
 * "Snowflake"). It marks what it takes in first of an amplitude_id, whatever the event's time. Rows of some years carry no mark at all. user_creation_time
 * says no more, because it is empty since March 2023. */
MODEL (
  name silver.first_events,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, uuid),
  audits (
    rows_are_sound(
      keys := (project, app, uuid),
      columns := (project, app, uuid, export_hour, event_date, amplitude_id)
    )
  )
);

WITH marked AS (
  /* Only the rows that have the key are parsed. */
  SELECT DISTINCT
    events._project,
    events.app,
    events.uuid,
    events._export_hour
  FROM bronze.events AS events
  JOIN @counted_hours() AS hours
    ON hours.project = events._project
    AND hours.export_hour = events._export_hour
    AND hours._dlt_load_id = events._dlt_load_id
  WHERE
    events._export_hour BETWEEN @start_ts AND @end_ts
    AND CONTAINS(events.data, '"first_event"')
    AND @property_text(@parsed_json(events.data), 'first_event') = 'true'
)
SELECT
  events.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  events.app::BIGINT AS app, /* Amplitude's number of the project */
  events.uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  events.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export that brought the event */
  events.event_date::DATE AS event_date, /* Day of the event in the reporting time zone */
  events.amplitude_id::BIGINT AS amplitude_id /* Amplitude's user as of the event, not merged */
FROM silver.events AS events
JOIN marked
  ON marked._project = events.project
  AND marked.app = events.app
  AND marked.uuid = events.uuid
  AND marked._export_hour = events.export_hour
WHERE
  events.export_hour BETWEEN @start_ts AND @end_ts
