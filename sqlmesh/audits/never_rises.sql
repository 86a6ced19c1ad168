AUDIT (
  name never_rises
);

/* Among the rows that share the keys the column never gets larger as the number does. */
SELECT
  *
FROM (
  SELECT
    @EACH(@keys, key -> key),
    @column AS value,
    LAG(@column) OVER (PARTITION BY @EACH(@keys, key -> key) ORDER BY @number) AS previous_value
  FROM @this_model
) AS numbered
WHERE
  value > previous_value
