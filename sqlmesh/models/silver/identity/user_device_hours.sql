/* What each hour of the export shows of each user on each device. Users and devices are summed up
 * from it: a new hour adds rows, so that no run has to read all earlier events. */
MODEL (
  name silver.user_device_hours,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour,
    batch_size 720
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, device_id, export_hour),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id, device_id, export_hour),
      columns := (project, app, amplitude_id, export_hour, events, first_event_at, last_event_at)
    )
  )
);

WITH events AS (
  SELECT
    *,
    @touch_text(user_properties, 'utm_source') AS source,
    @touch_text(user_properties, 'utm_medium') AS medium,
    @touch_text(user_properties, 'utm_campaign') AS campaign,
    @touch_text(user_properties, 'referring_domain') AS referrer,
    @touch_text(user_properties, 'initial_utm_source') AS initial_source,
    @touch_text(user_properties, 'initial_utm_medium') AS initial_medium,
    @touch_text(user_properties, 'initial_utm_campaign') AS initial_campaign,
    @touch_text(user_properties, 'initial_referring_domain') AS initial_referrer,
    NOT COALESCE(
      @property_text(user_properties, 'initial_utm_source'),
      @property_text(user_properties, 'initial_utm_medium'),
      @property_text(user_properties, 'initial_utm_campaign'),
      @property_text(user_properties, 'initial_referring_domain')
    ) IS NULL AS has_initial,
    user_properties::VARCHAR <> '{}' AS has_properties
  FROM silver.events
  WHERE
    export_hour BETWEEN @start_ts AND @end_ts
), numbered AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id, device_id, export_hour
      ORDER BY event_time, uuid
    ) AS event_number,
    COUNT(*) OVER (PARTITION BY project, app, amplitude_id, device_id, export_hour) AS last_number
  FROM events
), marked AS (
  SELECT
    *,
    event_number = 1 AS is_first,
    event_number = last_number AS is_last,
    has_initial
    AND event_number = MAX(IFF(has_initial, event_number, NULL)) OVER (PARTITION BY project, app, amplitude_id, device_id, export_hour) AS is_initial,
    IFF(user_id IS NULL, NULL, event_number) AS login_number,
    IFF(has_properties, event_number, NULL) AS properties_number
  FROM numbered
), summed AS (
  SELECT
    project,
    app,
    amplitude_id,
    device_id,
    export_hour,
    COUNT(*) AS events,
    MIN(event_time) AS first_event_at,
    MAX(IFF(is_first, uuid, NULL)) AS first_uuid,
    MAX(IFF(is_first, platform, NULL)) AS first_platform,
    MAX(IFF(is_first, country, NULL)) AS first_country,
    MAX(IFF(is_first, session_id, NULL)) AS first_session_id,
    MAX(IFF(is_first, source, NULL)) AS first_source,
    MAX(IFF(is_first, medium, NULL)) AS first_medium,
    MAX(IFF(is_first, campaign, NULL)) AS first_campaign,
    MAX(IFF(is_first, referrer, NULL)) AS first_referrer,
    MAX(event_time) AS last_event_at,
    MAX(IFF(is_last, uuid, NULL)) AS last_uuid,
    MAX(IFF(is_last, platform, NULL)) AS last_platform,
    MAX(IFF(is_last, country, NULL)) AS last_country,
    MAX(IFF(is_last, os_name, NULL)) AS last_os_name,
    MAX(IFF(is_last, os_version, NULL)) AS last_os_version,
    MAX(IFF(is_last, device_family, NULL)) AS last_device_family,
    MAX(IFF(is_last, device_type, NULL)) AS last_device_type,
    MAX(IFF(is_last, version_name, NULL)) AS last_version_name,
    MIN(IFF(user_id IS NULL, NULL, server_upload_time)) AS first_login_uploaded_at,
    MIN(IFF(user_id IS NULL, NULL, event_time)) AS first_login_at,
    MAX(IFF(user_id IS NULL, NULL, event_time)) AS last_login_at,
    MAX_BY(uuid, login_number) AS last_login_uuid,
    MAX_BY(user_id, login_number) AS last_user_id,
    MAX(IFF(is_initial, event_time, NULL)) AS initial_at,
    MAX(IFF(is_initial, uuid, NULL)) AS initial_uuid,
    MAX(IFF(is_initial, initial_source, NULL)) AS initial_source,
    MAX(IFF(is_initial, initial_medium, NULL)) AS initial_medium,
    MAX(IFF(is_initial, initial_campaign, NULL)) AS initial_campaign,
    MAX(IFF(is_initial, initial_referrer, NULL)) AS initial_referrer,
    MAX(IFF(has_properties, event_time, NULL)) AS properties_at,
    MAX_BY(uuid, properties_number) AS properties_uuid
  FROM marked
  GROUP BY ALL
), properties AS (
  /* Read once more, so that the steps before sort no JSON. */
  SELECT
    summed.project,
    summed.app,
    summed.properties_uuid,
    events.user_properties
  FROM silver.events AS events
  JOIN summed
    ON summed.project = events.project
    AND summed.app = events.app
    AND summed.properties_uuid = events.uuid
  WHERE
    events.export_hour BETWEEN @start_ts AND @end_ts
)
SELECT
  summed.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  summed.app::BIGINT AS app, /* Amplitude's number of the project */
  summed.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  summed.device_id::VARCHAR AS device_id, /* Id of the device; NULL gathers events without one */
  summed.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export */
  summed.events::BIGINT AS events, /* Number of events */
  summed.first_event_at::TIMESTAMPNTZ AS first_event_at, /* Time of the first event (UTC); of several at one time the uuid decides, here and below */
  summed.first_uuid::VARCHAR AS first_uuid, /* Its uuid */
  summed.first_platform::VARCHAR AS first_platform, /* Its platform */
  summed.first_country::VARCHAR AS first_country, /* Its country */
  summed.first_session_id::BIGINT AS first_session_id, /* Its session_id, NULL outside of sessions */
  summed.first_source::VARCHAR AS first_source, /* Its utm_source */
  summed.first_medium::VARCHAR AS first_medium, /* Its utm_medium */
  summed.first_campaign::VARCHAR AS first_campaign, /* Its utm_campaign */
  summed.first_referrer::VARCHAR AS first_referrer, /* Its referrer's domain */
  summed.last_event_at::TIMESTAMPNTZ AS last_event_at, /* Time of the last event (UTC) */
  summed.last_uuid::VARCHAR AS last_uuid, /* Its uuid */
  summed.last_platform::VARCHAR AS last_platform, /* Its platform */
  summed.last_country::VARCHAR AS last_country, /* Its country */
  summed.last_os_name::VARCHAR AS last_os_name, /* Its operating system or browser */
  summed.last_os_version::VARCHAR AS last_os_version, /* The version of that */
  summed.last_device_family::VARCHAR AS last_device_family, /* Its family of devices */
  summed.last_device_type::VARCHAR AS last_device_type, /* Its type of device */
  summed.last_version_name::VARCHAR AS last_version_name, /* Its version of the app */
  summed.first_login_uploaded_at::TIMESTAMPNTZ AS first_login_uploaded_at, /* First upload with a user_id (UTC), NULL where the user was anonymous */
  summed.first_login_at::TIMESTAMPNTZ AS first_login_at, /* Time of the first event with a user_id (UTC) */
  summed.last_login_at::TIMESTAMPNTZ AS last_login_at, /* Time of the last event with a user_id (UTC) */
  summed.last_login_uuid::VARCHAR AS last_login_uuid, /* Its uuid */
  summed.last_user_id::VARCHAR AS last_user_id, /* Its user_id */
  summed.initial_at::TIMESTAMPNTZ AS initial_at, /* Time of the last event that tells how the user first came (UTC), NULL where none does */
  summed.initial_uuid::VARCHAR AS initial_uuid, /* Its uuid */
  summed.initial_source::VARCHAR AS initial_source, /* Its initial_utm_source */
  summed.initial_medium::VARCHAR AS initial_medium, /* Its initial_utm_medium */
  summed.initial_campaign::VARCHAR AS initial_campaign, /* Its initial_utm_campaign */
  summed.initial_referrer::VARCHAR AS initial_referrer, /* Its initial_referring_domain */
  summed.properties_at::TIMESTAMPNTZ AS properties_at, /* Time of the last event with any user properties (UTC), NULL where none has */
  summed.properties_uuid::VARCHAR AS properties_uuid, /* Its uuid */
  PARSE_JSON(properties.user_properties::VARCHAR) AS user_properties /* These properties */
FROM summed
LEFT JOIN properties
  ON properties.project = summed.project
  AND properties.app = summed.app
  AND properties.properties_uuid = summed.properties_uuid
