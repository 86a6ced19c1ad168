/* Every event type that was seen or is listed in Amplitude. */
MODEL (
  name silver.event_types,
  kind VIEW,
  owner data,
  grain (
    event_type
  ),
  audits (
    not_null(columns := (event_type, non_active, events)),
    unique_values(columns := (
      event_type
    ))
  )
);

WITH observed AS (
  SELECT
    event_type,
    COUNT(*) AS events,
    MIN(event_time) AS first_seen_at,
    MAX(event_time) AS last_seen_at
  FROM silver.events
  GROUP BY
    event_type
), listed AS (
  SELECT
    value AS event_type,
    MAX_BY(display, _effective_hour) AS display_name,
    MAX_BY(COALESCE(non_active, FALSE), _effective_hour) AS non_active
  FROM bronze.events_list
  GROUP BY
    value
)
SELECT
  COALESCE(observed.event_type, listed.event_type)::VARCHAR AS event_type, /* Name of the event */
  listed.display_name::VARCHAR AS display_name, /* Its name in Amplitude's charts, NULL where it never was in the list */
  COALESCE(listed.non_active, FALSE)::BOOLEAN AS non_active, /* Whether it is inactive: it makes no user active */
  COALESCE(observed.events, 0)::BIGINT AS events, /* Number of events */
  observed.first_seen_at::TIMESTAMPNTZ AS first_seen_at, /* Time of its first event (UTC) */
  observed.last_seen_at::TIMESTAMPNTZ AS last_seen_at /* Time of its last event (UTC) */
FROM observed
FULL JOIN listed
  ON listed.event_type = observed.event_type
