"""The days that charts show: see silver.apps, which has the first and the last of each app."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def is_shown(evaluator: MacroEvaluator, date: exp.Expr) -> exp.Expr:
    """Return the condition that charts show a day; silver.apps must be joined as `apps`."""
    return evaluator.parse_one(f"{date.sql(evaluator.dialect)} BETWEEN apps.first_date AND apps.frontier_date")
