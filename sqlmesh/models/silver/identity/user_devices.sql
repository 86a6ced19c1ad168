/* Which users were seen on which devices, and when a user first showed a user_id there. Identity
 * is resolved from it. */
MODEL (
  name silver.user_devices,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, device_id),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id, device_id),
      columns := (project, app, amplitude_id, events),
      condition := @of_run((project, app, amplitude_id), @touched_users(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, amplitude_id), @touched_users(@start_ts, @end_ts), @start_ts);

WITH hours AS (
  /* The first login is told from the events of its export hour alone: no later hour can change it. */
  SELECT
    hours.*,
    MIN(IFF(hours.last_user_id IS NULL, NULL, hours.export_hour)) OVER (PARTITION BY hours.project, hours.app, hours.amplitude_id, hours.device_id) AS first_login_hour
  FROM @rows_of_run(
    silver.user_device_hours,
    (project, app, amplitude_id),
    @touched_users(@start_ts, @end_ts),
    @start_ts
  ) AS hours
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  device_id::VARCHAR AS device_id, /* Id of the device; NULL gathers events without one */
  SUM(events)::BIGINT AS events, /* Number of events of the user on the device */
  MIN(first_event_at)::TIMESTAMPNTZ AS first_seen_at, /* Time of the user's first event on the device (UTC) */
  MAX(last_event_at)::TIMESTAMPNTZ AS last_seen_at, /* Time of the user's last event on the device (UTC) */
  MIN(export_hour)::TIMESTAMPNTZ AS first_export_hour, /* First export hour that brought such an event */
  MAX(export_hour)::TIMESTAMPNTZ AS last_export_hour, /* Last export hour that brought such an event */
  MIN(first_login_hour)::TIMESTAMPNTZ AS first_login_hour, /* First export hour with a user_id, NULL where the user was anonymous on the device */
  MIN(IFF(export_hour = first_login_hour, first_login_uploaded_at, NULL))::TIMESTAMPNTZ AS first_login_uploaded_at, /* First upload with a user_id (UTC) */
  MIN(IFF(export_hour = first_login_hour, first_login_at, NULL))::TIMESTAMPNTZ AS first_login_at /* Time of the first event with a user_id among those of that hour (UTC) */
FROM hours
GROUP BY ALL
