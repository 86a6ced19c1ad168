"""The rules that the rows of funnels.csv keep, checked before SQLMesh reads them.

SQLMesh's audits would stop the same rows later, and without the line.
"""

import csv
import difflib
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sqlmesh.utils.errors import ConfigError

COLUMNS = ("funnel", "step", "event_type", "property_filter", "step_order", "window_hours")
ORDERS = ("this", "exact", "any")
SECOND_HOURS, MAX_HOURS = 1 / 3_600, 366 * 24  # funnel-analysis-interpret.md
# Charts and Amplitude's APIs offer these as events (api/en/dashboard-rest.md), and an export has none of them.
PSEUDO_EVENTS = ("_active", "_all", "_new", "[amplitude] any active event", "[amplitude] any event")
CUSTOM_EVENT = "ce:"
USER_PROPERTY = re.compile(r"(gp:|user_properties[.:]|user[.:])")
COMPARISON = re.compile(r"(?P<name>[^=<>!~]*)(?P<operator>[<>!~]=?|==)(?P<value>.*)")


class Step(NamedTuple):
    """A row of the file, with its line."""

    line: int
    funnel: str
    step: int
    event_type: str
    property_filter: str
    step_order: str
    window_hours: float

    @property
    def filtered_property(self) -> str:
        return self.property_filter.partition("=")[0]


class FunnelError(Exception):
    """What is wrong in a line, as a sentence."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


def check(path: Path) -> None:
    """Check the definitions of funnels.

    Raises:
        ConfigError: in one sentence, with the file and the line of the first fault.
    """
    try:
        steps = list(read_steps(path))
        for _, of_funnel in itertools.groupby(sorted(steps, key=lambda step: step.funnel), lambda step: step.funnel):
            check_funnel(list(of_funnel))
    except FunnelError as fault:
        raise ConfigError(f"sqlmesh/seeds/{path.name}, line {fault.line}: {fault}") from None
    except OSError as error:
        raise ConfigError(f"sqlmesh/seeds/{path.name} cannot be read ({error.strerror}).") from None


def read_steps(path: Path) -> Iterator[Step]:
    """Read the rows, each checked by itself."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            if not row:
                continue
            if header is None:
                header = checked_header(reader.line_num, row)
                continue
            if len(row) != len(header):
                raise FunnelError(
                    reader.line_num,
                    f"{len(row)} values stand for {len(header)} columns; put a value with a comma in double quotes.",
                )
            yield read_step(reader.line_num, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise FunnelError(reader.line_num, f"the quotes do not match ({error}).") from None
    if header is None:
        raise FunnelError(1, f"the file is empty; its first line is {','.join(COLUMNS)}.")


def read_text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith(b"\xef\xbb\xbf"):
        raise FunnelError(1, "the file begins with a byte order mark; save it as UTF-8 without one.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FunnelError(line, "the text is not UTF-8; save the file as UTF-8.") from None


def checked_header(line: int, names: list[str]) -> list[str]:
    for name in names:
        if name not in COLUMNS:
            raise FunnelError(line, f"there is no column {name!r}{nearest(name, COLUMNS)}")
    for name in COLUMNS:
        if names.count(name) != 1:
            raise FunnelError(line, f"the header needs the column {name} once; it is {','.join(COLUMNS)}.")
    return names


def read_step(line: int, values: dict[str, str]) -> Step:
    for column, value in values.items():
        if value != value.strip():
            raise FunnelError(line, f"{column} {value!r} begins or ends with a blank.")
        if not value and column != "property_filter":
            raise FunnelError(line, f"{column} is empty.")
    return Step(
        line,
        values["funnel"],
        read_number(line, values["step"]),
        read_event_type(line, values["event_type"]),
        read_filter(line, values["property_filter"]),
        read_order(line, values["step_order"]),
        read_hours(line, values["window_hours"]),
    )


def read_number(line: int, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]*", text):
        raise FunnelError(line, f"step is {text!r}, not a whole number from 1 on.")
    return int(text)


def read_event_type(line: int, text: str) -> str:
    if text.lower() in PSEUDO_EVENTS or text.startswith(CUSTOM_EVENT):
        raise FunnelError(line, f"{text!r} is not the type of an exported event; a step names one event type.")
    return text


def read_filter(line: int, text: str) -> str:
    if not text:
        return text
    comparison = COMPARISON.fullmatch(text)
    if comparison:
        example = f"{comparison['name'].strip() or 'property'}={comparison['value'].strip('= ') or 'value'}"
        raise FunnelError(
            line, f"property_filter {text!r} compares by {comparison['operator']!r}; only = works: {example}."
        )
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise FunnelError(line, f"property_filter {text!r} is not property=value.")
    if name != name.strip() or value != value.strip():
        raise FunnelError(
            line, f"property_filter {text!r} has a blank beside the =; write {name.strip()}={value.strip()}."
        )
    if prefix := USER_PROPERTY.match(name):
        raise FunnelError(
            line, f"property_filter {text!r} names a user property ({prefix[0]}); a step filters event properties."
        )
    return text


def read_order(line: int, text: str) -> str:
    if text not in ORDERS:
        raise FunnelError(line, f"step_order is {text!r}, not one of {', '.join(ORDERS)}{nearest(text, ORDERS)}")
    return text


def read_hours(line: int, text: str) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or not SECOND_HOURS <= float(text) <= MAX_HOURS:
        raise FunnelError(
            line, f"window_hours is {text!r}, not a number from 0.0003 (a second) to {MAX_HOURS} (366 days)."
        )
    return float(text)


def check_funnel(steps: list[Step]) -> None:
    """Check what the steps of a funnel must have in common, and that they are numbered 1, 2, 3, ..."""
    first = steps[0]
    for column in ("step_order", "window_hours"):
        for step in steps:
            own, other = getattr(step, column), getattr(first, column)
            if own != other:
                raise FunnelError(
                    step.line,
                    f"{column} of funnel {step.funnel!r} is {own}, but {other} in line {first.line}; steps share it.",
                )
    by_number = sorted(steps, key=lambda step: step.step)
    for step, after in itertools.pairwise(by_number):
        if step.step == after.step:
            raise FunnelError(after.line, f"step {step.step} of funnel {step.funnel!r} is also in line {step.line}.")
    for expected, step in enumerate(by_number, 1):
        if step.step != expected:
            raise FunnelError(step.line, f"funnel {step.funnel!r} has step {step.step}, but no step {expected}.")
    if len(steps) == 1:
        raise FunnelError(first.line, f"funnel {first.funnel!r} has one step; a funnel needs two or more.")
    if first.step_order == "any":
        check_any_order(by_number)


def check_any_order(steps: Iterable[Step]) -> None:
    """Check that an event does one step; as in Amplitude only ordered funnels repeat an event.

    Two steps of one event type need filters of one property by different values.
    """
    for step, other in itertools.combinations(steps, 2):
        if step.event_type != other.event_type:
            continue
        if step.filtered_property != other.filtered_property or step.property_filter == other.property_filter:
            raise FunnelError(
                other.line,
                f"{other.event_type!r} is also step {step.step} (line {step.line}); in any order two steps of one "
                "event type need filters of one property by different values.",
            )


def nearest(text: str, names: Iterable[str]) -> str:
    """Return the end of a sentence: a question for the name that was probably meant, if any is near."""
    found = difflib.get_close_matches(text.lower(), list(names), n=1)
    return f"; do you mean {found[0]}?" if found else "."
