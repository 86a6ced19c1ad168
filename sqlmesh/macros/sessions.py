"""Sessions: their length, which are too long to count, and the value that one is grouped by."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

DAY_MICROSECONDS = 86_400_000_000


@macro()
def session_seconds(evaluator: MacroEvaluator, first: exp.Expr, last: exp.Expr) -> exp.Expr:
    """Return the length of a session from its first and last time by the client's clock."""
    return evaluator.parse_one(f"{microseconds_sql(evaluator, first, last)} / 1000000.0")


@macro()
def is_longer_than_a_day(evaluator: MacroEvaluator, first: exp.Expr, last: exp.Expr) -> exp.Expr:
    """Return whether Amplitude's charts leave out a session with these times.

    docs/explanation/how-amplitude-counts.md has the pages.
    """
    return evaluator.parse_one(f"{microseconds_sql(evaluator, first, last)} > {DAY_MICROSECONDS}")


@macro()
def at_most_a_day(evaluator: MacroEvaluator, seconds: exp.Expr) -> exp.Expr:
    """Return a session's length with the maximum that Amplitude's distribution of lengths has: dashboard-rest.md."""
    return evaluator.parse_one(f"LEAST({seconds.sql(evaluator.dialect)}, {DAY_MICROSECONDS // 1_000_000})")


@macro()
def first_value(evaluator: MacroEvaluator, value: exp.Expr, event_number: exp.Expr) -> exp.Expr:
    """Return the first non-null value of a session's events: what Amplitude groups the session by."""
    text, number = value.sql(evaluator.dialect), event_number.sql(evaluator.dialect)
    return evaluator.parse_one(f"MIN_BY({text}, IFF({text} IS NULL, NULL, {number}))")


def microseconds_sql(evaluator: MacroEvaluator, first: exp.Expr, last: exp.Expr) -> str:
    return f"DATEDIFF(MICROSECOND, {first.sql(evaluator.dialect)}, {last.sql(evaluator.dialect)})"
