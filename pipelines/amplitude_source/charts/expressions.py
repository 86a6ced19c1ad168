"""SQL that users write in charts: parsed, and refused unless both engines understand it alike."""

import re
from typing import Annotated

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
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
KINDS = {
    "text": exp.DataType.TEXT_TYPES,
    "number": exp.DataType.NUMERIC_TYPES,
    "boolean": {exp.DataType.Type.BOOLEAN},
    "time": exp.DataType.TEMPORAL_TYPES,
}
COLUMN = re.compile(r"(now\.)?[a-z_][a-z0-9_]*")


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
    tree = exp.paren(parsed_alone(sql, "SQL expression"))
    for node in tree.walk():
        if isinstance(node, exp.Query | exp.Subquery):
            raise PlacedError(f"{sql!r} has a query; a condition looks at one event.")
        if isinstance(node, exp.AggFunc | exp.Window):
            raise PlacedError(f"{sql!r} looks at several events ({node.sql(DIALECT)}); a condition looks at one.")
        if not isinstance(node, ALLOWED):
            raise PlacedError(f"{sql!r} has {node.sql(DIALECT)}, which charts do not take; they know {FUNCTIONS}.")
        if type(node) is exp.Cast and not isinstance(node.this, exp.Literal):
            raise PlacedError(f"{sql!r} casts a value, which may fail on one of them: write TRY_CAST.")
    return tree.transform(lambda node: _qualified(node, vocabulary) if isinstance(node, exp.Column) else node)


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
        PlacedError: as `parsed` does, or it compares values of two kinds, as a text and a number.
    """

    def typed(node: exp.Expr) -> exp.Expr:
        return exp.cast(node, _sql_type(node, vocabulary)) if isinstance(node, exp.Column) else node

    annotated = annotate_types(parsed(sql, vocabulary).transform(typed), dialect=DIALECT)
    for comparison in annotated.find_all(*COMPARISONS):
        sides = [side for side in comparison.iter_expressions() if isinstance(side, exp.Expr)]
        kinds = {kind for side in sides if (kind := _kind(side))}
        is_time = "time" in kinds and all(isinstance(side, exp.Literal) for side in sides if _kind(side) == "text")
        if len(kinds) > 1 and not (is_time and kinds == {"time", "text"}):
            raise PlacedError(f"{sql!r} compares a {' with a '.join(sorted(kinds))}.")
    return _kind(annotated)


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


def _number_name(name: str, info: ValidationInfo) -> str:
    kind: ColumnType = vocabulary_of(info).type_of(name)
    if kind != "number":
        raise PlacedError(f"{name} is a {kind}; declare it with `type: number` in sqlmesh/properties.yaml.")
    return name


Condition = Annotated[str, AfterValidator(_condition)]
"""SQL that is true or not for an event."""
ColumnName = Annotated[str, AfterValidator(_column_name)]
"""A column of events, or with `now.` of users."""
NumberName = Annotated[str, AfterValidator(_number_name)]
"""A column of numbers."""
