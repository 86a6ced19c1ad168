/* How far every merged user came in every funnel, by the day on which they entered it: a row for each step that they reached. Every event that can do
 * step 1 is an entry. A user counts once a day, with the entry that reaches the most steps; if several do, with the earliest (Amplitude's conversion
 * over time: funnel-analysis-how-amplitude-computes-conversions.md). A segment is a filter on step 1. Another entry may therefore be the best of a
 * platform or a country, and the table keeps the entries that are the best of any. The filter of a step holds for that step alone.
 * Within one second (funnel-analysis-how-amplitude-handles-simultaneous-events.md): an event may be up to a second earlier than the events of the steps
 * before it. Two events of one type within a second are one event and never do two steps, unless the filters of these steps exclude each other; such
 * events count in their own order. All orders but 'any' use an event once.
 * 'this' takes for each step the earliest event that fits. An earlier event never narrows what may follow, so no other choice goes further.
 * 'exact' allows no active event between two steps, more than a second after the one and before the other. A later event of a step may then be the
 * better one. Every choice that makes a difference is followed, and the path that reaches the most steps counts; if several do, the earliest.
 * In 'any' order later steps may lie before step 1. The path takes the events next to the entry with which it goes furthest within one window; of such
 * choices the one that begins first, which reaches each step soonest.
 * The conversion window runs from the event of step 1 ('any': from the earliest) to the last, its end included. A step is reached when its event and
 * those of the steps before have happened. Events after the frontier wait for their day, as in all of gold.
 * docs/how-amplitude-counts.md has the choices that Amplitude's pages leave open. */
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
), repeats AS (
  /* Pairs of steps of one event type, and whether their filters exclude each other. */
  SELECT
    steps.funnel,
    steps.step,
    earlier.step AS earlier_step,
    COALESCE(
      steps.property_filter <> earlier.property_filter
      AND SPLIT_PART(steps.property_filter, '=', 1) = SPLIT_PART(earlier.property_filter, '=', 1),
      FALSE
    ) AS is_exclusive
  FROM silver.funnel_steps AS steps
  JOIN silver.funnel_steps AS earlier
    ON earlier.funnel = steps.funnel
    AND earlier.event_type = steps.event_type
    AND earlier.step < steps.step
), steps AS (
  /* `same_step` is the last step before whose event Amplitude could take for that of this one. */
  SELECT
    steps.funnel,
    steps.step,
    steps.step_order,
    ROUND(steps.window_hours * 3600)::BIGINT AS window_seconds,
    MAX(IFF(repeats.is_exclusive, NULL, repeats.earlier_step)) AS same_step,
    COALESCE(MAX(IFF(repeats.is_exclusive, 1, 0)), 0) = 1 AS is_in_own_order,
    MAX(MAX(IFF(steps.step_order = 'exact' OR NOT repeats.step IS NULL, 1, 0))) OVER (PARTITION BY steps.funnel) = 1 AS is_tracked
  FROM silver.funnel_steps AS steps
  LEFT JOIN repeats
    ON repeats.funnel = steps.funnel AND repeats.step = steps.step
  GROUP BY
    steps.funnel,
    steps.step,
    steps.step_order,
    steps.window_hours
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
), active_marks AS (
  /* In exact order: active events, and among them events of the funnels that look for the first one more than a second later. */
  SELECT
    people.person,
    NULL::VARCHAR AS funnel,
    NULL::BIGINT AS position,
    FALSE AS is_looking,
    events.event_time,
    events.event_time AS mark_time
  FROM silver.events AS events
  JOIN people
    ON people.project = events.project
    AND people.app = events.app
    AND people.amplitude_id = events.amplitude_id
  LEFT JOIN @inactive_event_types(@end_ts) AS inactive
    ON inactive.project = events.project AND inactive.event_type = events.event_type
  WHERE
    inactive.event_type IS NULL
  UNION ALL
  SELECT DISTINCT
    person,
    funnel,
    position,
    TRUE AS is_looking,
    event_time,
    DATEADD(SECOND, 1, event_time) AS mark_time
  FROM events
  WHERE
    step_order = 'exact'
), interruptions AS (
  SELECT
    person,
    funnel,
    position,
    is_looking,
    MIN(IFF(is_looking, NULL, event_time)) OVER (
      PARTITION BY person
      ORDER BY mark_time, is_looking
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS interrupted_at
  FROM active_marks
), sources AS (
  SELECT
    events.person,
    events.funnel,
    events.step,
    events.step_order,
    events.position,
    events.event_time,
    interruptions.interrupted_at
  FROM events
  LEFT JOIN interruptions
    ON interruptions.is_looking
    AND interruptions.person = events.person
    AND interruptions.funnel = events.funnel
    AND interruptions.position = events.position
), marks AS (
  /* Events that do a step after the first, and among them events that look for the next one, from the time on that fits:
   * 'next' from the latest event of a path for its next step; 'apart' from the event of the same step, which must be more than a second away;
   * 'other' in exact order from the latest event for another one in its place, the first that another active event would interrupt. */
  SELECT
    person,
    funnel,
    step,
    NULL::VARCHAR AS look,
    position,
    event_time,
    event_time AS mark_time,
    position AS mark_position,
    NULL::TIMESTAMPNTZ AS interrupted_at
  FROM sources
  WHERE
    step > 1
  UNION
  SELECT
    sources.person,
    sources.funnel,
    steps.step,
    'next' AS look,
    sources.position,
    sources.event_time,
    IFF(
      steps.is_in_own_order OR steps.step_order = 'any',
      sources.event_time,
      DATEADD(SECOND, -1, sources.event_time)
    ) AS mark_time,
    IFF(steps.is_in_own_order, sources.position, 0) AS mark_position,
    sources.interrupted_at
  FROM sources
  JOIN steps
    ON steps.funnel = sources.funnel
    AND steps.step > sources.step
    AND (
      steps.step_order <> 'any' OR sources.step = 1
    )
  UNION
  SELECT
    sources.person,
    sources.funnel,
    steps.step,
    'apart' AS look,
    sources.position,
    sources.event_time,
    DATEADD(MICROSECOND, 1000001, sources.event_time) AS mark_time,
    0 AS mark_position,
    NULL::TIMESTAMPNTZ AS interrupted_at
  FROM sources
  JOIN steps
    ON steps.funnel = sources.funnel AND steps.same_step = sources.step
  WHERE
    sources.step_order <> 'any'
  UNION
  SELECT
    sources.person,
    sources.funnel,
    steps.step,
    'other' AS look,
    sources.position,
    sources.event_time,
    DATEADD(SECOND, -1, sources.interrupted_at) AS mark_time,
    0 AS mark_position,
    sources.interrupted_at
  FROM sources
  JOIN steps
    ON steps.funnel = sources.funnel AND steps.step >= sources.step AND steps.step > 1
  WHERE
    NOT sources.interrupted_at IS NULL
), looks AS (
  SELECT
    person,
    funnel,
    step,
    look,
    position,
    interrupted_at,
    MAX(IFF(look IS NULL, event_time, NULL)) OVER (
      PARTITION BY person, funnel, step
      ORDER BY mark_time, mark_position, NOT look IS NULL
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS previous_time,
    MIN(IFF(look IS NULL, event_time, NULL)) OVER (
      PARTITION BY person, funnel, step
      ORDER BY mark_time, mark_position, NOT look IS NULL
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS next_time,
    MIN(IFF(look IS NULL, position, NULL)) OVER (
      PARTITION BY person, funnel, step
      ORDER BY mark_time, mark_position, NOT look IS NULL
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS next_position
  FROM marks
), nexts AS (
  /* For a path that has done `step_before`, the event with which it may go on ('next'), or that may take the place of the last ('other'). */
  SELECT
    looks.person,
    looks.funnel,
    looks.step,
    IFF(looks.look = 'next', looks.step - 1, looks.step) AS step_before,
    looks.look,
    looks.position,
    looks.next_time,
    looks.next_position,
    COALESCE(DATEADD(SECOND, 1, looks.interrupted_at), '9999-01-01'::TIMESTAMPNTZ) AS latest_at,
    steps.same_step
  FROM looks
  JOIN steps
    ON steps.funnel = looks.funnel
    AND steps.step = looks.step
    AND steps.step_order <> 'any'
  WHERE
    looks.look IN ('next', 'other') AND NOT looks.next_time IS NULL
), entries AS (
  SELECT
    project,
    app,
    amplitude_id,
    person,
    funnel,
    position AS entry,
    step_order,
    window_seconds,
    is_tracked,
    uuid AS entry_uuid,
    event_time AS entered_at,
    event_date AS entry_date,
    platform,
    country
  FROM events
  WHERE
    step = 1
), ordered_paths AS (
  /* `way` holds a path as a text, 22 digits a step: microseconds until it is reached (14), position of its event (8).
   * It is cast, because Snowflake gives a column of a recursion the length that its first rows have.
   * After a choice of an event another one is tried in its place. Events until `other_until` followed the choice before as well, and events until
   * `covered_until` that of the step before: such a path `is_covered` by an earlier one and goes no further, so that bursts of events stay cheap. */
  SELECT
    person,
    funnel,
    entry,
    1::BIGINT AS step,
    entry AS last_position,
    entered_at,
    entered_at AS reached_at,
    DATEADD(SECOND, window_seconds, entered_at) AS deadline,
    DATEADD(SECOND, window_seconds, entered_at) AS latest_at,
    NULL::TIMESTAMPNTZ AS other_until,
    NULL::TIMESTAMPNTZ AS covered_until,
    FALSE AS is_covered,
    IFF(is_tracked, REPEAT('0', 14) || LPAD(entry::VARCHAR, 8, '0'), NULL)::VARCHAR AS way
  FROM entries
  WHERE
    step_order <> 'any'
  UNION ALL
  SELECT
    paths.person,
    paths.funnel,
    paths.entry,
    nexts.step,
    GREATEST(paths.last_position, nexts.next_position, COALESCE(aparts.next_position, 0)) AS last_position,
    paths.entered_at,
    GREATEST(paths.reached_at, nexts.next_time, COALESCE(aparts.next_time, nexts.next_time)) AS reached_at,
    paths.deadline,
    IFF(nexts.look = 'next', LEAST(paths.deadline, nexts.latest_at), paths.latest_at) AS latest_at,
    IFF(nexts.look = 'next', NULL, nexts.latest_at) AS other_until,
    IFF(nexts.look = 'next', paths.other_until, paths.covered_until) AS covered_until,
    COALESCE(
      GREATEST(nexts.next_time, COALESCE(aparts.next_time, nexts.next_time)) > paths.reached_at
      AND GREATEST(nexts.next_time, COALESCE(aparts.next_time, nexts.next_time)) <= IFF(nexts.look = 'next', paths.other_until, paths.covered_until),
      FALSE
    ) AS is_covered,
    IFF(
      paths.way IS NULL,
      NULL,
      LEFT(paths.way, 22 * (
        nexts.step - 1
      )) || LPAD(
        DATEDIFF(
          MICROSECOND,
          paths.entered_at,
          GREATEST(paths.reached_at, nexts.next_time, COALESCE(aparts.next_time, nexts.next_time))
        )::VARCHAR,
        14,
        '0'
      ) || LPAD(GREATEST(nexts.next_position, COALESCE(aparts.next_position, 0))::VARCHAR, 8, '0')
    )::VARCHAR AS way
  FROM ordered_paths AS paths
  JOIN nexts
    ON nexts.person = paths.person
    AND nexts.funnel = paths.funnel
    AND nexts.position = paths.last_position
    AND nexts.step_before = paths.step
    AND (
      nexts.look = 'other' OR NOT paths.is_covered
    )
  LEFT JOIN looks AS aparts
    ON aparts.look = 'apart'
    AND aparts.person = paths.person
    AND aparts.funnel = paths.funnel
    AND aparts.step = nexts.step
    AND aparts.position = SUBSTRING(paths.way, 22 * nexts.same_step - 7, 8)::BIGINT
  WHERE
    (
      nexts.same_step IS NULL OR NOT aparts.next_time IS NULL
    )
    AND GREATEST(nexts.next_time, COALESCE(aparts.next_time, nexts.next_time)) <= IFF(nexts.look = 'next', LEAST(paths.deadline, nexts.latest_at), paths.latest_at)
), best_paths AS (
  /* In exact order: the steps of the best of an entry's paths. */
  SELECT
    person,
    funnel,
    entry,
    step,
    reached_at,
    way,
    FIRST_VALUE(way) OVER (PARTITION BY person, funnel, entry ORDER BY step DESC, way) AS best_way
  FROM ordered_paths
  WHERE
    NOT way IS NULL
  QUALIFY
    STARTSWITH(best_way, way)
), windows AS (
  /* In any order: the windows that an entry may be in, those that begin with it or with an event next to it. */
  SELECT
    person,
    funnel,
    entry,
    entered_at,
    entered_at AS window_start,
    window_seconds
  FROM entries
  WHERE
    step_order = 'any'
  UNION
  SELECT
    entries.person,
    entries.funnel,
    entries.entry,
    entries.entered_at,
    looks.previous_time AS window_start,
    entries.window_seconds
  FROM looks
  JOIN entries
    ON entries.step_order = 'any'
    AND entries.person = looks.person
    AND entries.funnel = looks.funnel
    AND entries.entry = looks.position
    AND looks.previous_time >= DATEADD(SECOND, -entries.window_seconds, entries.entered_at)
  WHERE
    looks.look = 'next'
), window_steps AS (
  SELECT
    windows.person,
    windows.funnel,
    windows.entry,
    windows.window_start,
    looks.step,
    MAX(
      IFF(looks.previous_time >= windows.window_start, windows.entered_at, looks.next_time)
    ) OVER (
      PARTITION BY windows.person, windows.funnel, windows.entry, windows.window_start
      ORDER BY looks.step
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS reached_at,
    ROW_NUMBER() OVER (
      PARTITION BY windows.person, windows.funnel, windows.entry, windows.window_start
      ORDER BY looks.step
    ) AS steps_done
  FROM windows
  JOIN looks
    ON looks.look = 'next'
    AND looks.person = windows.person
    AND looks.funnel = windows.funnel
    AND looks.position = windows.entry
    AND (
      looks.previous_time >= windows.window_start
      OR looks.next_time <= DATEADD(SECOND, windows.window_seconds, windows.window_start)
    )
), reached_steps AS (
  SELECT
    person,
    funnel,
    entry,
    window_start,
    step,
    reached_at,
    MAX(step) OVER (PARTITION BY person, funnel, entry, window_start) AS last_step
  FROM window_steps
  WHERE
    step = steps_done + 1
), any_paths AS (
  SELECT
    person,
    funnel,
    entry,
    step,
    reached_at
  FROM reached_steps
  QUALIFY
    RANK() OVER (PARTITION BY person, funnel, entry ORDER BY last_step DESC, window_start) = 1
), paths AS (
  SELECT
    person,
    funnel,
    entry,
    step,
    reached_at
  FROM ordered_paths
  WHERE
    way IS NULL
  UNION ALL
  SELECT
    person,
    funnel,
    entry,
    step,
    reached_at
  FROM best_paths
  UNION ALL
  SELECT
    person,
    funnel,
    entry,
    1 AS step,
    entered_at AS reached_at
  FROM entries
  WHERE
    step_order = 'any'
  UNION ALL
  SELECT
    person,
    funnel,
    entry,
    step,
    reached_at
  FROM any_paths
), lengths AS (
  SELECT
    person,
    funnel,
    entry,
    MAX(step) AS last_step
  FROM paths
  GROUP BY
    person,
    funnel,
    entry
), ranks AS (
  SELECT
    entries.project,
    entries.app,
    entries.amplitude_id,
    entries.person,
    entries.funnel,
    entries.entry,
    entries.entry_uuid,
    entries.entry_date,
    entries.entered_at,
    entries.platform,
    entries.country,
    ROW_NUMBER() OVER (
      PARTITION BY entries.person, entries.funnel, entries.entry_date
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS day_rank,
    ROW_NUMBER() OVER (
      PARTITION BY entries.person, entries.funnel, entries.entry_date, entries.platform
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS platform_rank,
    ROW_NUMBER() OVER (
      PARTITION BY entries.person, entries.funnel, entries.entry_date, entries.country
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
  ranks.entry_uuid::VARCHAR AS entry_uuid, /* Amplitude's id of the event that did step 1 */
  ranks.entry_date::DATE AS entry_date, /* Day of that event in the reporting time zone */
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
