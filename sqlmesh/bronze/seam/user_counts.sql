/* Amplitude's own numbers of users, which foreign tables do not have: no row. */
MODEL (
  name bronze.user_counts,
  kind EMBEDDED,
  owner data,
  grain (_project, event_date, metric),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::DATE AS event_date, /* Day in the project's time zone */
  NULL::VARCHAR AS metric, /* active or new */
  NULL::BIGINT AS users, /* Number of users */
  NULL::VARCHAR AS _project, /* The Amplitude project */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
