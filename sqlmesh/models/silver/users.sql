/* Every user of Amplitude, not merged, with the user that it is after merging. First and latest go by event_time; of events at one time the uuid
 * decides. Where a user first came from is told by Amplitude itself (initial_utm_source and its like, 'EMPTY' for nowhere) as of the latest event
 * that carries any of them, and only without these by what the first event had. */
MODEL (
  name silver.users,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id),
  audits (
    not_null(
      columns := (project, app, amplitude_id, canonical_amplitude_id, first_seen_at, last_seen_at)
    ),
    unique_combination_of_columns(columns := (project, app, amplitude_id))
  )
);

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    (project, app, amplitude_id) IN (
      SELECT
        project,
        app,
        amplitude_id
      FROM @touched_user_summaries(@start_ts, @end_ts) AS touched
    )
);

WITH touched AS (
  SELECT
    project,
    app,
    amplitude_id
  FROM @touched_user_summaries(@start_ts, @end_ts) AS touched
), hours AS (
  SELECT
    hours.*
  FROM silver.user_device_hours AS hours
  JOIN touched
    ON touched.project = hours.project
    AND touched.app = hours.app
    AND touched.amplitude_id = hours.amplitude_id
), totals AS (
  SELECT
    project,
    app,
    amplitude_id,
    SUM(events) AS events,
    MIN(first_event_at) AS first_seen_at,
    MAX(last_event_at) AS last_seen_at,
    COUNT(DISTINCT device_id) AS devices
  FROM hours
  GROUP BY
    project,
    app,
    amplitude_id
), days AS (
  SELECT
    days.project,
    days.app,
    days.amplitude_id,
    COUNT_IF(days.active_events > 0) AS active_days
  FROM silver.user_days AS days
  JOIN touched
    ON touched.project = days.project
    AND touched.app = days.app
    AND touched.amplitude_id = days.amplitude_id
  GROUP BY
    days.project,
    days.app,
    days.amplitude_id
), logins AS (
  SELECT
    *
  FROM hours
  WHERE
    NOT last_user_id IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY last_login_at DESC, last_login_uuid DESC
    ) = 1
), firsts AS (
  SELECT
    *
  FROM hours
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY project, app, amplitude_id ORDER BY first_event_at, first_uuid) = 1
), latests AS (
  SELECT
    *
  FROM hours
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY last_event_at DESC, last_uuid DESC
    ) = 1
), initials AS (
  SELECT
    *
  FROM hours
  WHERE
    NOT initial_at IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY initial_at DESC, initial_uuid DESC
    ) = 1
), properties AS (
  SELECT
    *
  FROM hours
  WHERE
    NOT properties_at IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY properties_at DESC, properties_uuid DESC
    ) = 1
)
SELECT
  totals.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  totals.app::BIGINT AS app, /* Amplitude's number of the project */
  totals.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it */
  aliases.canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  logins.last_user_id::VARCHAR AS user_id, /* The user's id in your product by the latest event that carries one, NULL for an anonymous user */
  totals.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event (UTC) */
  totals.last_seen_at::TIMESTAMPNTZ AS last_seen_at, /* Time of the last event (UTC) */
  totals.events::BIGINT AS events, /* Number of events */
  days.active_days::BIGINT AS active_days, /* Number of days with an event of an active type */
  totals.devices::BIGINT AS devices, /* Number of devices */
  IFF(initials.amplitude_id IS NULL, firsts.first_source, initials.initial_source)::VARCHAR AS first_source, /* utm_source that first brought the user, NULL for none */
  IFF(initials.amplitude_id IS NULL, firsts.first_medium, initials.initial_medium)::VARCHAR AS first_medium, /* utm_medium of the same */
  IFF(initials.amplitude_id IS NULL, firsts.first_campaign, initials.initial_campaign)::VARCHAR AS first_campaign, /* utm_campaign of the same */
  IFF(initials.amplitude_id IS NULL, firsts.first_referrer, initials.initial_referrer)::VARCHAR AS first_referrer, /* Domain of the referrer of the same */
  firsts.first_platform::VARCHAR AS first_platform, /* Platform of the first event; NULL for a server's */
  firsts.first_country::VARCHAR AS first_country, /* Country of the first event */
  latests.last_platform::VARCHAR AS latest_platform, /* Platform of the latest event; NULL for a server's */
  latests.last_country::VARCHAR AS latest_country, /* Country of the latest event */
  PARSE_JSON(properties.user_properties::VARCHAR) AS user_properties /* The user's properties as of the latest event that carries any */
FROM totals
JOIN silver.user_aliases AS aliases
  ON aliases.project = totals.project
  AND aliases.app = totals.app
  AND aliases.amplitude_id = totals.amplitude_id
JOIN days
  ON days.project = totals.project
  AND days.app = totals.app
  AND days.amplitude_id = totals.amplitude_id
LEFT JOIN logins
  ON logins.project = totals.project
  AND logins.app = totals.app
  AND logins.amplitude_id = totals.amplitude_id
JOIN firsts
  ON firsts.project = totals.project
  AND firsts.app = totals.app
  AND firsts.amplitude_id = totals.amplitude_id
JOIN latests
  ON latests.project = totals.project
  AND latests.app = totals.app
  AND latests.amplitude_id = totals.amplitude_id
LEFT JOIN initials
  ON initials.project = totals.project
  AND initials.app = totals.app
  AND initials.amplitude_id = totals.amplitude_id
LEFT JOIN properties
  ON properties.project = totals.project
  AND properties.app = totals.app
  AND properties.amplitude_id = totals.amplitude_id
