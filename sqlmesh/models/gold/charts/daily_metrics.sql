/* The numbers of Amplitude's overview for every day, in all and by platform and country. A
 * segment's days run from its first event to the day that the export has reached, days without
 * events included. Days before the export's first hour are not shown (silver.apps).
 * Users are counted after merging. A user of a segment had an event with that platform or country.
 * A session of a segment consists of the segment's events alone ("Interpret your User Sessions
 * chart", how filtering works). Sessions of more than a day are left out ("User Sessions: Track
 * engagement frequency and duration", last note). The averages of all sessions stand beside: with
 * the maximum of a day that "Get session length distribution" names, and without any. */
MODEL (
  name gold.daily_metrics,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, breakdown, segment, metric_date),
  audits (
    rows_are_sound(
      keys := (project, app, breakdown, segment, metric_date),
      columns := (
        project,
        app,
        breakdown,
        segment,
        metric_date,
        active_users,
        new_users,
        sessions,
        events
      ),
      criteria := (
        active_users >= 0,
        active_users <= weekly_active_users,
        weekly_active_users <= monthly_active_users
      )
    ),
    sums_agree(
      column := sessions,
      parent := silver.segment_sessions,
      parent_value := IFF(is_longer_than_a_day, 0, 1),
      parent_date := session_date
    )
  )
);

WITH days AS (
  SELECT
    days.*,
    days.active_events > 0 AS is_active
  FROM @shown(silver.segment_days, event_date) AS days
), segments AS (
  SELECT
    project,
    app,
    breakdown,
    segment,
    MIN(event_date) AS first_date,
    MAX(frontier_date) AS last_date
  FROM days
  GROUP BY ALL
), dates AS (
  SELECT
    segments.project,
    segments.app,
    segments.breakdown,
    segments.segment,
    DATEADD(DAY, -numbers.n, segments.last_date)::DATE AS metric_date
  FROM segments
  JOIN @numbers(36525) AS numbers
    ON numbers.n <= DATEDIFF(DAY, segments.first_date, segments.last_date)
), facts AS (
  /* A user enters a window of n days with an active day and leaves it n days later, unless active again before. */
  SELECT
    project,
    app,
    breakdown,
    segment,
    event_date AS metric_date,
    IFF(is_active, 1, 0) AS active_users,
    IFF(event_date = first_date, 1, 0) AS new_users,
    IFF(is_active, 1, 0) AS weekly_change,
    IFF(is_active, 1, 0) AS monthly_change,
    0 AS sessions,
    NULL AS session_seconds,
    NULL AS capped_seconds,
    NULL AS uncapped_seconds,
    events
  FROM days
  UNION ALL
  SELECT
    days.project,
    days.app,
    days.breakdown,
    days.segment,
    LEAST(
      DATEADD(DAY, windows.length, days.event_date)::DATE,
      COALESCE(days.next_active_date, DATEADD(DAY, windows.length, days.event_date)::DATE)
    ) AS metric_date,
    0 AS active_users,
    0 AS new_users,
    IFF(windows.length = 7, -1, 0) AS weekly_change,
    IFF(windows.length = 30, -1, 0) AS monthly_change,
    0 AS sessions,
    NULL AS session_seconds,
    NULL AS capped_seconds,
    NULL AS uncapped_seconds,
    0 AS events
  FROM days
  CROSS JOIN (
    SELECT
      7 AS length
    UNION ALL
    SELECT
      30 AS length
  ) AS windows
  WHERE
    days.is_active
  UNION ALL
  SELECT
    project,
    app,
    breakdown,
    segment,
    session_date AS metric_date,
    0 AS active_users,
    0 AS new_users,
    0 AS weekly_change,
    0 AS monthly_change,
    IFF(is_longer_than_a_day, 0, 1) AS sessions,
    IFF(is_longer_than_a_day, NULL, session_seconds) AS session_seconds,
    @at_most_a_day(session_seconds) AS capped_seconds,
    session_seconds AS uncapped_seconds,
    0 AS events
  FROM silver.segment_sessions
), totals AS (
  SELECT
    project,
    app,
    breakdown,
    segment,
    metric_date,
    SUM(active_users) AS active_users,
    SUM(new_users) AS new_users,
    SUM(weekly_change) AS weekly_change,
    SUM(monthly_change) AS monthly_change,
    SUM(sessions) AS sessions,
    AVG(session_seconds) AS average_session_seconds,
    AVG(capped_seconds) AS average_capped_seconds,
    AVG(uncapped_seconds) AS average_uncapped_seconds,
    SUM(events) AS events
  FROM facts
  GROUP BY ALL
), metrics AS (
  SELECT
    dates.*,
    COALESCE(totals.active_users, 0) AS active_users,
    COALESCE(totals.new_users, 0) AS new_users,
    SUM(COALESCE(totals.weekly_change, 0)) OVER (
      PARTITION BY dates.project, dates.app, dates.breakdown, dates.segment
      ORDER BY dates.metric_date
    ) AS weekly_active_users,
    SUM(COALESCE(totals.monthly_change, 0)) OVER (
      PARTITION BY dates.project, dates.app, dates.breakdown, dates.segment
      ORDER BY dates.metric_date
    ) AS monthly_active_users,
    COALESCE(totals.sessions, 0) AS sessions,
    totals.average_session_seconds,
    totals.average_capped_seconds,
    totals.average_uncapped_seconds,
    COALESCE(totals.events, 0) AS events
  FROM dates
  LEFT JOIN totals
    ON totals.project = dates.project
    AND totals.app = dates.app
    AND totals.breakdown = dates.breakdown
    AND totals.segment = dates.segment
    AND totals.metric_date = dates.metric_date
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  metric_date::DATE AS metric_date, /* Day in the reporting time zone */
  active_users::BIGINT AS active_users, /* Users with an active event on the day */
  new_users::BIGINT AS new_users, /* Users whose first event, of whatever type, was on the day */
  weekly_active_users::BIGINT AS weekly_active_users, /* Users with an active event on the 7 days that end with the day */
  monthly_active_users::BIGINT AS monthly_active_users, /* Users with an active event on the 30 days that end with the day */
  (
    active_users::DOUBLE / NULLIF(monthly_active_users, 0)
  )::DOUBLE AS dau_mau, /* Share of the monthly active users who were active on the day, NULL where there are none */
  sessions::BIGINT AS sessions, /* Sessions that started on the day, those of more than a day left out */
  average_session_seconds::DOUBLE AS average_session_seconds, /* Their average length in seconds, NULL on a day without sessions */
  average_capped_seconds::DOUBLE AS average_capped_session_seconds, /* The average of all sessions, of which longer ones count as a day, NULL on a day without any */
  average_uncapped_seconds::DOUBLE AS average_uncapped_session_seconds, /* The average of all sessions, however long, NULL on a day without any */
  events::BIGINT AS events /* Events of the day, of whatever type */
FROM metrics
