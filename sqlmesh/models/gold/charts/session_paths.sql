/* What follows what in sessions: for each day, in all and by platform and country, how often one event was followed by
 * another. A session begins with (start) and ends with (end), so each event is the start of one edge and the end of
 * one. The date of an edge is that of the event that it starts from; the date of (start) is that of the session's
 * first event. Events are in order of their time; the uuid decides between events at one time. They are those of
 * silver.segment_sessions: a segment's paths consist of its own events alone, without inactive and deleted types
 * ("Interpret your User Sessions chart", "How Amplitude calculates session length"). Sessions of more than a day have
 * paths, because only the User Sessions chart leaves them out. Sessions that began before the days that charts show
 * (silver.apps) have none. */
MODEL (
  name gold.session_paths,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  depends_on (
    silver.segment_sessions
  ), /* which the audit looks at */
  grain (project, app, event_date, breakdown, segment, from_event_type, to_event_type),
  audits (
    rows_are_sound(
      keys := (project, app, event_date, breakdown, segment, from_event_type, to_event_type),
      columns := (
        project,
        app,
        event_date,
        breakdown,
        segment,
        from_event_type,
        to_event_type,
        transitions,
        sessions,
        users
      ),
      criteria := (users > 0, users <= sessions, sessions <= transitions)
    ),
    daily_sums_agree(
      value := IFF(from_event_type = '(start)', transitions, 0),
      parent := silver.segment_sessions,
      parent_value := 1,
      parent_date := session_date
    ),
    what_comes_goes(
      keys := (project, app, breakdown, segment),
      source := from_event_type,
      target := to_event_type,
      amount := transitions
    )
  )
);

@delete_touched((project, app, event_date), @touched_session_dates(@start_ts, @end_ts), @start_ts);

WITH touched AS (
  SELECT
    touched.project,
    touched.app,
    touched.event_date
  FROM @touched_session_dates(@start_ts, @end_ts) AS touched
), sessions AS (
  SELECT DISTINCT
    events.project,
    events.app,
    events.session_id
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.event_date = events.event_date
  WHERE
    NOT events.session_id IS NULL
), numbered AS (
  /* Apart from the step after, so that no uuid is sorted again. */
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.session_id,
    @segment('platform', events.platform, events.country) AS platform,
    @segment('country', events.platform, events.country) AS country,
    events.event_date,
    events.event_type,
    apps.first_date,
    ROW_NUMBER() OVER (
      PARTITION BY events.project, events.app, aliases.canonical_amplitude_id, events.session_id
      ORDER BY events.event_time, events.uuid
    ) AS number_in_all,
    LEAD(events.event_type) OVER (
      PARTITION BY events.project, events.app, aliases.canonical_amplitude_id, events.session_id
      ORDER BY events.event_time, events.uuid
    ) AS next_in_all,
    FIRST_VALUE(events.event_date) OVER (
      PARTITION BY events.project, events.app, aliases.canonical_amplitude_id, events.session_id
      ORDER BY events.event_time, events.uuid
    ) AS start_in_all
  FROM silver.events AS events
  JOIN sessions
    ON sessions.project = events.project
    AND sessions.app = events.app
    AND sessions.session_id = events.session_id
  JOIN silver.apps AS apps
    ON apps.project = events.project
    AND apps.app = events.app
    AND events.event_date <= apps.frontier_date
  JOIN silver.user_aliases AS aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  LEFT JOIN @event_types_outside_sessions(@end_ts) AS outside
    ON outside.project = events.project AND outside.event_type = events.event_type
  WHERE
    outside.event_type IS NULL
), steps AS (
  /* A row an event: a row for each breakdown would take three times the memory to sort. */
  SELECT
    *,
    @EACH(
      [platform, country],
      x -> ROW_NUMBER() OVER (PARTITION BY project, app, amplitude_id, session_id, @x ORDER BY number_in_all) AS number_in_@x
    ),
    @EACH(
      [platform, country],
      x -> LEAD(event_type) OVER (PARTITION BY project, app, amplitude_id, session_id, @x ORDER BY number_in_all) AS next_in_@x
    ),
    @EACH(
      [platform, country],
      x -> FIRST_VALUE(event_date) OVER (PARTITION BY project, app, amplitude_id, session_id, @x ORDER BY number_in_all) AS start_in_@x
    )
  FROM numbered
), edges AS (
  /* Each event begins an edge, and the first ends one, too. */
  SELECT
    steps.project,
    steps.app,
    steps.amplitude_id,
    steps.session_id,
    breakdowns.breakdown,
    @segment(breakdowns.breakdown, steps.platform, steps.country) AS segment,
    steps.event_date,
    IFF(ends.is_start, '(start)', steps.event_type) AS from_event_type,
    IFF(
      ends.is_start,
      steps.event_type,
      COALESCE(
        @by_breakdown(breakdowns.breakdown, next_in_all, next_in_platform, next_in_country),
        '(end)'
      )
    ) AS to_event_type
  FROM steps
  CROSS JOIN @breakdowns() AS breakdowns
  CROSS JOIN (
    SELECT
      FALSE AS is_start
    UNION ALL
    SELECT
      TRUE AS is_start
  ) AS ends
  WHERE
    first_date <= @by_breakdown(breakdowns.breakdown, start_in_all, start_in_platform, start_in_country)
    AND (
      NOT ends.is_start
      OR @by_breakdown(breakdowns.breakdown, number_in_all, number_in_platform, number_in_country) = 1
    )
), session_edges AS (
  SELECT
    edges.project,
    edges.app,
    edges.amplitude_id,
    edges.session_id,
    edges.breakdown,
    edges.segment,
    edges.event_date,
    edges.from_event_type,
    edges.to_event_type,
    COUNT(*) AS transitions
  FROM edges
  JOIN touched
    ON touched.project = edges.project
    AND touched.app = edges.app
    AND touched.event_date = edges.event_date
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  event_date::DATE AS event_date, /* Day, in the reporting time zone, of the event that the edge starts from */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  from_event_type::VARCHAR AS from_event_type, /* Type of the event that the edge starts from; (start) before a session's first */
  to_event_type::VARCHAR AS to_event_type, /* Type of the next event; (end) after a session's last */
  SUM(transitions)::BIGINT AS transitions, /* How often the one was followed by the other */
  COUNT(*)::BIGINT AS sessions, /* In how many sessions */
  COUNT(DISTINCT amplitude_id)::BIGINT AS users /* Of how many users, after merging */
FROM session_edges
GROUP BY ALL
