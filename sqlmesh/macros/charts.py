"""The charts of sqlmesh/charts/, as gold.charts lists them, and a warning about events that none of them finds."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.console import get_console
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

from .funnels import EVENT_TYPES, guess

COLUMNS = ("chart", "type", "title", "table_name", "definition")


@macro()
def declared_charts(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of (chart, type, title, table_name, definition), a row a chart."""
    charts: list[dict[str, str]] = evaluator.var("charts") or []
    rows = [
        exp.select(*(exp.alias_(exp.cast(exp.Literal.string(each[name]), "VARCHAR"), name) for name in COLUMNS))
        for each in charts
    ]
    if not rows:
        columns = ", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in COLUMNS)
        return evaluator.parse_one(f"(SELECT {columns} WHERE FALSE)")
    return exp.union(*rows, distinct=False).subquery() if len(rows) > 1 else rows[0].subquery()


@macro()
def warn_of_unseen_events(evaluator: MacroEvaluator) -> None:
    """Warn, at the end of a plan or a run, of each event of a chart that never came, with the nearest name.

    The chart may be right all the same, because the event may be new. So nothing stops.
    """
    if RuntimeStage(evaluator.runtime_stage) is not RuntimeStage.AFTER_ALL:
        return
    charts: list[dict[str, list[str]]] = evaluator.var("charts") or []
    silver = "SILVER" if evaluator.this_env == "prod" else f"SILVER__{evaluator.this_env}".upper()
    if not charts or not evaluator.engine_adapter.table_exists(f"{silver}.EVENT_TYPES"):
        return
    types = [name for (name,) in evaluator.engine_adapter.fetchall(EVENT_TYPES.format(silver=silver))]
    for chart in charts if types else []:
        for event in chart["events"]:
            if event not in types:
                cause = f"no event {event!r} has come so far{guess(event, types)}"
                get_console().log_warning(f"sqlmesh/charts/{chart['chart']}.yaml: {cause}")
