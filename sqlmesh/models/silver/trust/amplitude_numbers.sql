/* Amplitude's own numbers of the last 60 days that it was asked about, and for how many users it was asked who they are. The same number is asked for on several days: the newest answer counts whose
 * time silver has reached, because only then silver has every row that Amplitude counted. If there is none yet, the newest counts. */
MODEL (
  name silver.amplitude_numbers,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, event_date, measure, detail),
  audits (
    rows_are_sound(
      keys := (project, event_date, measure, detail),
      columns := (project, event_date, measure, detail, value, asked_at, is_reached)
    )
  )
);

WITH reached AS (
  SELECT
    project,
    MIN(reached_hour) AS reached_hour
  FROM silver.apps
  GROUP BY
    project
), numbers AS (
  SELECT
    _project AS project,
    event_date,
    measure,
    detail,
    value,
    _snapshot_at AS asked_at
  FROM bronze.daily_numbers
  UNION ALL
  SELECT
    _project AS project,
    DATEADD(DAY, -1, _snapshot_at::DATE)::DATE AS event_date,
    'identities' AS measure,
    '(all)' AS detail,
    COUNT(*) AS value,
    _snapshot_at AS asked_at
  FROM bronze.user_identities
  GROUP BY
    _project,
    _snapshot_at
), answers AS (
  SELECT
    numbers.*,
    COALESCE(numbers.asked_at <= DATEADD(HOUR, 1, reached.reached_hour), FALSE) AS is_reached,
    MAX(numbers.event_date) OVER (PARTITION BY numbers.project) AS newest_date
  FROM numbers
  LEFT JOIN reached
    ON reached.project = numbers.project
)
SELECT
  project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  event_date::DATE AS event_date, /* Day in the time zone of the Amplitude project */
  measure::VARCHAR AS measure, /* What is counted: see bronze.daily_numbers; identities are the users of a sample */
  detail::VARCHAR AS detail, /* The event type, or the id of the chart; (all) for all events and for users */
  value::DOUBLE AS value, /* Amplitude's own number */
  asked_at::TIMESTAMPNTZ AS asked_at, /* When Amplitude was asked (UTC) */
  is_reached::BOOLEAN AS is_reached /* Whether silver has every row that was uploaded before that */
FROM answers
WHERE
  event_date > DATEADD(DAY, -60, newest_date)
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY project, event_date, measure, detail
    ORDER BY is_reached DESC, asked_at DESC
  ) = 1
