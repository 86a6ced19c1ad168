/* The charts of sqlmesh/charts/, each with the view that has its rows. */
MODEL (
  name gold.charts,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (
    chart
  ),
  audits (
    rows_are_sound(keys := (
      chart
    ), columns := (chart, type, table_name, definition))
  )
);

SELECT
  charts.chart::VARCHAR AS chart, /* Name of the chart, and of its file */
  charts.type::VARCHAR AS type, /* Type of the chart, such as segmentation */
  NULLIF(charts.title, '')::VARCHAR AS title, /* Title of the chart, NULL for none */
  charts.table_name::VARCHAR AS table_name, /* View that has its rows */
  charts.definition::VARCHAR AS definition /* The file's content, as JSON */
FROM @declared_charts() AS charts
