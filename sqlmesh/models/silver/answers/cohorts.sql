/* The cohorts that Amplitude lists today. Charts name them in segments, by id or by name. */
MODEL (
  name silver.cohorts,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, cohort_id),
  audits (
    rows_are_sound(keys := (project, cohort_id), columns := (project, cohort_id))
  )
);

WITH members AS (
  SELECT
    _project,
    cohort_id,
    COUNT(*) AS members
  FROM bronze.cohort_members
  WHERE
    valid_to IS NULL
  GROUP BY
    _project,
    cohort_id
)
SELECT
  cohorts._project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  cohorts.id::VARCHAR AS cohort_id, /* Amplitude's id of the cohort */
  cohorts.name::VARCHAR AS name, /* Its name */
  cohorts.description::VARCHAR AS description, /* Its description */
  cohorts.size::BIGINT AS size, /* Number of its users by Amplitude's last computation */
  COALESCE(members.members, 0)::BIGINT AS members, /* Number of its users of today in silver.cohort_members; 0 unless the settings name it */
  cohorts.archived::BOOLEAN AS is_archived, /* Whether it is archived */
  cohorts.published::BOOLEAN AS is_published, /* Whether others can find it */
  cohorts.created_at::TIMESTAMPNTZ AS created_at, /* When it was made (UTC) */
  cohorts.modified_at::TIMESTAMPNTZ AS modified_at, /* When its definition changed last (UTC) */
  cohorts.computed_at::TIMESTAMPNTZ AS computed_at /* When Amplitude computed its users last (UTC) */
FROM @rows_of_today(bronze.cohorts) AS cohorts
LEFT JOIN members
  ON members._project = cohorts._project AND members.cohort_id = cohorts.id
