/* How many users did what on every day, in all and by platform and country: each event type with
 * its events, its users, and these as a share of the day's active users (Amplitude's "Active %").
 * Users are counted after merging. A user of a segment had an event of the type with that platform
 * or country. The share of an inactive type may be more than 1, because its users need not be
 * active (FAQ "Event Segmentation", Active % of more than 100%). A day is computed anew as a whole
 * when anything of it changes, because users cannot be added up. */
MODEL (
  name gold.event_adoption_daily,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, event_date, event_type, breakdown, segment),
  audits (
    rows_are_sound(
      keys := (project, app, event_date, event_type, breakdown, segment),
      columns := (
        project,
        app,
        event_date,
        event_type,
        breakdown,
        segment,
        events,
        users,
        active_users
      ),
      criteria := (
        users > 0,
        users <= events,
        active_users_share > 0,
        (
          active_users_share IS NULL
        ) = (
          active_users = 0
        )
      )
    ),
    daily_sums_agree(
      value := events,
      parent := silver.segment_days,
      parent_value := parent.events,
      parent_date := event_date
    )
  )
);

@delete_touched((project, app, event_date), @touched_dates(@start_ts, @end_ts), @start_ts);

WITH touched AS (
  SELECT
    touched.project,
    touched.app,
    touched.event_date
  FROM @shown(@touched_dates(@start_ts, @end_ts), event_date) AS touched
), user_events AS (
  SELECT
    events.project,
    events.app,
    events.event_date,
    events.event_type,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.platform,
    events.country,
    COUNT(*) AS events
  FROM silver.events AS events
  JOIN touched
    ON touched.project = events.project
    AND touched.app = events.app
    AND touched.event_date = events.event_date
  JOIN silver.user_aliases AS aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  GROUP BY ALL
), users AS (
  SELECT
    user_events.project,
    user_events.app,
    user_events.event_date,
    user_events.event_type,
    user_events.amplitude_id,
    breakdowns.breakdown,
    @segment(breakdowns.breakdown, user_events.platform, user_events.country) AS segment,
    SUM(user_events.events) AS events
  FROM user_events
  CROSS JOIN @breakdowns() AS breakdowns
  GROUP BY ALL
), segments AS (
  SELECT
    days.project,
    days.app,
    days.breakdown,
    days.segment,
    days.event_date,
    COUNT_IF(days.active_events > 0) AS active_users
  FROM silver.segment_days AS days
  JOIN touched
    ON touched.project = days.project
    AND touched.app = days.app
    AND touched.event_date = days.event_date
  GROUP BY ALL
)
SELECT
  users.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  users.app::BIGINT AS app, /* Amplitude's number of the project */
  users.event_date::DATE AS event_date, /* Day in the reporting time zone */
  users.event_type::VARCHAR AS event_type, /* Name of the event */
  users.breakdown::VARCHAR AS breakdown, /* all, platform or country */
  users.segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  SUM(users.events)::BIGINT AS events, /* Events of the type on the day */
  COUNT(*)::BIGINT AS users, /* Users who did it */
  MAX(segments.active_users)::BIGINT AS active_users, /* Active users of the day in the segment, whatever they did */
  (
    COUNT(*)::DOUBLE / NULLIF(MAX(segments.active_users), 0)
  )::DOUBLE AS active_users_share /* Users who did it for each of them, NULL where there are none */
FROM users
JOIN segments
  ON segments.project = users.project
  AND segments.app = users.app
  AND segments.breakdown = users.breakdown
  AND segments.segment = users.segment
  AND segments.event_date = users.event_date
GROUP BY ALL
