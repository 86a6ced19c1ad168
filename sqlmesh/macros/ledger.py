"""Which rows of bronze count: the rule of the ledger `bronze.export_hours`, for every model that reads bronze."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

# dlt lists a load in `_dlt_loads` (status 0) once all its tables are in place, so an unfinished load never counts. An
# hour that was loaded more than once counts as its newest finished load brought it.
COUNTED_HOURS = """
    SELECT hours.*, loads.inserted_at AS finished_at
    FROM bronze.export_hours AS hours
    JOIN bronze._dlt_loads AS loads
        ON loads.load_id = hours._dlt_load_id AND loads.status = 0
    QUALIFY
        ROW_NUMBER() OVER (PARTITION BY hours.project, hours.export_hour ORDER BY hours._dlt_load_id DESC) = 1
"""


@macro()
def counted_hours(evaluator: MacroEvaluator) -> exp.Expr:
    """Return the ledger with one row for each hour of a project: that of the load whose rows count.

    Returns:
        A subquery with the ledger's columns, and `finished_at`: when dlt finished that load.
    """
    return evaluator.parse_one(f"({COUNTED_HOURS})")
