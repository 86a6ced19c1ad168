AUDIT (
  name refers_to,
  defaults (
    condition = TRUE
  )
);

/* Every value of a column, within its project and app, is there in a column of another model; NULL refers to nothing. */
SELECT
  child.project,
  child.app,
  child.@column
FROM (
  SELECT
    *
  FROM @this_model
  WHERE
    @condition
) AS child
LEFT JOIN @parent AS parent
  ON parent.project = child.project
  AND parent.app = child.app
  AND parent.@parent_column = child.@column
WHERE
  NOT child.@column IS NULL AND parent.app IS NULL
