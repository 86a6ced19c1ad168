"""Conditions that are built by clicking, and the SQL that a chart's file has of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from amplitude_source.charts.expressions import DIALECT, parsed_alone
from amplitude_source.charts.vocabulary import ColumnType
from board.sql import literal

SQL = "SQL"
"""Stands where a column's name would, for a condition that the reader writes."""
IS_SET, IS_NOT_SET = "is set", "is not set"
SIGNS = {"is": "=", "is not": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
FUNCTIONS = {"contains": "CONTAINS", "starts with": "STARTSWITH", "ends with": "ENDSWITH"}
NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?")
NODES: Mapping[type[exp.Expr], str] = {
    exp.EQ: "is",
    exp.NEQ: "is not",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Contains: "contains",
    exp.StartsWith: "starts with",
    exp.EndsWith: "ends with",
}
"""What sqlglot calls them."""
SEVERAL = ("is", "is not")
"""Comparisons with one or more values."""
COMPARISONS: Mapping[ColumnType, Sequence[str]] = {
    "text": ("is", "is not", *FUNCTIONS, IS_SET, IS_NOT_SET),
    "number": (*SIGNS, IS_SET, IS_NOT_SET),
    "boolean": ("is", IS_SET, IS_NOT_SET),
    "timestamp": (">=", "<", IS_SET, IS_NOT_SET),
    "date": (*SIGNS, IS_SET, IS_NOT_SET),
    "list": ("is", "is not", IS_SET, IS_NOT_SET),
}


@dataclass(frozen=True)
class Condition:
    """One condition. Several of an event must all hold."""

    column: str
    comparison: str = ""
    values: tuple[str, ...] = ()
    """What the column is compared with; the SQL of a condition that the reader writes."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is missing."""
        return bool(self.values) or self.comparison in (IS_SET, IS_NOT_SET)


def where_of(conditions: Sequence[Condition], types: Mapping[str, ColumnType]) -> str | None:
    """Return conditions as SQL; None if there are none.

    Args:
        conditions: those that are not whole do not count.
        types: of the columns.

    Raises:
        PlacedError: what the reader has written is no SQL.
    """
    whole = [each for each in conditions if each.is_whole]
    texts = [f"({written(each, types)})" if each.column == SQL else written(each, types) for each in whole]
    return written(whole[0], types) if len(whole) == 1 else " AND ".join(texts) or None


def written(condition: Condition, types: Mapping[str, ColumnType]) -> str:
    """Return a condition as SQL."""
    column, comparison, values = condition.column, condition.comparison, condition.values
    if column == SQL:
        parsed_alone(values[0], "SQL expression")
        return values[0]
    if comparison in (IS_SET, IS_NOT_SET):
        return f"{'NOT ' if comparison == IS_SET else ''}{column} IS NULL"
    if comparison in FUNCTIONS:
        return f"{FUNCTIONS[comparison]}({column}, {literal(values[0])})"
    texts = [value_as_sql(each, types.get(column)) for each in values]
    if len(texts) > 1:
        return f"{'NOT ' if comparison == 'is not' else ''}{column} IN ({', '.join(texts)})"
    return f"{column} {SIGNS[comparison]} {texts[0]}"


def value_as_sql(text: str, kind: ColumnType | None) -> str:
    """Return a value as SQL: a number or a truth as it is, if it is one, and else a text."""
    if kind == "number" and NUMBER.fullmatch(text):
        return text
    if kind == "boolean" and text.lower() in ("true", "false"):
        return text.upper()
    return literal(text)


def conditions_of(where: str | None, types: Mapping[str, ColumnType]) -> list[Condition]:
    """Return SQL as conditions that can be built by clicking; what cannot stays SQL.

    Args:
        where: of a chart's file.
        types: of the columns.
    """
    if not where:
        return []
    try:
        tree = parse_one(where, read=DIALECT)
    except SqlglotError:
        return [Condition(SQL, values=(where,))]
    parts = [*tree.flatten()] if isinstance(tree, exp.And) else [tree]
    return [_built(part, types) or Condition(SQL, values=(part.unnest().sql(DIALECT),)) for part in parts]


def _built(part: exp.Expr, types: Mapping[str, ColumnType]) -> Condition | None:
    """Return a part of a condition, if clicking can build it; None if not."""
    node, is_not = (part.this, True) if isinstance(part, exp.Not) else (part, False)
    column = node.this.sql(DIALECT).lower() if isinstance(node.this, exp.Column) else ""
    if column not in types:
        return None
    if isinstance(node, exp.Is):
        found = Condition(column, IS_SET if is_not else IS_NOT_SET)
    elif isinstance(node, exp.In):
        found = Condition(column, "is not" if is_not else "is", tuple(map(_text, node.expressions)))
    elif type(node) in NODES:
        found = Condition(column, NODES[type(node)], (_text(node.expression),))
    else:
        return None
    is_known = found.comparison in COMPARISONS[types[column]]
    return found if is_known and _is_same(written(found, types), part) else None


def _text(node: exp.Expr) -> str:
    return node.name if isinstance(node, exp.Literal) else node.sql(DIALECT).lower()


def _is_same(sql: str, tree: exp.Expr) -> bool:
    try:
        return parse_one(sql, read=DIALECT).sql(DIALECT) == tree.sql(DIALECT)
    except SqlglotError:
        return False
