"""Amplitude's merge feed, where a warehouse has one."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

FEED = "bronze.merge_ids"
COLUMNS = {
    "_project": "VARCHAR",
    "amplitude_id": "BIGINT",
    "merged_amplitude_id": "BIGINT",
    "merge_event_time": "TIMESTAMPNTZ",
    "merge_server_time": "TIMESTAMPNTZ",
    "_effective_hour": "TIMESTAMPNTZ",
}


@macro()
def merge_feed(evaluator: MacroEvaluator) -> exp.Expr:
    """The table of the feed; no rows in a warehouse that was made before there was one and has loaded nothing since."""
    return evaluator.parse_one(merge_feed_sql(evaluator))


@macro()
def touched_feeds(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """(project) of projects whose feed has a new row in the run's hours."""
    feed = merge_feed_sql(evaluator)
    return evaluator.parse_one(
        f"(SELECT DISTINCT _project AS project FROM {feed} AS feed WHERE _effective_hour BETWEEN {start} AND {end})"
    )


def merge_feed_sql(evaluator: MacroEvaluator) -> str:
    is_running = evaluator.locals["runtime_stage"] in ("creating", "evaluating")
    if is_running and not evaluator.engine_adapter.table_exists(evaluator.resolve_table(FEED)):
        columns = ", ".join(f"CAST(NULL AS {type_}) AS {name}" for name, type_ in COLUMNS.items())
        return f"(SELECT {columns} WHERE FALSE)"
    return FEED
