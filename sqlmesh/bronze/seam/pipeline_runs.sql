/* The runs of this pipeline's loads, of which foreign tables know nothing: no row. */
MODEL (
  name bronze.pipeline_runs,
  kind EMBEDDED,
  owner data,
  grain (
    run_id
  ),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  NULL::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  NULL::VARCHAR AS run_id, /* Id of the run */
  NULL::VARCHAR AS command, /* The command */
  NULL::VARCHAR AS version, /* Version of this pipeline */
  NULL::TIMESTAMPNTZ AS started_at, /* When it began */
  NULL::TIMESTAMPNTZ AS ended_at, /* When it ended */
  NULL::VARCHAR AS outcome, /* done, partly loaded, rejected rows, failed or stopped */
  NULL::VARCHAR AS problem, /* The sentence of a run that is not done */
  NULL::BIGINT AS hours, /* Hours that it loaded */
  NULL::BIGINT AS loaded_rows, /* Rows that it loaded into events */
  NULL::BIGINT AS rejected_rows, /* Rows that it loaded into rejected_rows */
  NULL::BIGINT AS bytes, /* Size of the files of these hours */
  NULL::BIGINT AS retries, /* Requests that were made again */
  NULL::BIGINT AS new_columns, /* Columns that it added to events */
  NULL::VARCHAR AS _dlt_load_id /* The load that brought it */
WHERE
  FALSE
