AUDIT (
  name touches_add_up
);

/* In each breakdown, summed up over the sources, each touch has every session of a day, and every user who was new on it. */
WITH counted AS (
  SELECT
    project,
    app,
    breakdown,
    metric_date,
    SUM(IFF(touch = 'first', sessions, 0)) AS first_sessions,
    SUM(IFF(touch = 'last', sessions, 0)) AS last_sessions,
    SUM(IFF(touch = 'first', new_users, 0)) AS first_new_users,
    SUM(IFF(touch = 'last', new_users, 0)) AS last_new_users
  FROM @this_model
  GROUP BY ALL
), days AS (
  SELECT
    project,
    app,
    breakdown,
    session_date AS metric_date,
    1 AS sessions,
    0 AS new_users
  FROM silver.segment_sessions
  WHERE
    NOT is_longer_than_a_day
  UNION ALL
  SELECT
    project,
    app,
    breakdown,
    event_date AS metric_date,
    0 AS sessions,
    1 AS new_users
  FROM silver.segment_days
  WHERE
    event_date = first_date
), expected AS (
  SELECT
    days.project,
    days.app,
    days.breakdown,
    days.metric_date,
    SUM(days.sessions) AS sessions,
    SUM(days.new_users) AS new_users
  FROM @shown(days, metric_date) AS days
  GROUP BY ALL
)
SELECT
  expected.project,
  expected.app,
  expected.breakdown,
  expected.metric_date
FROM expected
LEFT JOIN counted
  ON counted.project = expected.project
  AND counted.app = expected.app
  AND counted.breakdown = expected.breakdown
  AND counted.metric_date = expected.metric_date
WHERE
  counted.app IS NULL
  OR counted.first_sessions <> expected.sessions
  OR counted.last_sessions <> expected.sessions
  OR counted.first_new_users <> expected.new_users
  OR counted.last_new_users <> expected.new_users
