"""Revenue charts, computed in plain Python from Amplitude's pages.

revenue-ltv-track-new-user-monetization.md, revenue-ltv-interpret.md; retention-analysis-time.md for the windows.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from . import App
from .charts import DAY, HOUR, Days, Happening, Words, as_group, divided, takes

WINDOWS = {"day": 24 * HOUR, "week": 7 * DAY, "month": 30 * DAY}
Line: TypeAlias = tuple[str, ...]


class Newcomer(NamedTuple):
    """A new user on a line."""

    start: dt.datetime
    payments: Sequence[tuple[int, float]]
    """Each with the number of its window."""
    last: int
    """The number of the last window that has begun."""


def revenue(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values, cohort and number."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for app, days in days_of.items():
        for (*line, cohort), users in _cohorts(spec, events_of.get(app, []), days, words).items():
            for number in range(max(user.last for user in users) + 1):
                rows[(*app, *line, cohort, number)] = _cell(spec, users, number, days)
    for key in {(*key[:-2], key[-1]) for key in rows}:
        cells = [row for (*line, _, number), row in rows.items() if (*line, number) == key]
        users, payers, firsts = (sum(row[place] for row in cells) for place in range(3))
        amount = math.fsum(row[3] for row in cells)
        complete = all(row[-1] for row in cells)
        averages = amount / users, divided(amount, payers)
        rows[(*key[:-1], "(all)", key[-1])] = (users, payers, firsts, amount, *averages, complete)
    return rows


def _cell(spec: Mapping[str, Any], users: Sequence[Newcomer], number: int, days: Days) -> tuple[Any, ...]:
    """Users who started too late for a window are not in its numbers: "their data will not be included"."""
    window = WINDOWS[spec.get("interval", "day")]
    begun = [user for user in users if user.last >= number]
    payers = [user for user in begun if user.payments]
    firsts = sum(min(place for place, _ in user.payments) == number for user in payers)
    amount = math.fsum(value for user in begun for place, value in user.payments if place <= number)
    end = days.midnight(days.last) if window == 24 * HOUR else dt.datetime.combine(days.last, dt.time())
    complete = all(user.start + (number + 1) * window <= end for user in users)
    return len(begun), len(payers), firsts, amount, amount / len(begun), divided(amount, len(payers)), complete


def _cohorts(
    spec: Mapping[str, Any], events: Sequence[Happening], days: Days, words: Words
) -> dict[Line, list[Newcomer]]:
    unit = spec.get("interval", "day")
    window = WINDOWS[unit]
    end = days.midnight(days.last + DAY) if unit == "day" else dt.datetime.combine(days.last + DAY, dt.time())
    payments: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    lines: dict[Line, dict[int, dt.datetime]] = defaultdict(dict)
    for event in events:
        start, moment = (_moment(unit, each) for each in (event.first, (event.date, event.hour)))
        amount = event.values[spec.get("of", "revenue")]
        is_new = days.start_of(unit, event.first[0]) == days.start_of(unit, event.date)
        part = spec.get("event", {"event": "_all"})
        if amount is not None and takes(part, event._replace(is_first_day=is_new), words):
            payments[event.user].append(((moment - start) // window, amount))
        if moment == start and _is_asked_for(spec, days, event.date):
            for segment in spec.get("segments", ["(all)"]):
                if segment == "(all)" or words.segments[segment](event, events):
                    values = (as_group(event.values[name]) for name in spec.get("by", []))
                    lines[(segment, *values, str(days.start_of(unit, event.date)))][event.user] = start
    return {
        line: [Newcomer(start, payments[user], math.ceil((end - start) / window) - 1) for user, start in users.items()]
        for line, users in lines.items()
    }


def _moment(unit: str, of: tuple[dt.date, dt.datetime]) -> dt.datetime:
    """An hour for windows of 24 hours, a day for longer ones."""
    date, hour = of
    return hour if unit == "day" else dt.datetime.combine(date, dt.time())


def _is_asked_for(spec: Mapping[str, Any], days: Days, date: dt.date) -> bool:
    """Whether the chart's days touch the interval in which users are new."""
    unit = spec.get("interval", "day")
    start = days.start_of(unit, date)
    end = days.end_of(unit, start)
    assert not isinstance(end, dt.datetime)
    return bool(start <= spec.get("until", dt.date.max) and end > spec.get("since", dt.date.min))
