"""Read and write JSON such that nothing in it gets lost: numbers as they are written, and keys that come twice."""

import json
import re
from collections.abc import Iterator
from typing import cast

import numpy as np

# Amplitude takes 40. DuckDB's functions crash from 10,000 on (with the small stacks of macOS' threads, from 600),
# Python's parser ends at 990. Functions recurse into a value from plain loops: a comprehension or `map` takes up two of
# Python's 1,000 frames for each level.
MAX_DEPTH = 500
NOT_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}"]+', re.DOTALL)


class Number(str):
    """A number as it is written in JSON."""

    __slots__ = ()


class Members(list[tuple[str, object]]):
    """The members of a JSON object in their order. A key may come twice."""

    def items(self) -> Iterator[tuple[str, object]]:
        """Yield the members, as a dict does."""
        return iter(self)


DECODER = json.JSONDecoder(object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=Number)


def read(line: bytes) -> object:
    """Read a line; half of a character, and each byte that is not UTF-8, becomes a lone surrogate.

    Raises:
        ValueError: the line is no JSON.
    """
    return cast(object, DECODER.decode(line.decode("utf-8", "surrogateescape")))


def written(value: object) -> str:
    """Return a value as JSON; a text with half of a character is escaped."""
    match value:
        case Number():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=is_broken(value))
        case Members():
            members = list[str]()
            for key, inner in value:
                members.append(f"{written(key)}:{written(inner)}")
            return "{" + ",".join(members) + "}"
        case list():
            elements = list[str]()
            for inner in value:
                elements.append(written(inner))
            return "[" + ",".join(elements) + "]"
    return json.dumps(value)


def is_broken(text: str) -> bool:
    """Return whether a text has half of a character in it."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def is_too_deep(line: bytes) -> bool:
    """Return whether a line is nested deeper than `MAX_DEPTH` levels."""
    return line.count(b"[") + line.count(b"{") > MAX_DEPTH and depth(line) > MAX_DEPTH


def depth(line: bytes) -> int:
    """Return how deep brackets outside of texts are nested."""
    brackets = np.frombuffer(NOT_NESTING.sub(b"", line), np.uint8)
    steps = (brackets & 2).astype(np.int8) - 1  # that bit is set in `[` and `{`, not in `]` and `}`
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))
