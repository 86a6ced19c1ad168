/* Every property of events, users and groups that was ever seen, with the types of its values; and those that sqlmesh/properties.yaml
 * declares and nobody has sent. A type that comes up more than 7 days after the property is a drift. */
MODEL (
  name gold.property_catalogue,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, owner, group_type, event_type, property, value_type),
  audits (
    rows_are_sound(
      keys := (project, app, owner, group_type, event_type, property, value_type),
      columns := (
        project,
        app,
        owner,
        event_type,
        property,
        value_type,
        carriers,
        carriers_share,
        is_drift
      ),
      criteria := (
        owner <> 'event' OR distinct_values <= carriers,
        owner <> 'event' OR misfits <= carriers,
        carriers_share BETWEEN 0 AND 1,
        first_seen_at <= last_seen_at
      )
    )
  )
);

WITH declared AS (
  SELECT
    owner,
    NULLIF(group_type, '') AS group_type,
    property,
    column_name,
    column_type
  FROM @declared_properties() AS declared
), seen AS (
  /* An event has a property once, so that its carriers need no sorting out. */
  SELECT
    carried.project,
    carried.app,
    carried.owner,
    carried.group_type,
    carried.event_type,
    carried.property,
    carried.value_type,
    declared.column_name,
    declared.column_type,
    COUNT_IF(carried.owner = 'event') + COUNT(DISTINCT IFF(carried.owner = 'event', NULL, carried.carrier)) AS carriers,
    COUNT(DISTINCT carried.value_text) AS distinct_values,
    MIN(carried.value_text) AS example,
    COUNT_IF(@misfits(carried.value_text, declared.column_type)) AS misfits,
    MIN(carried.first_seen_at) AS first_seen_at,
    MAX(carried.last_seen_at) AS last_seen_at
  FROM silver.property_values AS carried
  LEFT JOIN declared
    ON declared.owner = carried.owner
    AND declared.property = carried.property
    AND declared.group_type IS NOT DISTINCT FROM carried.group_type
  GROUP BY ALL
), possible AS (
  SELECT
    project,
    app,
    'event' AS owner,
    NULL::VARCHAR AS group_type,
    event_type,
    COUNT(*) AS carriers
  FROM silver.events
  GROUP BY ALL
  UNION ALL
  SELECT
    project,
    app,
    'user' AS owner,
    NULL::VARCHAR AS group_type,
    '(all)' AS event_type,
    COUNT(*) AS carriers
  FROM silver.users
  GROUP BY ALL
  UNION ALL
  SELECT
    project,
    app,
    'group' AS owner,
    group_type,
    '(all)' AS event_type,
    COUNT(DISTINCT group_id) AS carriers
  FROM silver.group_states
  GROUP BY ALL
), known AS (
  SELECT
    seen.project,
    seen.app,
    seen.owner,
    seen.group_type,
    seen.event_type,
    seen.property,
    seen.value_type,
    seen.column_name,
    seen.carriers,
    seen.carriers::DOUBLE / possible.carriers AS carriers_share,
    seen.distinct_values,
    LEFT(seen.example, 100) AS example,
    IFF(seen.column_name IS NULL, NULL, seen.misfits) AS misfits,
    seen.first_seen_at,
    seen.last_seen_at,
    seen.first_seen_at > DATEADD(
      DAY,
      7,
      MIN(seen.first_seen_at) OVER (
        PARTITION BY seen.project, seen.app, seen.owner, seen.group_type, seen.event_type, seen.property
      )
    ) AS is_drift
  FROM seen
  JOIN possible
    ON possible.project = seen.project
    AND possible.app = seen.app
    AND possible.owner = seen.owner
    AND possible.group_type IS NOT DISTINCT FROM seen.group_type
    AND possible.event_type = seen.event_type
  UNION ALL
  SELECT
    apps.project,
    apps.app,
    declared.owner,
    declared.group_type,
    '(all)' AS event_type,
    declared.property,
    'none' AS value_type,
    declared.column_name,
    0 AS carriers,
    0 AS carriers_share,
    0 AS distinct_values,
    NULL AS example,
    0 AS misfits,
    NULL AS first_seen_at,
    NULL AS last_seen_at,
    FALSE AS is_drift
  FROM declared
  CROSS JOIN silver.apps AS apps
  LEFT JOIN seen
    ON seen.project = apps.project
    AND seen.app = apps.app
    AND seen.owner = declared.owner
    AND seen.property = declared.property
    AND seen.group_type IS NOT DISTINCT FROM declared.group_type
  WHERE
    seen.project IS NULL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  owner::VARCHAR AS owner, /* event, user or group */
  group_type::VARCHAR AS group_type, /* Type of the group, such as company; NULL where the owner is none */
  event_type::VARCHAR AS event_type, /* Name of the event; (all) for a property of users or groups and for one that nobody has sent */
  property::VARCHAR AS property, /* Name of the property */
  value_type::VARCHAR AS value_type, /* text, number, boolean, object, array or null; none for a declared property that nobody has sent */
  column_name::VARCHAR AS column_name, /* The column that sqlmesh/properties.yaml makes of it, NULL for none */
  carriers::BIGINT AS carriers, /* Events of the type that carry a value of this type; users before merging, or groups, that ever had one */
  carriers_share::DOUBLE AS carriers_share, /* The same as a share of all events of the type, of all users, or of all groups of the type */
  distinct_values::BIGINT AS distinct_values, /* Number of different values */
  example::VARCHAR AS example, /* The first of them in alphabetical order, its first 100 characters */
  misfits::BIGINT AS misfits, /* Values that do not fit the column's type and are NULL in it; NULL without a column */
  first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event with such a value (UTC) */
  last_seen_at::TIMESTAMPNTZ AS last_seen_at, /* Time of the last event with such a value; of a user's property, of the last change to one (UTC) */
  is_drift::BOOLEAN AS is_drift /* Whether the type came up more than 7 days after the property */
FROM known
