/* Every app of a project, with how far its export has come. What is dated later, by a skewed clock or ahead of time, waits for its day. */
MODEL (
  name silver.apps,
  kind FULL,
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app),
  audits (
    not_null(columns := (project, app, first_export_hour, last_export_hour, frontier_date)),
    unique_combination_of_columns(columns := (project, app))
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  MIN(first_export_hour)::TIMESTAMPNTZ AS first_export_hour, /* First hour (UTC) of the export with events */
  MAX(last_export_hour)::TIMESTAMPNTZ AS last_export_hour, /* Last hour (UTC) of the export with events */
  @reporting_date(MAX(last_export_hour))::DATE AS frontier_date /* Its day in the reporting time zone: gold ends with it */
FROM silver.user_devices
GROUP BY
  project,
  app
