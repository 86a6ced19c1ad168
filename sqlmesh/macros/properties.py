"""Values of JSON properties."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def property_text(evaluator: MacroEvaluator, properties: exp.Expr, key: exp.Expr) -> exp.Expr:
    """The value of a key as text, NULL where it is absent or JSON's null; keys with blanks or brackets will do."""
    path = exp.Literal.string(f'["{key.name}"]')
    column = properties.sql(evaluator.dialect)
    return evaluator.parse_one(f"JSON_EXTRACT_PATH_TEXT({column}, {path.sql(evaluator.dialect)})")


@macro()
def touch_text(evaluator: MacroEvaluator, properties: exp.Expr, key: exp.Expr) -> exp.Expr:
    """The same of an attribution property: Amplitude's SDKs write 'EMPTY' for none."""
    return evaluator.parse_one(
        f"NULLIF(NULLIF({property_text(evaluator, properties, key).sql(evaluator.dialect)}, ''), 'EMPTY')"
    )
