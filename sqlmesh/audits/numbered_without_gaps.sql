AUDIT (
  name numbered_without_gaps,
  defaults (
    condition = TRUE
  )
);

/* The rows that share the keys are numbered 1, 2, 3, ...: as many as the highest number says, each number once. */
SELECT
  @EACH(@keys, key -> key),
  COUNT(*) AS row_count
FROM @this_model
WHERE
  @condition
GROUP BY
  @EACH(@keys, key -> key)
HAVING
  MIN(@column) <> 1
  OR MAX(@column) <> COUNT(*)
  OR COUNT(DISTINCT @column) <> COUNT(*)
