/* Which users were seen on which devices, and when one first showed a user_id there: what identity is resolved from. */
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
  grain (app, amplitude_id, device_id),
  audits (
    not_null(columns := (app, amplitude_id, events)),
    unique_combination_of_columns(columns := (app, amplitude_id, device_id))
  )
);

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    (app, amplitude_id) IN (
      SELECT
        app,
        amplitude_id
      FROM @touched_users(@start_ts, @end_ts) AS touched
    )
);

SELECT
  events.app::BIGINT AS app, /* Amplitude's number of the project */
  events.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  events.device_id::VARCHAR AS device_id, /* Id of the device; NULL gathers events without one */
  COUNT(*)::BIGINT AS events, /* Number of events of the user on the device */
  MIN(events.event_time)::TIMESTAMPNTZ AS first_seen_at, /* Time of the user's first event on the device (UTC) */
  MAX(events.event_time)::TIMESTAMPNTZ AS last_seen_at, /* Time of the user's last event on the device (UTC) */
  MIN(events.export_hour)::TIMESTAMPNTZ AS first_export_hour, /* First export hour that brought such an event */
  MAX(events.export_hour)::TIMESTAMPNTZ AS last_export_hour, /* Last export hour that brought such an event */
  MIN(IFF(events.user_id IS NULL, NULL, events.export_hour))::TIMESTAMPNTZ AS first_login_hour, /* First export hour with a user_id, NULL where the user was anonymous on the device */
  MIN(IFF(events.user_id IS NULL, NULL, events.server_upload_time))::TIMESTAMPNTZ AS first_login_uploaded_at, /* First upload with a user_id (UTC) */
  MIN(IFF(events.user_id IS NULL, NULL, events.event_time))::TIMESTAMPNTZ AS first_login_at /* Time of the first event with a user_id (UTC) */
FROM silver.events AS events
JOIN @touched_users(@start_ts, @end_ts) AS touched
  ON touched.app = events.app AND touched.amplitude_id = events.amplitude_id
GROUP BY
  events.app,
  events.amplitude_id,
  events.device_id
