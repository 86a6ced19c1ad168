"""The keys that the export hours of a run touch.

A model whose grain is not the export hour deletes these keys (in a pre-statement) and computes them anew from all of
their events, however old: no lookback on event time, which a later row would outrun. Each macro gives a query of keys.

Three things touch a key: an event of the run's hours; an event type that became inactive, active again, deleted or
restored in the run's hours, which counts for all time; and a user who counts as another since (silver.user_moves).
"""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

from .dates import reporting_date_sql

# The hours with which a flag of an event type changes in Amplitude's event list, with its flags from then on.
# Read from bronze, since a view between would have no gate of its own (see signals/export_hours.py).
FLAG_CHANGES = """
    SELECT *
    FROM (
        SELECT
            _project AS project,
            value AS event_type,
            _effective_hour AS effective_hour,
            COALESCE(non_active, FALSE) AS is_inactive,
            COALESCE(deleted, FALSE) AS is_deleted
        FROM bronze.events_list
    ) AS listed
    QUALIFY
        is_inactive <> LAG(is_inactive, 1, FALSE) OVER (PARTITION BY project, event_type ORDER BY effective_hour)
        OR is_deleted <> LAG(is_deleted, 1, FALSE) OVER (PARTITION BY project, event_type ORDER BY effective_hour)
"""


@macro()
def of_run(evaluator: MacroEvaluator, keys: exp.Tuple, touched: exp.Subquery, start: exp.Expr) -> exp.Expr:
    """Return the condition that a row has keys that the run touches. A run from the first hour on touches all."""
    if start.name == evaluator.var("first_hour"):
        return exp.true()
    names = ", ".join(touched.this.named_selects)
    return evaluator.parse_one(
        f"{keys.sql(evaluator.dialect)} IN (SELECT {names} FROM {touched.sql(evaluator.dialect)} AS touched)"
    )


@macro()
def delete_touched(
    evaluator: MacroEvaluator, keys: exp.Tuple, touched: exp.Subquery, start: exp.Expr
) -> exp.Expr | None:
    """Return the pre-statement that deletes the rows whose keys the run touches; nothing while no run is under way."""
    if RuntimeStage(evaluator.runtime_stage) is not RuntimeStage.EVALUATING:
        return None
    condition = of_run(evaluator, keys, touched, start).sql(evaluator.dialect)
    return evaluator.parse_one(f"DELETE FROM {evaluator.this_model} WHERE {condition}")


@macro()
def rows_of_run(
    evaluator: MacroEvaluator, table: exp.Table, keys: exp.Tuple, touched: exp.Subquery, start: exp.Expr
) -> exp.Expr:
    """Return the rows of a table that have such keys, by a join: DuckDB would hash the larger side of IN."""
    rows = f"SELECT source.* FROM {table.sql(evaluator.dialect)} AS source"
    if start.name != evaluator.var("first_hour"):
        pairs = zip(touched.this.named_selects, keys.expressions, strict=True)
        on = " AND ".join(f"touched.{name} = source.{key.sql(evaluator.dialect)}" for name, key in pairs)
        rows += f" JOIN {touched.sql(evaluator.dialect)} AS touched ON {on}"
    return query(evaluator, rows)


@macro()
def touched_users(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, amplitude_id) of users with an event in the run's hours."""
    users = "SELECT DISTINCT project, app, amplitude_id FROM silver.events"
    return query(evaluator, f"{users} WHERE export_hour {run(start, end)}")


@macro()
def touched_devices(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, device_id) of devices with an event in the run's hours."""
    devices = "SELECT DISTINCT project, app, device_id FROM silver.events"
    return query(evaluator, f"{devices} WHERE export_hour {run(start, end)} AND NOT device_id IS NULL")


@macro()
def touched_user_days(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, amplitude_id, event_date) of days of users."""
    return query(evaluator, user_days_sql(run(start, end)))


@macro()
def touched_user_summaries(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, amplitude_id) of users whose days, merged user or sessions may have changed.

    A session belongs to a merged user, so an event of one user may change the sessions of those merged with them.
    """
    return query(
        evaluator,
        f"""
        SELECT aliases.project, aliases.app, aliases.amplitude_id
        FROM silver.user_aliases AS aliases
        JOIN ({merged_users_sql(run(start, end))}) AS merged
            ON merged.project = aliases.project
            AND merged.app = aliases.app
            AND merged.amplitude_id = aliases.canonical_amplitude_id
        """,
    )


@macro()
def touched_merged_users(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, amplitude_id) of merged users whose days may have changed, those who lost one included."""
    return query(evaluator, merged_users_sql(run(start, end)))


@macro()
def touched_users_to_frontier(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return the same to the frontier: with users who had events on days that it has now reached."""
    return query(
        evaluator,
        f"""
        SELECT users.project, users.app, users.amplitude_id FROM ({merged_users_sql(run(start, end))}) AS users
        UNION
        SELECT aliases.project, aliases.app, aliases.canonical_amplitude_id AS amplitude_id
        FROM silver.user_days AS days
        JOIN ({reached_sql(evaluator, start)}) AS reached
            ON reached.project = days.project
            AND reached.app = days.app
            AND days.event_date > reached.shown_date
            AND days.event_date <= reached.frontier_date
        JOIN silver.user_aliases AS aliases
            ON aliases.project = days.project AND aliases.app = days.app AND aliases.amplitude_id = days.amplitude_id
        """,
    )


@macro()
def touched_dates(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, event_date) of days that may have changed, for what a day's events tell of it.

    These are the days of the run's events and of changed flags, all days of users who may now be another, and the days
    that had events ahead of time and that gold now shows, since the export has reached them.
    """
    return query(
        evaluator,
        f"""
        SELECT DISTINCT days.project, days.app, days.event_date FROM ({user_days_sql(run(start, end))}) AS days
        UNION
        SELECT days.project, days.app, days.event_date
        FROM silver.user_days AS days
        JOIN ({moves_sql(run(start, end))}) AS users
            ON users.project = days.project AND users.app = days.app AND users.amplitude_id = days.amplitude_id
        UNION
        SELECT days.project, days.app, days.event_date
        FROM silver.user_days AS days
        JOIN ({reached_sql(evaluator, start)}) AS reached
            ON reached.project = days.project
            AND reached.app = days.app
            AND days.event_date > reached.shown_date
            AND days.event_date <= reached.frontier_date
        """,
    )


@macro()
def touched_sessions(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, session_id) of sessions, whose user may change: a login moves sessions."""
    return query(evaluator, sessions_sql(start, end))


@macro()
def touched_session_dates(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project, app, event_date) of all days of the touched sessions, for what events and the next tell.

    So are those of sessions that go on on a day that gold now shows: what was their last event no longer is.
    """
    return query(
        evaluator,
        f"""
        SELECT DISTINCT events.project, events.app, events.event_date
        FROM silver.events AS events
        JOIN (
            {sessions_sql(start, end)}
            UNION
            SELECT ahead.project, ahead.app, ahead.session_id
            FROM silver.events AS ahead
            JOIN ({reached_sql(evaluator, start)}) AS reached
                ON reached.project = ahead.project
                AND reached.app = ahead.app
                AND ahead.event_date > reached.shown_date
                AND ahead.event_date <= reached.frontier_date
            WHERE NOT ahead.session_id IS NULL
        ) AS sessions
            ON sessions.project = events.project
            AND sessions.app = events.app
            AND sessions.session_id = events.session_id
        """,
    )


@macro()
def inactive_event_types(evaluator: MacroEvaluator, end: exp.Expr) -> exp.Expr:
    """Return (project, event_type) of the event types that are inactive as of the end of the run."""
    return query(evaluator, flagged_types_sql(end, "is_inactive"))


@macro()
def event_types_outside_sessions(evaluator: MacroEvaluator, end: exp.Expr) -> exp.Expr:
    """Return (project, event_type) of the event types that no session counts as of the end of the run.

    These are the inactive and the deleted ones (Amplitude's page "How Amplitude calculates session length"). A deleted
    type still makes its users active: Amplitude keeps it in its charts.
    """
    return query(evaluator, flagged_types_sql(end, "is_inactive OR is_deleted"))


def moves_sql(run: str) -> str:
    """Return (project, app, amplitude_id, previous_amplitude_id, canonical_amplitude_id) of users who moved."""
    return f"SELECT * FROM silver.user_moves WHERE run_end {run}"


def merged_users_sql(run: str) -> str:
    return f"""
        SELECT aliases.project, aliases.app, aliases.canonical_amplitude_id AS amplitude_id
        FROM ({user_days_sql(run)}) AS days
        JOIN silver.user_aliases AS aliases
            ON aliases.project = days.project AND aliases.app = days.app AND aliases.amplitude_id = days.amplitude_id
        UNION
        SELECT project, app, previous_amplitude_id AS amplitude_id FROM ({moves_sql(run)}) AS losses
        UNION
        SELECT project, app, canonical_amplitude_id AS amplitude_id FROM ({moves_sql(run)}) AS gains
    """


def reached_sql(evaluator: MacroEvaluator, start: exp.Expr) -> str:
    """Return by project and app the day with which gold ended before the run (shown_date) and ends now."""
    return f"""
        SELECT apps.project, apps.app, before.shown_date, apps.frontier_date
        FROM silver.apps AS apps
        JOIN (
            SELECT project, {reporting_date_sql(evaluator, "MAX(export_hour)")} AS shown_date
            FROM silver.export_hours
            WHERE export_hour < {start}
            GROUP BY project
        ) AS before
            ON before.project = apps.project
    """


def sessions_sql(start: exp.Expr, end: exp.Expr) -> str:
    return f"""
        SELECT project, app, session_id
        FROM silver.events
        WHERE export_hour {run(start, end)} AND NOT session_id IS NULL
        UNION
        SELECT events.project, events.app, events.session_id
        FROM silver.events AS events
        JOIN ({changed_types_sql(run(start, end))}) AS types
            ON types.project = events.project AND types.event_type = events.event_type
        WHERE NOT events.session_id IS NULL
        UNION
        SELECT events.project, events.app, events.session_id
        FROM silver.events AS events
        JOIN ({moves_sql(run(start, end))}) AS users
            ON users.project = events.project
            AND users.app = events.app
            AND users.amplitude_id = events.amplitude_id
        WHERE NOT events.session_id IS NULL
    """


def user_days_sql(run: str) -> str:
    return f"""
        SELECT project, app, amplitude_id, event_date
        FROM silver.events
        WHERE export_hour {run}
        UNION
        SELECT events.project, events.app, events.amplitude_id, events.event_date
        FROM silver.events AS events
        JOIN ({changed_types_sql(run)}) AS types
            ON types.project = events.project AND types.event_type = events.event_type
    """


def flagged_types_sql(end: exp.Expr, flags: str) -> str:
    """Return (project, event_type) of the types whose flags, as of the end of the run, fulfil a condition."""
    return f"""
        SELECT project, event_type
        FROM ({FLAG_CHANGES}) AS flags
        WHERE effective_hour <= {end}
        QUALIFY ROW_NUMBER() OVER (PARTITION BY project, event_type ORDER BY effective_hour DESC) = 1 AND ({flags})
    """


def changed_types_sql(run: str) -> str:
    """Return (project, event_type) of the event types of which a flag changes with an hour of the run."""
    return f"SELECT project, event_type FROM ({FLAG_CHANGES}) AS flags WHERE effective_hour {run}"


def run(start: exp.Expr, end: exp.Expr) -> str:
    """Return the condition that an hour belongs to the run."""
    return f"BETWEEN {start} AND {end}"


def query(evaluator: MacroEvaluator, sql: str) -> exp.Expr:
    return evaluator.parse_one(f"({sql})")
