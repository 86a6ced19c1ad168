/* What every user did on every day: the days that active users, new users and retention are counted from. */
MODEL (
  name silver.user_days,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, event_date),
  audits (
    not_null(columns := (project, app, amplitude_id, event_date, events, active_events)),
    unique_combination_of_columns(columns := (project, app, amplitude_id, event_date)),
    forall(criteria := (
      active_events <= events
    ))
  )
);

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    (project, app, amplitude_id, event_date) IN (
      SELECT
        project,
        app,
        amplitude_id,
        event_date
      FROM @touched_user_days(@start_ts, @end_ts) AS touched
    )
);

SELECT
  events.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  events.app::BIGINT AS app, /* Amplitude's number of the project */
  events.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  events.event_date::DATE AS event_date, /* Day of the events in the reporting time zone */
  COUNT(*)::BIGINT AS events, /* Number of events */
  COUNT_IF(inactive.event_type IS NULL)::BIGINT AS active_events, /* Number of events of active types; a user is active on a day with at least one */
  MIN(events.event_time)::TIMESTAMPNTZ AS first_event_at, /* Time of the day's first event (UTC) */
  MAX(events.event_time)::TIMESTAMPNTZ AS last_event_at /* Time of the day's last event (UTC) */
FROM silver.events AS events
JOIN @touched_user_days(@start_ts, @end_ts) AS touched
  ON touched.project = events.project
  AND touched.app = events.app
  AND touched.amplitude_id = events.amplitude_id
  AND touched.event_date = events.event_date
LEFT JOIN @inactive_event_types(@end_ts) AS inactive
  ON inactive.project = events.project AND inactive.event_type = events.event_type
GROUP BY
  events.project,
  events.app,
  events.amplitude_id,
  events.event_date
