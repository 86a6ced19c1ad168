/* Where users come from, a day at a time, by first touch and by last touch. First touch is what
 * first brought the user (silver.users); of users who merged, the one with the earliest event
 * counts. Last touch is the latest of the user's sessions up to this one that came from anywhere,
 * if it started within attribution_window_days before. New users go by their first session, if it
 * is of their first day. A touch is that of the whole session, and of all its events: source,
 * medium, campaign and referrer are each the first non-null value ("Use session metrics in Data
 * Tables"). A segment has the sessions of its own events (silver.segment_sessions), and every user
 * with an event in it on their first day. Sessions of more than a day are not counted, but may be
 * a touch. Summed up over the sources, sessions and new users are those of the day. */
MODEL (
  name gold.acquisition,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (
    project,
    app,
    metric_date,
    breakdown,
    segment,
    touch,
    source,
    medium,
    campaign,
    referrer
  ),
  audits (
    rows_are_sound(
      keys := (
        project,
        app,
        metric_date,
        breakdown,
        segment,
        touch,
        source,
        medium,
        campaign,
        referrer
      ),
      criteria := (
        NOT segment IS NULL,
        NOT source IS NULL,
        NOT medium IS NULL,
        NOT campaign IS NULL,
        NOT referrer IS NULL,
        active_users <= sessions,
        new_users + sessions > 0
      )
    ),
    touches_add_up
  )
);

WITH numbered AS (
  /* Each session with the number of the latest one up to itself that came from anywhere. */
  SELECT
    *,
    MAX(IFF(COALESCE(source, medium, campaign, referrer) IS NULL, NULL, session_number)) OVER (PARTITION BY project, app, amplitude_id ORDER BY session_number) AS touch_number
  FROM silver.sessions
), first_touches AS (
  SELECT
    users.project,
    users.app,
    users.canonical_amplitude_id AS amplitude_id,
    @touch_columns(users, first_)
  FROM silver.users AS users
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY users.project, users.app, users.canonical_amplitude_id
      ORDER BY users.first_seen_at, users.amplitude_id
    ) = 1
), credits AS (
  SELECT
    sessions.project,
    sessions.app,
    sessions.amplitude_id,
    sessions.session_id,
    'first' AS touch,
    @touch_columns(touches)
  FROM silver.sessions AS sessions
  JOIN first_touches AS touches
    ON touches.project = sessions.project
    AND touches.app = sessions.app
    AND touches.amplitude_id = sessions.amplitude_id
  UNION ALL
  SELECT
    sessions.project,
    sessions.app,
    sessions.amplitude_id,
    sessions.session_id,
    'last' AS touch,
    @touch_columns(touches)
  FROM numbered AS sessions
  LEFT JOIN silver.sessions AS touches
    ON touches.project = sessions.project
    AND touches.app = sessions.app
    AND touches.amplitude_id = sessions.amplitude_id
    AND touches.session_number = sessions.touch_number
    AND touches.session_started_at >= DATEADD(DAY, -@attribution_window_days, sessions.session_started_at)
), session_totals AS (
  SELECT
    sessions.project,
    sessions.app,
    sessions.session_date AS metric_date,
    sessions.breakdown,
    sessions.segment,
    credits.touch,
    @touch_columns(credits),
    COUNT(DISTINCT sessions.amplitude_id) AS active_users,
    COUNT(*) AS sessions
  FROM @shown(silver.segment_sessions, session_date) AS sessions
  JOIN credits
    ON credits.project = sessions.project
    AND credits.app = sessions.app
    AND credits.amplitude_id = sessions.amplitude_id
    AND credits.session_id = sessions.session_id
  WHERE
    NOT sessions.is_longer_than_a_day
  GROUP BY ALL
), new_days AS (
  SELECT
    days.*
  FROM @shown(silver.segment_days, event_date) AS days
  WHERE
    days.event_date = days.first_date
), totals AS (
  SELECT
    session_totals.*,
    0 AS new_users
  FROM session_totals
  UNION ALL
  SELECT
    days.project,
    days.app,
    days.event_date AS metric_date,
    days.breakdown,
    days.segment,
    'first' AS touch,
    @touch_columns(touches),
    0 AS active_users,
    0 AS sessions,
    1 AS new_users
  FROM new_days AS days
  JOIN first_touches AS touches
    ON touches.project = days.project
    AND touches.app = days.app
    AND touches.amplitude_id = days.amplitude_id
  UNION ALL
  SELECT
    days.project,
    days.app,
    days.event_date AS metric_date,
    days.breakdown,
    days.segment,
    'last' AS touch,
    @touch_columns(touches),
    0 AS active_users,
    0 AS sessions,
    1 AS new_users
  FROM new_days AS days
  LEFT JOIN silver.sessions AS touches
    ON touches.project = days.project
    AND touches.app = days.app
    AND touches.amplitude_id = days.amplitude_id
    AND touches.session_number = 1
    AND touches.session_date = days.event_date
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  metric_date::DATE AS metric_date, /* Day in the reporting time zone */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* Platform or country; (none) where events name none, (all) for all */
  touch::VARCHAR AS touch, /* Which touch gets the credit: first or last */
  COALESCE(source, '(none)')::VARCHAR AS source, /* utm_source of the touch; (none) without one, or where the SDK writes EMPTY */
  COALESCE(medium, '(none)')::VARCHAR AS medium, /* utm_medium of the touch, likewise */
  COALESCE(campaign, '(none)')::VARCHAR AS campaign, /* utm_campaign of the touch, likewise */
  COALESCE(referrer, '(none)')::VARCHAR AS referrer, /* Domain of the referrer of the touch, likewise */
  SUM(new_users)::BIGINT AS new_users, /* Users whose first event, of whatever type, was on the day */
  SUM(active_users)::BIGINT AS active_users, /* Users with a session that started on the day; with sessions of several sources, they count for each */
  SUM(sessions)::BIGINT AS sessions /* Sessions that started on the day, those of more than a day left out */
FROM totals
GROUP BY ALL
