/* How far every merged user came in every funnel, by the day on which they entered it: a row for
 * each step that they reached. Every event that can do step 1 is an entry. A user counts once a
 * day, with the entry that reaches the most steps; if several do, with the earliest (Amplitude's
 * conversion over time: funnel-analysis-how-amplitude-computes-conversions.md).
 * A segment is a filter on step 1. Another entry may therefore be the best of a platform or a
 * country, and the table keeps the entries that are the best of any. The filter of a step holds
 * for that step alone.
 * An event may be up to a second earlier than the events of the steps before it
 * (funnel-analysis-how-amplitude-handles-simultaneous-events.md; see macros/funnel_looks.py). All
 * orders but 'any' use an event once. 'this' takes for each step the earliest event that fits,
 * because an earlier event never narrows what may follow. 'exact' allows no active event between
 * two steps, so a later event of a step may be the better one, and every choice is followed. In
 * 'any' order later steps may lie before step 1 (macros/funnel_ways.py).
 * The conversion window runs from the event of step 1 ('any': from the earliest) to the last, its
 * end included. Events after the frontier wait for their day. docs/explanation/how-amplitude-counts.md
 * has the choices that Amplitude's pages leave open. */
MODEL (
  name silver.funnel_paths,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  grain (project, app, amplitude_id, funnel, entry_uuid, step),
  audits (
    not_null(
      columns := (
        project,
        app,
        amplitude_id,
        funnel,
        entry_uuid,
        entry_date,
        step,
        entered_at,
        reached_at,
        is_best,
        is_best_of_platform,
        is_best_of_country
      )
    ),
    unique_combination_of_columns(
      columns := (project, app, amplitude_id, funnel, entry_uuid, step),
      condition := @of_run(
        (project, app, amplitude_id),
        @touched_users_to_frontier(@start_ts, @end_ts),
        @start_ts
      )
    ),
    refers_to(
      column := amplitude_id,
      parent := silver.user_aliases,
      parent_column := canonical_amplitude_id
    ),
    forall(
      criteria := (entered_at <= reached_at, is_best OR is_best_of_platform OR is_best_of_country)
    )
  )
);

@delete_touched(
  (project, app, amplitude_id),
  @touched_users_to_frontier(@start_ts, @end_ts),
  @start_ts
);

WITH RECURSIVE people AS (
  /* Here `person` numbers the users after merging. */
  SELECT
    aliases.project,
    aliases.app,
    aliases.amplitude_id,
    aliases.canonical_amplitude_id,
    DENSE_RANK() OVER (ORDER BY aliases.project, aliases.app, aliases.canonical_amplitude_id) AS person
  FROM @rows_of_run(
    silver.user_aliases,
    (project, app, canonical_amplitude_id),
    @touched_users_to_frontier(@start_ts, @end_ts),
    @start_ts
  ) AS aliases
), steps AS (
  SELECT
    steps.*
  FROM @funnel_rules() AS steps
), events AS (
  SELECT
    events.project,
    events.app,
    people.canonical_amplitude_id AS amplitude_id,
    people.person,
    events.funnel,
    events.step,
    steps.step_order,
    steps.window_seconds,
    steps.is_tracked,
    events.uuid,
    events.event_time,
    events.event_date,
    events.platform,
    events.country,
    DENSE_RANK() OVER (PARTITION BY people.person, events.funnel ORDER BY events.event_time, events.uuid) AS position
  FROM @shown(silver.funnel_events, event_date) AS events
  JOIN people
    ON people.project = events.project
    AND people.app = events.app
    AND people.amplitude_id = events.amplitude_id
  JOIN steps
    ON steps.funnel = events.funnel AND steps.step = events.step
), sources AS (
  SELECT
    sources.*
  FROM @funnel_sources(@end_ts) AS sources
), looks AS (
  SELECT
    looks.*
  FROM @funnel_looks() AS looks
), nexts AS (
  SELECT
    nexts.*
  FROM @funnel_nexts() AS nexts
), entries AS (
  SELECT
    events.*,
    events.position AS entry,
    events.event_time AS entered_at
  FROM events
  WHERE
    events.step = 1
), ordered_paths AS (
  @funnel_ordered_paths()
), any_paths AS (
  SELECT
    any_paths.*
  FROM @funnel_any_paths() AS any_paths
), paths AS (
  SELECT
    paths.*
  FROM @funnel_best_paths() AS paths
), lengths AS (
  SELECT
    person,
    funnel,
    entry,
    MAX(step) AS last_step
  FROM paths
  GROUP BY ALL
), ranks AS (
  SELECT
    entries.*,
    ROW_NUMBER() OVER (
      PARTITION BY entries.person, entries.funnel, entries.event_date
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS day_rank,
    ROW_NUMBER() OVER (
      PARTITION BY entries.person, entries.funnel, entries.event_date, entries.platform
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS platform_rank,
    ROW_NUMBER() OVER (
      PARTITION BY entries.person, entries.funnel, entries.event_date, entries.country
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS country_rank
  FROM entries
  JOIN lengths
    ON lengths.person = entries.person
    AND lengths.funnel = entries.funnel
    AND lengths.entry = entries.entry
)
SELECT
  ranks.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  ranks.app::BIGINT AS app, /* Amplitude's number of the project */
  ranks.amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  ranks.funnel::VARCHAR AS funnel, /* Name of the funnel */
  ranks.uuid::VARCHAR AS entry_uuid, /* Amplitude's id of the event that did step 1 */
  ranks.event_date::DATE AS entry_date, /* Day of that event in the reporting time zone */
  ranks.platform::VARCHAR AS platform, /* Its platform; NULL for a server's */
  ranks.country::VARCHAR AS country, /* Its country */
  ranks.entered_at::TIMESTAMPNTZ AS entered_at, /* Its time (UTC) */
  paths.step::BIGINT AS step, /* Number of a step that the user reached */
  paths.reached_at::TIMESTAMPNTZ AS reached_at, /* When the events of the step and of those before had happened (UTC) */
  (
    ranks.day_rank = 1
  )::BOOLEAN AS is_best, /* Whether the user's best path of the day */
  (
    ranks.platform_rank = 1
  )::BOOLEAN AS is_best_of_platform, /* Whether the best of those that began on the platform */
  (
    ranks.country_rank = 1
  )::BOOLEAN AS is_best_of_country /* Whether the best of those that began in the country */
FROM paths
JOIN ranks
  ON ranks.person = paths.person
  AND ranks.funnel = paths.funnel
  AND ranks.entry = paths.entry
WHERE
  ranks.day_rank = 1 OR ranks.platform_rank = 1 OR ranks.country_rank = 1
