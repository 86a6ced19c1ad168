AUDIT (
  name same_in_all
);

/* The rows that share the keys have the same values in the columns. */
SELECT
  @EACH(@keys, key -> key),
  COUNT(*) AS row_count
FROM @this_model
GROUP BY
  @EACH(@keys, key -> key)
HAVING
  @OR(@EACH(@columns, column -> COUNT(DISTINCT column) > 1))
