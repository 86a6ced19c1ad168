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
def segment(evaluator: MacroEvaluator, breakdown: exp.Expr, platform: exp.Expr, country: exp.Expr) -> exp.Expr:
    """Return the segment of an event in a breakdown."""
    by, platform_, country_ = (each.sql(evaluator.dialect) for each in (breakdown, platform, country))
    return evaluator.parse_one(
        f"CASE {by} WHEN 'all' THEN '{ALL}' WHEN 'platform' THEN COALESCE({platform_}, '{NONE}') "
        f"ELSE COALESCE({country_}, '{NONE}') END"
    )
