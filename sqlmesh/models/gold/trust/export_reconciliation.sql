/* Whether every exported row is accounted for, by project and day of the export: it became an event, is a repeat of one, or waits for silver. What the
 * ledger of the loads says, what silver has, and the repeats that are counted from bronze come from three places and must add up. */
MODEL (
  name gold.export_reconciliation,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, export_date),
  audits (
    rows_are_sound(
      keys := (project, export_date),
      columns := (
        project,
        export_date,
        loaded_rows,
        rejected_rows,
        events,
        repeats,
        waiting_rows,
        difference
      ),
      criteria := (
        difference = 0
      )
    )
  )
);

WITH events AS (
  SELECT
    project,
    export_hour,
    COUNT(*) AS events
  FROM silver.events
  GROUP BY
    project,
    export_hour
), hours AS (
  /* Where repeats were not counted yet, silver may or may not have taken in the hour. */
  SELECT
    COALESCE(ledger.project, events.project) AS project,
    COALESCE(ledger.export_hour, events.export_hour) AS export_hour,
    COALESCE(ledger.loaded_rows, 0) AS loaded_rows,
    COALESCE(ledger.rejected_rows, 0) AS rejected_rows,
    IFF(repeats.export_hour IS NULL, 0, COALESCE(events.events, 0)) AS events,
    COALESCE(repeats.repeats, 0) AS repeats,
    IFF(repeats.export_hour IS NULL, COALESCE(ledger.loaded_rows, 0), 0) AS waiting_rows
  FROM @counted_hours() AS ledger /* from its first hour on: whatever silver leaves out must show here */
  FULL JOIN events
    ON events.project = ledger.project AND events.export_hour = ledger.export_hour
  LEFT JOIN silver.export_repeats AS repeats
    ON repeats.project = COALESCE(ledger.project, events.project)
    AND repeats.export_hour = COALESCE(ledger.export_hour, events.export_hour)
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  export_hour::DATE AS export_date, /* Day (UTC) of the export: of upload */
  SUM(loaded_rows)::BIGINT AS loaded_rows, /* Rows that were loaded, as the ledger says */
  SUM(rejected_rows)::BIGINT AS rejected_rows, /* Rows that could not be read; bronze.rejected_rows keeps them */
  SUM(events)::BIGINT AS events, /* Of the loaded rows: events in silver */
  SUM(repeats)::BIGINT AS repeats, /* Copies of an event that came before */
  SUM(waiting_rows)::BIGINT AS waiting_rows, /* Rows of hours that silver has not taken in, or not for a whole day */
  SUM(loaded_rows - events - repeats - waiting_rows)::BIGINT AS difference /* What is not accounted for: 0, or an hour was loaded anew and not restated */
FROM hours
GROUP BY
  project,
  export_hour::DATE
