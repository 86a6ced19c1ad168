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
    not_null(
      columns := (project, app, amplitude_id, export_hour, events, first_event_at, last_event_at)
    ),
    unique_combination_of_columns(columns := (project, app, amplitude_id, device_id, export_hour))
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
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  device_id::VARCHAR AS device_id, /* Id of the device; NULL gathers events without one */
  export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export */
  COUNT(*)::BIGINT AS events, /* Number of events */
  MIN(event_time)::TIMESTAMPNTZ AS first_event_at, /* Time of the first event (UTC); of several at one time the uuid decides, here and below */
  MAX(IFF(is_first, uuid, NULL))::VARCHAR AS first_uuid, /* Its uuid */
  MAX(IFF(is_first, platform, NULL))::VARCHAR AS first_platform, /* Its platform */
  MAX(IFF(is_first, country, NULL))::VARCHAR AS first_country, /* Its country */
  MAX(IFF(is_first, session_id, NULL))::BIGINT AS first_session_id, /* Its session_id, NULL outside of sessions */
  MAX(IFF(is_first, source, NULL))::VARCHAR AS first_source, /* Its utm_source */
  MAX(IFF(is_first, medium, NULL))::VARCHAR AS first_medium, /* Its utm_medium */
  MAX(IFF(is_first, campaign, NULL))::VARCHAR AS first_campaign, /* Its utm_campaign */
  MAX(IFF(is_first, referrer, NULL))::VARCHAR AS first_referrer, /* Its referrer's domain */
  MAX(event_time)::TIMESTAMPNTZ AS last_event_at, /* Time of the last event (UTC) */
  MAX(IFF(is_last, uuid, NULL))::VARCHAR AS last_uuid, /* Its uuid */
  MAX(IFF(is_last, platform, NULL))::VARCHAR AS last_platform, /* Its platform */
  MAX(IFF(is_last, country, NULL))::VARCHAR AS last_country, /* Its country */
  MAX(IFF(is_last, os_name, NULL))::VARCHAR AS last_os_name, /* Its operating system or browser */
  MAX(IFF(is_last, os_version, NULL))::VARCHAR AS last_os_version, /* The version of that */
  MAX(IFF(is_last, device_family, NULL))::VARCHAR AS last_device_family, /* Its family of devices */
  MAX(IFF(is_last, device_type, NULL))::VARCHAR AS last_device_type, /* Its type of device */
  MAX(IFF(is_last, version_name, NULL))::VARCHAR AS last_version_name, /* Its version of the app */
  MIN(IFF(user_id IS NULL, NULL, server_upload_time))::TIMESTAMPNTZ AS first_login_uploaded_at, /* First upload with a user_id (UTC), NULL where the user was anonymous */
  MIN(IFF(user_id IS NULL, NULL, event_time))::TIMESTAMPNTZ AS first_login_at, /* Time of the first event with a user_id (UTC) */
  MAX(IFF(user_id IS NULL, NULL, event_time))::TIMESTAMPNTZ AS last_login_at, /* Time of the last event with a user_id (UTC) */
  MAX_BY(uuid, login_number)::VARCHAR AS last_login_uuid, /* Its uuid */
  MAX_BY(user_id, login_number)::VARCHAR AS last_user_id, /* Its user_id */
  MAX(IFF(is_initial, event_time, NULL))::TIMESTAMPNTZ AS initial_at, /* Time of the last event that tells how the user first came (UTC), NULL where none does */
  MAX(IFF(is_initial, uuid, NULL))::VARCHAR AS initial_uuid, /* Its uuid */
  MAX(IFF(is_initial, initial_source, NULL))::VARCHAR AS initial_source, /* Its initial_utm_source */
  MAX(IFF(is_initial, initial_medium, NULL))::VARCHAR AS initial_medium, /* Its initial_utm_medium */
  MAX(IFF(is_initial, initial_campaign, NULL))::VARCHAR AS initial_campaign, /* Its initial_utm_campaign */
  MAX(IFF(is_initial, initial_referrer, NULL))::VARCHAR AS initial_referrer, /* Its initial_referring_domain */
  MAX(IFF(has_properties, event_time, NULL))::TIMESTAMPNTZ AS properties_at, /* Time of the last event with any user properties (UTC), NULL where none has */
  MAX_BY(uuid, properties_number)::VARCHAR AS properties_uuid, /* Its uuid */
  PARSE_JSON(MAX_BY(user_properties::VARCHAR, properties_number)) AS user_properties /* These properties */
FROM marked
GROUP BY ALL
