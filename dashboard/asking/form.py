"""The form of the explorer: the widgets of a chart's fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from amplitude_source.charts.definitions import ALL, Words
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, USERS, ColumnType
from asking.conditions import COMPARISONS, IS_NOT_SET, IS_SET, SEVERAL, SQL, Condition, conditions_of, where_of
from asking.fields import Field, fields_of, of_model
from asking.question import Content

NARROW, WIDE = 175, 280
"""Widths of widgets, in pixels."""


USER = "canonical_amplitude_id"


@dataclass(frozen=True)
class Offers:
    """What the form offers to choose from."""

    events: Sequence[str]
    """Event types and events of one's own."""
    columns: Mapping[str, ColumnType]
    """Columns of events and users."""
    segments: Sequence[str]
    values: Callable[[str], Sequence[str]]
    """Gives values that a column has."""


def columns_of(words: Words) -> dict[str, ColumnType]:
    """Return the columns that a chart may name, with their types: one's own come first, the user's as of now last."""
    vocabulary = words.vocabulary
    derived = {name: kind for name, (_, kind) in vocabulary.derived.items()}
    declared = {name: kind for name, kind in vocabulary.events.items() if name not in EVENT_COLUMNS}
    users = {f"{USERS}.{name}": kind for name, kind in vocabulary.users.items()}
    return {**derived, **declared, **EVENT_COLUMNS, **users}


class Form:
    """The widgets of one chart.

    Args:
        base: the chart that the widgets begin with.
        offers: what there is to choose from.
        mark: stands in the widgets' keys; widgets of another mark begin anew.
    """

    def __init__(self, base: Content, offers: Offers, mark: str) -> None:
        self._base, self._offers, self._mark = base, offers, mark

    def ask(self, type_: str) -> Content:
        """Draw the fields of a type of charts, and return what they say. A field that says its default is left out.

        Raises:
            PlacedError: a condition that the reader has written is no SQL.
        """
        fields, content = fields_of(type_), {"type": type_}
        for field in fields:
            if field.kind in ("part", "parts"):
                content |= self._said(field)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            for field in fields:
                if not field.is_rare and field.kind not in ("part", "parts"):
                    content |= self._said(field)
        rare = [field for field in fields if field.is_rare]
        is_used = any(field.key in self._base for field in rare)
        with (
            st.expander("More", expanded=is_used, key=self._key("more")),
            st.container(horizontal=True, vertical_alignment="bottom"),
        ):
            for field in rare:
                content |= self._said(field)
        return content

    def _said(self, field: Field) -> Content:
        value = self._widget(field, self._base.get(field.key, field.default), self._key(field.key))
        return {} if value in (None, "", []) or value == field.default else {field.key: value}

    def _key(self, *place: object) -> str:
        return "-".join(map(str, ("explorer", self._mark, *place)))

    def _widget(self, field: Field, value: Any, key: str) -> Any:
        match field.kind:
            case "parts":
                return self._parts(field, value or [], key)
            case "part":
                return self._part(field, value, key, field.label)
            case "choice":
                return choice(field.label, field.options, value, key, help=field.help)
            case "column" | "number column":
                kinds = ("number",) if field.kind == "number column" else ()
                return choice(field.label, self._columns(*kinds), value, key, help=field.help, format_func=called)
            case "columns":
                return several(field.label, self._columns(), value, key, help=field.help)
            case "segments":
                return several(field.label, [ALL, *self._offers.segments], value, key, help=field.help)
            case "switch":
                return st.checkbox(field.label, bool(value), key, help=field.help)
            case "integer":
                return st.number_input(field.label, 0, None, value, 1, key=key, help=field.help, width=NARROW)
            case "number":
                return st.number_input(field.label, 0.0, None, value, key=key, help=field.help, width=NARROW)
            case "integers":
                return integers(field, value, key)
            case "day":
                day = date.fromisoformat(value) if value else None
                day = st.date_input(field.label, day, key=key, help=field.help, width=NARROW, format="YYYY-MM-DD")
                return day.isoformat() if isinstance(day, date) else None
            case _:
                return st.text_input(field.label, value or "", key=key, help=field.help, width=NARROW).strip()

    def _columns(self, *kinds: ColumnType) -> list[str]:
        return [name for name, kind in self._offers.columns.items() if not kinds or kind in kinds]

    # --- events

    def _parts(self, field: Field, values: Sequence[Any], key: str) -> list[Any]:
        """Draw one event after the other, and an empty one for the next."""
        found: list[Any] = []
        number, is_last = 0, False
        while not is_last:
            value = values[number] if number < len(values) else None
            label = f"{field.label.removesuffix('s')} {number + 1}"
            part = self._part(field, value, f"{key}-{number}", label)
            found += [part] if part else []
            number += 1
            is_last = number >= len(values) and not part
        return found

    def _part(self, field: Field, value: Any, key: str, label: str) -> Any:
        """Draw an event with its conditions. A text stands for all events of a type."""
        base = {"event": value} if isinstance(value, str) else (value or {})
        with st.container(horizontal=True, vertical_alignment="bottom"):
            event = choice(
                label, self._offers.events, base.get("event"), key, help=field.help, width=WIDE,
                accept_new_options=True, placeholder="Choose an event",
            )  # fmt: skip
            if not event:
                return None
            part = {"event": event}
            for each in of_model(field.part):
                if each.key not in ("event", "where"):
                    own = self._widget(each, base.get(each.key), f"{key}-{each.key}")
                    part |= {each.key: own} if own else {}
            where = where_of(self._conditions(base.get("where"), key), self._offers.columns)
        part |= {"where": where} if where else {}
        return event if len(part) == 1 else part

    def _conditions(self, where: str | None, key: str) -> list[Condition]:
        """Draw one condition after the other, and an empty one for the next."""
        bases = conditions_of(where, self._offers.columns)
        found: list[Condition] = []
        number, is_last = 0, False
        while not is_last:
            base = bases[number] if number < len(bases) else Condition("")
            condition = self._condition(base, f"{key}-where-{number}", "and" if found else "where")
            found += [condition] if condition else []
            number += 1
            is_last = number >= len(bases) and not (condition and condition.is_whole)
        return found

    def _condition(self, base: Condition, key: str, label: str) -> Condition | None:
        options = [SQL, *self._offers.columns]
        column = choice(label, options, base.column or None, key, placeholder="Any", width=NARROW)
        if not column:
            return None
        same = base if column == base.column else Condition(column)
        key = f"{key}-{column}"
        if column == SQL:
            text = st.text_input("Condition", "".join(same.values), key=f"{key}-sql", width=WIDE).strip()
            return Condition(SQL, values=(text,) if text else ())
        kind = self._offers.columns[column]
        comparison = choice("is", COMPARISONS[kind], same.comparison or COMPARISONS[kind][0], f"{key}-is", width=120)
        if comparison in (IS_SET, IS_NOT_SET):
            return Condition(column, comparison)
        values = several(
            "value", self._offers.values(column), [*same.values], f"{key}-values-{comparison}", width=WIDE,
            accept_new_options=True, max_selections=None if comparison in SEVERAL else 1, placeholder="Choose or type",
        )  # fmt: skip
        return Condition(column, str(comparison), tuple(values))


def called(column: str) -> str:
    """Return how a column is called in the form."""
    return "users" if column == USER else column


def choice(label: str, options: Sequence[str], value: str | None, key: str, *, width: int = NARROW, **more: Any) -> Any:
    """Let the reader choose one; a value that is no option stays one, so that its fault can be named."""
    known = [*options, *([value] if value and value not in options else [])]
    return st.selectbox(label, known, known.index(value) if value else None, key=key, width=width, **more)


def several(
    label: str, options: Sequence[str], values: Sequence[str] | None, key: str, *, width: int = WIDE, **more: Any
) -> list[str]:
    """Let the reader choose several; values that are no option stay ones."""
    chosen = list(values or ())
    known = [*options, *(each for each in chosen if each not in options)]
    return st.multiselect(label, known, chosen, key=key, width=width, **more)


def integers(field: Field, value: Sequence[int | str] | None, key: str) -> list[int | str]:
    """Let the reader write numbers with commas between them."""
    text = st.text_input(
        field.label, ", ".join(map(str, value or ())), key=key, help=field.help, width=NARROW, placeholder="1, 2, 3"
    )
    parts = [each.strip() for each in text.split(",") if each.strip()]
    return [int(each) if each.isdecimal() else each for each in parts]
