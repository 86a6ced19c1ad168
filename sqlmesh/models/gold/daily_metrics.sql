/* The numbers of Amplitude's overview for every app and day, from its first event to the day that its export has reached, days without events
 * included. Users are counted after merging, so a merge changes past days too: the table is built anew from days, sessions and users, never from
 * events. */
MODEL (
  name gold.daily_metrics,
  kind FULL,
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, metric_date),
  audits (
    not_null(
      columns := (project, app, metric_date, active_users, new_users, sessions, events)
    ),
    unique_combination_of_columns(columns := (project, app, metric_date)),
    forall(
      criteria := (active_users <= weekly_active_users, weekly_active_users <= monthly_active_users)
    )
  )
);

WITH user_days AS (
  SELECT
    days.project,
    days.app,
    aliases.canonical_amplitude_id,
    days.event_date,
    SUM(days.events) AS events,
    SUM(days.active_events) AS active_events
  FROM silver.user_days AS days
  JOIN silver.apps AS apps
    ON apps.project = days.project
    AND apps.app = days.app
    AND days.event_date <= apps.frontier_date
  JOIN silver.user_aliases AS aliases
    ON aliases.project = days.project
    AND aliases.app = days.app
    AND aliases.amplitude_id = days.amplitude_id
  GROUP BY
    days.project,
    days.app,
    aliases.canonical_amplitude_id,
    days.event_date
), spans AS (
  SELECT
    days.project,
    days.app,
    MIN(days.event_date) AS first_date,
    MAX(apps.frontier_date) AS last_date
  FROM user_days AS days
  JOIN silver.apps AS apps
    ON apps.project = days.project AND apps.app = days.app
  GROUP BY
    days.project,
    days.app
), numbers AS (
  SELECT
    ROW_NUMBER() OVER (ORDER BY 1) - 1 AS n
  FROM TABLE(GENERATOR(ROWCOUNT => 36525))
), dates AS (
  SELECT
    spans.project,
    spans.app,
    DATEADD(DAY, -numbers.n, spans.last_date)::DATE AS metric_date
  FROM spans
  JOIN numbers
    ON numbers.n <= DATEDIFF(DAY, spans.first_date, spans.last_date)
), day_totals AS (
  SELECT
    project,
    app,
    event_date AS metric_date,
    COUNT_IF(active_events > 0) AS active_users,
    SUM(events) AS events
  FROM user_days
  GROUP BY
    project,
    app,
    event_date
), active_days AS (
  SELECT
    project,
    app,
    event_date,
    LEAD(event_date) OVER (PARTITION BY project, app, canonical_amplitude_id ORDER BY event_date) AS next_event_date
  FROM user_days
  WHERE
    active_events > 0
), window_changes AS (
  /* A user enters a window of n days with an active day and leaves it n days later, unless active again before. */
  SELECT
    project,
    app,
    event_date AS metric_date,
    1 AS weekly_change,
    1 AS monthly_change
  FROM active_days
  UNION ALL
  SELECT
    project,
    app,
    LEAST(
      DATEADD(DAY, 7, event_date)::DATE,
      COALESCE(next_event_date, DATEADD(DAY, 7, event_date)::DATE)
    ) AS metric_date,
    -1 AS weekly_change,
    0 AS monthly_change
  FROM active_days
  UNION ALL
  SELECT
    project,
    app,
    LEAST(
      DATEADD(DAY, 30, event_date)::DATE,
      COALESCE(next_event_date, DATEADD(DAY, 30, event_date)::DATE)
    ) AS metric_date,
    0 AS weekly_change,
    -1 AS monthly_change
  FROM active_days
), window_totals AS (
  SELECT
    project,
    app,
    metric_date,
    SUM(weekly_change) AS weekly_change,
    SUM(monthly_change) AS monthly_change
  FROM window_changes
  GROUP BY
    project,
    app,
    metric_date
), first_days AS (
  SELECT
    project,
    app,
    canonical_amplitude_id,
    MIN(event_date) AS metric_date
  FROM user_days
  GROUP BY
    project,
    app,
    canonical_amplitude_id
), new_totals AS (
  SELECT
    project,
    app,
    metric_date,
    COUNT(*) AS new_users
  FROM first_days
  GROUP BY
    project,
    app,
    metric_date
), session_totals AS (
  SELECT
    project,
    app,
    session_date AS metric_date,
    COUNT(*) AS sessions,
    AVG(session_seconds) AS average_session_seconds
  FROM silver.sessions
  GROUP BY
    project,
    app,
    session_date
)
SELECT
  dates.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  dates.app::BIGINT AS app, /* Amplitude's number of the project */
  dates.metric_date::DATE AS metric_date, /* Day in the reporting time zone */
  COALESCE(day_totals.active_users, 0)::BIGINT AS active_users, /* Users with an active event on the day */
  COALESCE(new_totals.new_users, 0)::BIGINT AS new_users, /* Users whose first event, of whatever type, was on the day */
  SUM(COALESCE(window_totals.weekly_change, 0)) OVER (PARTITION BY dates.project, dates.app ORDER BY dates.metric_date)::BIGINT AS weekly_active_users, /* Users with an active event on the 7 days that end with the day */
  SUM(COALESCE(window_totals.monthly_change, 0)) OVER (PARTITION BY dates.project, dates.app ORDER BY dates.metric_date)::BIGINT AS monthly_active_users, /* Users with an active event on the 30 days that end with the day */
  COALESCE(session_totals.sessions, 0)::BIGINT AS sessions, /* Sessions that started on the day */
  session_totals.average_session_seconds::DOUBLE AS average_session_seconds, /* Their average length in seconds, NULL on a day without sessions */
  COALESCE(day_totals.events, 0)::BIGINT AS events /* Events of the day, of whatever type */
FROM dates
LEFT JOIN day_totals
  ON day_totals.project = dates.project
  AND day_totals.app = dates.app
  AND day_totals.metric_date = dates.metric_date
LEFT JOIN new_totals
  ON new_totals.project = dates.project
  AND new_totals.app = dates.app
  AND new_totals.metric_date = dates.metric_date
LEFT JOIN window_totals
  ON window_totals.project = dates.project
  AND window_totals.app = dates.app
  AND window_totals.metric_date = dates.metric_date
LEFT JOIN session_totals
  ON session_totals.project = dates.project
  AND session_totals.app = dates.app
  AND session_totals.metric_date = dates.metric_date
