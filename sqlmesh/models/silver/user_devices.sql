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
  grain (project, app, amplitude_id, device_id),
  audits (
    not_null(columns := (project, app, amplitude_id, events)),
    unique_combination_of_columns(columns := (project, app, amplitude_id, device_id))
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
      FROM @touched_users(@start_ts, @end_ts) AS touched
    )
);

WITH events AS (
  SELECT
    events.*,
    MIN(IFF(events.user_id IS NULL, NULL, events.export_hour)) OVER (PARTITION BY events.project, events.app, events.amplitude_id, events.device_id) AS first_login_hour
  FROM silver.events AS events
  JOIN @touched_users(@start_ts, @end_ts) AS touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.amplitude_id = events.amplitude_id
), marked AS (
  /* The first login is told from the events of its export hour alone: no later hour can change it. */
  SELECT
    *,
    NOT user_id IS NULL AND export_hour = first_login_hour AS is_first_login
  FROM events
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  device_id::VARCHAR AS device_id, /* Id of the device; NULL gathers events without one */
  COUNT(*)::BIGINT AS events, /* Number of events of the user on the device */
  MIN(event_time)::TIMESTAMPNTZ AS first_seen_at, /* Time of the user's first event on the device (UTC) */
  MAX(event_time)::TIMESTAMPNTZ AS last_seen_at, /* Time of the user's last event on the device (UTC) */
  MIN(export_hour)::TIMESTAMPNTZ AS first_export_hour, /* First export hour that brought such an event */
  MAX(export_hour)::TIMESTAMPNTZ AS last_export_hour, /* Last export hour that brought such an event */
  MIN(first_login_hour)::TIMESTAMPNTZ AS first_login_hour, /* First export hour with a user_id, NULL where the user was anonymous on the device */
  MIN(IFF(is_first_login, server_upload_time, NULL))::TIMESTAMPNTZ AS first_login_uploaded_at, /* First upload with a user_id (UTC) */
  MIN(IFF(is_first_login, event_time, NULL))::TIMESTAMPNTZ AS first_login_at /* Time of the first event with a user_id among those of that hour (UTC) */
FROM marked
GROUP BY
  project,
  app,
  amplitude_id,
  device_id
