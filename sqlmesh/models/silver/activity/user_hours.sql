/* What every user did in every hour, by platform and country. Days are summed up from these hours,
 * and retention goes by them. An hour is one of the clocks in the reporting time zone. */
MODEL (
  name silver.user_hours,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, event_hour, platform, country),
  audits (
    rows_are_sound(
      keys := (project, app, amplitude_id, event_hour, platform, country),
      columns := (project, app, amplitude_id, event_hour, event_date, events, active_events),
      criteria := (
        active_events <= events
      ),
      condition := @of_run(
        (project, app, amplitude_id, event_date),
        @touched_user_days(@start_ts, @end_ts),
        @start_ts
      )
    )
  )
);

@delete_touched(
  (project, app, amplitude_id, event_date),
  @touched_user_days(@start_ts, @end_ts),
  @start_ts
);

WITH events AS (
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.event_time,
    events.event_date,
    events.platform,
    events.country,
    @reporting_hour(events.event_time) AS event_hour,
    inactive.event_type IS NULL AS is_active
  FROM @rows_of_run(
    silver.events,
    (project, app, amplitude_id, event_date),
    @touched_user_days(@start_ts, @end_ts),
    @start_ts
  ) AS events
  LEFT JOIN @inactive_event_types(@end_ts) AS inactive
    ON inactive.project = events.project AND inactive.event_type = events.event_type
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  event_hour::TIMESTAMPNTZ AS event_hour, /* Start of the hour (UTC) */
  MIN(event_date)::DATE AS event_date, /* Its day in the reporting time zone */
  platform::VARCHAR AS platform, /* Platform of the events; NULL for a server's */
  country::VARCHAR AS country, /* Country of the events */
  COUNT(*)::BIGINT AS events, /* Number of events */
  COUNT_IF(is_active)::BIGINT AS active_events, /* Number of events of active types */
  MIN(event_time)::TIMESTAMPNTZ AS first_event_at, /* Time of the first event (UTC) */
  MAX(event_time)::TIMESTAMPNTZ AS last_event_at /* Time of the last event (UTC) */
FROM events
GROUP BY ALL
