/* Who was active in every day, week or month, by what they were in the one before: Amplitude's
 * lifecycle chart.
 * Active users are new (their first event, of whatever type, is of the interval), current (active
 * in the interval before, too) or resurrected (neither). Dormant users were active in the interval
 * before and are not in this one. In a segment, activity is that with its platform or country, but
 * new is who is new to the project. The interval that the export has reached is shown as far as it
 * has come. */
MODEL (
  name gold.lifecycle_@name,
  blueprints (
    (name := daily, unit := day),
    (name := weekly, unit := week),
    (name := monthly, unit := month)
  ),
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, breakdown, segment, start_date),
  audits (
    rows_are_sound(
      keys := (project, app, breakdown, segment, start_date),
      columns := (
        project,
        app,
        breakdown,
        segment,
        start_date,
        active_users,
        new_users,
        current_users,
        resurrected_users,
        dormant_users,
        is_complete
      ),
      criteria := (
        active_users = new_users + current_users + resurrected_users
      )
    )
  )
);

WITH days AS (
  SELECT
    days.project,
    days.app,
    days.breakdown,
    days.segment,
    @period_of(@unit, days.event_date) AS start_date,
    @period_of(@unit, days.first_date) AS first_start,
    @period_of(
      @unit,
      IFF(days.previous_active_date >= days.first_shown_date, days.previous_active_date, NULL)
    ) AS previous_start,
    @period_of(
      @unit,
      IFF(days.next_active_date <= days.frontier_date, days.next_active_date, NULL)
    ) AS next_start,
    @period_of(@unit, days.frontier_date) AS last_start
  FROM @shown(silver.segment_days, event_date) AS days
  WHERE
    days.active_events > 0
), states AS (
  /* By a user's first active day of an interval, and for the interval after it by the last. */
  SELECT
    project,
    app,
    breakdown,
    segment,
    start_date,
    last_start,
    CASE
      WHEN first_start = start_date
      THEN 'new'
      WHEN @period_after(@unit, previous_start) = start_date
      THEN 'current'
      ELSE 'resurrected'
    END AS state
  FROM days
  WHERE
    previous_start IS NULL OR previous_start < start_date
  UNION ALL
  SELECT
    project,
    app,
    breakdown,
    segment,
    @period_after(@unit, start_date) AS start_date,
    last_start,
    'dormant' AS state
  FROM days
  WHERE
    (
      next_start IS NULL OR next_start > @period_after(@unit, start_date)
    )
    AND start_date < last_start
), intervals AS (
  SELECT
    project,
    app,
    breakdown,
    segment,
    start_date,
    MAX(last_start) AS last_start,
    COUNT_IF(state = 'new') AS new_users,
    COUNT_IF(state = 'current') AS current_users,
    COUNT_IF(state = 'resurrected') AS resurrected_users,
    COUNT_IF(state = 'dormant') AS dormant_users
  FROM states
  GROUP BY ALL
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  breakdown::VARCHAR AS breakdown, /* all, platform or country */
  segment::VARCHAR AS segment, /* The platform or the country; (none) where events name none, (all) for all */
  start_date::DATE AS start_date, /* First day of the interval in the reporting time zone */
  (
    new_users + current_users + resurrected_users
  )::BIGINT AS active_users, /* Users with an active event in the interval */
  new_users::BIGINT AS new_users, /* Active users who are new to the project */
  current_users::BIGINT AS current_users, /* Active users who were active in the interval before, too */
  resurrected_users::BIGINT AS resurrected_users, /* Active users who are back after at least one interval without activity */
  dormant_users::BIGINT AS dormant_users, /* Users who were active in the interval before, and are not in this */
  (
    (
      new_users + resurrected_users
    )::DOUBLE / NULLIF(dormant_users, 0)
  )::DOUBLE AS pulse, /* New and resurrected users for each dormant one: above 1 the product grows; NULL where nobody is dormant */
  (
    start_date < last_start
  )::BOOLEAN AS is_complete /* Whether the export has passed the interval */
FROM intervals
