/* On how many days of a week or month its active users were active, as Amplitude's stickiness
 * chart has it: on exactly so many, and on so many or more (cumulative). In a segment, days are
 * those with an active event of its platform or country. */
MODEL (
  name gold.stickiness_@name,
  blueprints ((name := weekly, unit := week), (name := monthly, unit := month)),
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, breakdown, segment, start_date, active_days),
  audits (
    rows_are_sound(
      keys := (project, app, breakdown, segment, start_date, active_days),
      columns := (
        project,
        app,
        breakdown,
        segment,
        start_date,
        active_days,
        users,
        users_or_more,
        active_users,
        is_complete
      ),
      criteria := (
        users <= users_or_more,
        users_or_more <= active_users,
        active_days > 1 OR users_or_more = active_users
      )
    )
  )
);

WITH users AS (
  SELECT
    days.project,
    days.app,
    days.breakdown,
    days.segment,
    days.amplitude_id,
    @period_of(@unit, days.event_date) AS start_date,
    @period_of(@unit, MAX(days.frontier_date)) AS last_start,
    COUNT(*) AS active_days
  FROM @shown(silver.segment_days, event_date) AS days
  WHERE
    days.active_events > 0
  GROUP BY ALL
), counted AS (
  SELECT
    project,
    app,
    breakdown,
    segment,
    start_date,
    last_start,
    active_days,
    COUNT(*) AS users
  FROM users
  GROUP BY ALL
), totals AS (
  SELECT
    project,
    app,
    breakdown,
    segment,
    start_date,
    last_start,
    SUM(users) AS active_users
  FROM counted
  GROUP BY ALL
)
SELECT
  totals.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  totals.app::BIGINT AS app, /* Amplitude's number of the project */
  totals.breakdown::VARCHAR AS breakdown, /* all, platform or country */
  totals.segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  totals.start_date::DATE AS start_date, /* First day of the interval in the reporting time zone */
  numbers.n::BIGINT AS active_days, /* A number of days, from 1 to as many as the interval has */
  COALESCE(counted.users, 0)::BIGINT AS users, /* Users who were active on exactly so many days */
  SUM(COALESCE(counted.users, 0)) OVER (
    PARTITION BY totals.project, totals.app, totals.breakdown, totals.segment, totals.start_date
    ORDER BY numbers.n DESC
  )::BIGINT AS users_or_more, /* Users who were active on so many days or more */
  totals.active_users::BIGINT AS active_users, /* Users who were active in the interval */
  (
    COALESCE(counted.users, 0)::DOUBLE / totals.active_users
  )::DOUBLE AS share, /* Share of the active users who were so on exactly so many days */
  (
    SUM(COALESCE(counted.users, 0)) OVER (
      PARTITION BY totals.project, totals.app, totals.breakdown, totals.segment, totals.start_date
      ORDER BY numbers.n DESC
    )::DOUBLE / totals.active_users
  )::DOUBLE AS share_or_more, /* Share of the active users who were so on so many days or more */
  (
    totals.start_date < totals.last_start
  )::BOOLEAN AS is_complete /* Whether the export has passed the interval */
FROM totals
JOIN @numbers(32) AS numbers
  ON numbers.n BETWEEN 1 AND DATEDIFF(DAY, totals.start_date, @period_after(@unit, totals.start_date))
LEFT JOIN counted
  ON counted.project = totals.project
  AND counted.app = totals.app
  AND counted.breakdown = totals.breakdown
  AND counted.segment = totals.segment
  AND counted.start_date = totals.start_date
  AND counted.active_days = numbers.n
