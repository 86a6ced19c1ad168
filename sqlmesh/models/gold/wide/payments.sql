/* Every event with revenue, on the days that charts show. They are few among all events, so the dashboard keeps them in its copy. */
MODEL (
  name gold.payments,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, uuid),
  audits (
    not_null(
      columns := (
        project,
        app,
        uuid,
        event_time,
        event_date,
        event_type,
        canonical_amplitude_id,
        revenue
      )
    )
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC) */
  event_date::DATE AS event_date, /* Its day in the reporting time zone */
  event_type::VARCHAR AS event_type, /* Name of the event */
  canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  user_id::VARCHAR AS user_id, /* The merged user's id in your product, NULL for an anonymous user */
  platform::VARCHAR AS platform, /* Web, iOS, Android; NULL for events of a server */
  country::VARCHAR AS country, /* Country, from the IP address */
  channel_group::VARCHAR AS channel_group, /* The channel that brought the user, as of the event */
  revenue::DOUBLE AS revenue /* What it brought in, as gold.events counts it; negative for a refund */
FROM gold.events
WHERE
  NOT is_before_export AND NOT revenue IS NULL
