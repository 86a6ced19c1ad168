/* Who every user is after merging: an anonymous user becomes the user who logs in first on one of its devices.
 * Users who ever carried a user_id never merge, nor do users of different projects or apps. Amplitude merges at query time and does not export it. */
MODEL (
  name silver.user_aliases,
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
    not_null(columns := (project, app, amplitude_id, canonical_amplitude_id)),
    unique_combination_of_columns(
      columns := (project, app, amplitude_id),
      condition := @of_run((project, app, amplitude_id), @touched_identities(@start_ts, @end_ts), @start_ts)
    ),
    refers_to(
      column := canonical_amplitude_id,
      parent := silver.user_devices,
      parent_column := amplitude_id
    )
  )
);

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    @of_run((project, app, amplitude_id), @touched_identities(@start_ts, @end_ts), @start_ts)
);

WITH devices AS (
  SELECT
    devices.*
  FROM @rows_of_run(
    silver.user_devices,
    (project, app, amplitude_id),
    @touched_identities(@start_ts, @end_ts),
    @start_ts
  ) AS devices
), users AS (
  SELECT
    project,
    app,
    amplitude_id,
    MIN(first_login_hour) AS first_login_hour
  FROM devices
  GROUP BY
    project,
    app,
    amplitude_id
), logins AS (
  SELECT
    devices.project,
    devices.app,
    devices.amplitude_id,
    logins.amplitude_id AS canonical_amplitude_id
  FROM devices
  JOIN silver.user_devices AS logins
    ON logins.project = devices.project
    AND logins.app = devices.app
    AND logins.device_id = devices.device_id
    AND NOT logins.first_login_hour IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY devices.project, devices.app, devices.amplitude_id
      ORDER BY logins.first_login_hour, logins.first_login_uploaded_at, logins.first_login_at, logins.amplitude_id
    ) = 1
)
SELECT
  users.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  users.app::BIGINT AS app, /* Amplitude's number of the project */
  users.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it */
  IFF(
    users.first_login_hour IS NULL,
    COALESCE(logins.canonical_amplitude_id, users.amplitude_id),
    users.amplitude_id
  )::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  (
    NOT users.first_login_hour IS NULL
  )::BOOLEAN AS is_identified /* Whether the user ever carried a user_id */
FROM users
LEFT JOIN logins
  ON logins.project = users.project
  AND logins.app = users.app
  AND logins.amplitude_id = users.amplitude_id
