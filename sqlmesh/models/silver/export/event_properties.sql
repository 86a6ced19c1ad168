/* Every property of every event, by its name at the top of event_properties. Of a name that comes twice in one event, which JSON allows and
 * Amplitude never writes, the last value counts. */
MODEL (
  name silver.event_properties,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, uuid, property),
  audits (
    rows_are_sound(
      keys := (project, app, uuid, property),
      columns := (project, app, uuid, export_hour, event_time, event_type, property, value_type),
      criteria := (
        value_type IN ('text', 'number', 'boolean', 'object', 'array', 'null')
      )
    )
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export that brought the event */
  event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC) */
  event_type::VARCHAR AS event_type, /* Name of the event */
  property::VARCHAR AS property, /* Name of the property */
  value_type::VARCHAR AS value_type, /* text, number, boolean, object, array or null */
  value_text::VARCHAR AS value_text, /* The value: text as it is, NULL for null, else as JSON */
  IFF(value_type = 'number', TRY_CAST(value_text AS DOUBLE), NULL)::DOUBLE AS value_number, /* The value where it is a number */
  IFF(value_type = 'boolean', value_text = 'true', NULL)::BOOLEAN AS value_boolean /* The value where it is a boolean */
FROM @properties_of(
  silver.events,
  event_properties,
  (project, app, uuid, export_hour, event_time, event_type)
) AS properties
WHERE
  export_hour BETWEEN @start_ts AND @end_ts
