/* Every session: the events of a merged user with one session_id. Events outside of sessions
 * (session_id -1) and events of inactive or deleted types count in no session. A session is dated
 * by its start ("Track sessions") and measured by the client's clock ("How Amplitude calculates
 * session length"). Each value that a session shows, where it came from included, is the first
 * non-null one of its events ("Use session metrics in Data Tables"); a uuid decides between events
 * at one time. Charts read silver.segment_sessions, which has the same sessions by segment.
 * Sessions are numbered after the insert, because a late session moves the numbers of sessions
 * that the run does not read. The update numbers the sessions of users who have a session without
 * a number (from this run) or a gap (a session went to another user). SQLMesh calls the first run
 * of a model "creating". */
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
    rows_are_sound(
      keys := (project, app, amplitude_id, session_id),
      columns := (project, app, amplitude_id, session_id, session_started_at, session_date, events),
      criteria := (session_id <> -1, session_seconds >= 0, events > 0),
      condition := @of_run((project, app, session_id), @touched_sessions(@start_ts, @end_ts), @start_ts)
    ),
    refers_to(
      column := amplitude_id,
      parent := silver.user_aliases,
      parent_column := canonical_amplitude_id
    ),
    numbered_without_gaps(
      column := session_number,
      keys := (project, app, amplitude_id),
      condition := @of_run((project, app, amplitude_id), @touched_merged_users(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, session_id), @touched_sessions(@start_ts, @end_ts), @start_ts);

WITH events AS (
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.session_id,
    events.event_time,
    events.uuid,
    COALESCE(events.client_event_time, events.event_time) AS client_event_time,
    events.event_type,
    events.device_id,
    events.platform,
    events.country,
    @property_text(events.event_properties, '[Amplitude] Page Path') AS page,
    @touch_text(events.user_properties, 'utm_source') AS source,
    @touch_text(events.user_properties, 'utm_medium') AS medium,
    @touch_text(events.user_properties, 'utm_campaign') AS campaign,
    @touch_text(events.user_properties, 'referring_domain') AS referrer
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
  LEFT JOIN @event_types_outside_sessions(@end_ts) AS outside
    ON outside.project = events.project AND outside.event_type = events.event_type
  WHERE
    NOT events.session_id IS NULL AND outside.event_type IS NULL
), numbered AS (
  /* Apart from the step before, so that no JSON is sorted. */
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY project, app, amplitude_id, session_id ORDER BY event_time, uuid) AS event_number
  FROM events
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  session_id::BIGINT AS session_id, /* Start of the session in epoch milliseconds by the client's clock */
  NULL::BIGINT AS session_number, /* 1 for the user's first session, 2 for the next, by their start */
  MIN(event_time)::TIMESTAMPNTZ AS session_started_at, /* Time of the first event (UTC) */
  MAX(event_time)::TIMESTAMPNTZ AS session_ended_at, /* Time of the last event (UTC) */
  @reporting_date(MIN(event_time))::DATE AS session_date, /* Day of the session's start in the reporting time zone */
  @session_seconds(MIN(client_event_time), MAX(client_event_time))::DOUBLE AS session_seconds, /* Seconds from the first to the last event by the client's clock */
  @is_longer_than_a_day(MIN(client_event_time), MAX(client_event_time))::BOOLEAN AS is_longer_than_a_day, /* Whether that is more than a day: Amplitude's charts leave the session out */
  COUNT(*)::BIGINT AS events, /* Number of events */
  MIN_BY(event_type, event_number)::VARCHAR AS entry_event_type, /* Type of the first event */
  MAX_BY(event_type, event_number)::VARCHAR AS exit_event_type, /* Type of the last event */
  @first_value(page, event_number)::VARCHAR AS entry_page, /* Path of the first page, NULL in an app */
  MAX_BY(page, IFF(page IS NULL, NULL, event_number))::VARCHAR AS exit_page, /* Path of the last page, NULL in an app */
  @first_value(device_id, event_number)::VARCHAR AS device_id, /* First device or browser */
  @first_value(platform, event_number)::VARCHAR AS platform, /* First platform; NULL for a server's session */
  @first_value(country, event_number)::VARCHAR AS country, /* First country */
  @first_value(source, event_number)::VARCHAR AS source, /* First utm_source, NULL for none */
  @first_value(medium, event_number)::VARCHAR AS medium, /* First utm_medium, NULL for none */
  @first_value(campaign, event_number)::VARCHAR AS campaign, /* First utm_campaign, NULL for none */
  @first_value(referrer, event_number)::VARCHAR AS referrer /* First domain of a referrer, NULL for none */
FROM numbered
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
        GROUP BY ALL
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
