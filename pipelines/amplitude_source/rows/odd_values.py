"""Take out of a line the values that no column can hold, so that they do not cost the event.

A line comes here when a parser refuses it, or would change one of its values: half a surrogate pair, bytes that are not
UTF-8, a number out of range, a key that comes twice or that has no room for a column.
"""

from collections import Counter
from collections.abc import Container
from typing import NamedTuple

from ..tables import EXPORT_COLUMNS, EXPORT_TYPES, REQUIRED_KEYS
from ..verbatim import Members, Number, is_broken, read, written
from .lines import MAX_LINE_BYTES
from .queries import MAX_KEY_CHARACTERS, MAX_KEYS
from .rejects import is_held


class Mended(NamedTuple):
    """A line that every parser reads alike, and what was taken out of it."""

    line: str
    odd: str
    """JSON members without the braces: the odd values by their keys."""


def without_odd_values(line: bytes, columns: Container[str] | None = None) -> Mended | None:
    """Take the odd values out of a line.

    An odd property becomes null, and its neighbours in the same object stay. An array with an odd element is odd as a
    whole, and so is an object in a column of one value, such as `device_id`: a part of it would be another value. What
    JSON cannot say is kept as text: `"1e999"` for a number, a backslash and its code for half a character.

    Args:
        line: one line of an export.
        columns: the keys that have a column; None where each key may still get one.

    Returns:
        None where nothing can be mended: the line is no JSON object, has no odd value, or has one that no event can be
        without.
    """
    try:
        row = read(line)
    except ValueError:
        return None
    if not isinstance(row, Members):
        return None
    refused = keys_without_column(row, columns)
    good, odd = Members(), dict[str, list[object]]()
    for key, value in row:
        is_odd_as_a_whole = key in refused or (is_one_value(key) and has_odd(value))
        is_odd, kept, rest = (True, None, shown(value)) if is_odd_as_a_whole else parted(value)
        if key not in refused:
            good.append((key, kept))
        if is_odd:
            odd.setdefault(str(shown(key)), []).append(rest)
    if not odd or not odd.keys().isdisjoint(REQUIRED_KEYS):
        return None
    beside = written(Members((key, values[0] if len(values) == 1 else values) for key, values in odd.items()))[1:-1]
    return Mended(written(good), beside) if len(beside) <= MAX_LINE_BYTES else None


def keys_without_column(row: Members, columns: Container[str] | None) -> set[str]:
    """Return the keys that come twice, are too long or no text, or are too many."""
    counts = Counter(key for key, _ in row)
    refused = {key for key, count in counts.items() if count > 1 or len(key) > MAX_KEY_CHARACTERS or is_broken(key)}
    if columns is not None:
        refused |= {key for key in counts if key not in columns}
    others = [key for key in counts if key not in EXPORT_COLUMNS and key not in refused]
    return refused | set(others[MAX_KEYS - len(EXPORT_COLUMNS) :])


def is_one_value(key: str) -> bool:
    """Return whether a key's column is none of JSON."""
    return EXPORT_TYPES.get(key, "json") != "json"


def parted(value: object) -> tuple[bool, object, object]:
    """Return whether there is something odd in a value, what is left of it without that, and what is odd in it."""
    if not has_odd(value):
        return False, value, None
    if not isinstance(value, Members):
        return True, None, shown(value)
    good, odd = Members(), Members()
    for key, inner in value:
        if is_broken(key):
            odd.append((str(shown(key)), shown(inner)))
            continue
        is_odd, kept, rest = parted(inner)
        good.append((key, kept))
        if is_odd:
            odd.append((key, rest))
    return True, good, odd


def has_odd(value: object) -> bool:
    """Return whether no column holds a value, or something in it, as it is."""
    match value:
        case Number():
            return value.strip("-").isalpha() or not is_held(value)  # NaN and Infinity
        case str():
            return is_broken(value)
        case Members():
            for key, inner in value:
                if is_broken(key) or has_odd(inner):
                    return True
        case list():
            for inner in value:
                if has_odd(inner):
                    return True
    return False


def shown(value: object) -> object:
    """Return a value such that every JSON parser reads it."""
    match value:
        case Number():
            return str(value) if has_odd(value) else value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Members():
            members = Members()
            for key, inner in value:
                members.append((str(shown(key)), shown(inner)))
            return members
        case list():
            elements = []
            for inner in value:
                elements.append(shown(inner))
            return elements
    return value
