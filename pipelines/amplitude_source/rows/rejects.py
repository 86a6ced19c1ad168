"""Find out why a line is no row, where DuckDB must not be asked or does not say."""

import json
import sys
from decimal import Decimal
from typing import NamedTuple

import orjson

from ..verbatim import MAX_DEPTH, is_too_deep
from .lines import MAX_LINE_BYTES

MAX_INTEGER_DIGITS = 38  # what Snowflake's and DuckDB's widest types hold
MAX_DOUBLE_DIGITS = 17
EXAMPLE_CHARACTERS = 100

NO_JSON = "no JSON"
NOT_HELD = "a number that no column holds as it is"
TOO_LONG = f"longer than {MAX_LINE_BYTES:,} bytes"
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class Fault(NamedTuple):
    """Why a line is no row; `value` is what differs from line to line, so that rejected rows group by reason."""

    reason: str
    value: str | None = None


def text_fault(line: bytes) -> Fault | None:
    """Return why DuckDB must not be given a line."""
    if line.find(b"\n") > MAX_LINE_BYTES:
        return Fault(TOO_LONG)
    if is_too_deep(line):
        return Fault(TOO_DEEP)
    try:
        line.decode()
    except UnicodeDecodeError:
        return syntax_error(line)
    return None


def json_fault(line: bytes) -> Fault | None:
    """Return why a line is no JSON by the standard, or has a value that no column can hold."""
    return syntax_error(line) or number_fault(line)


def syntax_error(line: bytes) -> Fault | None:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Fault(NO_JSON, str(error))
    return None


def number_fault(line: bytes) -> Fault | None:
    """Return why a line of JSON has a number that would not stay what it is."""
    faults: list[Fault] = []

    def check(number: str) -> None:
        if not is_held(number):
            faults.append(Fault(NOT_HELD, number[:EXAMPLE_CHARACTERS]))

    json.loads(line.decode(), parse_int=check, parse_float=check)
    return faults[0] if faults else None


def is_held(number: str) -> bool:
    """Whether a column can hold a number as it stands in JSON: as a whole number, or as the double that it denotes.

    Writers print a double in up to 17 digits. A number of more is no double, unless one says exactly the same.
    """
    if number.lstrip("-").isdigit():
        return len(number.lstrip("-")) <= MAX_INTEGER_DIGITS
    digits = number.lower().partition("e")[0].replace(".", "").strip("-0")
    double = float(number)
    if not digits or not double:
        return not digits
    is_normal = sys.float_info.min <= abs(double) <= sys.float_info.max
    return (len(digits) <= MAX_DOUBLE_DIGITS and is_normal) or Decimal(number) == Decimal(repr(double))
