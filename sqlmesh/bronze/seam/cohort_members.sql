/* Users of cohorts, which foreign tables do not have: no row. */
MODEL (
  name bronze.cohort_members,
  kind EMBEDDED,
  owner data,
  grain (_project, cohort_id, amplitude_id, valid_from),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::VARCHAR AS cohort_id, /* Amplitude's id of the cohort */
  NULL::BIGINT AS amplitude_id, /* Amplitude's id of the user */
  NULL::TIMESTAMPNTZ AS valid_from, /* The computation that first had the user in the cohort */
  NULL::TIMESTAMPNTZ AS valid_to, /* The computation that no longer had the user; NULL for members of today */
  NULL::VARCHAR AS _project, /* The Amplitude project, as named in the settings */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
