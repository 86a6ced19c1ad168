/* The values of the properties that sqlmesh/properties.yaml declares as lists, one by one, as Amplitude's charts take them: the elements of an
 * array, a value that is no array by itself, and what the objects of `products` have under sku for products.sku (data: remove-invalid-data.md;
 * charts: cart-analysis.md). Events that gold.events does not show yet have theirs, too. */
MODEL (
  name gold.event_values,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, uuid, column_name, value),
  audits (
    rows_are_sound(
      keys := (project, app, uuid, column_name, value),
      columns := (project, app, uuid, column_name, value)
    )
  )
);

WITH lists AS (
  SELECT
    *
  FROM @list_properties(silver.events) AS lists
)
SELECT DISTINCT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  column_name::VARCHAR AS column_name, /* Name of the list in sqlmesh/properties.yaml */
  value_text::VARCHAR AS value /* A value of it, as text */
FROM @query_values(lists, (project, app, uuid, column_name, wanted)) AS query_values
WHERE
  property = wanted AND NOT value_type IN ('array', 'object', 'null')
