/* The export hours that silver has taken in, of every project, with events or empty: how far charts go, and with which day they begin. Silver takes
 * hours in order (signals/export_hours.py), so the last one is the one that the export has reached. */
MODEL (
  name silver.export_hours,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  depends_on (
    silver.events
  ), /* so that it takes in the same hours, and is restated with it */
  grain (project, export_hour),
  audits (
    rows_are_sound(keys := (project, export_hour), columns := (project, export_hour))
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  export_hour::TIMESTAMPNTZ AS export_hour /* Hour (UTC) of the export: loaded or empty */
FROM @counted_hours() AS hours
WHERE
  export_hour BETWEEN @start_ts AND @end_ts AND status IN ('loaded', 'empty')
