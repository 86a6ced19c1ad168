/* Amplitude's cohorts, which foreign tables do not have: no row. */
MODEL (
  name bronze.cohorts,
  kind EMBEDDED,
  owner data,
  grain (_project, id),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::VARCHAR AS id, /* Amplitude's id of the cohort */
  NULL::VARCHAR AS name, /* Its name */
  NULL::VARCHAR AS description, /* Its description */
  NULL::BIGINT AS size, /* Number of its users by Amplitude's last computation */
  NULL::VARCHAR AS type, /* Kind of cohort, as Amplitude notes it */
  NULL::BOOLEAN AS archived, /* Whether it is archived */
  NULL::BOOLEAN AS published, /* Whether others can find it */
  NULL::TIMESTAMPNTZ AS created_at, /* When it was made */
  NULL::TIMESTAMPNTZ AS modified_at, /* When its definition changed last */
  NULL::TIMESTAMPNTZ AS computed_at, /* When Amplitude computed its users last */
  NULL::VARCHAR AS owners, /* Who owns it, a JSON array */
  NULL::VARCHAR AS definition, /* Its definition in Amplitude's own form, JSON */
  NULL::VARCHAR AS _project, /* The Amplitude project, as named in the settings */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
