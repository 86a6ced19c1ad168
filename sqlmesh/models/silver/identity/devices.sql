/* Every device or browser, as its latest event shows it. */
MODEL (
  name silver.devices,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, device_id),
  audits (
    rows_are_sound(
      keys := (project, app, device_id),
      columns := (project, app, device_id, events),
      condition := @of_run((project, app, device_id), @touched_devices(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, device_id), @touched_devices(@start_ts, @end_ts), @start_ts);

WITH totals AS (
  SELECT
    pairs.project,
    pairs.app,
    pairs.device_id,
    COUNT(*) AS users,
    SUM(pairs.events) AS events,
    MIN(pairs.first_seen_at) AS first_seen_at,
    MAX(pairs.last_seen_at) AS last_seen_at
  FROM @rows_of_run(
    silver.user_devices,
    (project, app, device_id),
    @touched_devices(@start_ts, @end_ts),
    @start_ts
  ) AS pairs
  WHERE
    NOT pairs.device_id IS NULL
  GROUP BY ALL
), latest AS (
  SELECT
    hours.*
  FROM @rows_of_run(
    silver.user_device_hours,
    (project, app, device_id),
    @touched_devices(@start_ts, @end_ts),
    @start_ts
  ) AS hours
  WHERE
    NOT hours.device_id IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY hours.project, hours.app, hours.device_id
      ORDER BY hours.last_event_at DESC, hours.last_uuid DESC
    ) = 1
)
SELECT
  totals.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  totals.app::BIGINT AS app, /* Amplitude's number of the project */
  totals.device_id::VARCHAR AS device_id, /* Id of the device or browser */
  latest.last_platform::VARCHAR AS platform, /* Platform of its latest event; NULL for a server's */
  latest.last_os_name::VARCHAR AS os_name, /* Operating system or browser of its latest event */
  latest.last_os_version::VARCHAR AS os_version, /* Its version */
  latest.last_device_family::VARCHAR AS device_family, /* Family of the device by its latest event */
  latest.last_device_type::VARCHAR AS device_type, /* Type of the device by its latest event */
  latest.last_version_name::VARCHAR AS version_name, /* Version of the app by its latest event */
  totals.users::BIGINT AS users, /* Number of Amplitude's users seen on it, not merged */
  totals.events::BIGINT AS events, /* Number of events */
  totals.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of the first event (UTC) */
  totals.last_seen_at::TIMESTAMPNTZ AS last_seen_at /* Time of the last event (UTC) */
FROM totals
JOIN latest
  ON latest.project = totals.project
  AND latest.app = totals.app
  AND latest.device_id = totals.device_id
