"""Values of JSON properties."""

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.simplify import simplify
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

# What no SQL does for both engines: how a JSON object is taken apart, into rows of `key` and `value` (of what is no
# object into none), and then the type and the text of a value. Of a key that comes twice the last value counts, which
# is the only one that Snowflake's variants hold. On DuckDB the object without the others is taken apart: a window over
# the rows would hold all of them in memory. The path is put together, because sqlglot knows no literal with a wildcard.
KEYS, VALUES = "LIST_REVERSE(JSON_KEYS(source.{column}))", "LIST_REVERSE(JSON_EXTRACT(source.{column}, ('$.' || '*')))"
IS_LAST = f"LIST_TRANSFORM({KEYS}, (key, number) -> LIST_POSITION({KEYS}, key) = number)"
ENTRIES = {
    "duckdb": f"""
        JSON_EACH(
            CASE
                WHEN JSON_TYPE(source.{{column}}) <> 'OBJECT' THEN NULL
                WHEN LIST_UNIQUE({KEYS}) = LIST_COUNT({KEYS}) THEN source.{{column}}
                ELSE TO_JSON(MAP_FROM_ENTRIES(LIST_WHERE(LIST_ZIP({KEYS}, {VALUES}), {IS_LAST})))
            END
        )
    """,
    "snowflake": "LATERAL FLATTEN(INPUT => source.{column}, MODE => 'OBJECT')",
}
# The same of the text of an array or an object; the keys of an array are numbers.
ELEMENTS = {
    "duckdb": "JSON_EACH(CASE WHEN source.value_type IN ('array', 'object') THEN source.value_text END)",
    "snowflake": (
        "LATERAL FLATTEN(INPUT => PARSE_JSON(CASE WHEN source.value_type IN ('array', 'object')"
        " THEN source.value_text END), MODE => 'BOTH')"
    ),
}
VALUE_TYPE = {"duckdb": "JSON_TYPE(entry.value)", "snowflake": "TYPEOF(entry.value)"}
VALUE_TEXT = {"duckdb": "entry.value ->> '$'", "snowflake": "CAST(entry.value AS VARCHAR)"}

# From the engines' names of types to those of value_type.
TYPE_NAMES = """
    CASE {}
        WHEN 'VARCHAR' THEN 'text'
        WHEN 'BOOLEAN' THEN 'boolean'
        WHEN 'OBJECT' THEN 'object'
        WHEN 'ARRAY' THEN 'array'
        WHEN 'NULL' THEN 'null'
        WHEN 'NULL_VALUE' THEN 'null'
        ELSE 'number'
    END
"""

TOUCHES = tuple(
    f"{prefix}{name}"
    for prefix in ("", "initial_")
    for name in ("utm_source", "utm_medium", "utm_campaign", "referring_domain")
)
"""The attribution properties, of which a model takes several of each event."""

LEVELS = 3  # of nested values that filters reach: an array, its objects, their arrays


@macro()
def parsed_json(evaluator: MacroEvaluator, text: exp.Expr) -> exp.Expr:
    """Return a JSON text as a value of the engine. If a key comes twice, Snowflake keeps the last, as JSON allows.

    Without `d` Snowflake refuses such a text, and no later hour would pass. sqlglot knows no second argument.
    """
    if engine_of(evaluator) == "duckdb":
        return exp.ParseJSON(this=text)
    parsed = exp.Anonymous(this="PARSE_JSON", expressions=[text, exp.Literal.string("d")])
    return exp.cast(parsed, "VARIANT", dialect="snowflake")


@macro()
def property_text(evaluator: MacroEvaluator, properties: exp.Expr, key: exp.Expr) -> exp.Expr:
    """Return the value of a key as text, NULL if it is absent or null. A key may have blanks and brackets."""
    if key.name in TOUCHES and engine_of(evaluator) == "duckdb":
        return touch_of_all(evaluator, properties, TOUCHES.index(key.name))
    return value_at(evaluator, properties, key.name)


def touch_of_all(evaluator: MacroEvaluator, properties: exp.Expr, number: int) -> exp.Expr:
    """Return the text of an attribution property, taken from the list of all.

    DuckDB would read a JSON anew for each property. It computes the list once, because it is the same in each column.
    """
    paths = [value_at(evaluator, properties, name).expressions[1] for name in TOUCHES]
    every = exp.Anonymous(this="JSON_EXTRACT_STRING", expressions=[properties, exp.Array(expressions=paths)])
    return exp.Anonymous(this="LIST_ELEMENT", expressions=[every, exp.Literal.number(number + 1)])


@macro()
def touch_text(evaluator: MacroEvaluator, properties: exp.Expr, key: exp.Expr) -> exp.Expr:
    """Return the same for an attribution property, for which Amplitude's SDKs write 'EMPTY' if there is none."""
    return evaluator.parse_one(
        f"NULLIF(NULLIF({property_text(evaluator, properties, key).sql(evaluator.dialect)}, ''), 'EMPTY')"
    )


@macro()
def properties_of(evaluator: MacroEvaluator, relation: exp.Expr, column: exp.Expr, kept: list[exp.Column]) -> exp.Expr:
    """Return a query of (the kept columns, property, value_type, value_text): a row for each key of a JSON column.

    The text of a string is the string itself, that of JSON's null is NULL, that of anything else its JSON.
    """
    engine = engine_of(evaluator)
    columns = ", ".join(f"source.{each.name}" for each in kept)
    sql = f"""
        SELECT {columns}, entry.key AS property, {typed_value(engine)}
        FROM {relation.sql(evaluator.dialect)} AS source, {ENTRIES[engine].format(column=column.name)} AS entry
    """
    return sqlglot.parse_one(f"({sql})", dialect=engine)


@macro()
def query_values(evaluator: MacroEvaluator, relation: exp.Expr, kept: list[exp.Column]) -> exp.Expr:
    """Return a query of the values that Amplitude's charts see of properties, with the columns of `properties_of`.

    Besides the value itself these are the elements of an array, under its name, and the values of an object, under
    its name, a dot and their key. So `{"items": [{"sku": "a"}]}` has `items.sku` = a. Amplitude splits arrays for
    queries (data/en/remove-invalid-data.md) and their objects by one level of keys (charts/en/cart-analysis.md).

    Args:
        relation: rows of (the columns that are kept, property, value_type, value_text).
        kept: further columns.
    """
    engine = engine_of(evaluator)
    columns = ", ".join(each.name for each in kept)
    kept_ = ", ".join(f"source.{each.name}" for each in kept)
    levels = [f"level_0 AS (SELECT {columns}, property, value_type, value_text FROM {relation.sql(engine)})"]
    levels += [
        f"""
        level_{level} AS (
            SELECT
                {kept_},
                CASE source.value_type
                    WHEN 'object' THEN source.property || '.' || entry.key
                    ELSE source.property
                END AS property,
                {typed_value(engine)}
            FROM level_{level - 1} AS source, {ELEMENTS[engine]} AS entry
        )
        """
        for level in range(1, LEVELS + 1)
    ]
    every = " UNION ALL ".join(
        f"SELECT {columns}, property, value_type, value_text FROM level_{level}" for level in range(LEVELS + 1)
    )
    return sqlglot.parse_one(f"(WITH {', '.join(levels)} {every})", dialect=engine)


def value_at(evaluator: MacroEvaluator, json: exp.Expr, *keys: str | int | exp.Expr) -> exp.Expr:
    """Return the text of the value at a path of a JSON column, whatever characters its keys have.

    Args:
        json: the column.
        keys: of objects, as they are or as the expression of a text; and indices of arrays.
    """
    value = json_at(evaluator, json, *keys)
    if engine_of(evaluator) == "snowflake":
        return exp.cast(value, "VARCHAR")
    return exp.Anonymous(this="JSON_EXTRACT_STRING", expressions=value.expressions)


def json_at(evaluator: MacroEvaluator, json: exp.Expr, *keys: str | int | exp.Expr) -> exp.Expr:
    """Return the value itself, with the same arguments."""
    if engine_of(evaluator) == "snowflake":
        for key in keys:
            json = exp.Anonymous(this="GET", expressions=[json, exp.convert(key)])
        return json
    # A pointer of RFC 6901, because DuckDB's own paths take * for any key.
    parts = [
        f"REPLACE(REPLACE({key.sql(evaluator.dialect)}, '~', '~0'), '/', '~1')"
        if isinstance(key, exp.Expr)
        else exp.Literal.string(str(key).replace("~", "~0").replace("/", "~1")).sql(evaluator.dialect)
        for key in keys
    ]
    pointer = evaluator.parse_one("'/' || " + " || '/' || ".join(parts))
    # sqlglot would take JSON_EXTRACT for Snowflake's function, whose paths are others.
    return exp.Anonymous(this="JSON_EXTRACT_PATH", expressions=[json, simplify(pointer, dialect=evaluator.dialect)])


def typed_value(engine: str) -> str:
    """Return the columns value_type and value_text of an `entry` of a JSON object or array."""
    return f"{TYPE_NAMES.format(VALUE_TYPE[engine])} AS value_type, {VALUE_TEXT[engine]} AS value_text"


def value_type_of(evaluator: MacroEvaluator, value: exp.Expr) -> exp.Expr:
    """Return the type of a JSON value."""
    engine = engine_of(evaluator)
    tree = sqlglot.parse_one(TYPE_NAMES.format(VALUE_TYPE[engine]), dialect=engine)
    return tree.transform(lambda node: value.copy() if isinstance(node, exp.Column) else node)


def engine_of(evaluator: MacroEvaluator) -> str:
    """Return the kind of warehouse: the type of the gateway's connection, whatever the gateway's name.

    Raises:
        ValueError: the macros here have no SQL for that kind.
    """
    engine = str(evaluator.var("engine"))
    if engine not in ENTRIES:
        raise ValueError(f"The models have no SQL for {engine!r}; they run on {' and '.join(ENTRIES)}.")
    return engine
