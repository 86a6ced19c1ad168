"""SQL that users write in charts: parsed, and refused unless both engines understand it alike."""

from collections.abc import Iterator
from functools import cache
from typing import Annotated

import duckdb
from pydantic import AfterValidator, ValidationInfo
from sqlglot import exp, parse
from sqlglot.errors import ParseError, TokenError
from sqlglot.optimizer.annotate_types import annotate_types

from ..yaml_files import PlacedError
from .vocabulary import SQL_TYPES, USERS, ColumnType, Vocabulary, vocabulary_of

DIALECT = "snowflake"
EVENTS_ALIAS, USERS_ALIAS = "events", "current_users"
# All that a condition may consist of. Both engines give the same values for each, as a test compares.
ALLOWED = (
    *(exp.And, exp.Or, exp.Not, exp.Paren, exp.Literal, exp.Boolean, exp.Null, exp.Column, exp.Identifier),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Is, exp.Like, exp.ILike),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Case, exp.If, exp.Coalesce, exp.Nullif),
    *(exp.Cast, exp.TryCast, exp.DataType, exp.Abs, exp.Floor, exp.Ceil, exp.Greatest, exp.Least),
    *(exp.Lower, exp.Upper, exp.Length, exp.Contains, exp.StartsWith, exp.EndsWith, exp.RegexpLike, exp.DPipe),
    *(exp.SplitPart, exp.DateDiff, exp.Var),
)
FUNCTIONS = (
    "ABS, CASE, CEIL, COALESCE, CONTAINS, DATEDIFF, ENDSWITH, FLOOR, GREATEST, IFF, LEAST, LENGTH, LOWER, NULLIF, "
    "REGEXP_LIKE, SPLIT_PART, STARTSWITH, TRY_CAST, UPPER"
)
COMPARISONS = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In),
    *(exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
)
KINDS = {
    "text": exp.DataType.TEXT_TYPES,
    "number": exp.DataType.NUMERIC_TYPES,
    "boolean": {exp.DataType.Type.BOOLEAN},
    "time": exp.DataType.TEMPORAL_TYPES,
}


def parsed(sql: str, vocabulary: Vocabulary) -> exp.Expr:
    """Parse what a user wrote over columns, and put derived columns' own SQL in their place.

    Args:
        sql: a condition or a value, in Snowflake's dialect.
        vocabulary: the columns that it may name.

    Returns:
        It, with each column qualified by EVENTS_ALIAS or USERS_ALIAS.

    Raises:
        PlacedError: it is no SQL, names an unknown column, or has what charts do not take.
    """
    tree: exp.Expr = exp.paren(parsed_alone(sql, "SQL expression"))
    for node in tree.walk():
        if isinstance(node, exp.Query | exp.Subquery):
            raise PlacedError(f"{sql!r} has a query; a condition looks at one event.")
        if isinstance(node, exp.AggFunc | exp.Window):
            raise PlacedError(f"{sql!r} looks at several events ({node.sql(DIALECT)}); a condition looks at one.")
        if not isinstance(node, ALLOWED):
            raise PlacedError(f"{sql!r} has {node.sql(DIALECT)}, which charts do not take; they know {FUNCTIONS}.")
        if type(node) is exp.Cast and not isinstance(node.this, exp.Literal):
            raise PlacedError(f"{sql!r} casts a value, which may fail on one of them: write TRY_CAST.")
    tree = tree.transform(lambda node: _qualified(node, vocabulary) if isinstance(node, exp.Column) else node)
    for column in tree.find_all(exp.Column):
        if is_list(column, vocabulary) and not _is_asked_for_values(column):
            raise PlacedError(f"{sql!r} takes the list {column.name} for one value; ask it by =, <>, IN and IS NULL.")
    return without_division_by_nothing(tree)


def is_list(node: exp.Expr, vocabulary: Vocabulary) -> bool:
    """Return whether a part of what `parsed` returns is a list of the event."""
    return isinstance(node, exp.Column) and node.table == EVENTS_ALIAS and vocabulary.events.get(node.name) == "list"


def _is_asked_for_values(column: exp.Column) -> bool:
    """Whether it stands before =, <> or IN with texts, or before IS NULL."""
    asked = column.parent
    if not isinstance(asked, exp.EQ | exp.NEQ | exp.In | exp.Is) or asked.this is not column:
        return False
    values = asked.expressions if isinstance(asked, exp.In) else [asked.expression]
    return all(isinstance(each, exp.Null if isinstance(asked, exp.Is) else exp.Literal) for each in values)


def without_division_by_nothing(tree: exp.Expr) -> exp.Expr:
    """Have NULL stand for what is divided by 0, which is an error in Snowflake and infinite in DuckDB."""
    for division in list(tree.find_all(exp.Div, exp.Mod)):
        divisor = division.expression
        if not (isinstance(divisor, exp.Literal) and float(divisor.name)):
            division.set("expression", exp.func("NULLIF", divisor.copy(), exp.Literal.number(0)))
    return tree


def parsed_alone(text: str, what: str) -> exp.Expr:
    """Parse a text that is one expression.

    Args:
        text: what a user wrote.
        what: it should be, for the sentence.

    Raises:
        PlacedError: it is none, or several.
    """
    try:
        trees = parse(text, read=DIALECT)
    except (ParseError, TokenError) as error:
        found = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
        reason = str(found.get("description") or "it is cut off").rstrip(".").lower()
        raise PlacedError(f"{text!r} is no {what}: {reason}.") from error
    if len(trees) != 1 or trees[0] is None:
        raise PlacedError(f"{text!r} is no {what}: write one, without semicolons.")
    return trees[0]


def kind_of(sql: str, vocabulary: Vocabulary) -> str | None:
    """Check what a user wrote over columns.

    Args:
        sql: a condition or a value.
        vocabulary: the columns that it may name.

    Returns:
        The kind of its value: text, number, boolean or time; None for NULL.

    Raises:
        PlacedError: as `parsed` does, or it mixes values of two kinds, as a text and a number.
    """

    def typed(node: exp.Expr) -> exp.Expr:
        return exp.cast(node, _sql_type(node, vocabulary)) if isinstance(node, exp.Column) else node

    tree = parsed(sql, vocabulary)
    annotated = annotate_types(tree.transform(typed), dialect=DIALECT)
    for values in _alike(annotated):
        kinds = {kind for value in values if (kind := _kind(value))}
        is_time = "time" in kinds and all(isinstance(value, exp.Literal) for value in values if _kind(value) == "text")
        if len(kinds) > 1 and not (is_time and kinds == {"time", "text"}):
            raise PlacedError(f"{sql!r} mixes a {' with a '.join(sorted(kinds))}.")
    for cast in annotated.find_all(exp.TryCast):
        if _kind(cast.this) not in ("text", None):
            raise PlacedError(f"{sql!r} has TRY_CAST of a {_kind(cast.this)}; Snowflake takes texts alone.")
    _bind(sql, tree, vocabulary)
    return _kind(annotated)


def _alike(tree: exp.Expr) -> Iterator[list[exp.Expr]]:
    """Yield the values that must be of one kind: the sides of a comparison, the branches of a CASE."""
    for node in tree.find_all(*COMPARISONS):
        yield [value for value in node.iter_expressions() if isinstance(value, exp.Expr)]
    for node in tree.find_all(exp.Case, exp.If):
        ifs = node.args.get("ifs") or [node]
        yield [value for each in ifs if (value := each.args.get("true"))] + [
            value for name in ("default", "false") if (value := node.args.get(name))
        ]


def _bind(sql: str, tree: exp.Expr, vocabulary: Vocabulary) -> None:
    """Have DuckDB look at an expression over columns of the right types: whether its functions take them."""
    tables: dict[str, dict[str, str]] = {EVENTS_ALIAS: {"_": "TEXT"}, USERS_ALIAS: {"_": "TEXT"}}
    for column in tree.find_all(exp.Column):
        tables[column.table][column.name] = _sql_type(column, vocabulary).removesuffix("NTZ")
    sources = [
        f"(SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in columns.items())}) AS {alias}"
        for alias, columns in tables.items()
    ]
    try:
        _duckdb().execute(f"EXPLAIN SELECT {tree.sql('duckdb')} FROM {' CROSS JOIN '.join(sources)}")
    except duckdb.Error as error:
        raise PlacedError(f"{sql!r}: {str(error).partition(chr(10))[0].rstrip('.')}.") from error


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _kind(node: exp.Expr) -> str | None:
    kind = node.type.this if node.type else None
    return next((name for name, kinds in KINDS.items() if kind in kinds), None)


def _name(node: exp.Column) -> str:
    if len(node.parts) > 2 or (len(node.parts) == 2 and node.table.lower() not in (USERS, EVENTS_ALIAS, USERS_ALIAS)):
        raise PlacedError(f"{node.sql(DIALECT)} is no column; the user's as of now are {USERS}.<name>.")
    return f"{USERS}.{node.name.lower()}" if node.table.lower() in (USERS, USERS_ALIAS) else node.name.lower()


def _qualified(node: exp.Column, vocabulary: Vocabulary) -> exp.Expr:
    name = _name(node)
    vocabulary.type_of(name)
    if name in vocabulary.derived:
        return exp.paren(parsed(vocabulary.derived[name][0], vocabulary))
    prefix, _, bare = name.rpartition(".")
    return exp.column(bare, USERS_ALIAS if prefix else EVENTS_ALIAS)


def _sql_type(node: exp.Column, vocabulary: Vocabulary) -> str:
    return SQL_TYPES[vocabulary.type_of(_name(node))]


def _condition(sql: str, info: ValidationInfo) -> str:
    kind = kind_of(sql, vocabulary_of(info))
    if kind not in ("boolean", None):
        raise PlacedError(f"{sql!r} is a {kind}, and no condition.")
    return sql


def _column_name(name: str, info: ValidationInfo) -> str:
    vocabulary_of(info).type_of(name)
    return name


def _value_name(name: str, info: ValidationInfo) -> str:
    if vocabulary_of(info).type_of(name) == "list":
        raise PlacedError(f"{name} is a list; this takes a column with one value.")
    return name


def _number_name(name: str, info: ValidationInfo) -> str:
    kind: ColumnType = vocabulary_of(info).type_of(name)
    if kind != "number":
        raise PlacedError(f"{name} is a {kind}; declare it with `type: number` in sqlmesh/properties.yaml.")
    return name


Condition = Annotated[str, AfterValidator(_condition)]
"""SQL that is true or not for an event."""
ColumnName = Annotated[str, AfterValidator(_column_name)]
"""A column of events, or with `now.` of users."""
ValueName = Annotated[str, AfterValidator(_value_name)]
"""The same, and no list."""
NumberName = Annotated[str, AfterValidator(_number_name)]
"""A column of numbers."""
