AUDIT (
  name rows_are_sound,
  defaults (columns = TRUE, criteria = TRUE, condition = TRUE)
);

/* Among the rows of the condition, each key has one row, with a value in each of the columns, and every criterion holds. One query
 * finds all of it, because SQLMesh sends one for each audit: a view would be computed each time, and Snowflake asked each time.
 * COUNT_IF would be NULL on DuckDB if no criterion of a key can be told. */
WITH rows_by_key AS (
  SELECT
    @EACH(@keys, key -> key),
    COUNT(*) AS rows_of_key,
    COUNT(
      IFF(@REDUCE(@EACH(@columns, column -> column IS NULL), (a, b) -> a OR b), 1, NULL)
    ) AS rows_without_a_value,
    COUNT(
      IFF(
        @REDUCE(@EACH(@criteria, criterion -> NOT (
          criterion
        )), (a, b) -> a OR b),
        1,
        NULL
      )
    ) AS rows_against_a_criterion
  FROM @this_model
  WHERE
    @condition
  GROUP BY
    @EACH(@keys, key -> key)
)
SELECT
  *
FROM rows_by_key
WHERE
  rows_of_key > 1 OR rows_without_a_value > 0 OR rows_against_a_criterion > 0
