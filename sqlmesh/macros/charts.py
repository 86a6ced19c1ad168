"""The charts of sqlmesh/charts/, as gold.charts lists them, and warnings of what they cannot see."""

import difflib
from collections.abc import Iterator

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.console import get_console
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

from .columns import declared_in, texts, union_of

COLUMNS = ("chart", "type", "title", "table_name", "definition")
# Which table has the values of whose properties.
PROPERTY_TABLES = {"event": "EVENT_PROPERTIES", "user": "USER_PROPERTY_CHANGES"}


@macro()
def declared_charts(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of (chart, type, title, table_name, definition), a row a chart."""
    charts: list[dict[str, str]] = evaluator.var("charts") or []
    rows = [exp.select(*texts({name: each[name] for name in COLUMNS})) for each in charts]
    return union_of(rows, COLUMNS)


@macro()
def compared_charts(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of (project, event_date, amplitude_chart, value): the charts that are saved in Amplitude, too."""
    charts: dict[str, str] = evaluator.var("compared_charts") or {}
    rows = [
        exp.select("project", "period AS event_date", *texts({"amplitude_chart": id_}), "value").from_(table)
        for table, id_ in charts.items()
    ]
    if rows:
        return union_of(rows, ())
    nothing = {"project": "VARCHAR", "event_date": "DATE", "amplitude_chart": "VARCHAR", "value": "DOUBLE"}
    nulls = (exp.alias_(exp.cast(exp.null(), type_), name) for name, type_ in nothing.items())
    return exp.select(*nulls).where(exp.false()).subquery()


@macro()
def warn_of_what_charts_miss(evaluator: MacroEvaluator) -> None:
    """Warn, at the end of a plan or a run, of events that never came, cohorts without users and lists in text columns.

    The chart may be right all the same, because the event may be new. So nothing stops.
    """
    if RuntimeStage(evaluator.runtime_stage) is RuntimeStage.AFTER_ALL:
        for warning in (*unseen_events(evaluator), *empty_cohorts(evaluator), *lists_in_texts(evaluator)):
            get_console().log_warning(warning)


def unseen_events(evaluator: MacroEvaluator) -> Iterator[str]:
    """Yield a sentence for each event of a chart that never came, with the nearest name; none without any events."""
    charts: list[dict[str, list[str]]] = evaluator.var("charts") or []
    table = silver_table(evaluator, "EVENT_TYPES")
    if not charts or not evaluator.engine_adapter.table_exists(table):
        return
    types = [name for (name,) in evaluator.engine_adapter.fetchall(f"SELECT DISTINCT event_type FROM {table}")]
    for chart in charts if types else []:
        for event in chart["events"]:
            if event not in types:
                near = difflib.get_close_matches(event, types, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                yield f"sqlmesh/charts/{chart['chart']}.yaml: no event {event!r} has come so far{hint}"


def empty_cohorts(evaluator: MacroEvaluator) -> Iterator[str]:
    """Yield a sentence for each cohort of a chart that has no users here, with the nearest name if it has another."""
    charts: list[dict[str, list[str]]] = evaluator.var("charts") or []
    table = silver_table(evaluator, "COHORTS")
    if not any(chart["cohorts"] for chart in charts) or not evaluator.engine_adapter.table_exists(table):
        return
    members: dict[str, int] = {}
    for id_, name, count in evaluator.engine_adapter.fetchall(f"SELECT cohort_id, name, members FROM {table}"):
        members |= {each: members.get(each, 0) + count for each in {id_, name or id_}}
    for chart in charts:
        for cohort in chart["cohorts"]:
            if not members.get(cohort):
                near = [] if cohort in members else difflib.get_close_matches(cohort, members, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                yield f"sqlmesh/charts/{chart['chart']}.yaml: no users of cohort {cohort!r} are loaded{hint}"


def lists_in_texts(evaluator: MacroEvaluator) -> Iterator[str]:
    """Yield a sentence for each text column that has lists, because no condition looks at their values."""
    for source, name in PROPERTY_TABLES.items():
        columns = {
            each["property"]: each["column"]
            for each in declared_in(evaluator)
            if (each["source"], each["type"]) == (source, "text")
        }
        table = silver_table(evaluator, name)
        if not columns or not evaluator.engine_adapter.table_exists(table):
            continue
        asked = ", ".join(exp.Literal.string(each).sql(evaluator.engine_adapter.dialect) for each in columns)
        sql = f"SELECT DISTINCT property FROM {table} WHERE value_type = 'array' AND property IN ({asked})"
        for (found,) in sorted(evaluator.engine_adapter.fetchall(sql)):
            yield (
                f"sqlmesh/properties.yaml: the text column {columns[found]} has lists, as JSON; "
                "with `type: list` charts see each of their values."
            )


def silver_table(evaluator: MacroEvaluator, name: str) -> str:
    """Return a table of silver in the environment that is built."""
    return f"SILVER.{name}" if evaluator.this_env == "prod" else f"SILVER__{evaluator.this_env}.{name}".upper()
