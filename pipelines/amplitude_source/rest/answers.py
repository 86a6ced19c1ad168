"""Reading what Amplitude answers: its answers have had other shapes than documented.

A whole answer of another shape is an error. A single value that does not fit its column is null, with a warning.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from ..export.client import UnreadAnswerError
from ..settings import as_utc
from ..tables import Column

Warn = Callable[[str], None]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def entries_of(answer: object, key: str, what: str) -> list[dict[str, Any]]:
    """Return the list of objects of an answer.

    Args:
        answer: as JSON gave it.
        key: of the list in it.
        what: names the answer in errors.

    Raises:
        UnreadAnswerError: there is no such list.
    """
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UnreadAnswerError(f"The answer of {what} has no list of objects named {key}: its shape is not known.")
    return found


def value_at(entry: object, path: str) -> object:
    """Return the value of a key, or of keys within each other as `category.id`; None where there is none."""
    for key in path.split("."):
        entry = entry.get(key) if isinstance(entry, dict) else None
    return entry


def fit(value: object, type_: str) -> object:
    """Return a value as its column has it.

    Raises:
        ValueError: it does not fit.
    """
    if value is None:
        return None
    match type_, value:
        case "json", _:
            return orjson.dumps(value).decode()
        case ("text", str()) | ("bool", bool()):
            return value
        case "text", int() if not isinstance(value, bool):
            return str(value)
        case "bigint", int() if not isinstance(value, bool):
            return value
        case "bigint", str() if value.lstrip("-").isdecimal():
            return int(value)
        case "double", int() | float() if not isinstance(value, bool):
            return float(value)
        case "timestamp", int() | float() if not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
        case "timestamp", str():
            return as_utc(datetime.fromisoformat(value))
        case "date", str():
            return date.fromisoformat(value[:10])
    raise ValueError(f"{value!r:.100} is no {type_}")


def row_of(
    entry: dict[str, Any], columns: Mapping[str, Column], keys: Mapping[str, str], what: str, warn: Warn
) -> dict[str, object]:
    """Return an entry as a row.

    Args:
        entry: of an answer.
        columns: of the table.
        keys: where the entry has a column's value, if not under the column's name.
        what: names the answer in warnings.
        warn: takes a sentence on a value that does not fit; it is null then.
    """
    row: dict[str, object] = {}
    for name, column in columns.items():
        if name.startswith("_"):
            continue
        key = keys.get(name, name)
        value = entry if key == "*" else value_at(entry, key)
        try:
            row[name] = fit(value, column.type)
        except (ValueError, OverflowError, OSError):
            warn(f"The answer of {what} has {key} = {value!r:.100}, which is no {column.type}; it is taken as null.")
            row[name] = None
    return row


def series_of(answer: object, first: date, last: date, what: str, warn: Warn) -> list[dict[date, float]]:
    """Return the series of a chart's answer, each by day.

    Values may be numbers or objects with a `value`. Days may be written `2026-06-01` or `Jun 01`.

    Args:
        answer: as JSON gave it.
        first: day that was asked for.
        last: the same, included.
        what: names the answer in errors and warnings.
        warn: takes a sentence on days and values that cannot be read; they are left out.

    Raises:
        UnreadAnswerError: there are no series.
    """
    try:
        labels, series = answer["data"]["xValues"], answer["data"]["series"]  # type: ignore[index]  # tried
        sizes = [max(len(labels), len(values)) for values in series]
        found = [
            {parse_day(label, first, last): number_of(value) for label, value in zip(labels, values, strict=False)}
            for values in series
        ]
    except (KeyError, TypeError, AttributeError):
        raise UnreadAnswerError(f"The answer of {what} has no series by day: its shape is not known.") from None
    read = [{day: value for day, value in each.items() if day and value is not None} for each in found]
    for size, each in zip(sizes, read, strict=True):
        if len(each) < size:
            warn(f"The answer of {what} has {size} days, of which {len(each)} can be read; the others are left out.")
    return read


def number_of(value: object) -> float | None:
    """Return a number that is not negative, alone or as an object's `value`; None for anything else."""
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    return None


def parse_day(label: object, first: date, last: date) -> date | None:
    """Return the day of a range that a label stands for, such as `2026-06-01` or `Jun 01`."""
    if not isinstance(label, str):
        return None
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    names = {f"{MONTHS[day.month - 1]} {day.day:02}": day for day in days} | {day.isoformat(): day for day in days}
    month, _, number = label.partition(" ")
    return names.get(label[:10]) or names.get(f"{month[:3]} {number:0>2}")
