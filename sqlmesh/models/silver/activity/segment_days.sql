/* Every day of every merged user, in all and by platform and country, with the active day before
 * and the one after. The charts of active users count these days. A user is in every segment that
 * an event of theirs had on the day. */
MODEL (
  name silver.segment_days,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, breakdown, segment, event_date),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id, breakdown, segment, event_date),
      columns := (
        project,
        app,
        amplitude_id,
        breakdown,
        segment,
        event_date,
        events,
        active_events,
        first_date
      ),
      criteria := (
        active_events <= events,
        first_date <= event_date,
        previous_active_date < event_date,
        event_date < next_active_date
      ),
      condition := @of_run((project, app, amplitude_id), @touched_merged_users(@start_ts, @end_ts), @start_ts)
    ),
    refers_to(
      column := amplitude_id,
      parent := silver.user_aliases,
      parent_column := canonical_amplitude_id,
      condition := @of_run((project, app, amplitude_id), @touched_merged_users(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, amplitude_id), @touched_merged_users(@start_ts, @end_ts), @start_ts);

WITH aliases AS (
  SELECT
    aliases.*
  FROM @rows_of_run(
    silver.user_aliases,
    (project, app, canonical_amplitude_id),
    @touched_merged_users(@start_ts, @end_ts),
    @start_ts
  ) AS aliases
), hours AS (
  SELECT
    hours.project,
    hours.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    hours.event_date,
    hours.platform,
    hours.country,
    SUM(hours.events) AS events,
    SUM(hours.active_events) AS active_events
  FROM silver.user_hours AS hours
  JOIN aliases
    ON aliases.project = hours.project
    AND aliases.app = hours.app
    AND aliases.amplitude_id = hours.amplitude_id
  GROUP BY ALL
), days AS (
  SELECT
    hours.project,
    hours.app,
    hours.amplitude_id,
    hours.event_date,
    breakdowns.breakdown,
    @segment(breakdowns.breakdown, hours.platform, hours.country) AS segment,
    SUM(hours.events) AS events,
    SUM(hours.active_events) AS active_events
  FROM hours
  CROSS JOIN @breakdowns() AS breakdowns
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  event_date::DATE AS event_date, /* Day in the reporting time zone */
  events::BIGINT AS events, /* Number of events */
  active_events::BIGINT AS active_events, /* Number of events of active types; the user is active on the day with at least one */
  MIN(event_date) OVER (PARTITION BY project, app, amplitude_id)::DATE AS first_date, /* Day of the user's first event, of whatever type and segment: the user is new on it */
  MAX(IFF(active_events > 0, event_date, NULL)) OVER (
    PARTITION BY project, app, amplitude_id, breakdown, segment
    ORDER BY event_date
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  )::DATE AS previous_active_date, /* The user's active day before in the segment */
  MIN(IFF(active_events > 0, event_date, NULL)) OVER (
    PARTITION BY project, app, amplitude_id, breakdown, segment
    ORDER BY event_date
    ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
  )::DATE AS next_active_date /* The user's next active day in the segment */
FROM days
