/* Users who have come to count as another, a row for each run that saw it: models of merged users compute both anew. It is a log of runs and goes by
 * how hours were split into them: built at once, it knows who everybody is in the end, and nothing of the way there. */
MODEL (
  name silver.user_moves,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column run_end
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  depends_on (
    silver.user_devices
  ), /* for whose hours it waits; user_aliases is built as a whole, and has none */
  grain (project, app, amplitude_id, run_end),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id),
      columns := (
        project,
        app,
        amplitude_id,
        run_end,
        previous_amplitude_id,
        canonical_amplitude_id
      ),
      criteria := (
        previous_amplitude_id <> canonical_amplitude_id
      )
    )
  )
);

WITH known AS (
  /* As whom a user counted before the run: as himself, unless a run has moved him. */
  SELECT
    moves.project,
    moves.app,
    moves.amplitude_id,
    moves.canonical_amplitude_id
  FROM silver.user_moves AS moves
  WHERE
    moves.run_end < @start_ts
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY moves.project, moves.app, moves.amplitude_id
      ORDER BY moves.run_end DESC
    ) = 1
), users AS (
  SELECT
    aliases.project,
    aliases.app,
    aliases.amplitude_id,
    aliases.canonical_amplitude_id,
    COALESCE(known.canonical_amplitude_id, aliases.amplitude_id) AS previous_amplitude_id
  FROM silver.user_aliases AS aliases
  LEFT JOIN known
    ON known.project = aliases.project
    AND known.app = aliases.app
    AND known.amplitude_id = aliases.amplitude_id
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it */
  @end_ts::TIMESTAMPNTZ AS run_end, /* End of the run's export hours (UTC) */
  previous_amplitude_id::BIGINT AS previous_amplitude_id, /* The user that it counted as before the run */
  canonical_amplitude_id::BIGINT AS canonical_amplitude_id /* The user that it counts as from the run on */
FROM users
WHERE
  previous_amplitude_id <> canonical_amplitude_id
