/* Our active and new users of each day beside Amplitude's own, for the days that it was last asked
 * about. They may differ by the merges of users, which the export does not show, and by rows that
 * came after Amplitude was asked. New users do not agree in the warehouse's first weeks: users
 * from before its first hour are new here when they come back. */
MODEL (
  name gold.reconciliation_daily,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, event_date),
  audits (
    not_null(columns := (project, event_date, active_users, new_users, is_complete)),
    unique_combination_of_columns(columns := (project, event_date)),
    forall_non_blocking(
      criteria := (
        NOT is_complete
        OR ABS(active_users_difference) <= 0.05 * GREATEST(active_users, amplitude_active_users)
      )
    ) /* A warning: beyond one in twenty, which is about what merges alone can make. */
  )
);

WITH amplitude AS (
  SELECT
    _project AS project,
    event_date,
    MAX(IFF(metric = 'active', users, NULL)) AS active_users,
    MAX(IFF(metric = 'new', users, NULL)) AS new_users,
    MIN(_snapshot_at) AS asked_at
  FROM bronze.user_counts
  GROUP BY
    _project,
    event_date
), apps AS (
  SELECT
    project,
    MIN(first_date) AS first_date,
    MAX(frontier_date) AS frontier_date
  FROM silver.apps
  GROUP BY
    project
), users AS (
  SELECT
    days.project,
    days.event_date,
    COUNT_IF(days.active_events > 0) AS active_users,
    COUNT_IF(days.event_date = days.first_date) AS new_users
  FROM @shown(silver.segment_days, event_date) AS days
  WHERE
    days.breakdown = 'all'
  GROUP BY
    days.project,
    days.event_date
)
SELECT
  amplitude.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  amplitude.event_date::DATE AS event_date, /* Day in the project's time zone, which must be the reporting time zone */
  COALESCE(users.active_users, 0)::BIGINT AS active_users, /* Users with an active event on the day, counted here */
  amplitude.active_users::BIGINT AS amplitude_active_users, /* The same as Amplitude told it */
  (
    COALESCE(users.active_users, 0) - amplitude.active_users
  )::BIGINT AS active_users_difference, /* How many more are counted here */
  (
    (
      COALESCE(users.active_users, 0) - amplitude.active_users
    )::DOUBLE / NULLIF(amplitude.active_users, 0)
  )::DOUBLE AS active_users_difference_share, /* As a share of Amplitude's */
  COALESCE(users.new_users, 0)::BIGINT AS new_users, /* Users whose first event was on the day, counted here */
  amplitude.new_users::BIGINT AS amplitude_new_users, /* The same as Amplitude told it */
  (
    COALESCE(users.new_users, 0) - amplitude.new_users
  )::BIGINT AS new_users_difference, /* How many more are counted here */
  (
    (
      COALESCE(users.new_users, 0) - amplitude.new_users
    )::DOUBLE / NULLIF(amplitude.new_users, 0)
  )::DOUBLE AS new_users_difference_share, /* As a share of Amplitude's */
  amplitude.asked_at::TIMESTAMPNTZ AS asked_at, /* When Amplitude was last asked about the day (UTC) */
  COALESCE(
    amplitude.event_date > apps.first_date
    AND amplitude.event_date < apps.frontier_date
    AND amplitude.event_date < @reporting_date(amplitude.asked_at),
    FALSE
  )::BOOLEAN AS is_complete /* Whether the day was over when Amplitude was asked, and the export begins before it and ends after it */
FROM amplitude
LEFT JOIN apps
  ON apps.project = amplitude.project
LEFT JOIN users
  ON users.project = amplitude.project AND users.event_date = amplitude.event_date
