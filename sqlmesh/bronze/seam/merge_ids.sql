/* Amplitude's merge feed of a foreign table, MERGE_IDS_<project>; without such a table, no row. A merge counts from the hour after its own on, because
 * it may come a little later than the events of its hour. */
MODEL (
  name bronze.merge_ids,
  kind EMBEDDED,
  owner data,
  grain (_project, amplitude_id, merged_amplitude_id, merge_server_time),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  source.project::VARCHAR AS _project, /* The Amplitude project that bronze_tables names */
  source.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user who was merged */
  source.merged_amplitude_id::BIGINT AS merged_amplitude_id, /* The user that it was merged into */
  source.merge_event_time::TIMESTAMPNTZ AS merge_event_time, /* Time of the event that merged them (UTC) */
  source.merge_server_time::TIMESTAMPNTZ AS merge_server_time, /* When Amplitude's server merged them (UTC) */
  GREATEST(
    DATEADD(HOUR, 1, DATE_TRUNC('HOUR', source.merge_server_time::TIMESTAMPNTZ)),
    @VAR('first_hour')::TIMESTAMPNTZ
  )::TIMESTAMPNTZ AS _effective_hour, /* Export hour (UTC) from which on it counts */
  '-'::VARCHAR AS _dlt_load_id /* Of the only load that there is */
FROM @foreign_rows(merge_ids) AS source
