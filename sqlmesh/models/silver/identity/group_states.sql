/* Every group, such as a company, with each set of properties that its events showed. An event names its groups in group_properties, those
 * without any property too. */
MODEL (
  name silver.group_states,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, group_type, group_id, properties_text),
  audits (
    rows_are_sound(
      keys := (project, app, group_type, group_id, properties_text),
      columns := (project, app, group_type, group_id, properties_text, first_seen_at, last_seen_at),
      criteria := (
        first_seen_at <= last_seen_at
      )
    )
  )
);

WITH shown AS (
  /* Thousands of events show the same: it is taken apart once. */
  SELECT
    project,
    app,
    group_properties,
    MIN(event_time) AS first_seen_at,
    MAX(event_time) AS last_seen_at
  FROM silver.events
  WHERE
    group_properties::VARCHAR <> '{}'
  GROUP BY ALL
), types AS (
  SELECT
    project,
    app,
    property AS group_type,
    @parsed_json(value_text) AS groups_of_type,
    first_seen_at,
    last_seen_at
  FROM @properties_of(shown, group_properties, (project, app, first_seen_at, last_seen_at)) AS properties
  WHERE
    value_type = 'object'
), states AS (
  SELECT
    project,
    app,
    group_type,
    property AS group_id,
    value_text AS properties_text,
    first_seen_at,
    last_seen_at
  FROM @properties_of(types, groups_of_type, (project, app, group_type, first_seen_at, last_seen_at)) AS properties
  WHERE
    value_type = 'object'
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  group_type::VARCHAR AS group_type, /* Type of the group in Amplitude, such as company */
  group_id::VARCHAR AS group_id, /* Name of the group, as events give it */
  properties_text::VARCHAR AS properties_text, /* Its properties, as the text of a JSON object */
  MIN(first_seen_at)::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event that showed them (UTC) */
  MAX(last_seen_at)::TIMESTAMPNTZ AS last_seen_at /* Time of the last one (UTC) */
FROM states
GROUP BY ALL
