"""Hides personal data from analysts on Snowflake, where `SQLMESH_SNOWFLAKE_MASKING` is set."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

# The policies of infra/snowflake/masking.sql, for the columns of silver and gold that say who or where somebody is.
POLICIES = {
    "PERSONAL_TEXT": ("user_id", "last_user_id", "device_id", "ip_address", "city", "dma", "example"),
    "PERSONAL_NUMBER": ("location_lat", "location_lng"),
}


@macro()
def mask_personal_data(evaluator: MacroEvaluator) -> list[exp.Expr]:
    """Return a statement for each personal column of the view that a plan has just made.

    SQLMesh warns that it does not understand them, and sends them as they are.
    """
    snapshot = evaluator.get_snapshot(evaluator.this_model_fqn)
    if evaluator.locals["runtime_stage"] != RuntimeStage.PROMOTING.value or not snapshot or not snapshot.is_model:
        return []
    columns = {name.lower() for name in snapshot.model.columns_to_types or ()}
    return [
        exp.Command(
            this="ALTER",
            expression=f"VIEW {evaluator.this_model} MODIFY COLUMN {column.upper()} "
            f"SET MASKING POLICY GOVERNANCE.{policy}",
        )
        for policy, names in POLICIES.items()
        for column in names
        if column in columns
    ]
