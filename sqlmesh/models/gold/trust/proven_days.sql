/* Each day with all its events, here and in Amplitude. A day with an equal number is proven: no row is missing, and none is counted twice. */
MODEL (
  name gold.proven_days,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, event_date),
  audits (
    rows_are_sound(
      keys := (project, event_date),
      columns := (project, event_date, verdict, ours, theirs)
    ),
    days_are_proven,
    days_must_be_proven
  )
);

SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  event_date::DATE AS event_date, /* Day in the project's time zone, which must be the reporting time zone */
  verdict::VARCHAR AS verdict, /* equal; differs; or open, while the day is not over or silver has not reached the time of asking */
  likely_cause::VARCHAR AS likely_cause, /* Of a difference: see gold.reconciliation_daily */
  ours::BIGINT AS ours, /* Events here that were uploaded before Amplitude was asked */
  theirs::BIGINT AS theirs, /* Events in Amplitude */
  zone_offset_minutes::BIGINT AS zone_offset_minutes, /* Of a zone as the cause: the minutes by which it is ahead of UTC */
  asked_at::TIMESTAMPNTZ AS asked_at, /* When Amplitude was asked (UTC) */
  day_starts_at::TIMESTAMPNTZ AS day_starts_at, /* When the day begins (UTC) */
  day_ends_at::TIMESTAMPNTZ AS day_ends_at /* When it ends (UTC) */
FROM gold.reconciliation_daily
WHERE
  measure = 'events' AND detail = '(all)'
