/* Every event type of a project that was seen or is listed in Amplitude. */
MODEL (
  name silver.event_types,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, event_type),
  audits (
    rows_are_sound(
      keys := (project, event_type),
      columns := (project, event_type, non_active, deleted, events)
    )
  )
);

WITH observed AS (
  SELECT
    project,
    event_type,
    COUNT(*) AS events,
    MIN(event_time) AS first_seen_at,
    MAX(event_time) AS last_seen_at
  FROM silver.events
  GROUP BY
    project,
    event_type
), listed AS (
  SELECT
    _project AS project,
    value AS event_type,
    MAX_BY(display, _effective_hour) AS display_name,
    MAX_BY(COALESCE(non_active, FALSE), _effective_hour) AS non_active,
    MAX_BY(COALESCE(deleted, FALSE), _effective_hour) AS deleted
  FROM bronze.events_list
  GROUP BY
    _project,
    value
)
SELECT
  COALESCE(observed.project, listed.project)::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  COALESCE(observed.event_type, listed.event_type)::VARCHAR AS event_type, /* Name of the event */
  listed.display_name::VARCHAR AS display_name, /* Its name in Amplitude's charts, NULL where it never was in the list */
  COALESCE(listed.non_active, FALSE)::BOOLEAN AS non_active, /* Whether it is inactive: it makes no user active, and no session counts it */
  COALESCE(listed.deleted, FALSE)::BOOLEAN AS deleted, /* Whether it is deleted in Amplitude: no session counts it */
  COALESCE(observed.events, 0)::BIGINT AS events, /* Number of events */
  observed.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of its first event (UTC) */
  observed.last_seen_at::TIMESTAMPNTZ AS last_seen_at /* Time of its last event (UTC) */
FROM observed
FULL JOIN listed
  ON listed.project = observed.project AND listed.event_type = observed.event_type
