"""Paths to the keys of a row: how they are written, which ones rows have, and which one resembles another."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, TypeAlias

from ..verbatim import Members

KeyPath: TypeAlias = tuple[str, ...]
"""Keys from a column inwards. A list has no step of its own."""
Keys: TypeAlias = "dict[str, Keys]"
"""Keys with the keys below them."""

LIKENESS = 0.7  # from which on one path is taken for a misspelling of the other
LAST_KEY = 0.95  # of a path's likeness is that of its last key, so that a key is found in another column, too
ABBREVIATED = 0.8  # for `ip`, where `ip_address` is meant


def parse_path(text: str) -> KeyPath:
    """Return the keys of a path: they are joined by `/`; in a key, `~1` stands for `/` and `~0` for `~`.

    Raises:
        ValueError: a key is empty, or a `~` is followed by something else.
    """
    keys = text.split("/")
    if not all(keys) or re.search("~(?![01])", text):
        raise ValueError(text)
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


def format_path(path: KeyPath) -> str:
    """Return a path as `parse_path` reads it."""
    return "/".join(key.replace("~", "~0").replace("/", "~1") for key in path)


def collect_keys(keys: Keys, value: Any) -> None:
    """Add the keys of a JSON value."""
    if isinstance(value, dict | Members):
        for key, inner in value.items():
            below = keys.setdefault(key, {})
            if isinstance(inner, dict | list):
                collect_keys(below, inner)
    elif isinstance(value, list):
        for element in value:
            collect_keys(keys, element)


def nearest_path(path: KeyPath, keys: Keys) -> KeyPath | None:
    """Return the path that was most likely meant; None if none resembles it. A path outside of it does not count."""
    others = (candidate for candidate in paths(keys) if candidate != path[: len(candidate)])
    candidates = [(likeness(path, candidate), -len(candidate), candidate) for candidate in others]
    score, _, nearest = max(candidates, default=(0.0, 0, None))
    return nearest if score >= LIKENESS else None


def paths(keys: Keys, outer: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield every path, the outer before the inner."""
    for key, below in keys.items():
        yield (*outer, key)
        yield from paths(below, (*outer, key))


def likeness(one: KeyPath, other: KeyPath) -> float:
    """Return from 0 to 1 how much two paths are alike, in whatever case and with whatever between their words."""
    *outer, last = one
    *other_outer, other_last = other
    is_abbreviated = set(_words(last)) < set(_words(other_last))
    last_likeness = max(_ratio(last, other_last), ABBREVIATED if is_abbreviated else 0)
    return LAST_KEY * last_likeness + (1 - LAST_KEY) * _ratio(" ".join(outer), " ".join(other_outer))


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, "".join(_words(one)), "".join(_words(other)), autojunk=False).ratio()


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
