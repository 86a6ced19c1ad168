/* Experiments and feature flags, which foreign tables do not have: no row. */
MODEL (
  name bronze.experiments,
  kind EMBEDDED,
  owner data,
  grain (_project, kind, id),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::VARCHAR AS id, /* Amplitude's id */
  NULL::VARCHAR AS kind, /* experiment or flag */
  NULL::VARCHAR AS key, /* Key by which the product asks for it */
  NULL::VARCHAR AS name, /* Its name */
  NULL::VARCHAR AS description, /* Its description */
  NULL::BOOLEAN AS enabled, /* Whether it is on */
  NULL::VARCHAR AS state, /* Where it stands: planning, running, done and the like */
  NULL::VARCHAR AS decision, /* What was decided at its end */
  NULL::TIMESTAMPNTZ AS started_on, /* When it began */
  NULL::TIMESTAMPNTZ AS ended_on, /* When it ended */
  NULL::VARCHAR AS bucketing_unit, /* Whom a variant is given to, such as User */
  NULL::DOUBLE AS rollout_percentage, /* Share of users who get a variant, in percent */
  NULL::VARCHAR AS variants, /* Its variants, a JSON array of objects with a key */
  NULL::VARCHAR AS definition, /* All that Amplitude says of it, JSON */
  NULL::VARCHAR AS _project, /* The Amplitude project, as named in the settings */
  NULL::TIMESTAMPNTZ AS _snapshot_at, /* When Amplitude was asked */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
