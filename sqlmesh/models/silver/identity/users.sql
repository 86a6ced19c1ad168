/* Every user of Amplitude, not merged, with the user that it is after merging. The first and the
 * latest event go by event_time; the uuid decides between events at one time. Amplitude itself
 * says where a user first came from (initial_utm_source and its like, 'EMPTY' for nowhere): the
 * latest event that carries any of these counts. Without them the session of the user's first
 * event shows it, because Amplitude captures the first touch at the start of the first session
 * ("Browser SDK 2", first-touch attribution). A first event outside of sessions shows it by
 * itself. */
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
    rows_are_sound(
      keys := (project, app, amplitude_id),
      columns := (
        project,
        app,
        amplitude_id,
        canonical_amplitude_id,
        first_seen_at,
        last_seen_at,
        is_older_than_export
      ),
      condition := @of_run((project, app, amplitude_id), @touched_user_summaries(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, amplitude_id), @touched_user_summaries(@start_ts, @end_ts), @start_ts);

WITH hours AS (
  /* An hour of each kind is the one that counts: the first, the latest, the latest with a user_id, with an initial touch, with properties. */
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY project, app, amplitude_id ORDER BY first_event_at, first_uuid) = 1 AS is_first,
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY last_event_at DESC, last_uuid DESC
    ) = 1 AS is_latest,
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY last_login_at DESC NULLS LAST, last_login_uuid DESC NULLS LAST
    ) = 1 AS is_login,
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY initial_at DESC NULLS LAST, initial_uuid DESC NULLS LAST
    ) = 1 AS is_initial,
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY properties_at DESC NULLS LAST, properties_uuid DESC NULLS LAST
    ) = 1 AS is_properties
  FROM @rows_of_run(
    silver.user_device_hours,
    (project, app, amplitude_id),
    @touched_user_summaries(@start_ts, @end_ts),
    @start_ts
  ) AS hours
), users AS (
  SELECT
    project,
    app,
    amplitude_id,
    SUM(events) AS events,
    MIN(first_event_at) AS first_seen_at,
    MAX(last_event_at) AS last_seen_at,
    COUNT(DISTINCT device_id) AS devices,
    MAX(IFF(is_login, last_user_id, NULL)) AS user_id,
    MAX(initial_at) IS NULL AS has_no_initial,
    MAX(IFF(is_initial, initial_source, NULL)) AS initial_source,
    MAX(IFF(is_initial, initial_medium, NULL)) AS initial_medium,
    MAX(IFF(is_initial, initial_campaign, NULL)) AS initial_campaign,
    MAX(IFF(is_initial, initial_referrer, NULL)) AS initial_referrer,
    MAX(IFF(is_first, first_session_id, NULL)) AS first_session_id,
    MAX(IFF(is_first, first_source, NULL)) AS first_source,
    MAX(IFF(is_first, first_medium, NULL)) AS first_medium,
    MAX(IFF(is_first, first_campaign, NULL)) AS first_campaign,
    MAX(IFF(is_first, first_referrer, NULL)) AS first_referrer,
    MAX(IFF(is_first, first_platform, NULL)) AS first_platform,
    MAX(IFF(is_first, first_country, NULL)) AS first_country,
    MAX(IFF(is_latest, last_platform, NULL)) AS latest_platform,
    MAX(IFF(is_latest, last_country, NULL)) AS latest_country,
    MAX(IFF(is_properties, user_properties::VARCHAR, NULL)) AS user_properties
  FROM hours
  GROUP BY ALL
), days AS (
  SELECT
    project,
    app,
    amplitude_id,
    COUNT_IF(active_events > 0) AS active_days
  FROM @rows_of_run(
    silver.user_days,
    (project, app, amplitude_id),
    @touched_user_summaries(@start_ts, @end_ts),
    @start_ts
  ) AS days
  GROUP BY ALL
), first_hours AS (
  SELECT
    project,
    MIN(export_hour) AS first_hour
  FROM silver.export_hours
  GROUP BY
    project
), sessions AS (
  SELECT
    sessions.*
  FROM @rows_of_run(
    silver.sessions,
    (project, app, amplitude_id),
    @touched_merged_users(@start_ts, @end_ts),
    @start_ts
  ) AS sessions
)
SELECT
  users.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  users.app::BIGINT AS app, /* Amplitude's number of the project */
  users.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it */
  aliases.canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  users.user_id::VARCHAR AS user_id, /* The user's id in your product by the latest event that carries one, NULL for an anonymous user */
  users.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event (UTC) */
  users.last_seen_at::TIMESTAMPNTZ AS last_seen_at, /* Time of the last event (UTC) */
  (
    users.first_seen_at < first_hours.first_hour
  )::BOOLEAN AS is_older_than_export, /* Whether the first event is dated before the project's first export hour; others may be older, too */
  users.events::BIGINT AS events, /* Number of events */
  days.active_days::BIGINT AS active_days, /* Number of days with an event of an active type */
  users.devices::BIGINT AS devices, /* Number of devices */
  @first_touch(source)::VARCHAR AS first_source, /* utm_source that first brought the user, NULL for none */
  @first_touch(medium)::VARCHAR AS first_medium, /* utm_medium that did, NULL for none */
  @first_touch(campaign)::VARCHAR AS first_campaign, /* utm_campaign that did, NULL for none */
  @first_touch(referrer)::VARCHAR AS first_referrer, /* Domain of the referrer that did, NULL for none */
  users.first_platform::VARCHAR AS first_platform, /* Platform of the first event; NULL for a server's */
  users.first_country::VARCHAR AS first_country, /* Country of the first event */
  users.latest_platform::VARCHAR AS latest_platform, /* Platform of the latest event; NULL for a server's */
  users.latest_country::VARCHAR AS latest_country, /* Country of the latest event */
  PARSE_JSON(users.user_properties) AS user_properties /* The user's properties as of the latest event that carries any */
FROM users
JOIN first_hours
  ON first_hours.project = users.project
JOIN silver.user_aliases AS aliases
  ON aliases.project = users.project
  AND aliases.app = users.app
  AND aliases.amplitude_id = users.amplitude_id
JOIN days
  ON days.project = users.project
  AND days.app = users.app
  AND days.amplitude_id = users.amplitude_id
LEFT JOIN sessions
  ON sessions.project = aliases.project
  AND sessions.app = aliases.app
  AND sessions.amplitude_id = aliases.canonical_amplitude_id
  AND sessions.session_id = users.first_session_id
