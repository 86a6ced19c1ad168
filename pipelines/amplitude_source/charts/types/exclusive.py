"""Whether two parts of a chart may take the same event, by their event types and by what their conditions ask for.

Amplitude takes two events within a second for one unless the conditions of their steps are mutually exclusive:
funnel-analysis-how-amplitude-handles-simultaneous-events.md.
"""

from collections.abc import Collection, Iterator

from sqlglot import exp

from ..definitions import SPECIAL_EVENTS, Part, Words, parts_of
from ..expressions import DIALECT, USERS_ALIAS, parsed
from ..vocabulary import USERS, Vocabulary

Asked = dict[str, Collection[object]]
"""Columns by their SQL, each with the values of which it must have one."""


def may_share_an_event(one: Part, other: Part, words: Words) -> bool:
    """Return whether an event may be one of both parts.

    Args:
        one: a part.
        other: another one.
        words: events of one's own and columns.
    """
    return any(
        _share_a_type(own.event, theirs.event)
        and not _are_exclusive(_asked(words, own, one), _asked(words, theirs, other))
        for own in parts_of(one, words)
        for theirs in parts_of(other, words)
    )


def _share_a_type(one: str, other: str) -> bool:
    return one == other or one in SPECIAL_EVENTS or other in SPECIAL_EVENTS


def _are_exclusive(one: Asked, other: Asked) -> bool:
    """Whether both ask a column for values, and for none in common."""
    return any(not {*values} & {*other[column]} for column, values in one.items() if column in other)


def _asked(words: Words, *parts: Part) -> Asked:
    """Return the values that conditions ask columns for: `platform = 'Web'`, `platform IN ('iOS', 'Android')`."""
    asked: Asked = {}
    for tree in (parsed(part.where, words.vocabulary) for part in parts if part.where):
        for condition in _conjuncts(tree):
            if values := _values(condition, words.vocabulary):
                column = condition.this.sql(DIALECT)
                asked[column] = values.intersection(asked.get(column, values))
    return asked


def _values(condition: exp.Expr, vocabulary: Vocabulary) -> set[object]:
    """Return the values that a condition asks its column for; none if it asks for something else."""
    column = condition.this
    if not isinstance(condition, exp.EQ | exp.In) or not isinstance(column, exp.Column):
        return set()
    name = f"{USERS}.{column.name}" if column.table == USERS_ALIAS else column.name
    values = [condition.expression] if isinstance(condition, exp.EQ) else condition.expressions
    if vocabulary.type_of(name) not in ("text", "number") or not all(isinstance(each, exp.Literal) for each in values):
        return set()  # a time has several texts
    return {each.name if each.is_string else float(each.name) for each in values}


def _conjuncts(tree: exp.Expr) -> Iterator[exp.Expr]:
    tree = tree.unnest()
    if isinstance(tree, exp.And):
        yield from _conjuncts(tree.this)
        yield from _conjuncts(tree.expression)
    else:
        yield tree
