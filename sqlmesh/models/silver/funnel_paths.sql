/* How far every merged user came in every funnel on every day on which he entered it, with a row for each step that he reached. He enters with each
 * event that does step 1, on that event's day, and of a day's entries the one counts that goes furthest, of these the earliest (Amplitude's
 * conversion over time). A segment is a filter on step 1, so that another entry may be the best of a platform or a country: rows are of
 * entries that are the best of any. The filter of a step holds for that step alone.
 * The path of an entry takes for one step after the other the earliest event that can do it. Events are in order of time, those at one time of
 * their uuid, and two within one second of each other count in either order: an event may do a step if it is at most a second earlier than any
 * event of the path so far. It must be later than all of them if an earlier step has its event type, so that no event does two steps of a path.
 * Nothing later is ever better, so that no other choice of events goes further.
 * In exact order this path ends before a step ahead of which the user had another event: an active one, more than a second later than the step
 * before and more than a second earlier than the step's own.
 * In any order the steps after the first may lie before it too. The path takes the events next to the entry, before or after, for which it goes
 * furthest within one conversion window; of such choices the one that begins first, which reaches each step soonest.
 * The conversion window runs from the event of step 1 (in any order from the earliest) to the last, its end included. A step is reached when its
 * event and those of the steps before have happened. Events after the frontier wait for their day, as in all of gold. */
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

@IF(
  @runtime_stage = 'evaluating',
  DELETE FROM @this_model
  WHERE
    @of_run(
      (project, app, amplitude_id),
      @touched_users_to_frontier(@start_ts, @end_ts),
      @start_ts
    )
);

WITH RECURSIVE aliases AS (
  SELECT
    aliases.project,
    aliases.app,
    aliases.amplitude_id,
    aliases.canonical_amplitude_id
  FROM @rows_of_run(
    silver.user_aliases,
    (project, app, canonical_amplitude_id),
    @touched_users_to_frontier(@start_ts, @end_ts),
    @start_ts
  ) AS aliases
), steps AS (
  SELECT
    funnel,
    step,
    step_order,
    window_hours,
    MIN(step) OVER (PARTITION BY funnel, event_type) < step AS is_repeated
  FROM silver.funnel_steps
), events AS (
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    events.funnel,
    events.step,
    steps.step_order,
    steps.window_hours,
    events.uuid,
    events.event_time,
    events.event_date,
    events.platform,
    events.country,
    DENSE_RANK() OVER (
      PARTITION BY events.project, events.app, aliases.canonical_amplitude_id, events.funnel
      ORDER BY events.event_time, events.uuid
    ) AS position
  FROM silver.funnel_events AS events
  JOIN aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  JOIN silver.apps AS apps
    ON apps.project = events.project
    AND apps.app = events.app
    AND @is_shown(events.event_date)
  JOIN steps
    ON steps.funnel = events.funnel AND steps.step = events.step
), exact_events AS (
  SELECT DISTINCT
    project,
    app,
    amplitude_id,
    funnel,
    position,
    event_time
  FROM events
  WHERE
    step_order = 'exact'
), active_marks AS (
  /* In exact order: active events, and among them events of the funnels that look for the first one more than a second later. */
  SELECT
    events.project,
    events.app,
    aliases.canonical_amplitude_id AS amplitude_id,
    NULL::VARCHAR AS funnel,
    NULL::BIGINT AS position,
    FALSE AS is_looking,
    events.event_time,
    events.event_time AS mark_time
  FROM silver.events AS events
  JOIN aliases
    ON aliases.project = events.project
    AND aliases.app = events.app
    AND aliases.amplitude_id = events.amplitude_id
  LEFT JOIN @inactive_event_types(@end_ts) AS inactive
    ON inactive.project = events.project AND inactive.event_type = events.event_type
  WHERE
    inactive.event_type IS NULL
  UNION ALL
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    position,
    TRUE AS is_looking,
    event_time,
    DATEADD(SECOND, 1, event_time) AS mark_time
  FROM exact_events
), interruptions AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    position,
    is_looking,
    MIN(IFF(is_looking, NULL, event_time)) OVER (
      PARTITION BY project, app, amplitude_id
      ORDER BY mark_time, is_looking
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS interrupted_at
  FROM active_marks
), marks AS (
  /* Events that do a step after the first, and among them those of steps before that look for the next one, from the time on that is soon enough. */
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    step,
    FALSE AS is_looking,
    position,
    event_time,
    event_time AS mark_time,
    position AS mark_position,
    NULL::TIMESTAMPNTZ AS interrupted_at
  FROM events
  WHERE
    step > 1
  UNION
  SELECT
    events.project,
    events.app,
    events.amplitude_id,
    events.funnel,
    steps.step,
    TRUE AS is_looking,
    events.position,
    events.event_time,
    IFF(
      steps.is_repeated OR steps.step_order = 'any',
      events.event_time,
      DATEADD(SECOND, -1, events.event_time)
    ) AS mark_time,
    IFF(steps.is_repeated, events.position, 0) AS mark_position,
    interruptions.interrupted_at
  FROM events
  JOIN steps
    ON steps.funnel = events.funnel
    AND steps.step > events.step
    AND (
      steps.step_order <> 'any' OR events.step = 1
    )
  LEFT JOIN interruptions
    ON interruptions.is_looking
    AND interruptions.project = events.project
    AND interruptions.app = events.app
    AND interruptions.amplitude_id = events.amplitude_id
    AND interruptions.funnel = events.funnel
    AND interruptions.position = events.position
), looks AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    step,
    is_looking,
    position,
    interrupted_at,
    MAX(IFF(is_looking, NULL, event_time)) OVER (
      PARTITION BY project, app, amplitude_id, funnel, step
      ORDER BY mark_time, mark_position, is_looking
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS previous_time,
    MIN(IFF(is_looking, NULL, event_time)) OVER (
      PARTITION BY project, app, amplitude_id, funnel, step
      ORDER BY mark_time, mark_position, is_looking
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS next_time,
    MIN(IFF(is_looking, NULL, position)) OVER (
      PARTITION BY project, app, amplitude_id, funnel, step
      ORDER BY mark_time, mark_position, is_looking
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS next_position
  FROM marks
), ordered_paths AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    position AS entry,
    step,
    position AS last_position,
    event_time AS reached_at,
    DATEADD(HOUR, window_hours, event_time) AS deadline
  FROM events
  WHERE
    step = 1 AND step_order <> 'any'
  UNION ALL
  SELECT
    paths.project,
    paths.app,
    paths.amplitude_id,
    paths.funnel,
    paths.entry,
    looks.step,
    GREATEST(paths.last_position, looks.next_position) AS last_position,
    GREATEST(paths.reached_at, looks.next_time) AS reached_at,
    paths.deadline
  FROM ordered_paths AS paths
  JOIN looks
    ON looks.is_looking
    AND looks.project = paths.project
    AND looks.app = paths.app
    AND looks.amplitude_id = paths.amplitude_id
    AND looks.funnel = paths.funnel
    AND looks.step = paths.step + 1
    AND looks.position = paths.last_position
    AND looks.next_time <= paths.deadline
    AND (
      looks.interrupted_at IS NULL
      OR looks.interrupted_at >= DATEADD(SECOND, -1, looks.next_time)
    )
), entries AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    position AS entry,
    step_order,
    window_hours,
    uuid AS entry_uuid,
    event_time AS entered_at,
    event_date AS entry_date,
    platform,
    country
  FROM events
  WHERE
    step = 1
), windows AS (
  /* In any order: the windows that an entry may be in, those that begin with it or with an event next to it. */
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    entered_at,
    entered_at AS window_start,
    window_hours
  FROM entries
  WHERE
    step_order = 'any'
  UNION
  SELECT
    entries.project,
    entries.app,
    entries.amplitude_id,
    entries.funnel,
    entries.entry,
    entries.entered_at,
    looks.previous_time AS window_start,
    entries.window_hours
  FROM looks
  JOIN entries
    ON entries.step_order = 'any'
    AND entries.project = looks.project
    AND entries.app = looks.app
    AND entries.amplitude_id = looks.amplitude_id
    AND entries.funnel = looks.funnel
    AND entries.entry = looks.position
    AND looks.previous_time >= DATEADD(HOUR, -entries.window_hours, entries.entered_at)
  WHERE
    looks.is_looking
), window_steps AS (
  SELECT
    windows.project,
    windows.app,
    windows.amplitude_id,
    windows.funnel,
    windows.entry,
    windows.window_start,
    looks.step,
    MAX(
      IFF(looks.previous_time >= windows.window_start, windows.entered_at, looks.next_time)
    ) OVER (
      PARTITION BY windows.project, windows.app, windows.amplitude_id, windows.funnel, windows.entry, windows.window_start
      ORDER BY looks.step
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS reached_at,
    ROW_NUMBER() OVER (
      PARTITION BY windows.project, windows.app, windows.amplitude_id, windows.funnel, windows.entry, windows.window_start
      ORDER BY looks.step
    ) AS steps_done
  FROM windows
  JOIN looks
    ON looks.is_looking
    AND looks.project = windows.project
    AND looks.app = windows.app
    AND looks.amplitude_id = windows.amplitude_id
    AND looks.funnel = windows.funnel
    AND looks.position = windows.entry
    AND (
      looks.previous_time >= windows.window_start
      OR looks.next_time <= DATEADD(HOUR, windows.window_hours, windows.window_start)
    )
), reached_steps AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    window_start,
    step,
    reached_at,
    MAX(step) OVER (PARTITION BY project, app, amplitude_id, funnel, entry, window_start) AS last_step
  FROM window_steps
  WHERE
    step = steps_done + 1
), any_paths AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    step,
    reached_at
  FROM reached_steps
  QUALIFY
    RANK() OVER (
      PARTITION BY project, app, amplitude_id, funnel, entry
      ORDER BY last_step DESC, window_start
    ) = 1
), paths AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    step,
    reached_at
  FROM ordered_paths
  UNION ALL
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    1 AS step,
    entered_at AS reached_at
  FROM entries
  WHERE
    step_order = 'any'
  UNION ALL
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    step,
    reached_at
  FROM any_paths
), lengths AS (
  SELECT
    project,
    app,
    amplitude_id,
    funnel,
    entry,
    MAX(step) AS last_step
  FROM paths
  GROUP BY
    project,
    app,
    amplitude_id,
    funnel,
    entry
), ranks AS (
  SELECT
    entries.project,
    entries.app,
    entries.amplitude_id,
    entries.funnel,
    entries.entry,
    entries.entry_uuid,
    entries.entry_date,
    entries.entered_at,
    entries.platform,
    entries.country,
    ROW_NUMBER() OVER (
      PARTITION BY entries.project, entries.app, entries.amplitude_id, entries.funnel, entries.entry_date
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS day_rank,
    ROW_NUMBER() OVER (
      PARTITION BY entries.project, entries.app, entries.amplitude_id, entries.funnel, entries.entry_date, entries.platform
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS platform_rank,
    ROW_NUMBER() OVER (
      PARTITION BY entries.project, entries.app, entries.amplitude_id, entries.funnel, entries.entry_date, entries.country
      ORDER BY lengths.last_step DESC, entries.entry
    ) AS country_rank
  FROM entries
  JOIN lengths
    ON lengths.project = entries.project
    AND lengths.app = entries.app
    AND lengths.amplitude_id = entries.amplitude_id
    AND lengths.funnel = entries.funnel
    AND lengths.entry = entries.entry
)
SELECT
  paths.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  paths.app::BIGINT AS app, /* Amplitude's number of the project */
  paths.amplitude_id::BIGINT AS amplitude_id, /* The user after merging */
  paths.funnel::VARCHAR AS funnel, /* Name of the funnel */
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
  ON ranks.project = paths.project
  AND ranks.app = paths.app
  AND ranks.amplitude_id = paths.amplitude_id
  AND ranks.funnel = paths.funnel
  AND ranks.entry = paths.entry
WHERE
  ranks.day_rank = 1 OR ranks.platform_rank = 1 OR ranks.country_rank = 1
