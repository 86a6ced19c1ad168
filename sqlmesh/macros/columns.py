"""Properties as typed columns, as sqlmesh/properties.yaml has them."""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

from .properties import value_at

TYPES = {"text": "VARCHAR", "number": "DOUBLE", "boolean": "BOOLEAN", "timestamp": "TIMESTAMPNTZ"}
# Where both engines cast a text the same way. DuckDB alone would take 1_000 and inf for numbers.
NUMBER = "-?[0-9]+([.][0-9]+)?([eE][+-]?([0-9]{1,2}|[12][0-9]{2}))?"
DATE, TIME, ZONE = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?",
    "(Z|[+-][0-9]{2}:[0-9]{2})",
)

SDK_REVENUE = "revenue_amount"  # dashboard-rest.md has its name


@macro()
def property_columns(evaluator: MacroEvaluator, row: exp.Expr, *sources: exp.Expr) -> list[exp.Expr]:
    """Return the columns of the declared properties of an event, a user or a group.

    Args:
        row: alias of what has the columns event_properties, user_properties, groups and group_properties.
        sources: whose properties, such as user; those of all if none is named.
    """
    wanted = {source.name for source in sources}
    return [
        property_column(evaluator, each, row.name)
        for each in declared_in(evaluator)
        if not wanted or each["source"] in wanted
    ]


@macro()
def revenue(evaluator: MacroEvaluator, event: exp.Expr) -> exp.Expr:
    """Return what an event earned: Amplitude's `$revenue`, or else `$price` times `$quantity`, or else `revenue`.

    Amplitude computes `$revenue` as it takes an event (sources/en/instrument-track-revenue.md). `revenue_amount`, its
    SDKs' own event, has a price only: its revenue is that of the event which Amplitude adds, verified or not. A price
    without a quantity is no revenue either, because events that sell nothing have one, such as a look at a product.

    Args:
        event: alias of what has the columns event_type and event_properties.
    """
    given, price, quantity, plain = (
        typed(evaluator, value_at(evaluator, exp.column("event_properties", event.name), key), "number").sql(
            evaluator.dialect
        )
        for key in ("$revenue", "$price", "$quantity", "revenue")
    )
    is_sdk = f"{event.name}.event_type = '{SDK_REVENUE}'"
    return evaluator.parse_one(f"COALESCE({given}, IFF({is_sdk}, NULL, COALESCE({price} * {quantity}, {plain})))")


@macro()
def declared_properties(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query of (owner, property, column_name, column_type), the declared properties of events and users."""
    rows = [
        exp.select(
            *(
                exp.alias_(exp.cast(exp.Literal.string(declared[key]), "VARCHAR"), name)
                for key, name in (
                    ("source", "owner"),
                    ("property", "property"),
                    ("column", "column_name"),
                    ("type", "column_type"),
                )
            )
        )
        for declared in declared_in(evaluator)
        if declared["source"] != "group"
    ]
    if not rows:
        null = "CAST(NULL AS VARCHAR)"
        return evaluator.parse_one(
            f"(SELECT {null} AS owner, {null} AS property, {null} AS column_name, {null} AS column_type WHERE FALSE)"
        )
    return exp.union(*rows, distinct=False).subquery() if len(rows) > 1 else rows[0].subquery()


@macro()
def misfits(evaluator: MacroEvaluator, text: exp.Expr, type_: exp.Expr) -> exp.Expr:
    """Return the condition that there is a value and that it does not fit a declared type."""
    sql, kind = text.sql(evaluator.dialect), type_.sql(evaluator.dialect)
    fits = " ".join(
        f"WHEN '{each}' THEN {typed(evaluator, text, each).sql(evaluator.dialect)} IS NULL"
        for each in TYPES
        if each != "text"
    )
    return evaluator.parse_one(f"(NOT {sql} IS NULL AND CASE {kind} {fits} ELSE FALSE END)")


def declared_in(evaluator: MacroEvaluator) -> list[dict[str, str]]:
    """Return the declared properties, as `charts/properties.py` has checked them."""
    properties: list[dict[str, str]] = evaluator.var("properties") or []
    return properties


def property_column(evaluator: MacroEvaluator, declared: dict[str, str], row: str) -> exp.Expr:
    """Return a declared property's value by its type, with the column's name and comment."""
    value = typed(evaluator, declared_text(evaluator, declared, row), declared["type"])
    column = exp.alias_(exp.cast(value, TYPES[declared["type"]], dialect=evaluator.dialect), declared["column"])
    column.add_comments([declared["description"].replace("*/", "* /")])
    return column


def declared_text(evaluator: MacroEvaluator, declared: dict[str, str], row: str) -> exp.Expr:
    """Return a declared property's value as text; NULL if it is absent or null."""
    if declared["source"] != "group":
        return value_at(evaluator, exp.column(f"{declared['source']}_properties", row), declared["property"])
    group = value_at(evaluator, exp.column("groups", row), declared["group_type"], 0)
    if not declared["property"]:
        return group
    return value_at(evaluator, exp.column("group_properties", row), declared["group_type"], group, declared["property"])


def typed(evaluator: MacroEvaluator, text: exp.Expr, type_: str) -> exp.Expr:
    """Return a text as a value of a declared type, NULL if it does not fit."""
    sql = text.sql(evaluator.dialect)
    if type_ == "number":
        return evaluator.parse_one(f"IFF(REGEXP_LIKE({sql}, '{NUMBER}'), TRY_CAST({sql} AS DOUBLE), NULL)")
    if type_ == "boolean":
        return evaluator.parse_one(f"CASE {sql} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END")
    if type_ == "timestamp":
        zoned = (
            f"CASE WHEN REGEXP_LIKE({sql}, '{DATE}{TIME}{ZONE}') THEN {sql} "
            f"WHEN REGEXP_LIKE({sql}, '{DATE}{TIME}') THEN {sql} || 'Z' "
            f"WHEN REGEXP_LIKE({sql}, '{DATE}') THEN {sql} || 'T00:00:00Z' END"
        )
        return evaluator.parse_one(f"CONVERT_TIMEZONE('UTC', TRY_CAST({zoned} AS TIMESTAMPTZ))")
    return text
