"""Values of JSON properties."""

import sqlglot
from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

# What no SQL does for both engines: the text of a key's value; and how a JSON object is taken apart, into rows of `key`
# and `value` (of what is no object into none), and then the type and the text of a value.
KEY_TEXT = {
    "duckdb": "JSON_EXTRACT_PATH_TEXT({column}, '[\"{key}\"]')",
    "snowflake": "CAST(GET({column}, '{key}') AS VARCHAR)",  # the other would write the VARIANT as a text and parse it
}
ENTRIES = {
    "duckdb": "JSON_EACH(CASE WHEN JSON_TYPE(source.{column}) = 'OBJECT' THEN source.{column} END)",
    "snowflake": "LATERAL FLATTEN(INPUT => source.{column}, MODE => 'OBJECT')",
}
VALUE_TYPE = {"duckdb": "JSON_TYPE(entry.value)", "snowflake": "TYPEOF(entry.value)"}
VALUE_TEXT = {"duckdb": "entry.value ->> '$'", "snowflake": "CAST(entry.value AS VARCHAR)"}


@macro()
def parsed_json(evaluator: MacroEvaluator, text: exp.Expr) -> exp.Expr:
    """A JSON text as a value of the engine. Of a key that comes twice Snowflake keeps the last, as JSON allows.

    Without `d` Snowflake refuses such a text, and no later hour would pass. sqlglot knows no second argument.
    """
    if engine_of(evaluator) == "duckdb":
        return exp.ParseJSON(this=text)
    parsed = exp.Anonymous(this="PARSE_JSON", expressions=[text, exp.Literal.string("d")])
    return exp.cast(parsed, "VARIANT", dialect="snowflake")


@macro()
def property_text(evaluator: MacroEvaluator, properties: exp.Expr, key: exp.Expr) -> exp.Expr:
    """The value of a key as text, NULL where it is absent or JSON's null; keys with blanks or brackets will do."""
    text = KEY_TEXT[engine_of(evaluator)].format(column=properties.sql(evaluator.dialect), key=key.name)
    return evaluator.parse_one(text)


@macro()
def touch_text(evaluator: MacroEvaluator, properties: exp.Expr, key: exp.Expr) -> exp.Expr:
    """The same of an attribution property: Amplitude's SDKs write 'EMPTY' for none."""
    return evaluator.parse_one(
        f"NULLIF(NULLIF({property_text(evaluator, properties, key).sql(evaluator.dialect)}, ''), 'EMPTY')"
    )


@macro()
def properties_of(evaluator: MacroEvaluator, relation: exp.Expr, column: exp.Expr, kept: list[exp.Column]) -> exp.Expr:
    """A query of (the columns that are kept, property, value_type, value_text): a row for each key of a JSON column.

    The text of a string is the string itself, that of JSON's null is NULL, that of anything else its JSON.
    """
    engine = engine_of(evaluator)
    columns = ", ".join(f"source.{each.name}" for each in kept)
    sql = f"""
        SELECT
            {columns},
            entry.key AS property,
            CASE {VALUE_TYPE[engine]}
                WHEN 'VARCHAR' THEN 'text'
                WHEN 'BOOLEAN' THEN 'boolean'
                WHEN 'OBJECT' THEN 'object'
                WHEN 'ARRAY' THEN 'array'
                WHEN 'NULL' THEN 'null'
                WHEN 'NULL_VALUE' THEN 'null'
                ELSE 'number'
            END AS value_type,
            {VALUE_TEXT[engine]} AS value_text
        FROM {relation.sql(evaluator.dialect)} AS source, {ENTRIES[engine].format(column=column.name)} AS entry
    """
    return sqlglot.parse_one(f"({sql})", dialect=engine)


def engine_of(evaluator: MacroEvaluator) -> str:
    return "snowflake" if evaluator.gateway == "snowflake" else "duckdb"
