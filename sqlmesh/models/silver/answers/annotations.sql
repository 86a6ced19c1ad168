/* The notes that Amplitude's charts show today: releases, campaigns, incidents. A dashboard can draw them. */
MODEL (
  name silver.annotations,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, annotation_id),
  audits (
    rows_are_sound(keys := (project, annotation_id), columns := (project, annotation_id))
  )
);

SELECT
  _project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  id::BIGINT AS annotation_id, /* Amplitude's id of the annotation */
  @reporting_date(starts_at)::DATE AS annotation_date, /* Day on which it begins, in the reporting time zone */
  @reporting_date(ends_at)::DATE AS end_date, /* Day on which it ends; NULL for a moment */
  starts_at::TIMESTAMPNTZ AS starts_at, /* When it begins (UTC) */
  ends_at::TIMESTAMPNTZ AS ends_at, /* When it ends (UTC); NULL for a moment */
  label::VARCHAR AS label, /* Its name in charts */
  details::VARCHAR AS details, /* Its description */
  category::VARCHAR AS category, /* Name of its category, NULL for none */
  chart_id::VARCHAR AS chart_id /* Amplitude's id of the one chart that shows it; NULL for all charts */
FROM @rows_of_today(bronze.annotations) AS annotations
