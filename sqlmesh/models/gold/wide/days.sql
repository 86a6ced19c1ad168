/* Every day that charts show of an app, with or without events, and the intervals of Amplitude's charts that it lies in. A chart of
 * sqlmesh/charts/ cuts time by this table alone. */
MODEL (
  name gold.days,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, date),
  audits (
    rows_are_sound(
      keys := (project, app, date),
      columns := (project, app, date, starts_at, ends_at, week, month, quarter, is_complete),
      criteria := (week <= date, month <= date, quarter <= month)
    )
  )
);

WITH spans AS (
  SELECT
    project,
    MIN(export_hour) AS first_hour
  FROM silver.export_hours
  GROUP BY
    project
), days AS (
  SELECT
    apps.project,
    apps.app,
    spans.first_hour,
    apps.reached_hour,
    DATEADD(DAY, numbers.n, apps.first_date)::DATE AS date
  FROM silver.apps AS apps
  JOIN spans
    ON spans.project = apps.project
  JOIN @numbers(36525) AS numbers
    ON numbers.n <= DATEDIFF(DAY, apps.first_date, apps.frontier_date)
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  date::DATE AS date, /* Day in the reporting time zone */
  @reporting_day_start(date)::TIMESTAMPNTZ AS starts_at, /* Time (UTC) at which it begins */
  @reporting_day_start(DATEADD(DAY, 1, date)::DATE)::TIMESTAMPNTZ AS ends_at, /* Time (UTC) at which the next day begins */
  @week_of(date)::DATE AS week, /* First day of its week, by the variable week_start */
  @month_of(date)::DATE AS month, /* First day of its month */
  DATE_TRUNC('QUARTER', date)::DATE AS quarter, /* First day of its quarter */
  (
    @reporting_day_start(date) >= first_hour
    AND @reporting_day_start(DATEADD(DAY, 1, date)::DATE) <= DATEADD(HOUR, 1, reached_hour)
  )::BOOLEAN AS is_complete /* Whether silver has all export hours of the day */
FROM days
