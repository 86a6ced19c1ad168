"""The channel groups of events, by the rules of seeds/channel_groups.csv."""

from typing import Any

import sqlglot
from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

from .properties import engine_of, value_at


@macro()
def with_touches(evaluator: MacroEvaluator, events: exp.Expr) -> exp.Expr:
    """Return events with the values that the rules look at, as columns touch_0, touch_1, ...

    DuckDB would read a JSON anew for each value and rule. So it takes all values at once, and rules look at columns.
    """
    engine, names = engine_of(evaluator), touched(evaluator)
    if not names:
        return events
    column = exp.column("user_properties", "source")
    values = [value_at(evaluator, column.copy(), name) for name in names]
    table, texts = events.sql(engine), [value.sql(engine) for value in values]
    if engine == "duckdb":
        paths = ", ".join(value.expressions[1].sql(engine) for value in values)
        table = f"(SELECT *, JSON_EXTRACT_STRING(user_properties, [{paths}]) AS touches FROM {table})"
        texts = [f"LIST_ELEMENT(source.touches, {number})" for number in range(1, len(names) + 1)]
    touches = ", ".join(f"NULLIF(NULLIF({sql}, ''), 'EMPTY') AS touch_{number}" for number, sql in enumerate(texts))
    return sqlglot.parse_one(f"(SELECT source.*, {touches} FROM {table} AS source)", dialect=engine)


@macro()
def channel_group(evaluator: MacroEvaluator, event: exp.Expr) -> exp.Expr:
    """Return the channel group of an event: that of the first rule which takes it, NULL if none does.

    Args:
        event: alias of events with touches.
    """
    case = exp.Case()
    rest: exp.Expr = exp.null()
    for rule in rules(evaluator):
        name = exp.Literal.string(rule["channel_group"])
        conditions = [condition(evaluator, event.name, *cell) for cell in rule["conditions"]]
        if conditions:
            case = case.when(exp.and_(*conditions), name)
        else:  # the last rule; SQLMesh would take WHEN TRUE for all that there is
            rest = name
    return case.else_(rest) if case.args.get("ifs") else rest


def condition(evaluator: MacroEvaluator, event: str, *cell: str) -> exp.Expr:
    """Return the condition of a cell of a rule: its properties and what they must be."""
    *names, pattern = cell
    every = touched(evaluator)
    values = [exp.column(f"touch_{every.index(name)}", event) for name in names]
    value = exp.func("COALESCE", *values) if len(values) > 1 else values[0]
    if pattern in ("ANY", "(none)"):
        is_null = exp.Is(this=value, expression=exp.null())
        return is_null if pattern == "(none)" else exp.not_(is_null)
    return exp.RegexpLike(this=exp.Lower(this=value), expression=exp.Literal.string(pattern), full_match=True)


def rules(evaluator: MacroEvaluator) -> list[dict[str, Any]]:
    """Return the rules, as `charts/channels.py` has checked them."""
    return evaluator.var("channel_groups") or []


def touched(evaluator: MacroEvaluator) -> list[str]:
    """Return the names of all properties that rules look at."""
    cells = (cell for rule in rules(evaluator) for cell in rule["conditions"])
    return [*dict.fromkeys(name for *names, _ in cells for name in names)]
