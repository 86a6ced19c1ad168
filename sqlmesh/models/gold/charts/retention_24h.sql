/* How many of the users who started come back, X times 24 hours later: Amplitude's retention by
 * 24-hour windows (retention-analysis-time, "Retention using 24-hour windows"). Users start with
 * their first event and return with an active one; a chart of sqlmesh/charts/ has other events.
 * By days, times are rounded down to the hour. By weeks (7 days) and months (30 days), they are
 * rounded down to the day of the reporting calendar.
 * A user is in the cohort of the day, week or month of the reporting calendar with the first
 * event, and in the segments of its hour, by weeks and months of its day ("Retention types").
 * Returns count in any segment.
 * X runs as far as the export has come. The sum over all cohorts leaves out cells that are not
 * complete (retention-analysis-calculation). */
MODEL (
  name gold.retention_24h,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, interval_unit, breakdown, segment, cohort, interval_number),
  audits (
    retention_cells_agree()
  )
);

WITH starts AS (
  SELECT
    times.*,
    @interval_of(times.interval_unit, times.event_date) AS cohort_date
  FROM @shown(@times_with('_new'), event_date) AS times
), returns AS (
  SELECT
    times.*
  FROM @shown(@times_with('_active'), event_date) AS times
  WHERE
    times.breakdown = 'all'
), last_returns AS (
  SELECT
    project,
    app,
    amplitude_id,
    interval_unit,
    MAX(time) AS time
  FROM returns
  GROUP BY ALL
), members AS (
  SELECT
    project,
    app,
    interval_unit,
    interval_days,
    breakdown,
    segment,
    cohort_date,
    amplitude_id,
    MIN(time) AS start_time
  FROM starts
  GROUP BY ALL
), windows AS (
  SELECT DISTINCT
    starts.project,
    starts.app,
    starts.interval_unit,
    starts.breakdown,
    starts.segment,
    starts.cohort_date,
    starts.amplitude_id,
    @windows_between(starts.interval_days, starts.time, returns.time) AS interval_number
  FROM starts
  JOIN returns
    ON returns.project = starts.project
    AND returns.app = starts.app
    AND returns.amplitude_id = starts.amplitude_id
    AND returns.interval_unit = starts.interval_unit
    AND returns.time >= starts.time
), returned AS (
  SELECT
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    cohort_date,
    interval_number,
    COUNT(*) AS users
  FROM windows
  GROUP BY ALL
), last_returned AS (
  /* Members by the number of the latest window that they returned in; it is NULL for those who never did. */
  SELECT
    members.project,
    members.app,
    members.interval_unit,
    members.interval_days,
    members.breakdown,
    members.segment,
    members.cohort_date,
    IFF(
      returns.time >= members.start_time,
      @windows_between(members.interval_days, members.start_time, returns.time),
      NULL
    ) AS interval_number,
    COUNT(*) AS users,
    MIN(members.start_time) AS start_time
  FROM members
  LEFT JOIN last_returns AS returns
    ON returns.project = members.project
    AND returns.app = members.app
    AND returns.amplitude_id = members.amplitude_id
    AND returns.interval_unit = members.interval_unit
  GROUP BY ALL
), cohorts AS (
  SELECT
    project,
    app,
    interval_unit,
    interval_days,
    breakdown,
    segment,
    cohort_date,
    SUM(users) AS users,
    MIN(start_time) AS start_time
  FROM last_returned
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  interval_unit::VARCHAR AS interval_unit, /* day (24 hours), week (7 days) or month (30 days); cohorts go by intervals of the calendar */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* Platform or country of the start event; (none) where it names none, (all) for all */
  cohort::VARCHAR AS cohort, /* The day, or the first day of the week or month, of the start event; (all) sums up the complete cells of all cohorts */
  cohort_date::DATE AS cohort_date, /* The same as a date, NULL for (all) */
  interval_number::BIGINT AS interval_number, /* X: 0 for the window that begins with the hour (by weeks and months the day) of the start event, 1 for the next */
  cohort_users::BIGINT AS cohort_users, /* Users with the start event in the cohort's day, week or month, in the segment */
  returned_on::BIGINT AS returned_on, /* Those of them with the return event in X */
  returned_on_or_after::BIGINT AS returned_on_or_after, /* Those of them with the return event in X or later */
  (
    returned_on::DOUBLE / cohort_users
  )::DOUBLE AS returned_on_rate, /* Share of the users who returned in X */
  (
    returned_on_or_after::DOUBLE / cohort_users
  )::DOUBLE AS returned_on_or_after_rate, /* Share of the users who returned in X or later */
  is_complete::BOOLEAN AS is_complete /* Whether X is over for the whole cohort: all its days lie before the day that the export has reached */
FROM @retention_cells(
  @windows_between(
    cohorts.interval_days,
    cohorts.start_time,
    IFF(
      cohorts.interval_unit = 'day',
      DATEADD(MINUTE, -1, @reporting_day_start(DATEADD(DAY, 1, apps.frontier_date))),
      apps.frontier_date::TIMESTAMPNTZ
    )
  ),
  DATEADD(
    DAY,
    cohorts.interval_days * (
      numbers.n + 1
    ) - IFF(cohorts.interval_unit = 'day', 0, 1),
    @intervals_after(cohorts.interval_unit, 1, cohorts.cohort_date)
  ) <= apps.frontier_date
) AS cells
