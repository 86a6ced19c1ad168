/* Amplitude's own numbers, which foreign tables do not have: no row. */
MODEL (
  name bronze.daily_numbers,
  kind EMBEDDED,
  owner data,
  grain (_project, measure, detail, event_date, _snapshot_at),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::DATE AS event_date, /* Day in the project's time zone */
  NULL::VARCHAR AS measure, /* What is counted */
  NULL::VARCHAR AS detail, /* The event type, or (all) */
  NULL::DOUBLE AS value, /* Amplitude's own number */
  NULL::VARCHAR AS _project, /* The Amplitude project */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
