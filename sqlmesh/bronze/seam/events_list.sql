/* Amplitude's event list of a foreign table; without such a table, no row, and every event type is active. Its flags count for all time, because the
 * table does not say when they changed. */
MODEL (
  name bronze.events_list,
  kind EMBEDDED,
  owner data,
  grain (_project, value),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  source.value::VARCHAR AS value, /* Name of the event */
  source.display::VARCHAR AS display, /* Its name in Amplitude's charts */
  source.non_active::BOOLEAN AS non_active, /* Whether it is inactive */
  source.deleted::BOOLEAN AS deleted, /* Whether it is deleted in Amplitude */
  source.project::VARCHAR AS _project, /* The Amplitude project that bronze_tables names */
  @VAR('first_hour')::TIMESTAMPNTZ AS _snapshot_at, /* Nobody notes when Amplitude was asked */
  @VAR('first_hour')::TIMESTAMPNTZ AS _effective_hour, /* Export hour (UTC) from which on the flags count: the first */
  '-'::VARCHAR AS _dlt_load_id /* Of the only load that there is */
FROM @foreign_rows(events_list) AS source
