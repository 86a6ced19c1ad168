/* Who every user is after merging. Amplitude merges at query time and does not put it into the
 * export.
 * Its merge feed (silver.merges) goes first: a user is the one in whom their chain of merges ends,
 * once that one has been seen in the app. A user without such a merge and without a login (nor
 * with one of those merged into them) becomes the user who logs in first on one of their devices.
 * All others stay as they are. Only Amplitude's feed merges users who ever carried a user_id.
 * Users of different projects or apps are never merged. */
MODEL (
  name silver.user_aliases,
  kind FULL,
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id),
      columns := (project, app, amplitude_id, canonical_amplitude_id)
    ),
    refers_to(
      column := canonical_amplitude_id,
      parent := silver.user_devices,
      parent_column := amplitude_id
    )
  )
);

WITH users AS (
  SELECT
    project,
    app,
    amplitude_id,
    MIN(first_login_hour) AS first_login_hour
  FROM silver.user_devices
  GROUP BY ALL
), logins AS (
  SELECT
    devices.project,
    devices.app,
    devices.amplitude_id,
    logins.amplitude_id AS login_amplitude_id
  FROM silver.user_devices AS devices
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
), merged AS (
  /* An end that has not been seen in the app is no user there: its chain waits. */
  SELECT DISTINCT
    seen.project,
    seen.app,
    merges.amplitude_id,
    merges.final_amplitude_id
  FROM silver.merges AS merges
  JOIN users AS seen
    ON seen.project = merges.project AND seen.amplitude_id = merges.final_amplitude_id
), people AS (
  SELECT
    users.project,
    users.app,
    users.amplitude_id,
    users.first_login_hour,
    COALESCE(merged.final_amplitude_id, users.amplitude_id) AS final_amplitude_id
  FROM users
  LEFT JOIN merged
    ON merged.project = users.project
    AND merged.app = users.app
    AND merged.amplitude_id = users.amplitude_id
)
SELECT
  people.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  people.app::BIGINT AS app, /* Amplitude's number of the project */
  people.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it */
  IFF(
    MIN(people.first_login_hour) OVER (PARTITION BY people.project, people.app, people.final_amplitude_id) IS NULL,
    COALESCE(merged.final_amplitude_id, logins.login_amplitude_id, people.final_amplitude_id),
    people.final_amplitude_id
  )::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  (
    NOT people.first_login_hour IS NULL
  )::BOOLEAN AS is_identified /* Whether the user ever carried a user_id */
FROM people
LEFT JOIN logins
  ON logins.project = people.project
  AND logins.app = people.app
  AND logins.amplitude_id = people.final_amplitude_id
LEFT JOIN merged
  ON merged.project = logins.project
  AND merged.app = logins.app
  AND merged.amplitude_id = logins.login_amplitude_id
