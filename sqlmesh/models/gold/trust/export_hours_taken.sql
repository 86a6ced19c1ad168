/* Every hour that silver and gold hold, with the content that they took in. It is built last, after every model that is a table: so an hour has its new
 * content here only once everything has it, and a restatement that was killed shows. The pipeline compares it with the ledger: `status` and `restate`. */
MODEL (
  name gold.export_hours_taken,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour
  ),
  owner data,
  grain (project, export_hour),
  depends_on (
    gold.event_adoption_daily,
    gold.session_paths,
    silver.devices,
    silver.event_properties,
    silver.first_events,
    silver.segment_days,
    silver.user_days,
    silver.user_property_changes,
    silver.users
  ),
  signals (table_is_what_the_state_says(), parents_have_run()),
  audits (
    rows_are_sound(keys := (project, export_hour), columns := (project, export_hour)),
    no_hour_is_out_of_reach
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export */
  sha256::VARCHAR AS sha256, /* The content of the hour in the ledger: SHA-256 over its files; NULL for an empty hour */
  revision::BIGINT AS revision, /* The number of that content, from 1 */
  IFF(
    CONVERT_TIMEZONE('UTC', finished_at)::TIMESTAMPNTZ < @execution_ts::TIMESTAMPNTZ,
    _dlt_load_id,
    NULL
  )::VARCHAR AS load_id /* The load that brought it; NULL if it came while models ran, so that nobody knows which of them saw it */
FROM @counted_hours() AS hours
WHERE
  export_hour BETWEEN @start_ts AND @end_ts AND status IN ('loaded', 'empty')
