"""The ways in which gold's numbers are broken down: for all, by platform, by country.

As in Amplitude's charts with such a filter, a number of a segment is counted from the events with that value alone: a
user is in every segment that an event of theirs had, and a session consists of the segment's events.
"""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

ALL = "(all)"
NONE = "(none)"  # as Amplitude's charts name it
BREAKDOWNS = ("all", "platform", "country")


@macro()
def breakdowns(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query with each `breakdown`, to be cross joined."""
    return evaluator.parse_one("(" + " UNION ALL ".join(f"SELECT '{name}' AS breakdown" for name in BREAKDOWNS) + ")")


@macro()
def by_breakdown(
    evaluator: MacroEvaluator, breakdown: exp.Expr, in_all: exp.Expr, by_platform: exp.Expr, by_country: exp.Expr
) -> exp.Expr:
    """Return which of three values a breakdown has."""
    by, *values = (each.sql(evaluator.dialect) for each in (breakdown, in_all, by_platform, by_country))
    return evaluator.parse_one("CASE {} WHEN 'all' THEN {} WHEN 'platform' THEN {} ELSE {} END".format(by, *values))


@macro()
def segment(evaluator: MacroEvaluator, breakdown: exp.Expr, platform: exp.Expr, country: exp.Expr) -> exp.Expr:
    """Return the segment of an event in a breakdown."""
    named = (exp.func("COALESCE", each, exp.Literal.string(NONE)) for each in (platform, country))
    return by_breakdown(evaluator, breakdown, exp.Literal.string(ALL), *named)
