"""What charts go by: the variables of `sqlmesh/config.yaml`, checked before SQLMesh builds anything by them."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from ..errors import AmplitudeError

WEEK_STARTS = ("monday", "sunday")
UNPROVEN_DAYS = ("warn", "block")
RETIRED = {
    "retention_start_event": "write a retention chart with `start`",
    "retention_return_event": "write a retention chart with `return`",
}
"""Variables that charts have taken the place of, and what to do instead."""

OTHERS = ("bronze", "bronze_tables", "dynamic_tables")
"""Variables that `foreign_bronze.py` and `dynamic_tables.py` check, and that may be left out."""

# Zones that tzdata lists and that are none of the world's.
NO_ZONES = {"localtime", "Factory", "posixrules"}


def check_variables(variables: Mapping[str, Any], path: Path) -> None:
    """Refuse a variable whose value means nothing, and one whose name is nearly ours.

    Args:
        variables: of the configuration; a fork may have more than ours.
        path: of the file they stand in.

    Raises:
        AmplitudeError: with the line and the nearest valid word.
    """
    for name, value in variables.items():
        if name in VARIABLES:
            complaint = VARIABLES[name](value)
        elif name in RETIRED:
            complaint = f"is no variable any more: {RETIRED[name]} (docs/guides/charts.md), and delete this line."
        else:
            near = [] if name in OTHERS else get_close_matches(name, [*VARIABLES, *OTHERS], n=1, cutoff=0.8)
            complaint = f"is not a variable of this project; did you mean {near[0]}?" if near else None
        if complaint:
            raise AmplitudeError(f"{path}, line {line_of(name, path)}: {name} {complaint}")
    if missing := VARIABLES.keys() - variables.keys():
        raise AmplitudeError(f"{path}: the variable {min(missing)} is missing; the project's own file has it.")


def line_of(name: str, path: Path) -> int:
    """Return the number of the line that sets a variable."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip().startswith(f"{name}:")), 1)


def _zone(value: object) -> str | None:
    zones = available_timezones() - NO_ZONES
    return None if value in zones else _not_one_of(value, zones, "a time zone of IANA, as Europe/Berlin")


def _week_start(value: object) -> str | None:
    if isinstance(value, str) and value.lower() in WEEK_STARTS:
        return None
    return f"is {value!r}: write monday or sunday, the days with which Amplitude's weeks start."


def _days(value: object) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if is_count else f"is {value!r}: write a number of days, 0 or more."


def _unproven_days(value: object) -> str | None:
    return None if value in UNPROVEN_DAYS else f"is {value!r}: write warn or block."


def _not_one_of(value: object, words: Any, kind: str) -> str:
    near = get_close_matches(str(value), words, n=1)
    return f"is {value!r}: did you mean {near[0]}?" if near else f"is {value!r}: write {kind}."


VARIABLES: dict[str, Callable[[object], str | None]] = {
    "reporting_timezone": _zone,
    "week_start": _week_start,
    "attribution_window_days": _days,
    "unproven_days": _unproven_days,
}
