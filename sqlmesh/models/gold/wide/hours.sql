/* Every hour that charts show of an app, with or without events, as the clocks of the reporting time zone have them. */
MODEL (
  name gold.hours,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, hour),
  audits (
    rows_are_sound(keys := (project, app, hour), columns := (project, app, hour, date, is_complete))
  )
);

WITH spans AS (
  SELECT
    apps.project,
    apps.app,
    MIN(hours.export_hour) AS first_hour,
    MAX(hours.export_hour) AS reached_hour
  FROM silver.apps AS apps
  JOIN silver.export_hours AS hours
    ON hours.project = apps.project
  GROUP BY
    apps.project,
    apps.app
), moments AS (
  /* Each half hour of a day, because some clocks are put forward by half an hour; a day has at most 25 hours. */
  SELECT
    days.project,
    days.app,
    days.date,
    spans.first_hour,
    spans.reached_hour,
    DATEADD(MINUTE, 30 * halves.n, @reporting_day_start(days.date)) AS moment
  FROM gold.days AS days
  JOIN spans
    ON spans.project = days.project AND spans.app = days.app
  CROSS JOIN @numbers(50) AS halves
)
SELECT DISTINCT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  @reporting_hour(moment)::TIMESTAMPNTZ AS hour, /* Time (UTC) at which the hour begins by the clocks of the reporting time zone */
  date::DATE AS date, /* Its day in the reporting time zone */
  (
    @reporting_hour(moment) >= first_hour
    AND DATEADD(HOUR, 1, @reporting_hour(moment)) <= DATEADD(HOUR, 1, reached_hour)
  )::BOOLEAN AS is_complete /* Whether silver has all export hours of the hour */
FROM moments
WHERE
  @reporting_date(moment) = date AND moment < DATEADD(HOUR, 1, reached_hour)
