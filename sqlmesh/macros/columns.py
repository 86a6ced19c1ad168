"""Properties as typed columns, as sqlmesh/properties.yaml has them."""

from collections.abc import Mapping, Sequence

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

from .properties import json_at, value_at, value_type_of

TYPES = {"text": "VARCHAR", "number": "DOUBLE", "boolean": "BOOLEAN", "timestamp": "TIMESTAMPNTZ"}
LIST = "list"
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
        if each["type"] != LIST and (not wanted or each["source"] in wanted)
    ]


@macro()
def list_properties(evaluator: MacroEvaluator, relation: exp.Expr) -> exp.Expr:
    """Return a query of what the declared lists may have values in, before any of it is split.

    Its columns are (project, app, uuid, column_name, wanted, property, value_type, value_text): `wanted` is the name
    of the property, and `property` that name or, up to a dot, the beginning of it. `products.sku` may be the key of a
    value, or of each object of the list `products`.

    Args:
        relation: events, with event_properties and user_properties.
    """
    found = []
    for declared in declared_in(evaluator):
        for key in beginnings(declared["property"]) if declared["type"] == LIST else []:
            json = exp.column(f"{declared['source']}_properties")
            value_type = value_type_of(evaluator, json_at(evaluator, json, key))
            text = value_at(evaluator, json, key)
            names = {"column_name": declared["column"], "wanted": declared["property"], "property": key}
            found.append(
                exp.select("project", "app", "uuid", *texts(names))
                .select(exp.alias_(value_type, "value_type"), exp.alias_(text, "value_text"))
                .from_(relation.copy())
                .where(exp.Not(this=exp.Is(this=text.copy(), expression=exp.null())))
            )
    columns = ("project", "app", "uuid", "column_name", "wanted", "property", "value_type", "value_text")
    return union_of(found, columns)


def beginnings(name: str) -> list[str]:
    """Return a property's name, and what stands before each dot of it."""
    parts = name.split(".")
    return [".".join(parts[:number]) for number in range(len(parts), 0, -1)]


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
    """Return a query of (owner, group_type, property, column_name, column_type), the declared properties.

    A column that has the group itself is of no property.
    """
    rows = [
        exp.select(
            *texts(
                {
                    "owner": declared["source"],
                    "group_type": declared["group_type"],
                    "property": declared["property"],
                    "column_name": declared["column"],
                    "column_type": declared["type"],
                }
            )
        )
        for declared in declared_in(evaluator)
        if declared["property"]
    ]
    return union_of(rows, ("owner", "group_type", "property", "column_name", "column_type"))


def texts(values: Mapping[str, str]) -> list[exp.Expr]:
    """Return texts as columns of the names."""
    return [exp.alias_(exp.cast(exp.Literal.string(text), "VARCHAR"), name) for name, text in values.items()]


def union_of(queries: Sequence[exp.Select], columns: Sequence[str]) -> exp.Expr:
    """Return the rows of all queries; none, of columns of these names, if there is no query."""
    if not queries:
        nothing = (exp.alias_(exp.cast(exp.null(), "VARCHAR"), name) for name in columns)
        return exp.select(*nothing).where(exp.false()).subquery()
    return exp.union(*queries, distinct=False).subquery() if len(queries) > 1 else queries[0].subquery()


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
