AUDIT (
  name sums_agree
);

/* What a column adds up to, by the keys, is what a value of a parent adds up to on the days of its app that gold shows. */
WITH own AS (
  SELECT
    @EACH(@keys, key -> key),
    SUM(@column) AS total
  FROM @this_model
  GROUP BY
    @EACH(@keys, key -> key)
), parents AS (
  SELECT
    parent.project,
    parent.app,
    SUM(@parent_value) AS total
  FROM @parent AS parent
  JOIN silver.apps AS apps
    ON apps.project = parent.project
    AND apps.app = parent.app
    AND @is_shown(parent.@parent_date)
  GROUP BY
    parent.project,
    parent.app
)
SELECT
  own.*,
  parents.total AS parent_total
FROM own
LEFT JOIN parents
  ON parents.project = own.project AND parents.app = own.app
WHERE
  own.total <> COALESCE(parents.total, 0)
