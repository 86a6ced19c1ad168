"""Rows that no table has."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

LONGEST_EXPORT_DAYS = 36_525  # a hundred years


@macro()
def numbers(evaluator: MacroEvaluator, rows: exp.Expr) -> exp.Expr:
    """Return a query of the numbers `n` from 0 on, so many as `rows` says, to be joined."""
    return evaluator.parse_one(
        f"(SELECT ROW_NUMBER() OVER (ORDER BY 1) - 1 AS n FROM TABLE(GENERATOR(ROWCOUNT => {rows.name})))"
    )
