/* Every user after merging as of now, with the properties that sqlmesh/properties.yaml declares. */
MODEL (
  name gold.users,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, canonical_amplitude_id),
  audits (
    rows_are_sound(
      keys := (project, app, canonical_amplitude_id),
      columns := (
        project,
        app,
        canonical_amplitude_id,
        is_identified,
        amplitude_ids,
        first_seen_at,
        last_seen_at,
        events
      )
    )
  )
);

WITH ids AS (
  SELECT
    users.*,
    aliases.is_identified,
    ROW_NUMBER() OVER (
      PARTITION BY users.project, users.app, users.canonical_amplitude_id
      ORDER BY users.last_seen_at DESC, users.amplitude_id
    ) = 1 AS is_latest,
    ROW_NUMBER() OVER (
      PARTITION BY users.project, users.app, users.canonical_amplitude_id
      ORDER BY IFF(users.user_properties IS NULL, 1, 0), users.last_seen_at DESC, users.amplitude_id
    ) = 1 AS is_properties
  FROM silver.users AS users
  JOIN silver.user_aliases AS aliases
    ON aliases.project = users.project
    AND aliases.app = users.app
    AND aliases.amplitude_id = users.amplitude_id
), people AS (
  SELECT
    project,
    app,
    canonical_amplitude_id,
    MAX(IFF(amplitude_id = canonical_amplitude_id, user_id, NULL)) AS user_id,
    COUNT_IF(is_identified) > 0 AS is_identified,
    COUNT(*) AS amplitude_ids,
    MIN(first_seen_at) AS first_seen_at,
    MAX(last_seen_at) AS last_seen_at,
    SUM(events) AS events,
    MAX(IFF(is_latest, latest_platform, NULL)) AS latest_platform,
    MAX(IFF(is_latest, latest_country, NULL)) AS latest_country,
    PARSE_JSON(MAX(IFF(is_properties, user_properties::VARCHAR, NULL))) AS user_properties
  FROM ids
  GROUP BY
    project,
    app,
    canonical_amplitude_id
)
SELECT
  people.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  people.app::BIGINT AS app, /* Amplitude's number of the project */
  people.canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  people.user_id::VARCHAR AS user_id, /* The user's id in your product, NULL for an anonymous user */
  people.is_identified::BOOLEAN AS is_identified, /* Whether the user ever carried a user_id */
  people.amplitude_ids::BIGINT AS amplitude_ids, /* Number of Amplitude's users that are merged into this one, with itself */
  people.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event (UTC) */
  people.last_seen_at::TIMESTAMPNTZ AS last_seen_at, /* Time of the last event (UTC) */
  people.events::BIGINT AS events, /* Number of events */
  people.latest_platform::VARCHAR AS latest_platform, /* Platform of the latest event; NULL for a server's */
  people.latest_country::VARCHAR AS latest_country, /* Country of the latest event */
  people.user_properties, /* The user's properties as of the latest event that carries any, of the merged user seen last */
  @property_columns(people, user)
FROM people
