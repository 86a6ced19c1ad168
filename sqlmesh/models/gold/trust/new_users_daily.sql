/* The new users of each day, beside Amplitude's marks of first events. A user is new here on the day of the first event in silver. Amplitude marks the first
 * event that it takes in of each amplitude_id (silver.first_events). An amplitude_id without a mark had its first event before the project's first export
 * hour: Amplitude has known its user before, and does not count them as new. */
MODEL (
  name gold.new_users_daily,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, event_date),
  audits (
    rows_are_sound(
      keys := (project, app, event_date),
      columns := (project, app, event_date, new_users),
      criteria := (
        marked_users + known_before_users <= new_users
      )
    )
  )
);

WITH marks AS (
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.event_date
  FROM silver.first_events AS events
  JOIN silver.user_aliases AS aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  GROUP BY ALL
), known_before AS (
  /* One amplitude_id without a mark is enough: whoever is merged with it is no new user. */
  SELECT
    aliases.project,
    aliases.app,
    aliases.canonical_amplitude_id AS amplitude_id
  FROM silver.user_aliases AS aliases
  LEFT JOIN silver.first_events AS events
    ON events.project = aliases.project
    AND events.app = aliases.app
    AND events.amplitude_id = aliases.amplitude_id
  WHERE
    events.amplitude_id IS NULL
  GROUP BY ALL
), spans AS (
  /* The days on which Amplitude wrote marks. On others a missing mark says nothing. */
  SELECT
    project,
    app,
    @reporting_date(MIN(export_hour)) AS first_date,
    @reporting_date(MAX(export_hour)) AS last_date
  FROM silver.first_events
  GROUP BY
    project,
    app
), users AS (
  SELECT
    days.project,
    days.app,
    days.event_date,
    days.event_date = days.first_date AS is_new,
    NOT marks.amplitude_id IS NULL AS is_marked,
    NOT known_before.amplitude_id IS NULL AS is_known_before
  FROM @shown(silver.segment_days, event_date) AS days
  LEFT JOIN marks
    ON marks.project = days.project
    AND marks.app = days.app
    AND marks.amplitude_id = days.amplitude_id
    AND marks.event_date = days.event_date
  LEFT JOIN known_before
    ON known_before.project = days.project
    AND known_before.app = days.app
    AND known_before.amplitude_id = days.amplitude_id
  WHERE
    days.breakdown = 'all'
), days AS (
  SELECT
    project,
    app,
    event_date,
    COUNT_IF(is_new) AS new_users,
    COUNT_IF(is_new AND is_marked AND NOT is_known_before) AS marked_users,
    COUNT_IF(is_new AND is_known_before) AS known_before_users,
    COUNT_IF(is_marked AND NOT is_new) AS older_users
  FROM users
  GROUP BY
    project,
    app,
    event_date
)
SELECT
  days.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  days.app::BIGINT AS app, /* Amplitude's number of the project */
  days.event_date::DATE AS event_date, /* Day in the reporting time zone, with an event of a user */
  days.new_users::BIGINT AS new_users, /* Users after merging whose first event here was on the day */
  IFF(spans.project IS NULL, NULL, days.marked_users)::BIGINT AS marked_users, /* New users whom Amplitude marked on the same day; NULL where it wrote no marks */
  IFF(spans.project IS NULL, NULL, days.known_before_users)::BIGINT AS known_before_users, /* New users with an amplitude_id that Amplitude never marked here, because its first event lies before the first hour; NULL where it wrote no marks */
  IFF(spans.project IS NULL, NULL, days.older_users)::BIGINT AS older_users /* Users whom Amplitude marked on the day and who have an event of an earlier day here: they were merged, or a clock was wrong; NULL where it wrote no marks */
FROM days
LEFT JOIN spans
  ON spans.project = days.project
  AND spans.app = days.app
  AND days.event_date BETWEEN spans.first_date AND spans.last_date
