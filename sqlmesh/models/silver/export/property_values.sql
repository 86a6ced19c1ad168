/* Every value of every property that an event, a user or a group had. */
MODEL (
  name silver.property_values,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, owner, group_type, carrier, property, value_text, first_seen_at),
  audits (
    not_null(
      columns := (
        project,
        app,
        owner,
        event_type,
        carrier,
        property,
        value_type,
        first_seen_at,
        last_seen_at
      )
    ),
    accepted_values(column := owner, is_in := ('event', 'user', 'group')),
    forall(
      criteria := (
        first_seen_at <= last_seen_at,
        (
          owner = 'group'
        ) = (
          NOT group_type IS NULL
        )
      )
    )
  )
);

WITH groups AS (
  SELECT
    project,
    app,
    group_type,
    group_id,
    @parsed_json(properties_text) AS group_properties,
    first_seen_at,
    last_seen_at
  FROM silver.group_states
), carried AS (
  SELECT
    project,
    app,
    'event' AS owner,
    NULL AS group_type,
    event_type,
    uuid AS carrier,
    property,
    value_type,
    value_text,
    event_time AS first_seen_at,
    event_time AS last_seen_at
  FROM silver.event_properties
  UNION ALL
  SELECT
    project,
    app,
    'user' AS owner,
    NULL AS group_type,
    '(all)' AS event_type,
    amplitude_id::VARCHAR AS carrier,
    property,
    value_type,
    value_text,
    valid_from AS first_seen_at,
    valid_from AS last_seen_at
  FROM silver.user_property_changes
  UNION ALL
  SELECT
    project,
    app,
    'group' AS owner,
    group_type,
    '(all)' AS event_type,
    group_id AS carrier,
    property,
    value_type,
    value_text,
    MIN(first_seen_at) AS first_seen_at,
    MAX(last_seen_at) AS last_seen_at
  FROM @properties_of(
    groups,
    group_properties,
    (project, app, group_type, group_id, first_seen_at, last_seen_at)
  ) AS properties
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  owner::VARCHAR AS owner, /* event, user or group */
  group_type::VARCHAR AS group_type, /* Type of the group, such as company; NULL where the owner is none */
  event_type::VARCHAR AS event_type, /* Name of the event; (all) for users and groups */
  carrier::VARCHAR AS carrier, /* Who had the value: the event's uuid, the user's amplitude_id before merging, or the group's id */
  property::VARCHAR AS property, /* Name of the property */
  value_type::VARCHAR AS value_type, /* text, number, boolean, object, array or null */
  value_text::VARCHAR AS value_text, /* The value: text as it is, NULL for null, else as JSON */
  first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the event that showed it first (UTC) */
  last_seen_at::TIMESTAMPNTZ AS last_seen_at /* Time of the last event of the group that showed it; of events and users, first_seen_at (UTC) */
FROM carried
