AUDIT (
  name retention_cells_agree
);

/* Each cell of a retention is there once and holds no more users than it can, and all cohorts add up. One audit for all of it, because the views compute
 * the cells of the whole history each time that they are read. */
WITH cells AS (
  SELECT
    *,
    LAG(interval_number) OVER (
      PARTITION BY project, app, interval_unit, breakdown, segment, cohort
      ORDER BY interval_number
    ) AS number_before,
    LAG(returned_on_or_after) OVER (
      PARTITION BY project, app, interval_unit, breakdown, segment, cohort
      ORDER BY interval_number
    ) AS returned_before
  FROM @this_model
), faults AS (
  SELECT
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    cohort,
    interval_number,
    CASE
      WHEN segment IS NULL
      OR cohort IS NULL
      OR (
        cohort = '(all)'
      ) <> (
        cohort_date IS NULL
      )
      THEN 'the segment or the cohort has no name'
      WHEN interval_number = number_before
      THEN 'the cell is there twice'
      WHEN cohort_users <= 0
      THEN 'the cohort has no users'
      WHEN returned_on > returned_on_or_after OR returned_on_or_after > cohort_users
      THEN 'more users returned than could'
      WHEN returned_on_or_after > returned_before
      THEN 'more users returned later than before'
    END AS fault
  FROM cells
  UNION ALL
  SELECT
    project,
    app,
    interval_unit,
    breakdown,
    segment,
    '(all)' AS cohort,
    interval_number,
    IFF(
      COUNT_IF(cohort = '(all)') = 1
      AND SUM(IFF(cohort = '(all)', cohort_users, -cohort_users)) = 0
      AND SUM(IFF(cohort = '(all)', returned_on, -returned_on)) = 0
      AND SUM(IFF(cohort = '(all)', returned_on_or_after, -returned_on_or_after)) = 0,
      NULL,
      'all cohorts are not the sum of their complete cells'
    ) AS fault
  FROM cells
  WHERE
    is_complete
  GROUP BY ALL
)
SELECT
  *
FROM faults
WHERE
  NOT fault IS NULL
