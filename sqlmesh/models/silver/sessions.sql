/* Every session: a user's active events with one session_id. Events outside of sessions (session_id -1) are none.
 * Amplitude dates a session by its start and measures its length by the client's clock. What a session began with are the values of its first
 * active event (entry), what it ended with those of its last (exit); of events at one time the uuid decides. Sessions are numbered after the
 * insert, since a late one moves the numbers of sessions whose events nobody needs to read again: those of users who have a session without a
 * number (it is of this run) or a gap (a session went to another user). SQLMesh calls the first run of a model creating. */
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
    unique_combination_of_columns(
      columns := (project, app, amplitude_id, session_id),
      condition := @of_run((project, app, session_id), @touched_sessions(@start_ts, @end_ts), @start_ts)
    ),
    refers_to(
      column := amplitude_id,
      parent := silver.user_aliases,
      parent_column := canonical_amplitude_id
    ),
    forall(criteria := (session_id <> -1, session_seconds >= 0, events > 0)),
    numbered_without_gaps(
      column := session_number,
      keys := (project, app, amplitude_id),
      condition := @of_run((project, app, amplitude_id), @touched_merged_users(@start_ts, @end_ts), @start_ts)
    )
  )
);

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    @of_run((project, app, session_id), @touched_sessions(@start_ts, @end_ts), @start_ts)
);

WITH events AS (
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.session_id,
    events.event_time,
    COALESCE(events.client_event_time, events.event_time) AS client_event_time,
    events.event_type,
    events.device_id,
    events.platform,
    events.country,
    @property_text(events.event_properties, '[Amplitude] Page Path') AS page,
    @touch_text(events.user_properties, 'utm_source') AS source,
    @touch_text(events.user_properties, 'utm_medium') AS medium,
    @touch_text(events.user_properties, 'utm_campaign') AS campaign,
    @touch_text(events.user_properties, 'referring_domain') AS referrer,
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, aliases.canonical_amplitude_id, events.session_id
      ORDER BY events.event_time, events.uuid
    ) AS event_number
  FROM @rows_of_run(
    silver.events,
    (project, app, session_id),
    @touched_sessions(@start_ts, @end_ts),
    @start_ts
  ) AS events
  JOIN silver.user_aliases AS aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  LEFT JOIN @inactive_event_types(@end_ts) AS inactive
    ON inactive.project = events.project AND inactive.event_type = events.event_type
  WHERE
    NOT events.session_id IS NULL AND inactive.event_type IS NULL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  session_id::BIGINT AS session_id, /* Start of the session in epoch milliseconds by the client's clock */
  NULL::BIGINT AS session_number, /* 1 for the user's first session, 2 for the next, by their start */
  MIN(event_time)::TIMESTAMPNTZ AS session_started_at, /* Time of the first active event (UTC) */
  MAX(event_time)::TIMESTAMPNTZ AS session_ended_at, /* Time of the last active event (UTC) */
  @reporting_date(MIN(event_time))::DATE AS session_date, /* Day of the session's start in the reporting time zone */
  (
    DATEDIFF(MICROSECOND, MIN(client_event_time), MAX(client_event_time)) / 1000000.0
  )::DOUBLE AS session_seconds, /* Seconds from the first to the last active event by the client's clock */
  COUNT(*)::BIGINT AS events, /* Number of active events */
  MIN_BY(event_type, event_number)::VARCHAR AS entry_event_type, /* Type of the first active event */
  MAX_BY(event_type, event_number)::VARCHAR AS exit_event_type, /* Type of the last active event */
  MIN_BY(page, IFF(page IS NULL, NULL, event_number))::VARCHAR AS entry_page, /* Path of the first page, NULL in an app */
  MAX_BY(page, IFF(page IS NULL, NULL, event_number))::VARCHAR AS exit_page, /* Path of the last page, NULL in an app */
  MAX(IFF(event_number = 1, device_id, NULL))::VARCHAR AS device_id, /* Id of the device or browser that it began on */
  MAX(IFF(event_number = 1, platform, NULL))::VARCHAR AS platform, /* Platform that it began on; NULL for a server's */
  MAX(IFF(event_number = 1, country, NULL))::VARCHAR AS country, /* Country that it began in */
  MAX(IFF(event_number = 1, source, NULL))::VARCHAR AS source, /* utm_source that the user had when it began, NULL for none */
  MAX(IFF(event_number = 1, medium, NULL))::VARCHAR AS medium, /* utm_medium of the same */
  MAX(IFF(event_number = 1, campaign, NULL))::VARCHAR AS campaign, /* utm_campaign of the same */
  MAX(IFF(event_number = 1, referrer, NULL))::VARCHAR AS referrer /* Domain of the referrer of the same */
FROM events
GROUP BY
  project,
  app,
  amplitude_id,
  session_id;

@IF(
  @runtime_stage IN ('creating', 'evaluating'),
  UPDATE @this_model AS sessions SET session_number = numbered.session_number
  FROM (
    SELECT
      project,
      app,
      amplitude_id,
      session_id,
      ROW_NUMBER() OVER (PARTITION BY project, app, amplitude_id ORDER BY session_started_at, session_id) AS session_number
    FROM @this_model
    WHERE
      (project, app, amplitude_id) IN (
        SELECT
          project,
          app,
          amplitude_id
        FROM @this_model
        GROUP BY
          project,
          app,
          amplitude_id
        HAVING
          COUNT(session_number) < COUNT(*) OR MAX(session_number) > COUNT(*)
      )
  ) AS numbered
  WHERE
    sessions.project = numbered.project
    AND sessions.app = numbered.app
    AND sessions.amplitude_id = numbered.amplitude_id
    AND sessions.session_id = numbered.session_id
)
