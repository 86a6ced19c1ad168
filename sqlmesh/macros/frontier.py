"""The days that charts show: see silver.apps, which has the first and the last of each app."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def shown(evaluator: MacroEvaluator, table: exp.Expr, *dates: exp.Expr) -> exp.Expr:
    """Return the rows of a table that lie on days that charts show.

    Args:
        table: a table or a query with the columns `project` and `app`.
        dates: one or more columns of it; each must be a day that charts show.

    Returns:
        A subquery with the table's columns, and with `first_shown_date` and `frontier_date` of its app.
    """
    days = " AND ".join(f"own.{date.name} BETWEEN apps.first_date AND apps.frontier_date" for date in dates)
    return evaluator.parse_one(
        f"""(
        SELECT own.*, apps.first_date AS first_shown_date, apps.frontier_date
        FROM {table.sql(evaluator.dialect)} AS own
        JOIN silver.apps AS apps
            ON apps.project = own.project AND apps.app = own.app AND {days}
        )"""
    )
