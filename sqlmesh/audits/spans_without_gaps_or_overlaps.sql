AUDIT (
  name spans_without_gaps_or_overlaps,
  defaults (
    condition = TRUE
  )
);

/* Of the spans that share the keys each ends where the next one starts, later than its own start, and the last one is open. */
WITH spans AS (
  SELECT
    @EACH(@keys, key -> key),
    @start_column AS span_start,
    @end_column AS span_end,
    LEAD(@start_column) OVER (PARTITION BY @EACH(@keys, key -> key) ORDER BY @start_column) AS next_start
  FROM @this_model
  WHERE
    @condition
)
SELECT
  *
FROM spans
WHERE
  span_end IS DISTINCT FROM next_start OR span_end <= span_start
