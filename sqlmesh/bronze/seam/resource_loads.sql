/* What was asked of Amplitude's REST APIs, of which foreign tables know nothing: no row. */
MODEL (
  name bronze.resource_loads,
  kind EMBEDDED,
  owner data,
  grain (_project, resource),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::VARCHAR AS resource, /* What was asked for, as `load --only` names it */
  NULL::VARCHAR AS outcome, /* loaded, not offered (by this plan or to these keys) or failed */
  NULL::VARCHAR AS problem, /* Why it is not loaded, or what was left out; NULL if all was */
  NULL::TIMESTAMPNTZ AS loaded_at, /* When it was loaded last: rows that were not among its answers then are gone in Amplitude */
  NULL::VARCHAR AS _project, /* The Amplitude project, as named in the settings */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
