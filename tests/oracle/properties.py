"""The values of declared properties, in plain Python."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from .people import typed_text

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?([0-9]{1,2}|[12][0-9]{2}))?")


def declared_value(declared: Mapping[str, str], row: Mapping[str, Any]) -> Any:
    """Return the value of a column.

    Args:
        declared: an entry of `Properties.variable()`.
        row: an exported row's event_properties, user_properties, groups and group_properties.
    """
    source, name, type_ = declared["source"], declared["property"], declared["type"]
    if source != "group":
        properties = row[f"{source}_properties"] or {}
        return list_values(name, properties) if type_ == "list" else as_declared(properties.get(name), type_)
    groups = (row["groups"] or {}).get(declared["group_type"])
    if not groups:
        return None
    of_group = (row["group_properties"] or {}).get(declared["group_type"], {}).get(groups[0], {})
    return as_declared(of_group.get(name) if name else groups[0], type_)


def list_values(name: str, properties: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the texts of a list's values in order; None if there is none."""
    found = {text for key, value in properties.items() for place, text in query_values(key, value) if place == name}
    return tuple(sorted(found)) or None


def query_values(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A value as charts show it: split if it is an array, by keys after a dot if it is an object."""
    if isinstance(value, list):
        for item in value:
            yield from query_values(name, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from query_values(f"{name}.{key}", item)
    elif value is not None:
        yield name, typed_text(value)[1] or ""


def as_declared(value: Any, type_: str) -> Any:
    """Return the value that a column of the type has."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if type_ == "number":
        return float(text) if NUMBER.fullmatch(text) else None
    if type_ == "boolean":
        return {"true": True, "false": False}.get(text)
    if type_ == "timestamp":
        return as_time(text)
    return text


def as_time(text: str) -> datetime | None:
    """Return the time that a text of ISO 8601 says, in UTC; of one without a zone, as if it were in UTC."""
    if not re.match(r"[0-9]{4}-", text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def revenue(event_type: str | None, row: Mapping[str, Any]) -> float | None:
    """Return what an event earned (sources/en/instrument-track-revenue.md)."""
    properties = row["event_properties"] or {}
    given, price, quantity, plain = (
        as_declared(properties.get(name), "number") for name in ("$revenue", "$price", "$quantity", "revenue")
    )
    if given is None and event_type != "revenue_amount":
        given = plain if price is None or quantity is None else price * quantity
    return None if given is None else float(given)
