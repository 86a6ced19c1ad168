"""How far the entries of a funnel come: the later CTEs of silver.funnel_paths.

Each macro reads the CTEs of that model that it names. An entry is known by its user (`person`), funnel and `entry`, the
position of its event.
"""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def funnel_ordered_paths(evaluator: MacroEvaluator) -> exp.Expr:
    """Return the body of the recursive CTE `ordered_paths`: `entries` go on by `nexts`, unless the order is 'any'.

    `way` holds a path as a text, 22 digits a step: microseconds until it is reached (14), position of its event (8).
    It is cast, because Snowflake gives a column of a recursion the length that its first rows have.

    After a choice of an event another one is tried in its place. Events until `other_until` followed the choice before
    as well, and events until `covered_until` that of the step before. Such a path `is_covered` by an earlier one and
    goes no further, so that bursts of events stay cheap. `aparts`, of `looks`, are events of a step of the same type.
    """
    latest_time = "GREATEST(nexts.next_time, COALESCE(aparts.next_time, nexts.next_time))"
    reached_at = "GREATEST(paths.reached_at, nexts.next_time, COALESCE(aparts.next_time, nexts.next_time))"
    is_next = "nexts.look = 'next'"
    covered_until = f"IFF({is_next}, paths.other_until, paths.covered_until)"
    latest_at = f"IFF({is_next}, LEAST(paths.deadline, nexts.latest_at), paths.latest_at)"
    return evaluator.parse_one(f"""
        SELECT
            person, funnel, entry, 1::BIGINT AS step, entry AS last_position, entered_at, entered_at AS reached_at,
            DATEADD(SECOND, window_seconds, entered_at) AS deadline,
            DATEADD(SECOND, window_seconds, entered_at) AS latest_at,
            NULL::TIMESTAMPNTZ AS other_until,
            NULL::TIMESTAMPNTZ AS covered_until,
            FALSE AS is_covered,
            IFF(is_tracked, REPEAT('0', 14) || LPAD(entry::VARCHAR, 8, '0'), NULL)::VARCHAR AS way
        FROM entries
        WHERE step_order <> 'any'
        UNION ALL
        SELECT
            paths.person, paths.funnel, paths.entry, nexts.step,
            GREATEST(paths.last_position, nexts.next_position, COALESCE(aparts.next_position, 0)) AS last_position,
            paths.entered_at,
            {reached_at} AS reached_at,
            paths.deadline,
            {latest_at} AS latest_at,
            IFF({is_next}, NULL, nexts.latest_at) AS other_until,
            {covered_until} AS covered_until,
            COALESCE({latest_time} > paths.reached_at AND {latest_time} <= {covered_until}, FALSE) AS is_covered,
            IFF(
                paths.way IS NULL,
                NULL,
                LEFT(paths.way, 22 * (nexts.step - 1))
                || LPAD(DATEDIFF(MICROSECOND, paths.entered_at, {reached_at})::VARCHAR, 14, '0')
                || LPAD(GREATEST(nexts.next_position, COALESCE(aparts.next_position, 0))::VARCHAR, 8, '0')
            )::VARCHAR AS way
        FROM ordered_paths AS paths
        JOIN nexts
            ON nexts.person = paths.person
            AND nexts.funnel = paths.funnel
            AND nexts.position = paths.last_position
            AND nexts.step_before = paths.step
            AND (nexts.look = 'other' OR NOT paths.is_covered)
        LEFT JOIN looks AS aparts
            ON aparts.look = 'apart'
            AND aparts.person = paths.person
            AND aparts.funnel = paths.funnel
            AND aparts.step = nexts.step
            AND aparts.position = SUBSTRING(paths.way, 22 * nexts.same_step - 7, 8)::BIGINT
        WHERE
            (nexts.same_step IS NULL OR NOT aparts.next_time IS NULL) AND {latest_time} <= {latest_at}
    """)


@macro()
def funnel_any_paths(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of the steps after the first that `entries` in 'any' order reach, by their `looks`.

    The windows that an entry may be in begin with it or with an event next to it. The window in which the entry goes
    furthest counts; if there are several, the one that begins first.
    """
    window = "PARTITION BY windows.person, windows.funnel, windows.entry, windows.window_start ORDER BY looks.step"
    return evaluator.parse_one(f"""(
        WITH windows AS (
            SELECT person, funnel, entry, entered_at, entered_at AS window_start, window_seconds
            FROM entries
            WHERE step_order = 'any'
            UNION
            SELECT
                entries.person, entries.funnel, entries.entry, entries.entered_at,
                looks.previous_time AS window_start, entries.window_seconds
            FROM looks
            JOIN entries
                ON entries.step_order = 'any'
                AND entries.person = looks.person
                AND entries.funnel = looks.funnel
                AND entries.entry = looks.position
                AND looks.previous_time >= DATEADD(SECOND, -entries.window_seconds, entries.entered_at)
            WHERE looks.look = 'next'
        ), window_steps AS (
            SELECT
                windows.person, windows.funnel, windows.entry, windows.window_start, looks.step,
                MAX(IFF(looks.previous_time >= windows.window_start, windows.entered_at, looks.next_time))
                    OVER ({window} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS reached_at,
                ROW_NUMBER() OVER ({window}) AS steps_done
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
                person, funnel, entry, window_start, step, reached_at,
                MAX(step) OVER (PARTITION BY person, funnel, entry, window_start) AS last_step
            FROM window_steps
            WHERE step = steps_done + 1
        )
        SELECT person, funnel, entry, step, reached_at
        FROM reached_steps
        QUALIFY RANK() OVER (PARTITION BY person, funnel, entry ORDER BY last_step DESC, window_start) = 1
    )""")


@macro()
def funnel_best_paths(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of the steps of every entry's best path, from `entries`, `ordered_paths` and `any_paths`.

    Where a path is not tracked, an entry has one alone. Of others the path counts that reaches the most steps; if
    several do, the earliest.
    """
    return evaluator.parse_one("""(
        WITH tracked AS (
            SELECT
                person, funnel, entry, step, reached_at, way,
                FIRST_VALUE(way) OVER (PARTITION BY person, funnel, entry ORDER BY step DESC, way) AS best_way
            FROM ordered_paths
            WHERE NOT way IS NULL
            QUALIFY STARTSWITH(best_way, way)
        )
        SELECT person, funnel, entry, step, reached_at FROM ordered_paths WHERE way IS NULL
        UNION ALL
        SELECT person, funnel, entry, step, reached_at FROM tracked
        UNION ALL
        SELECT person, funnel, entry, 1 AS step, entered_at AS reached_at FROM entries WHERE step_order = 'any'
        UNION ALL
        SELECT person, funnel, entry, step, reached_at FROM any_paths
    )""")
