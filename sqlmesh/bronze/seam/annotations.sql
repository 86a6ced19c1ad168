/* Notes in charts, which foreign tables do not have: no row. */
MODEL (
  name bronze.annotations,
  kind EMBEDDED,
  owner data,
  grain (_project, id),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::BIGINT AS id, /* Amplitude's id of the annotation */
  NULL::TIMESTAMPNTZ AS starts_at, /* When it begins */
  NULL::TIMESTAMPNTZ AS ends_at, /* When it ends; NULL for a moment */
  NULL::VARCHAR AS label, /* Its name in charts */
  NULL::VARCHAR AS details, /* Its description */
  NULL::BIGINT AS category_id, /* Id of its category */
  NULL::VARCHAR AS category, /* Name of its category */
  NULL::VARCHAR AS chart_id, /* The one chart that shows it; NULL for all charts */
  NULL::VARCHAR AS _project, /* The Amplitude project, as named in the settings */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
