"""The columns that say where a session or a user came from."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

TOUCH_COLUMNS = ("source", "medium", "campaign", "referrer")


@macro()
def touch_columns(evaluator: MacroEvaluator, table: exp.Expr, prefix: exp.Expr | None = None) -> list[exp.Expr]:
    """Return the columns of a touch from a table that has them, whose names may begin with a prefix."""
    before = prefix.name if prefix else ""
    return [evaluator.parse_one(f"{table.name}.{before}{name} AS {name}") for name in TOUCH_COLUMNS]


@macro()
def first_touch(evaluator: MacroEvaluator, name: exp.Expr) -> exp.Expr:
    """Return a column of the touch that first brought a user.

    Amplitude's own value counts: `users.initial_...`. Without one it is that of the session of the user's first event,
    joined as `sessions`. A first event outside of sessions shows its own, `users.first_...`.
    """
    return evaluator.parse_one(
        f"""
        CASE
            WHEN NOT users.has_no_initial THEN users.initial_{name.name}
            WHEN sessions.session_id IS NULL THEN users.first_{name.name}
            ELSE sessions.{name.name}
        END
        """
    )
