/* The runs of loads: a row for each run and project, from the begin of the run on. A run that is still at work has no end, and neither has one that
 * was killed: its row keeps what it had loaded by then. */
MODEL (
  name gold.pipeline_runs,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (
    run_id
  ),
  audits (
    rows_are_sound(
      keys := (
        run_id
      ),
      columns := (project, run_id, command, version, started_at),
      criteria := (
        outcome IN ('done', 'partly loaded', 'rejected rows', 'failed', 'stopped')
      )
    )
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  run_id::VARCHAR AS run_id, /* Id of the run; a command that loads several projects has a run for each */
  command::VARCHAR AS command, /* The command: load, archive verify, declare-empty or erase */
  version::VARCHAR AS version, /* Version of this pipeline */
  started_at::TIMESTAMPNTZ AS started_at, /* When it began (UTC) */
  ended_at::TIMESTAMPNTZ AS ended_at, /* When it ended (UTC); NULL while it is at work, and for good if it was killed */
  DATEDIFF(MILLISECOND, started_at, ended_at)::DOUBLE / 1000 AS seconds, /* How long it took */
  outcome::VARCHAR AS outcome, /* done, partly loaded, rejected rows, failed or stopped; NULL without an end */
  problem::VARCHAR AS problem, /* The sentence of a run that is not done; NULL if all is well */
  hours::BIGINT AS hours, /* Hours that it loaded, empty and pending ones too */
  loaded_rows::BIGINT AS loaded_rows, /* Rows that it loaded into bronze.events */
  rejected_rows::BIGINT AS rejected_rows, /* Rows that it loaded into bronze.rejected_rows */
  bytes::BIGINT AS bytes, /* Size of the files of these hours in bytes, compressed */
  retries::BIGINT AS retries, /* Requests to Amplitude that were made again after a fault */
  new_columns::BIGINT AS new_columns /* Columns that it added to bronze.events */
FROM bronze.pipeline_runs
