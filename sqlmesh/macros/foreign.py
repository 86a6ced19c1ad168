"""The tables that another tool fills with Amplitude's events, as sqlmesh/bronze/ reads them."""

from typing import Any

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

DIALECT = "snowflake"


@macro()
def foreign_rows(evaluator: MacroEvaluator, kind: exp.Expr) -> exp.Expr:
    """Return the rows of the tables that `bronze_tables` names for a kind, each with its project; none without tables.

    Args:
        kind: events, merge_ids or events_list.
    """
    tables: dict[str, dict[str, Any]] = evaluator.var("foreign_tables") or {}
    columns = [exp.to_identifier(name, quoted=True) for name in tables[kind.name]["columns"]]
    queries = [rows_of(columns, project, name) for project, name in tables[kind.name]["tables"].items()]
    if not queries:
        nothing = (exp.alias_(exp.cast(exp.null(), "VARCHAR"), name) for name in ("project", *columns))
        return exp.select(*nothing).where(exp.false()).subquery()
    return exp.union(*queries, distinct=False).subquery() if len(queries) > 1 else queries[0].subquery()


def rows_of(columns: list[exp.Identifier], project: str, name: str) -> exp.Select:
    """Return the rows of one table."""
    of_project = exp.alias_(exp.cast(exp.Literal.string(project), "VARCHAR"), "project")
    named = (exp.column(each.copy()) for each in columns)
    return exp.select(of_project, *named).from_(exp.to_table(name, dialect=DIALECT))
