/* Who was in a cohort, since when and until when: a row for each stay. The users of today are those whose stay has no end. Stays in a cohort that
 * Amplitude no longer lists are kept, and are over. */
MODEL (
  name silver.cohort_members,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, cohort_id, amplitude_id, valid_from),
  audits (
    rows_are_sound(
      keys := (project, cohort_id, amplitude_id, valid_from),
      columns := (project, cohort_id, amplitude_id, valid_from, is_member),
      criteria := (
        valid_to IS NULL OR valid_to > valid_from
      )
    )
  )
);

SELECT
  members._project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  members.cohort_id::VARCHAR AS cohort_id, /* Amplitude's id of the cohort */
  cohorts.name::VARCHAR AS cohort, /* Its name; NULL if Amplitude no longer lists it */
  members.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's id of the user, as silver.user_aliases has it */
  members.valid_from::TIMESTAMPNTZ AS valid_from, /* The computation (UTC) that first had the user in the cohort */
  members.valid_to::TIMESTAMPNTZ AS valid_to, /* The computation (UTC) that no longer had the user; NULL for none */
  (
    members.valid_to IS NULL AND NOT cohorts.cohort_id IS NULL
  )::BOOLEAN AS is_member /* Whether the user is in the cohort today */
FROM bronze.cohort_members AS members
LEFT JOIN silver.cohorts AS cohorts
  ON cohorts.project = members._project AND cohorts.cohort_id = members.cohort_id
