/* Which value every property of a user had when: from the event that first shows it to the event
 * that shows another. If several events have one time, the last by uuid counts.
 * A property that an event does not show keeps its value. Amplitude documents that events carry
 * all properties of their user, but rows without any are common in exports (those of servers,
 * those before an identify call has arrived). No row says whether its properties were unset. */
MODEL (
  name silver.user_property_changes,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, property, valid_from),
  audits (
    not_null(columns := (project, app, amplitude_id, property, value_type, valid_from)),
    accepted_values(
      column := value_type,
      is_in := ('text', 'number', 'boolean', 'object', 'array', 'null')
    ),
    spans_without_gaps_or_overlaps(
      keys := (project, app, amplitude_id, property),
      start_column := valid_from,
      end_column := valid_to,
      condition := @of_run((project, app, amplitude_id), @touched_users(@start_ts, @end_ts), @start_ts)
    )
  )
);

@delete_touched((project, app, amplitude_id), @touched_users(@start_ts, @end_ts), @start_ts);

WITH sets AS (
  /* Most events show what the one before has shown: these need not be taken apart. */
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.event_time,
    events.uuid,
    events.user_properties
  FROM @rows_of_run(
    silver.events,
    (project, app, amplitude_id),
    @touched_users(@start_ts, @end_ts),
    @start_ts
  ) AS events
  WHERE
    events.user_properties::VARCHAR <> '{}'
  QUALIFY
    events.user_properties::VARCHAR IS DISTINCT FROM LAG(events.user_properties::VARCHAR) OVER (
      PARTITION BY events.project, events.app, events.amplitude_id
      ORDER BY events.event_time, events.uuid
    )
), shown AS (
  SELECT
    project,
    app,
    amplitude_id,
    property,
    event_time,
    value_type,
    value_text
  FROM @properties_of(sets, user_properties, (project, app, amplitude_id, event_time, uuid)) AS properties
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY project, app, amplitude_id, property, event_time
      ORDER BY uuid DESC, value_text
    ) = 1
), changes AS (
  SELECT
    *
  FROM shown
  QUALIFY
    value_type IS DISTINCT FROM LAG(value_type) OVER (PARTITION BY project, app, amplitude_id, property ORDER BY event_time)
    OR value_text IS DISTINCT FROM LAG(value_text) OVER (PARTITION BY project, app, amplitude_id, property ORDER BY event_time)
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as events carry it, not merged */
  property::VARCHAR AS property, /* Name of the property */
  value_type::VARCHAR AS value_type, /* text, number, boolean, object, array or null */
  value_text::VARCHAR AS value_text, /* The value: text as it is, NULL for null, else as JSON */
  event_time::TIMESTAMPNTZ AS valid_from, /* Time of the first event with the value (UTC) */
  LEAD(event_time) OVER (PARTITION BY project, app, amplitude_id, property ORDER BY event_time)::TIMESTAMPNTZ AS valid_to /* Time of the event that shows another (UTC), NULL for the value of today */
FROM changes
