/* What every user did on every day: the days that active users, new users and retention are
 * counted from. */
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
    rows_are_sound(
      keys := (project, app, amplitude_id, event_date),
      columns := (project, app, amplitude_id, event_date, events, active_events),
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

SELECT
  hours.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  hours.app::BIGINT AS app, /* Amplitude's number of the project */
  hours.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the events, not merged */
  hours.event_date::DATE AS event_date, /* Day of the events in the reporting time zone */
  SUM(hours.events)::BIGINT AS events, /* Number of events */
  SUM(hours.active_events)::BIGINT AS active_events, /* Number of events of active types; a user is active on a day with at least one */
  MIN(hours.first_event_at)::TIMESTAMPNTZ AS first_event_at, /* Time of the day's first event (UTC) */
  MAX(hours.last_event_at)::TIMESTAMPNTZ AS last_event_at /* Time of the day's last event (UTC) */
FROM @rows_of_run(
  silver.user_hours,
  (project, app, amplitude_id, event_date),
  @touched_user_days(@start_ts, @end_ts),
  @start_ts
) AS hours
GROUP BY ALL
