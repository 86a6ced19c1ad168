/* The experiments and feature flags that Amplitude has today, archived ones included. */
MODEL (
  name silver.experiments,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, kind, experiment_id),
  audits (
    rows_are_sound(
      keys := (project, kind, experiment_id),
      columns := (project, kind, experiment_id),
      criteria := (
        kind IN ('experiment', 'flag')
      )
    )
  )
);

SELECT
  _project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  kind::VARCHAR AS kind, /* experiment or flag */
  id::VARCHAR AS experiment_id, /* Amplitude's id */
  key::VARCHAR AS flag_key, /* Key by which the product asks for it, and exposures name it */
  name::VARCHAR AS name, /* Its name */
  description::VARCHAR AS description, /* Its description */
  enabled::BOOLEAN AS is_enabled, /* Whether it is on */
  state::VARCHAR AS state, /* Where it stands: planning, running, done and the like */
  decision::VARCHAR AS decision, /* What was decided at its end */
  started_on::TIMESTAMPNTZ AS started_on, /* When it began */
  ended_on::TIMESTAMPNTZ AS ended_on, /* When it ended */
  bucketing_unit::VARCHAR AS bucketing_unit, /* Whom a variant is given to, such as User */
  rollout_percentage::DOUBLE AS rollout_percentage, /* Share of users who get a variant, in percent */
  variants::VARCHAR AS variants /* Its variants, a JSON array of objects with a key */
FROM @rows_of_today(bronze.experiments) AS experiments
