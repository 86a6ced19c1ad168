"""Which rows of Amplitude's lists are there today: those that vanished from Amplitude stay in bronze."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def rows_of_today(evaluator: MacroEvaluator, relation: exp.Expr) -> exp.Expr:
    """Return the rows of a table that were among Amplitude's last answers.

    They are those that came with the last load or since, whatever came of later attempts.

    Args:
        relation: a table of bronze that has the name of its resource.
    """
    table = relation.sql(evaluator.dialect)
    return evaluator.parse_one(
        f"""
        (
            SELECT source.*
            FROM {table} AS source
            JOIN bronze.resource_loads AS loads
                ON loads._project = source._project
                AND loads.resource = '{relation.name.lower()}'
                AND loads.loaded_at <= source._snapshot_at
        )
        """
    )
