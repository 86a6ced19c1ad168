"""Amplitude's merge feed."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def touched_feeds(evaluator: MacroEvaluator, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """Return (project) of projects whose feed has a new row in the run's hours."""
    return evaluator.parse_one(
        "(SELECT DISTINCT _project AS project FROM bronze.merge_ids AS feed "
        f"WHERE _effective_hour BETWEEN {start} AND {end})"
    )
