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
), days AS (
  SELECT
    days.project,
    days.app,
    days.amplitude_id,
    SUM(days.events) AS events,
    COUNT_IF(days.active_events > 0) AS active_days,
    MIN(days.first_event_at) AS first_seen_at,
    MAX(days.last_event_at) AS last_seen_at
  FROM silver.user_days AS days
  JOIN touched
    ON touched.project = days.project
    AND touched.app = days.app
    AND touched.amplitude_id = days.amplitude_id
  GROUP BY
    days.project,
    days.app,
    days.amplitude_id
), devices AS (
  SELECT
    devices.project,
    devices.app,
    devices.amplitude_id,
    COUNT(devices.device_id) AS devices
  FROM silver.user_devices AS devices
  JOIN touched
    ON touched.project = devices.project
    AND touched.app = devices.app
    AND touched.amplitude_id = devices.amplitude_id
  GROUP BY
    devices.project,
    devices.app,
    devices.amplitude_id
), logins AS (
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.user_id
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.amplitude_id = events.amplitude_id
  WHERE
    NOT events.user_id IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, events.amplitude_id
      ORDER BY events.event_time DESC, events.uuid DESC
    ) = 1
), firsts AS (
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.platform,
    events.country,
    @touch_text(events.user_properties, 'utm_source') AS source,
    @touch_text(events.user_properties, 'utm_medium') AS medium,
    @touch_text(events.user_properties, 'utm_campaign') AS campaign,
    @touch_text(events.user_properties, 'referring_domain') AS referrer
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.amplitude_id = events.amplitude_id
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, events.amplitude_id
      ORDER BY events.event_time, events.uuid
    ) = 1
), latests AS (
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.platform,
    events.country
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.amplitude_id = events.amplitude_id
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, events.amplitude_id
      ORDER BY events.event_time DESC, events.uuid DESC
    ) = 1
), initials AS (
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    @touch_text(events.user_properties, 'initial_utm_source') AS source,
    @touch_text(events.user_properties, 'initial_utm_medium') AS medium,
    @touch_text(events.user_properties, 'initial_utm_campaign') AS campaign,
    @touch_text(events.user_properties, 'initial_referring_domain') AS referrer
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.amplitude_id = events.amplitude_id
  WHERE
    NOT COALESCE(
      @property_text(events.user_properties, 'initial_utm_source'),
      @property_text(events.user_properties, 'initial_utm_medium'),
      @property_text(events.user_properties, 'initial_utm_campaign'),
      @property_text(events.user_properties, 'initial_referring_domain')
    ) IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, events.amplitude_id
      ORDER BY events.event_time DESC, events.uuid DESC
    ) = 1
), properties AS (
  /* As text, since SQLMesh would take the column for a VARIANT, which DuckDB's files cannot hold. */
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.user_properties::VARCHAR AS user_properties
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.amplitude_id = events.amplitude_id
  WHERE
    events.user_properties::VARCHAR <> '{}'
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, events.amplitude_id
      ORDER BY events.event_time DESC, events.uuid DESC
    ) = 1
)
SELECT
  days.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  days.app::BIGINT AS app, /* Amplitude's number of the project */
  days.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it */
  aliases.canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  logins.user_id::VARCHAR AS user_id, /* The user's id in your product by the latest event that carries one, NULL for an anonymous user */
  days.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event (UTC) */
  days.last_seen_at::TIMESTAMPNTZ AS last_seen_at, /* Time of the last event (UTC) */
  days.events::BIGINT AS events, /* Number of events */
  days.active_days::BIGINT AS active_days, /* Number of days with an event of an active type */
  devices.devices::BIGINT AS devices, /* Number of devices */
  IFF(initials.amplitude_id IS NULL, firsts.source, initials.source)::VARCHAR AS first_source, /* utm_source that first brought the user, NULL for none */
  IFF(initials.amplitude_id IS NULL, firsts.medium, initials.medium)::VARCHAR AS first_medium, /* utm_medium of the same */
  IFF(initials.amplitude_id IS NULL, firsts.campaign, initials.campaign)::VARCHAR AS first_campaign, /* utm_campaign of the same */
  IFF(initials.amplitude_id IS NULL, firsts.referrer, initials.referrer)::VARCHAR AS first_referrer, /* Domain of the referrer of the same */
  firsts.platform::VARCHAR AS first_platform, /* Platform of the first event; NULL for a server's */
  firsts.country::VARCHAR AS first_country, /* Country of the first event */
  latests.platform::VARCHAR AS latest_platform, /* Platform of the latest event; NULL for a server's */
  latests.country::VARCHAR AS latest_country, /* Country of the latest event */
  PARSE_JSON(properties.user_properties) AS user_properties /* The user's properties as of the latest event that carries any */
FROM days
JOIN silver.user_aliases AS aliases
  ON aliases.project = days.project
  AND aliases.app = days.app
  AND aliases.amplitude_id = days.amplitude_id
JOIN devices
  ON devices.project = days.project
  AND devices.app = days.app
  AND devices.amplitude_id = days.amplitude_id
LEFT JOIN logins
  ON logins.project = days.project
  AND logins.app = days.app
  AND logins.amplitude_id = days.amplitude_id
JOIN firsts
  ON firsts.project = days.project
  AND firsts.app = days.app
  AND firsts.amplitude_id = days.amplitude_id
JOIN latests
  ON latests.project = days.project
  AND latests.app = days.app
  AND latests.amplitude_id = days.amplitude_id
LEFT JOIN initials
  ON initials.project = days.project
  AND initials.app = days.app
  AND initials.amplitude_id = days.amplitude_id
LEFT JOIN properties
  ON properties.project = days.project
  AND properties.app = days.app
  AND properties.amplitude_id = days.amplitude_id
