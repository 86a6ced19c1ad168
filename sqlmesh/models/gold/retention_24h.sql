/* How many of the users who started come back, X times 24 hours later (a week is 7 days, a month 30): Amplitude's retention by 24-hour windows, with
 * the events of the variables retention_start_event and retention_return_event. Times are those of the start of their hour. Each hour with a start
 * event opens windows of its own; a user counts once in a cell. A user is once in the cohort of each day, week or month of the reporting calendar
 * with a start event of his, in the segments of these; he may return anywhere. A user is new in the whole hour of his first event. X runs as
 * far as the export has come; what is summed up over all cohorts leaves cells out that are not complete. */
MODEL (
  name gold.retention_24h,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, interval_unit, breakdown, segment, cohort, interval_number),
  audits (
    unique_combination_of_columns(
      columns := (project, app, interval_unit, breakdown, segment, cohort, interval_number)
    ),
    forall(
      criteria := (
        NOT segment IS NULL,
        NOT cohort IS NULL,
        cohort_users > 0,
        returned_on <= returned_on_or_after,
        returned_on_or_after <= cohort_users,
        (
          cohort = '(all)'
        ) = (
          cohort_date IS NULL
        )
      )
    ),
    never_rises(
      column := returned_on_or_after,
      keys := (project, app, interval_unit, breakdown, segment, cohort),
      number := interval_number
    ),
    overall_sums_complete_cells(columns := (cohort_users, returned_on, returned_on_or_after))
  )
);

WITH starts AS (
  SELECT
    hours.project,
    hours.app,
    intervals.interval_unit,
    intervals.interval_days,
    hours.breakdown,
    hours.segment,
    @interval_of(intervals.interval_unit, hours.event_date) AS cohort_date,
    hours.amplitude_id,
    hours.event_hour
  FROM @hours_with(@retention_start_event) AS hours
  JOIN silver.apps AS apps
    ON apps.project = hours.project
    AND apps.app = hours.app
    AND hours.event_date <= apps.frontier_date
  CROSS JOIN @intervals() AS intervals
), returns AS (
  SELECT
    hours.project,
    hours.app,
    hours.amplitude_id,
    hours.event_hour
  FROM @hours_with(@retention_return_event) AS hours
  JOIN silver.apps AS apps
    ON apps.project = hours.project
    AND apps.app = hours.app
    AND hours.event_date <= apps.frontier_date
  WHERE
    hours.breakdown = 'all'
), last_returns AS (
  SELECT
    project,
    app,
    amplitude_id,
    MAX(event_hour) AS event_hour
  FROM returns
  GROUP BY
    project,
    app,
    amplitude_id
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
    MIN(event_hour) AS start_hour
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
    @windows_between(starts.interval_days, starts.event_hour, returns.event_hour) AS interval_number
  FROM starts
  JOIN returns
    ON returns.project = starts.project
    AND returns.app = starts.app
    AND returns.amplitude_id = starts.amplitude_id
    AND returns.event_hour >= starts.event_hour
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
      returns.event_hour >= members.start_hour,
      @windows_between(members.interval_days, members.start_hour, returns.event_hour),
      NULL
    ) AS interval_number,
    COUNT(*) AS users,
    MIN(members.start_hour) AS start_hour
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
    interval_days,
    breakdown,
    segment,
    cohort_date,
    SUM(users) AS users,
    MIN(start_hour) AS start_hour
  FROM last_returned
  GROUP BY ALL
), spans AS (
  SELECT
    apps.project,
    apps.app,
    apps.frontier_date,
    @reporting_date(MIN(users.first_seen_at)) AS first_date
  FROM silver.apps AS apps
  JOIN silver.users AS users
    ON users.project = apps.project AND users.app = apps.app
  GROUP BY
    apps.project,
    apps.app,
    apps.frontier_date
), numbers AS (
  SELECT
    ROW_NUMBER() OVER (ORDER BY 1) - 1 AS n
  FROM TABLE(GENERATOR(ROWCOUNT => 36525))
), interval_numbers AS (
  /* One more than there are days: where clocks were set back, they have more than 24 hours each. */
  SELECT
    spans.project,
    spans.app,
    spans.frontier_date,
    numbers.n AS interval_number
  FROM spans
  JOIN numbers
    ON numbers.n <= DATEDIFF(DAY, spans.first_date, spans.frontier_date) + 1
), cells AS (
  SELECT
    cohorts.project,
    cohorts.app,
    cohorts.interval_unit,
    cohorts.breakdown,
    cohorts.segment,
    cohorts.cohort_date,
    numbers.interval_number,
    cohorts.users AS cohort_users,
    COALESCE(returned.users, 0) AS returned_on,
    SUM(COALESCE(last_returned.users, 0)) OVER (
      PARTITION BY cohorts.project, cohorts.app, cohorts.interval_unit, cohorts.breakdown, cohorts.segment, cohorts.cohort_date
      ORDER BY numbers.interval_number DESC
    ) AS returned_on_or_after,
    DATEADD(
      DAY,
      cohorts.interval_days * (
        numbers.interval_number + 1
      ),
      @intervals_after(cohorts.interval_unit, 1, cohorts.cohort_date)
    ) <= numbers.frontier_date AS is_complete
  FROM cohorts
  JOIN interval_numbers AS numbers
    ON numbers.project = cohorts.project
    AND numbers.app = cohorts.app
    AND numbers.interval_number <= @windows_between(
      cohorts.interval_days,
      cohorts.start_hour,
      DATEADD(MINUTE, -1, @reporting_day_start(DATEADD(DAY, 1, numbers.frontier_date)))
    )
  LEFT JOIN returned
    ON returned.project = cohorts.project
    AND returned.app = cohorts.app
    AND returned.interval_unit = cohorts.interval_unit
    AND returned.breakdown = cohorts.breakdown
    AND returned.segment = cohorts.segment
    AND returned.cohort_date = cohorts.cohort_date
    AND returned.interval_number = numbers.interval_number
  LEFT JOIN last_returned
    ON last_returned.project = cohorts.project
    AND last_returned.app = cohorts.app
    AND last_returned.interval_unit = cohorts.interval_unit
    AND last_returned.breakdown = cohorts.breakdown
    AND last_returned.segment = cohorts.segment
    AND last_returned.cohort_date = cohorts.cohort_date
    AND last_returned.interval_number = numbers.interval_number
), with_overall AS (
  SELECT
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    TO_CHAR(cohort_date::DATE, 'yyyy-mm-DD') AS cohort,
    cohort_date,
    interval_number,
    cohort_users,
    returned_on,
    returned_on_or_after,
    is_complete
  FROM cells
  UNION ALL
  SELECT
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    '(all)' AS cohort,
    NULL::DATE AS cohort_date,
    interval_number,
    SUM(cohort_users) AS cohort_users,
    SUM(returned_on) AS returned_on,
    SUM(returned_on_or_after) AS returned_on_or_after,
    TRUE AS is_complete
  FROM cells
  WHERE
    is_complete
  GROUP BY
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    interval_number
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  interval_unit::VARCHAR AS interval_unit, /* day (24 hours), week (7 days) or month (30 days); cohorts go by those of the calendar */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* Platform or country of the start event; (none) where it names none, (all) for all */
  cohort::VARCHAR AS cohort, /* The day, or the first day of the week or month, of the start event; (all) sums up the complete cells of all cohorts */
  cohort_date::DATE AS cohort_date, /* The same as a date, NULL for (all) */
  interval_number::BIGINT AS interval_number, /* X: 0 for the window that begins with the hour of the start event, 1 for the next */
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
FROM with_overall
