AUDIT (
  name overall_sums_complete_cells
);

/* What retention shows for all cohorts is the sum of their complete cells. */
SELECT
  project,
  app,
  interval_unit,
  breakdown,
  segment,
  interval_number
FROM @this_model
WHERE
  is_complete
GROUP BY ALL
HAVING
  COUNT_IF(cohort = '(all)') <> 1
  OR @REDUCE(
    @EACH(@columns, column -> SUM(IFF(cohort = '(all)', column, -column)) <> 0),
    (a, b) -> a OR b
  )
