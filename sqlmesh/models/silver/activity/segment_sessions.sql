/* Every session, in all and by platform and country, as the charts count it. Amplitude filters
 * events first and then groups them into sessions: a session of a segment consists of the
 * segment's events alone, which also date and measure it ("Interpret your User Sessions chart",
 * how filtering works). So one session can be a session of several segments. */
MODEL (
  name silver.segment_sessions,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, breakdown, segment, session_id),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id, breakdown, segment, session_id),
      columns := (
        project,
        app,
        amplitude_id,
        breakdown,
        segment,
        session_id,
        session_started_at,
        session_date,
        session_seconds,
        is_longer_than_a_day,
        events
      ),
      criteria := (session_id <> -1, session_seconds >= 0, events > 0),
      condition := @of_run((project, app, session_id), @touched_sessions(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, session_id), @touched_sessions(@start_ts, @end_ts), @start_ts);

WITH parts AS (
  /* The events of a session with one platform and one country, which are in the same segments. */
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.session_id,
    events.platform,
    events.country,
    MIN(events.event_time) AS first_event_at,
    MAX(events.event_time) AS last_event_at,
    MIN(COALESCE(events.client_event_time, events.event_time)) AS first_client_time,
    MAX(COALESCE(events.client_event_time, events.event_time)) AS last_client_time,
    COUNT(*) AS events
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
  GROUP BY ALL
), sessions AS (
  SELECT
    parts.project,
    parts.app,
    parts.amplitude_id,
    breakdowns.breakdown,
    @segment(breakdowns.breakdown, parts.platform, parts.country) AS segment,
    parts.session_id,
    MIN(parts.first_event_at) AS first_event_at,
    MAX(parts.last_event_at) AS last_event_at,
    MIN(parts.first_client_time) AS first_client_time,
    MAX(parts.last_client_time) AS last_client_time,
    SUM(parts.events) AS events
  FROM parts
  CROSS JOIN @breakdowns() AS breakdowns
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  session_id::BIGINT AS session_id, /* Start of the session in epoch milliseconds by the client's clock */
  first_event_at::TIMESTAMPNTZ AS session_started_at, /* Time of the session's first event in the segment (UTC) */
  last_event_at::TIMESTAMPNTZ AS session_ended_at, /* Time of its last event in the segment (UTC) */
  @reporting_date(first_event_at)::DATE AS session_date, /* Day of its first event in the segment, in the reporting time zone */
  @session_seconds(first_client_time, last_client_time)::DOUBLE AS session_seconds, /* Seconds between these events by the client's clock */
  @is_longer_than_a_day(first_client_time, last_client_time)::BOOLEAN AS is_longer_than_a_day, /* Whether that is more than a day: Amplitude's charts leave the session out */
  events::BIGINT AS events /* Number of its events in the segment */
FROM sessions
