/* Every session: a user's active events with one session_id. Events outside of sessions (session_id -1) are none.
 * Amplitude dates a session by its start and measures its length by the client's clock. */
MODEL (
  name silver.sessions,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, session_id),
  audits (
    not_null(
      columns := (project, app, amplitude_id, session_id, session_started_at, session_date, events)
    ),
    unique_combination_of_columns(columns := (project, app, amplitude_id, session_id)),
    refers_to(
      column := amplitude_id,
      parent := silver.user_aliases,
      parent_column := canonical_amplitude_id
    ),
    forall(criteria := (session_id <> -1, session_seconds >= 0, events > 0))
  )
);

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    (project, app, session_id) IN (
      SELECT
        project,
        app,
        session_id
      FROM @touched_sessions(@start_ts, @end_ts) AS touched
    )
);

WITH events AS (
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.session_id,
    events.event_time,
    COALESCE(events.client_event_time, events.event_time) AS client_event_time
  FROM silver.events AS events
  JOIN @touched_sessions(@start_ts, @end_ts) AS touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.session_id = events.session_id
  JOIN silver.user_aliases AS aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  LEFT JOIN @inactive_event_types(@end_ts) AS inactive
    ON inactive.project = events.project AND inactive.event_type = events.event_type
  WHERE
    inactive.event_type IS NULL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  session_id::BIGINT AS session_id, /* Start of the session in epoch milliseconds by the client's clock */
  MIN(event_time)::TIMESTAMPNTZ AS session_started_at, /* Time of the first active event (UTC) */
  MAX(event_time)::TIMESTAMPNTZ AS session_ended_at, /* Time of the last active event (UTC) */
  @reporting_date(MIN(event_time))::DATE AS session_date, /* Day of the session's start in the reporting time zone */
  (
    DATEDIFF(MICROSECOND, MIN(client_event_time), MAX(client_event_time)) / 1000000.0
  )::DOUBLE AS session_seconds, /* Seconds from the first to the last active event by the client's clock */
  COUNT(*)::BIGINT AS events /* Number of active events */
FROM events
GROUP BY
  project,
  app,
  amplitude_id,
  session_id
