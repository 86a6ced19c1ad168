/* Every app of a project, with the days that charts show: from the day of the project's first export hour to the day of the last one that silver has
 * taken in, whether or not the app had events then. Events of other days stay in silver: late and backfilled ones, and those of wrong clocks. */
MODEL (
  name silver.apps,
  kind FULL,
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app),
  audits (
    rows_are_sound(
      keys := (project, app),
      columns := (
        project,
        app,
        first_export_hour,
        last_export_hour,
        reached_hour,
        first_date,
        frontier_date
      )
    )
  )
);

WITH apps AS (
  SELECT
    project,
    app,
    MIN(first_export_hour) AS first_export_hour,
    MAX(last_export_hour) AS last_export_hour
  FROM silver.user_devices
  GROUP BY
    project,
    app
), spans AS (
  SELECT
    project,
    MIN(export_hour) AS first_hour,
    MAX(export_hour) AS reached_hour
  FROM silver.export_hours
  GROUP BY
    project
)
SELECT
  apps.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  apps.app::BIGINT AS app, /* Amplitude's number of the project */
  apps.first_export_hour::TIMESTAMPNTZ AS first_export_hour, /* First hour (UTC) of the export with events */
  apps.last_export_hour::TIMESTAMPNTZ AS last_export_hour, /* Last hour (UTC) of the export with events */
  spans.reached_hour::TIMESTAMPNTZ AS reached_hour, /* Last hour (UTC) of the project's export that silver has, with events or empty */
  @reporting_date(spans.first_hour)::DATE AS first_date, /* Day of the project's first export hour in the reporting time zone: charts begin with it */
  @reporting_date(spans.reached_hour)::DATE AS frontier_date /* Day of reached_hour in the reporting time zone: charts end with it */
FROM apps
JOIN spans
  ON spans.project = apps.project
