AUDIT (
  name refers_to
);

/* Every value of a column, within its app, is there in a column of another model; NULL refers to nothing. */
SELECT
  child.app,
  child.@column
FROM @this_model AS child
LEFT JOIN @parent AS parent
  ON parent.app = child.app AND parent.@parent_column = child.@column
WHERE
  NOT child.@column IS NULL AND parent.app IS NULL
