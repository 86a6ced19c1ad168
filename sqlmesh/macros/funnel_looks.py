"""Which event can do the next step of a funnel: the first CTEs of silver.funnel_paths.

Each macro reads the CTEs of that model that it names. An event is known by its user (`person`), funnel and `position`.
"""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

from .keys import inactive_event_types


@macro()
def funnel_rules(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of the steps of all funnels, with what follows from several steps of one event type.

    Two events of one type within a second are one event, unless the filters of their steps exclude each other. Events
    of such filters count in their own order. `same_step` is the last step before whose event Amplitude could take for
    that of this step. A path of a funnel that `is_tracked` must know its events.
    """
    return evaluator.parse_one("""(
        WITH repeats AS (
            SELECT
                steps.funnel, steps.step, earlier.step AS earlier_step,
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
        )
        SELECT
            steps.funnel, steps.step, steps.step_order,
            ROUND(steps.window_hours * 3600)::BIGINT AS window_seconds,
            MAX(IFF(repeats.is_exclusive, NULL, repeats.earlier_step)) AS same_step,
            COALESCE(MAX(IFF(repeats.is_exclusive, 1, 0)), 0) = 1 AS is_in_own_order,
            MAX(MAX(IFF(steps.step_order = 'exact' OR NOT repeats.step IS NULL, 1, 0)))
                OVER (PARTITION BY steps.funnel) = 1 AS is_tracked
        FROM silver.funnel_steps AS steps
        LEFT JOIN repeats ON repeats.funnel = steps.funnel AND repeats.step = steps.step
        GROUP BY steps.funnel, steps.step, steps.step_order, steps.window_hours
    )""")


@macro()
def funnel_sources(evaluator: MacroEvaluator, end: exp.Expr) -> exp.Expr:
    """Return a query of `events` and when the first active event interrupts them, which counts in exact order.

    That is the first active event of `people` more than a second later. The marks of a user, in order of time, are
    their active events and the moments from which events of the funnels look for the next of these.
    """
    inactive = inactive_event_types(evaluator, end).sql(evaluator.dialect)
    return evaluator.parse_one(f"""(
        WITH active_marks AS (
            SELECT
                people.person, NULL::VARCHAR AS funnel, NULL::BIGINT AS position, FALSE AS is_looking,
                events.event_time, events.event_time AS mark_time
            FROM silver.events AS events
            JOIN people
                ON people.project = events.project
                AND people.app = events.app
                AND people.amplitude_id = events.amplitude_id
            LEFT JOIN {inactive} AS inactive
                ON inactive.project = events.project AND inactive.event_type = events.event_type
            WHERE inactive.event_type IS NULL
            UNION ALL
            SELECT DISTINCT
                person, funnel, position, TRUE AS is_looking,
                event_time, DATEADD(SECOND, 1, event_time) AS mark_time
            FROM events
            WHERE step_order = 'exact'
        ), interruptions AS (
            SELECT
                person, funnel, position, is_looking,
                MIN(IFF(is_looking, NULL, event_time)) OVER (
                    PARTITION BY person ORDER BY mark_time, is_looking
                    ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
                ) AS interrupted_at
            FROM active_marks
        )
        SELECT
            events.person, events.funnel, events.step, events.step_order, events.position, events.event_time,
            interruptions.interrupted_at
        FROM events
        LEFT JOIN interruptions
            ON interruptions.is_looking
            AND interruptions.person = events.person
            AND interruptions.funnel = events.funnel
            AND interruptions.position = events.position
    )""")


@macro()
def funnel_looks(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of what each of `sources` finds, for each of `steps` that it looks for: the events around it.

    The marks of a step, in order of time, are the events that do it and the moments from which others look for it:
    'next' from the latest event of a path for its next step; 'apart' from the event of the same step, which must be
    more than a second away; 'other' in exact order from the latest event for another one in its place, the first that
    another active event would interrupt. In 'any' order only entries look, and before themselves, too.
    """
    in_order = "PARTITION BY person, funnel, step ORDER BY mark_time, mark_position, NOT look IS NULL"
    before = f"OVER ({in_order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    after = f"OVER ({in_order} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"
    return evaluator.parse_one(f"""(
        WITH marks AS (
            SELECT
                person, funnel, step, NULL::VARCHAR AS look, position, event_time,
                event_time AS mark_time, position AS mark_position, NULL::TIMESTAMPNTZ AS interrupted_at
            FROM sources
            WHERE step > 1
            UNION
            SELECT
                sources.person, sources.funnel, steps.step, 'next' AS look, sources.position, sources.event_time,
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
                AND (steps.step_order <> 'any' OR sources.step = 1)
            UNION
            SELECT
                sources.person, sources.funnel, steps.step, 'apart' AS look, sources.position, sources.event_time,
                DATEADD(MICROSECOND, 1000001, sources.event_time) AS mark_time,
                0 AS mark_position, NULL::TIMESTAMPNTZ AS interrupted_at
            FROM sources
            JOIN steps ON steps.funnel = sources.funnel AND steps.same_step = sources.step
            WHERE sources.step_order <> 'any'
            UNION
            SELECT
                sources.person, sources.funnel, steps.step, 'other' AS look, sources.position, sources.event_time,
                DATEADD(SECOND, -1, sources.interrupted_at) AS mark_time,
                0 AS mark_position, sources.interrupted_at
            FROM sources
            JOIN steps ON steps.funnel = sources.funnel AND steps.step >= sources.step AND steps.step > 1
            WHERE NOT sources.interrupted_at IS NULL
        )
        SELECT
            person, funnel, step, look, position, interrupted_at,
            MAX(IFF(look IS NULL, event_time, NULL)) {before} AS previous_time,
            MIN(IFF(look IS NULL, event_time, NULL)) {after} AS next_time,
            MIN(IFF(look IS NULL, position, NULL)) {after} AS next_position
        FROM marks
    )""")


@macro()
def funnel_nexts(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of the choices of a path that has done `step_before`, from `looks` and `steps`.

    A choice is the event with which the path may go on ('next'), or that may take the place of its last ('other').
    """
    return evaluator.parse_one("""(
        SELECT
            looks.person, looks.funnel, looks.step,
            IFF(looks.look = 'next', looks.step - 1, looks.step) AS step_before,
            looks.look, looks.position, looks.next_time, looks.next_position,
            COALESCE(DATEADD(SECOND, 1, looks.interrupted_at), '9999-01-01'::TIMESTAMPNTZ) AS latest_at,
            steps.same_step
        FROM looks
        JOIN steps
            ON steps.funnel = looks.funnel AND steps.step = looks.step AND steps.step_order <> 'any'
        WHERE looks.look IN ('next', 'other') AND NOT looks.next_time IS NULL
    )""")
