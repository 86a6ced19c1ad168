/* The time zones in which days have as many events here as Amplitude says, by the newest 14 days with events: the reporting time zone, and other zones for days that differ in it. If most days agree in another zone than
 * the reporting time zone, Amplitude's project is in that zone. Zones differ from UTC by multiples of half an hour, but for two of a few thousand people. */
MODEL (
  name silver.zone_matches,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, offset_minutes),
  audits (
    rows_are_sound(
      keys := (project, offset_minutes),
      columns := (project, offset_minutes, matching_days, tested_days),
      criteria := (
        matching_days BETWEEN 1 AND tested_days
      )
    )
  )
);

WITH answers AS (
  SELECT
    project,
    event_date,
    value AS events,
    asked_at
  FROM silver.amplitude_numbers
  WHERE
    measure = 'events' AND detail = '(all)' AND value > 0
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY project ORDER BY event_date DESC) <= 14
), asked AS (
  SELECT
    answers.project,
    answers.event_date,
    answers.events,
    answers.asked_at,
    COALESCE(own.value, 0) = answers.events AS is_equal
  FROM answers
  LEFT JOIN silver.own_numbers AS own
    ON own.project = answers.project
    AND own.event_date = answers.event_date
    AND own.measure = 'events'
    AND own.detail = '(all)'
), half_hours AS (
  /* A day elsewhere has events of the day before and after. Days that agree here are not counted elsewhere, so that nothing is read while all agree. */
  SELECT
    asked.project,
    asked.event_date,
    DATEADD(
      MINUTE,
      -DATE_PART(MINUTE, events.event_time) % 30,
      DATE_TRUNC('MINUTE', events.event_time)
    ) AS half_hour,
    COUNT(*) AS events
  FROM silver.events AS events
  JOIN asked
    ON asked.project = events.project
    AND NOT asked.is_equal
    AND events.event_date BETWEEN DATEADD(DAY, -2, asked.event_date) AND DATEADD(DAY, 2, asked.event_date)
    AND events.server_upload_time < asked.asked_at
  GROUP BY ALL
), offsets AS (
  SELECT
    30 * n - 720 AS offset_minutes
  FROM @numbers(53) AS numbers
), matches AS (
  SELECT
    asked.project,
    asked.event_date,
    offsets.offset_minutes
  FROM asked
  CROSS JOIN offsets
  JOIN half_hours
    ON half_hours.project = asked.project
    AND half_hours.event_date = asked.event_date
    AND half_hours.half_hour >= DATEADD(MINUTE, -offsets.offset_minutes, asked.event_date::TIMESTAMPNTZ)
    AND half_hours.half_hour < DATEADD(MINUTE, 1440 - offsets.offset_minutes, asked.event_date::TIMESTAMPNTZ)
  GROUP BY
    asked.project,
    asked.event_date,
    offsets.offset_minutes,
    asked.events
  HAVING
    SUM(half_hours.events) = asked.events
  UNION ALL
  SELECT
    project,
    event_date,
    DATEDIFF(MINUTE, @reporting_day_start(event_date), event_date::TIMESTAMPNTZ) AS offset_minutes
  FROM asked
  WHERE
    is_equal
), tested AS (
  SELECT
    project,
    COUNT(*) AS tested_days
  FROM asked
  GROUP BY
    project
)
SELECT
  matches.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  matches.offset_minutes::BIGINT AS offset_minutes, /* Minutes by which the zone is ahead of UTC */
  COUNT(*)::BIGINT AS matching_days, /* Days that have as many events in it */
  MAX(tested.tested_days)::BIGINT AS tested_days /* Days that were counted */
FROM matches
JOIN tested
  ON tested.project = matches.project
GROUP BY
  matches.project,
  matches.offset_minutes
