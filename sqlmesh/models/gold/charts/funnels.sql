/* How many users went how far in every funnel, by the day on which they entered it: Amplitude's
 * conversion over time of unique users (faq_and_troubleshooting: funnel-analysis.md), in all and
 * by platform and country of the event that did step 1. A user counts once on each day of entry;
 * silver.funnel_paths has the rules. Every step has its row, also where nobody reached it; days on
 * which nobody entered have none. */
MODEL (
  name gold.funnels,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, funnel, breakdown, segment, entry_date, step),
  audits (
    not_null(
      columns := (
        project,
        app,
        funnel,
        breakdown,
        segment,
        entry_date,
        step,
        event_type,
        users,
        entered_users,
        conversion_from_start,
        is_complete
      )
    ),
    unique_combination_of_columns(columns := (project, app, funnel, breakdown, segment, entry_date, step)),
    forall(
      criteria := (
        users <= entered_users,
        step > 1 OR users = entered_users,
        conversion_from_start BETWEEN 0 AND 1,
        conversion_from_previous BETWEEN 0 AND 1,
        median_seconds >= 0,
        average_seconds >= 0
      )
    )
  )
);

WITH paths AS (
  SELECT
    paths.project,
    paths.app,
    paths.funnel,
    breakdowns.breakdown,
    @segment(breakdowns.breakdown, paths.platform, paths.country) AS segment,
    paths.entry_date,
    paths.step,
    DATEDIFF(MICROSECOND, paths.entered_at, paths.reached_at) AS microseconds
  FROM silver.funnel_paths AS paths
  CROSS JOIN @breakdowns() AS breakdowns
  WHERE
    CASE breakdowns.breakdown
      WHEN 'all'
      THEN paths.is_best
      WHEN 'platform'
      THEN paths.is_best_of_platform
      ELSE paths.is_best_of_country
    END
), reached AS (
  SELECT
    project,
    app,
    funnel,
    breakdown,
    segment,
    entry_date,
    step,
    COUNT(*) AS users,
    MEDIAN(microseconds)::DOUBLE / 1000000 AS median_seconds,
    SUM(microseconds)::DOUBLE / COUNT(*) / 1000000 AS average_seconds
  FROM paths
  GROUP BY ALL
), days AS (
  SELECT
    entered.project,
    entered.app,
    entered.funnel,
    entered.breakdown,
    entered.segment,
    entered.entry_date,
    steps.step,
    steps.event_type,
    steps.window_hours,
    COALESCE(reached.users, 0) AS users,
    entered.users AS entered_users,
    reached.median_seconds,
    reached.average_seconds
  FROM reached AS entered
  JOIN silver.funnel_steps AS steps
    ON steps.funnel = entered.funnel
  LEFT JOIN reached
    ON reached.project = entered.project
    AND reached.app = entered.app
    AND reached.funnel = entered.funnel
    AND reached.breakdown = entered.breakdown
    AND reached.segment = entered.segment
    AND reached.entry_date = entered.entry_date
    AND reached.step = steps.step
  WHERE
    entered.step = 1
)
SELECT
  days.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  days.app::BIGINT AS app, /* Amplitude's number of the project */
  days.funnel::VARCHAR AS funnel, /* Name of the funnel, as of seeds/funnels.csv */
  days.breakdown::VARCHAR AS breakdown, /* all, platform or country */
  days.segment::VARCHAR AS segment, /* The platform or the country of the event that did step 1; (none) where it names none, (all) for all */
  days.entry_date::DATE AS entry_date, /* Day of that event in the reporting time zone */
  days.step::BIGINT AS step, /* Number of the step */
  days.event_type::VARCHAR AS event_type, /* Name of the event that does it */
  days.users::BIGINT AS users, /* Users who entered on the day and reached the step */
  days.entered_users::BIGINT AS entered_users, /* Users who entered on the day */
  (
    days.users::DOUBLE / days.entered_users
  )::DOUBLE AS conversion_from_start, /* Share of those who entered that reached the step */
  (
    days.users::DOUBLE / NULLIF(
      LAG(days.users) OVER (
        PARTITION BY days.project, days.app, days.funnel, days.breakdown, days.segment, days.entry_date
        ORDER BY days.step
      ),
      0
    )
  )::DOUBLE AS conversion_from_previous, /* Share of those who reached the step before; NULL at step 1, and where nobody did */
  days.median_seconds::DOUBLE AS median_seconds, /* Median of the seconds from step 1 to the step, NULL where nobody reached it */
  days.average_seconds::DOUBLE AS average_seconds, /* Average of the same */
  (
    @reporting_date(
      DATEADD(SECOND, 3600 - ROUND(days.window_hours * 3600)::BIGINT, apps.reached_hour)
    ) > days.entry_date
  )::BOOLEAN AS is_complete /* Whether the conversion window of every entry of the day is over at the end of the export */
FROM days
JOIN silver.apps AS apps
  ON apps.project = days.project AND apps.app = days.app
