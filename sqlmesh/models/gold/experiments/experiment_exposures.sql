/* Who was exposed to which variant of which experiment or feature flag: a row for each user, flag and run of the experiment, with the first variant that
 * they saw. Users count after merging, so a login can show that somebody saw several variants. Amplitude calls that variant jumping, and leaves such
 * users in its analysis (experiment_troubleshooting: variant-jumping.md). An exposure without a variant takes the user out of the experiment, so it is
 * none (under-the-hood: event-tracking.md, "Exposure events"). */
MODEL (
  name gold.experiment_exposures,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, flag_key, experiment_key, canonical_amplitude_id),
  audits (
    rows_are_sound(
      keys := (project, app, flag_key, experiment_key, canonical_amplitude_id),
      columns := (
        project,
        app,
        flag_key,
        experiment_key,
        canonical_amplitude_id,
        variant,
        first_exposed_at,
        exposures,
        variants,
        has_several_variants
      ),
      criteria := (
        exposures >= variants AND variants > 0
      )
    )
  )
);

WITH events AS (
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id,
    events.uuid,
    events.event_time,
    events.event_date,
    @property_text(events.event_properties, '[Experiment] Flag Key') AS flag_key,
    COALESCE(@property_text(events.event_properties, '[Experiment] Experiment Key'), '(none)') AS experiment_key,
    @property_text(events.event_properties, '[Experiment] Variant') AS variant
  FROM silver.events AS events
  JOIN silver.apps AS apps
    ON apps.project = events.project
    AND apps.app = events.app
    AND events.event_date <= apps.frontier_date
  JOIN silver.user_aliases AS aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  WHERE
    events.event_type = '[Experiment] Exposure'
), exposures AS (
  SELECT
    events.*,
    ROW_NUMBER() OVER (
      PARTITION BY project, app, flag_key, experiment_key, canonical_amplitude_id
      ORDER BY event_time, uuid
    ) = 1 AS is_first
  FROM events
  WHERE
    NOT flag_key IS NULL AND NOT variant IS NULL
), users AS (
  SELECT
    project,
    app,
    flag_key,
    experiment_key,
    canonical_amplitude_id,
    MAX(IFF(is_first, variant, NULL)) AS variant,
    MIN(event_time) AS first_exposed_at,
    MAX(IFF(is_first, event_date, NULL)) AS first_exposed_on,
    COUNT(*) AS exposures,
    COUNT(DISTINCT variant) AS variants
  FROM exposures
  GROUP BY
    project,
    app,
    flag_key,
    experiment_key,
    canonical_amplitude_id
), experiments AS (
  /* An experiment is a flag, too: where both lists have the key, the experiment has more to say. */
  SELECT
    *
  FROM silver.experiments
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY project, flag_key ORDER BY kind, experiment_id) = 1
), lists AS (
  SELECT
    project,
    flag_key,
    'variants' AS property,
    'array' AS value_type,
    variants AS value_text
  FROM experiments
), listed AS (
  SELECT DISTINCT
    project,
    flag_key,
    value_text AS variant
  FROM @query_values(lists, (project, flag_key)) AS query_values
  WHERE
    property = 'variants.key' AND value_type = 'text'
)
SELECT
  users.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  users.app::BIGINT AS app, /* Amplitude's number of the project */
  users.flag_key::VARCHAR AS flag_key, /* Key of the flag or experiment */
  users.experiment_key::VARCHAR AS experiment_key, /* Key of the run of the experiment, (none) where exposures name none */
  users.canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging */
  users.variant::VARCHAR AS variant, /* The variant of the first exposure */
  users.first_exposed_at::TIMESTAMPNTZ AS first_exposed_at, /* Time of the first exposure (UTC) */
  users.first_exposed_on::DATE AS first_exposed_on, /* Its day in the reporting time zone */
  users.exposures::BIGINT AS exposures, /* Number of exposures to a variant */
  users.variants::BIGINT AS variants, /* Number of variants that the user saw */
  (
    users.variants > 1
  )::BOOLEAN AS has_several_variants, /* Whether the user saw more than one */
  experiments.kind::VARCHAR AS kind, /* experiment or flag; NULL, as all that follows, if Amplitude lists neither under the key */
  experiments.experiment_id::VARCHAR AS experiment_id, /* Amplitude's id of it */
  experiments.name::VARCHAR AS name, /* Its name */
  experiments.state::VARCHAR AS state, /* Where it stands: planning, running, done and the like */
  IFF(experiments.experiment_id IS NULL, NULL, NOT listed.variant IS NULL)::BOOLEAN AS is_listed_variant /* Whether the variant is one of its variants today */
FROM users
LEFT JOIN experiments
  ON experiments.project = users.project AND experiments.flag_key = users.flag_key
LEFT JOIN listed
  ON listed.project = users.project
  AND listed.flag_key = users.flag_key
  AND listed.variant = users.variant
