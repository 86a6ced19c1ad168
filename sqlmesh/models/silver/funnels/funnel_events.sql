/* Every event that can do a step of a funnel, with its step: an event of the step's type that has the step's property. A filter sees values as Amplitude's
 * charts do: the elements of an array one by one, nested keys after a dot, a boolean as true or True (data: remove-invalid-data.md; charts:
 * cart-analysis.md). An event may do several steps, of one funnel or of several. */
MODEL (
  name silver.funnel_events,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, funnel, step, uuid),
  audits (
    not_null(
      columns := (
        project,
        app,
        funnel,
        step,
        uuid,
        export_hour,
        event_time,
        event_date,
        amplitude_id
      )
    ),
    unique_combination_of_columns(columns := (project, app, funnel, step, uuid))
  )
);

WITH asked AS (
  /* The properties that a filter names, or whose nested keys it names. */
  SELECT
    properties.project,
    properties.app,
    properties.uuid,
    properties.property,
    properties.value_type,
    properties.value_text,
    steps.funnel,
    steps.step,
    steps.property_filter
  FROM silver.event_properties AS properties
  JOIN silver.funnel_steps AS steps
    ON steps.event_type = properties.event_type
    AND (
      STARTSWITH(steps.property_filter, properties.property || '=')
      OR STARTSWITH(steps.property_filter, properties.property || '.')
    )
  WHERE
    properties.export_hour BETWEEN @start_ts AND @end_ts
), filtered AS (
  SELECT DISTINCT
    project,
    app,
    uuid,
    funnel,
    step
  FROM @query_values(asked, (project, app, uuid, funnel, step, property_filter)) AS query_values
  WHERE
    @has_value(property_filter, property, value_type, value_text)
)
SELECT
  events.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  events.app::BIGINT AS app, /* Amplitude's number of the project */
  steps.funnel::VARCHAR AS funnel, /* Name of the funnel */
  steps.step::BIGINT AS step, /* Number of the step in it */
  events.uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  events.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export that brought the event */
  events.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the event, not merged */
  events.event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC) */
  events.event_date::DATE AS event_date, /* Its day in the reporting time zone */
  events.platform::VARCHAR AS platform, /* Platform of the event; NULL for a server's */
  events.country::VARCHAR AS country /* Country of the event */
FROM silver.events AS events
JOIN silver.funnel_steps AS steps
  ON steps.event_type = events.event_type
LEFT JOIN filtered
  ON filtered.project = events.project
  AND filtered.app = events.app
  AND filtered.uuid = events.uuid
  AND filtered.funnel = steps.funnel
  AND filtered.step = steps.step
WHERE
  events.export_hour BETWEEN @start_ts AND @end_ts
  AND (
    steps.property_filter IS NULL OR NOT filtered.uuid IS NULL
  )
