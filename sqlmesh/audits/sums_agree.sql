AUDIT (
  name sums_agree
);

/* In each breakdown a column adds up to what a value of a parent does on the days of its app that gold shows. */
WITH own AS (
  SELECT
    project,
    app,
    breakdown,
    SUM(@column) AS total
  FROM @this_model
  GROUP BY ALL
), parents AS (
  SELECT
    parent.project,
    parent.app,
    parent.breakdown,
    SUM(@parent_value) AS total
  FROM @shown(@parent, @parent_date) AS parent
  GROUP BY ALL
)
SELECT
  own.*,
  parents.total AS parent_total
FROM own
LEFT JOIN parents
  ON parents.project = own.project
  AND parents.app = own.app
  AND parents.breakdown = own.breakdown
WHERE
  own.total <> COALESCE(parents.total, 0)
