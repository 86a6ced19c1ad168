/* How many users went how far in every funnel, by the day on which they entered it: Amplitude's conversion over time of unique users, in all and by
 * platform and country of the event that did step 1. A user counts once on each day that he entered on; silver.funnel_paths has the rules. Every step
 * has its row, be it that nobody reached it; days on which nobody entered have none. */
MODEL (
  name gold.funnels,
  kind VIEW,
  cron '@daily',
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

WITH entered AS (
  SELECT
    paths.project,
    paths.app,
    paths.funnel,
    paths.breakdown,
    paths.segment,
    paths.entry_date,
    COUNT(*) AS users
  FROM silver.funnel_paths AS paths
  WHERE
    paths.step = 1
  GROUP BY
    paths.project,
    paths.app,
    paths.funnel,
    paths.breakdown,
    paths.segment,
    paths.entry_date
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
    MEDIAN((
      DATEDIFF(MICROSECOND, entered_at, reached_at) / 1000000.0
    )::DOUBLE) AS median_seconds,
    AVG((
      DATEDIFF(MICROSECOND, entered_at, reached_at) / 1000000.0
    )::DOUBLE) AS average_seconds
  FROM silver.funnel_paths
  GROUP BY
    project,
    app,
    funnel,
    breakdown,
    segment,
    entry_date,
    step
)
SELECT
  entered.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  entered.app::BIGINT AS app, /* Amplitude's number of the project */
  entered.funnel::VARCHAR AS funnel, /* Name of the funnel, as of seeds/funnels.csv */
  entered.breakdown::VARCHAR AS breakdown, /* all, platform or country */
  entered.segment::VARCHAR AS segment, /* The platform or the country of the event that did step 1; (none) where it names none, (all) for all */
  entered.entry_date::DATE AS entry_date, /* Day of that event in the reporting time zone */
  steps.step::BIGINT AS step, /* Number of the step */
  steps.event_type::VARCHAR AS event_type, /* Name of the event that does it */
  COALESCE(reached.users, 0)::BIGINT AS users, /* Users who entered on the day and reached the step */
  entered.users::BIGINT AS entered_users, /* Users who entered on the day */
  (
    COALESCE(reached.users, 0)::DOUBLE / entered.users
  )::DOUBLE AS conversion_from_start, /* Share of those who entered that reached the step */
  (
    COALESCE(reached.users, 0)::DOUBLE / NULLIF(previous.users, 0)
  )::DOUBLE AS conversion_from_previous, /* Share of those who reached the step before; NULL at step 1, and where nobody did */
  reached.median_seconds::DOUBLE AS median_seconds, /* Median of the seconds from step 1 to the step, NULL where nobody reached it */
  reached.average_seconds::DOUBLE AS average_seconds, /* Average of the same */
  (
    @reporting_date(DATEADD(HOUR, 1 - steps.window_hours, apps.last_export_hour)) > entered.entry_date
  )::BOOLEAN AS is_complete /* Whether the conversion window of every entry of the day is over at the end of the export */
FROM entered
JOIN silver.apps AS apps
  ON apps.project = entered.project AND apps.app = entered.app
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
LEFT JOIN reached AS previous
  ON previous.project = entered.project
  AND previous.app = entered.app
  AND previous.funnel = entered.funnel
  AND previous.breakdown = entered.breakdown
  AND previous.segment = entered.segment
  AND previous.entry_date = entered.entry_date
  AND previous.step = steps.step - 1
