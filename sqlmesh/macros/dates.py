"""Days as the charts of the Amplitude project cut them."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def reporting_date(evaluator: MacroEvaluator, time: exp.Expr) -> exp.Expr:
    """The date of a UTC time in the variable `reporting_timezone`."""
    return evaluator.parse_one(reporting_date_sql(evaluator, time.sql(evaluator.dialect)))


def reporting_date_sql(evaluator: MacroEvaluator, time: str) -> str:
    zone = exp.Literal.string(str(evaluator.var("reporting_timezone")))
    return f"CAST(CONVERT_TIMEZONE('UTC', {zone}, {time}) AS DATE)"
