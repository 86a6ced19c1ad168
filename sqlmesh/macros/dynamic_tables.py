"""Has runs refresh the charts that `dynamic_tables` of config.yaml makes dynamic tables, on Snowflake alone."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

PREVIEW = "__dev"
"""How the names of tables end that SQLMesh makes to show a change which is not to be built as it is."""


@macro()
def refresh_dynamic_table(evaluator: MacroEvaluator) -> list[exp.Expr]:
    """Return the statement that brings this model's dynamic table up to date, so that its audits see what silver has.

    None where a plan makes the table, which fills it, and for a preview, which is an ordinary table.
    """
    table = exp.to_table(evaluator.this_model, dialect=evaluator.dialect)
    if evaluator.locals["runtime_stage"] != RuntimeStage.EVALUATING.value or table.name.lower().endswith(PREVIEW):
        return []
    return [exp.Alter(this=table, kind="DYNAMIC TABLE", actions=[exp.var("REFRESH")])]
