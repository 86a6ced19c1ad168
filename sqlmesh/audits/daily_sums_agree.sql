AUDIT (
  name daily_sums_agree
);

/* On every day that gold shows, and in each breakdown, a value adds up to what a value of a parent does. */
WITH own AS (
  SELECT
    project,
    app,
    breakdown,
    event_date,
    SUM(@value) AS total
  FROM @this_model
  GROUP BY ALL
), parents AS (
  SELECT
    parent.project,
    parent.app,
    parent.breakdown,
    parent.@parent_date AS event_date,
    SUM(@parent_value) AS total
  FROM @shown(@parent, @parent_date) AS parent
  GROUP BY ALL
)
SELECT
  own.*,
  parents.*
FROM own
FULL JOIN parents
  ON parents.project = own.project
  AND parents.app = own.app
  AND parents.breakdown = own.breakdown
  AND parents.event_date = own.event_date
WHERE
  COALESCE(own.total, 0) <> COALESCE(parents.total, 0)
