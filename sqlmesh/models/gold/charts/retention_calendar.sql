/* How many of the users who started come back, X days, weeks or months of the reporting calendar
 * later: Amplitude's retention by strict calendar dates (retention-analysis-time, "Retention using
 * strict calendar dates"). Users start with their first event and return with an active one; a
 * chart of sqlmesh/charts/ has other events.
 * A user is in the cohort of the day, week or month with the first event, and in the segments of
 * that whole interval ("Retention types"). Returns count in any segment, from the first day on.
 * X runs as far as the export has come. The sum over all cohorts leaves out cells that are not
 * complete (retention-analysis-calculation). */
MODEL (
  name gold.retention_calendar,
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
    days.*
  FROM @shown(@days_with('_new'), event_date, segment_date) AS days
), returns AS (
  SELECT
    days.project,
    days.app,
    days.amplitude_id,
    days.event_date
  FROM @shown(@days_with('_active'), event_date) AS days
  WHERE
    days.breakdown = 'all' AND days.segment_date = days.event_date
), last_returns AS (
  SELECT
    project,
    app,
    amplitude_id,
    MAX(event_date) AS event_date
  FROM returns
  GROUP BY ALL
), return_intervals AS (
  SELECT
    returns.project,
    returns.app,
    returns.amplitude_id,
    intervals.interval_unit,
    @interval_of(intervals.interval_unit, returns.event_date) AS interval_date,
    MAX(returns.event_date) AS event_date
  FROM returns
  CROSS JOIN @intervals() AS intervals
  GROUP BY ALL
), members AS (
  SELECT
    starts.project,
    starts.app,
    intervals.interval_unit,
    starts.breakdown,
    starts.segment,
    @interval_of(intervals.interval_unit, starts.event_date) AS cohort_date,
    starts.amplitude_id,
    MIN(starts.event_date) AS start_date
  FROM starts
  JOIN @intervals() AS intervals
    ON @interval_of(intervals.interval_unit, starts.segment_date) = @interval_of(intervals.interval_unit, starts.event_date)
  GROUP BY ALL
), returned AS (
  SELECT
    members.project,
    members.app,
    members.interval_unit,
    members.breakdown,
    members.segment,
    members.cohort_date,
    @intervals_between(members.interval_unit, members.cohort_date, returns.interval_date) AS interval_number,
    COUNT(*) AS users
  FROM members
  JOIN return_intervals AS returns
    ON returns.project = members.project
    AND returns.app = members.app
    AND returns.amplitude_id = members.amplitude_id
    AND returns.interval_unit = members.interval_unit
    AND returns.event_date >= members.start_date
  GROUP BY ALL
), last_returned AS (
  /* Members by the number of the interval that they returned in last; it is NULL for those who never did. */
  SELECT
    members.project,
    members.app,
    members.interval_unit,
    members.breakdown,
    members.segment,
    members.cohort_date,
    IFF(
      returns.event_date >= members.start_date,
      @intervals_between(members.interval_unit, members.cohort_date, returns.event_date),
      NULL
    ) AS interval_number,
    COUNT(*) AS users
  FROM members
  LEFT JOIN last_returns AS returns
    ON returns.project = members.project
    AND returns.app = members.app
    AND returns.amplitude_id = members.amplitude_id
  GROUP BY ALL
), cohorts AS (
  SELECT
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    cohort_date,
    SUM(users) AS users
  FROM last_returned
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  interval_unit::VARCHAR AS interval_unit, /* day, week or month */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* Platform or country of the start event; (none) where it names none, (all) for all */
  cohort::VARCHAR AS cohort, /* The day, or the first day of the week or month, of the start event; (all) sums up the complete cells of all cohorts */
  cohort_date::DATE AS cohort_date, /* The same as a date, NULL for (all) */
  interval_number::BIGINT AS interval_number, /* X: 0 for the day, week or month of the cohort itself, 1 for the next */
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
  @intervals_between(cohorts.interval_unit, cohorts.cohort_date, apps.frontier_date),
  @intervals_after(cohorts.interval_unit, numbers.n + 1, cohorts.cohort_date) <= apps.frontier_date
) AS cells
