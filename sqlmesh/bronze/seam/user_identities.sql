/* Whom Amplitude takes a sample of users for, which foreign tables do not have: no row. */
MODEL (
  name bronze.user_identities,
  kind EMBEDDED,
  owner data,
  grain (_project, amplitude_id, _snapshot_at),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::BIGINT AS amplitude_id, /* Amplitude's id of the user as of an event */
  NULL::BIGINT AS canonical_amplitude_id, /* The user that Amplitude counts it as */
  NULL::VARCHAR AS merged_amplitude_ids, /* All ids that it counts as that user */
  NULL::BIGINT AS events, /* Number of events that Amplitude has of the user */
  NULL::BIGINT AS sessions, /* Number of sessions that Amplitude has of the user */
  NULL::VARCHAR AS _project, /* The Amplitude project */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
