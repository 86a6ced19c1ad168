/* Our numbers of the days that Amplitude was asked about, by the rules of its charts. Events count that were uploaded before Amplitude was asked. Of the
 * sample of users those count who are the same users here. Beside each number stands the one that another rule gives: events without those of deleted types, users with any event, an inactive
 * one included, new users without those whom Amplitude has known before, and sessions with those of more than a day, which last a day at most. */
MODEL (
  name silver.own_numbers,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, event_date, measure, detail),
  audits (
    rows_are_sound(
      keys := (project, event_date, measure, detail),
      columns := (project, event_date, measure, detail, value)
    )
  )
);

WITH days AS (
  SELECT
    project,
    event_date,
    MAX(asked_at) AS asked_at
  FROM silver.amplitude_numbers
  GROUP BY
    project,
    event_date
), events AS (
  SELECT
    events.project,
    events.event_date,
    events.event_type,
    COUNT(
      IFF(COALESCE(events.server_upload_time, events.export_hour) < days.asked_at, 1, NULL)
    ) AS events
  FROM silver.events AS events
  JOIN days
    ON days.project = events.project AND days.event_date = events.event_date
  GROUP BY
    events.project,
    events.event_date,
    events.event_type
), users AS (
  SELECT
    own.project,
    own.event_date,
    COUNT_IF(own.active_events > 0) AS active_users,
    COUNT_IF(own.events > 0) AS users
  FROM silver.segment_days AS own
  JOIN days
    ON days.project = own.project AND days.event_date = own.event_date
  WHERE
    own.breakdown = 'all'
  GROUP BY
    own.project,
    own.event_date
), sessions AS (
  SELECT
    own.project,
    own.session_date AS event_date,
    COUNT_IF(NOT own.is_longer_than_a_day)::DOUBLE / NULLIF(COUNT(DISTINCT IFF(own.is_longer_than_a_day, NULL, own.amplitude_id)), 0) AS sessions_per_user,
    COUNT(*)::DOUBLE / COUNT(DISTINCT own.amplitude_id) AS all_sessions_per_user,
    AVG(IFF(own.is_longer_than_a_day, NULL, own.session_seconds)) AS average_session_seconds,
    AVG(@at_most_a_day(own.session_seconds)) AS average_capped_seconds
  FROM silver.segment_sessions AS own
  JOIN days
    ON days.project = own.project AND days.event_date = own.session_date
  WHERE
    own.breakdown = 'all'
  GROUP BY
    own.project,
    own.session_date
), sampled AS (
  /* Merged into the same user as Amplitude's, and into nobody whom Amplitude does not count as that user. */
  SELECT
    theirs._project AS project,
    DATEADD(DAY, -1, theirs._snapshot_at::DATE)::DATE AS event_date,
    theirs._snapshot_at AS asked_at,
    COUNT_IF(
      own.canonical_amplitude_id = COALESCE(same.canonical_amplitude_id, theirs.canonical_amplitude_id)
      AND CONTAINS(
        CONCAT(
          REPLACE(REPLACE(theirs.merged_amplitude_ids, '[', ','), ']', ','),
          ',',
          theirs.canonical_amplitude_id,
          ','
        ),
        CONCAT(',', own.canonical_amplitude_id, ',')
      )
    ) AS same_users
  FROM bronze.user_identities AS theirs
  JOIN silver.user_aliases AS own
    ON own.project = theirs._project AND own.amplitude_id = theirs.amplitude_id
  LEFT JOIN silver.user_aliases AS same
    ON same.project = theirs._project
    AND same.app = own.app
    AND same.amplitude_id = theirs.canonical_amplitude_id
  GROUP BY
    theirs._project,
    theirs._snapshot_at
), numbers AS (
  SELECT
    events.project,
    events.event_date,
    'events' AS measure,
    '(all)' AS detail,
    SUM(events.events) AS value,
    SUM(IFF(types.deleted, 0, events.events)) AS other_value
  FROM events
  LEFT JOIN silver.event_types AS types
    ON types.project = events.project AND types.event_type = events.event_type
  GROUP BY
    events.project,
    events.event_date
  UNION ALL
  SELECT
    project,
    event_date,
    'events' AS measure,
    event_type AS detail,
    events AS value,
    NULL AS other_value
  FROM events
  UNION ALL
  SELECT
    project,
    event_date,
    'active_users' AS measure,
    '(all)' AS detail,
    active_users AS value,
    users AS other_value
  FROM users
  UNION ALL
  SELECT
    new.project,
    new.event_date,
    'new_users' AS measure,
    '(all)' AS detail,
    SUM(new.new_users) AS value,
    SUM(new.new_users) - SUM(new.known_before_users) AS other_value
  FROM gold.new_users_daily AS new
  JOIN days
    ON days.project = new.project AND days.event_date = new.event_date
  GROUP BY
    new.project,
    new.event_date
  UNION ALL
  SELECT
    project,
    event_date,
    'sessions_per_user' AS measure,
    '(all)' AS detail,
    COALESCE(sessions_per_user, 0) AS value,
    all_sessions_per_user AS other_value
  FROM sessions
  UNION ALL
  SELECT
    project,
    event_date,
    'average_session_seconds' AS measure,
    '(all)' AS detail,
    COALESCE(average_session_seconds, 0) AS value,
    average_capped_seconds AS other_value
  FROM sessions
  UNION ALL
  SELECT
    project,
    event_date,
    'identities' AS measure,
    '(all)' AS detail,
    same_users AS value,
    NULL AS other_value
  FROM sampled
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY project, event_date ORDER BY asked_at DESC) = 1
  UNION ALL
  SELECT
    charts.project,
    charts.event_date,
    'saved_chart' AS measure,
    charts.amplitude_chart AS detail,
    SUM(charts.value) AS value,
    NULL AS other_value
  FROM @compared_charts() AS charts
  JOIN days
    ON days.project = charts.project AND days.event_date = charts.event_date
  GROUP BY
    charts.project,
    charts.event_date,
    charts.amplitude_chart
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  event_date::DATE AS event_date, /* Day in the reporting time zone */
  measure::VARCHAR AS measure, /* What is counted: see bronze.daily_numbers */
  detail::VARCHAR AS detail, /* The event type, or the id of the chart in Amplitude; (all) for all events and for users */
  value::DOUBLE AS value, /* Our number */
  other_value::DOUBLE AS other_value /* The number by another rule: events without deleted types, users with any event, new users whom Amplitude has not known before, sessions with those of more than a day; else NULL */
FROM numbers
