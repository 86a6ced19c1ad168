/* Our numbers of each day beside Amplitude's own, by measure, with what a difference comes from. A day on which all events agree is proven: no row is
 * missing and none is counted twice. New users do not agree in the warehouse's first weeks, because users from before its first hour are new here when
 * they come back: gold.new_users_daily. */
MODEL (
  name gold.reconciliation_daily,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, event_date, measure, detail),
  audits (
    rows_are_sound(
      keys := (project, event_date, measure, detail),
      columns := (
        project,
        event_date,
        measure,
        detail,
        ours,
        theirs,
        difference,
        verdict,
        asked_at
      ),
      criteria := (
        verdict IN ('equal', 'differs', 'open')
      )
    ),
    forall_non_blocking(
      criteria := (
        measure <> 'active_users' OR verdict <> 'differs' OR ABS(difference_share) <= 0.05
      )
    ) /* A warning: beyond one in twenty, which is about what merges alone can make. */
  )
);

WITH apps AS (
  SELECT
    project,
    MIN(first_date) AS first_date,
    MIN(frontier_date) AS frontier_date
  FROM silver.apps
  GROUP BY
    project
), days AS (
  SELECT
    project,
    event_date,
    @reporting_day_start(event_date) AS day_starts_at,
    @reporting_day_start(DATEADD(DAY, 1, event_date)::DATE) AS day_ends_at
  FROM silver.amplitude_numbers
  GROUP BY
    project,
    event_date
), hours AS (
  /* Hours of the export from the day's beginning to three hours after its end: those that have no rows here, and the rows of erased persons. */
  SELECT
    days.project,
    days.event_date,
    COUNT_IF(coverage.status <> 'loaded') AS empty_hours,
    SUM(coverage.erased_rows) AS erased_rows
  FROM days
  JOIN gold.export_coverage AS coverage
    ON coverage.project = days.project
    AND (
      coverage.status <> 'loaded' OR coverage.erased_rows > 0
    )
    AND coverage.export_hour >= DATE_TRUNC('HOUR', days.day_starts_at)
    AND coverage.export_hour < DATEADD(HOUR, 3, days.day_ends_at)
  GROUP BY
    days.project,
    days.event_date
), copies AS (
  /* Amplitude counts a copy that comes after more than seven days as another event; silver does not. */
  SELECT
    days.project,
    days.event_date,
    SUM(repeats.repeats) AS late_copies
  FROM days
  JOIN silver.export_repeats AS repeats
    ON repeats.project = days.project
    AND repeats.export_hour >= DATEADD(DAY, 7, days.day_starts_at)
  GROUP BY
    days.project,
    days.event_date
), reporting AS (
  SELECT
    project,
    MAX_BY(DATEDIFF(MINUTE, day_starts_at, event_date::TIMESTAMPNTZ), event_date) AS offset_minutes
  FROM days
  GROUP BY
    project
), zones AS (
  /* The zone in which most days agree, of several the nearest to the reporting time zone: nights may have no events. */
  SELECT
    matches.project,
    matches.offset_minutes
  FROM silver.zone_matches AS matches
  JOIN reporting
    ON reporting.project = matches.project
  WHERE
    matches.matching_days >= 2 AND 3 * matches.matching_days >= matches.tested_days
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY matches.project
      ORDER BY matches.matching_days DESC, ABS(matches.offset_minutes - reporting.offset_minutes), matches.offset_minutes
    ) = 1
), compared AS (
  SELECT
    theirs.project,
    theirs.event_date,
    theirs.measure,
    theirs.detail,
    COALESCE(ours.value, 0) AS ours,
    theirs.value AS theirs,
    ours.other_value,
    ABS(ours.other_value - theirs.value) <= 0.000001 * GREATEST(1, ABS(theirs.value)) AS is_other_equal,
    theirs.asked_at,
    theirs.is_reached,
    COALESCE(
      theirs.event_date > apps.first_date
      AND theirs.event_date < apps.frontier_date
      AND theirs.event_date < @reporting_date(theirs.asked_at),
      FALSE
    ) AS is_over,
    ABS(COALESCE(ours.value, 0) - theirs.value) <= 0.000001 * GREATEST(1, ABS(theirs.value)) AS is_equal,
    COALESCE(hours.empty_hours, 0) AS empty_hours,
    COALESCE(hours.erased_rows, 0) AS erased_rows,
    COALESCE(copies.late_copies, 0) AS late_copies,
    days.day_starts_at,
    days.day_ends_at,
    zones.offset_minutes
  FROM silver.amplitude_numbers AS theirs
  LEFT JOIN silver.own_numbers AS ours
    ON ours.project = theirs.project
    AND ours.event_date = theirs.event_date
    AND ours.measure = theirs.measure
    AND ours.detail = theirs.detail
  LEFT JOIN apps
    ON apps.project = theirs.project
  JOIN days
    ON days.project = theirs.project AND days.event_date = theirs.event_date
  LEFT JOIN copies
    ON copies.project = theirs.project AND copies.event_date = theirs.event_date
  LEFT JOIN hours
    ON hours.project = theirs.project AND hours.event_date = theirs.event_date
  LEFT JOIN zones
    ON zones.project = theirs.project
    AND zones.offset_minutes <> DATEDIFF(MINUTE, days.day_starts_at, theirs.event_date::TIMESTAMPNTZ)
), judged AS (
  SELECT
    compared.*,
    IFF(is_equal, 0, ours - theirs) AS difference,
    CASE
      WHEN NOT is_over
      THEN 'open'
      WHEN is_equal
      THEN 'equal'
      WHEN is_reached
      THEN 'differs'
      ELSE 'open'
    END AS verdict,
    MAX(IFF(measure = 'events' AND detail = '(all)' AND is_equal, 1, 0)) OVER (PARTITION BY project, event_date) = 1 AS has_all_events
  FROM compared
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  event_date::DATE AS event_date, /* Day in the project's time zone, which must be the reporting time zone */
  measure::VARCHAR AS measure, /* active_users, new_users, events, sessions_per_user, average_session_seconds, identities (users of a sample who are the same users here), or saved_chart */
  detail::VARCHAR AS detail, /* The event type, or the id of the chart in Amplitude; (all) for all events and for users */
  ours::DOUBLE AS ours, /* Our number, as far as rows were uploaded before Amplitude was asked */
  theirs::DOUBLE AS theirs, /* The same as Amplitude says it */
  difference::DOUBLE AS difference, /* How much more is counted here; 0 if only the last digits of a fraction differ */
  (
    difference / NULLIF(theirs, 0)
  )::DOUBLE AS difference_share, /* As a share of Amplitude's */
  verdict::VARCHAR AS verdict, /* equal; differs; or open, while the day is not over or silver has not reached the time of asking */
  CASE
    WHEN verdict <> 'differs'
    THEN NULL
    WHEN NOT offset_minutes IS NULL AND NOT has_all_events
    THEN 'zone'
    WHEN measure = 'new_users' AND ours > theirs AND other_value <= theirs
    THEN 'history begins later'
    WHEN is_other_equal
    THEN DECODE(measure, 'events', 'deleted types', 'active_users', 'inactive types', 'long sessions')
    WHEN NOT has_all_events AND ours < theirs AND theirs - ours <= erased_rows
    THEN 'erased persons'
    WHEN NOT has_all_events AND ours < theirs AND empty_hours > 0
    THEN 'empty hours'
    WHEN NOT has_all_events AND ours < theirs AND theirs - ours <= late_copies
    THEN 'late copies'
    WHEN NOT has_all_events
    THEN IFF(ours < theirs, 'late rows', 'other rows')
    WHEN measure = 'identities'
    OR measure IN ('active_users', 'new_users')
    AND ours > theirs
    THEN 'unmerged users'
    ELSE 'other rule'
  END::VARCHAR AS likely_cause, /* zone, deleted types, erased persons (Amplitude still counts them), empty hours, late copies, late rows (they came after the hour was loaded), other rows, inactive types, long sessions, history begins later (Amplitude has known enough of the new users before), unmerged users or other rule; NULL unless it differs */
  IFF(verdict = 'differs' AND NOT has_all_events, offset_minutes, NULL)::BIGINT AS zone_offset_minutes, /* Of a zone as the cause: the minutes by which it is ahead of UTC */
  asked_at::TIMESTAMPNTZ AS asked_at, /* When Amplitude was asked (UTC) */
  day_starts_at::TIMESTAMPNTZ AS day_starts_at, /* When the day begins (UTC) */
  day_ends_at::TIMESTAMPNTZ AS day_ends_at /* When it ends (UTC) */
FROM judged
