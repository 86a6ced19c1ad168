"""Charts of users who come back, computed in plain Python from Amplitude's pages.

retention-analysis-time.md and -calculation.md, whose rules stand in retention.py; -interpret.md for brackets;
-interpret-usage.md for usage intervals.
"""

import datetime as dt
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, pairwise
from typing import Any

from . import App
from .charts import Days, Happening, Words, as_group, did, divided, reached, starts_of, takes
from .retention import CalendarWay, Way, WindowWay, next_first_day


def retention(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values, cohort and number."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    kind = CalendarWay if spec.get("windows") == "calendar" else WindowWay
    for app, days in days_of.items():
        week_start = "monday" if days.week_start == 0 else "sunday"
        way = kind(spec.get("interval", "day"), days.zone, week_start, days.first, days.last)
        of_app = _cells(spec, events_of.get(app, []), way, words)
        rows |= {(*app, *line, str(cohort), number): cell for (line, cohort, number), cell in of_app.items()}
        sums: defaultdict[tuple[tuple[str, ...], int], list[int]] = defaultdict(lambda: [0, 0, 0])
        for (line, _, number), (*counts, is_over) in of_app.items():
            if is_over:
                sums[line, number] = [sum(pair) for pair in zip(sums[line, number], counts, strict=True)]
        rows |= {(*app, *line, "(all)", number): (*counts, True) for (line, number), counts in sums.items()}
    return rows


def _moment(event: Happening, way: Way) -> dt.datetime:
    is_hourly = isinstance(way, WindowWay) and way.unit == "day"
    return event.hour if is_hourly else dt.datetime.combine(event.date, dt.time())


def _cells(
    spec: Mapping[str, Any], events: Sequence[Happening], way: Way, words: Words
) -> dict[tuple[tuple[str, ...], dt.date, int], tuple[int, int, int, bool]]:
    """Users, those who came back on and on or after, and whether the cell is complete."""
    start, back = spec.get("start", {"event": "_new"}), spec.get("return", {"event": "_active"})
    returns: defaultdict[int, set[dt.datetime]] = defaultdict(set)
    for event in events:
        if takes(back, event, words):
            returns[event.user].add(_moment(event, way))
    members: defaultdict[tuple[tuple[str, ...], dt.date], defaultdict[int, set[dt.datetime]]]
    members = defaultdict(lambda: defaultdict(set))
    for event in events:
        if (moment := _start(start, event, way, words)) is None or not _has_cohort(spec, way, moment):
            continue
        for segment in spec.get("segments", ["(all)"]):
            if segment == "(all)" or words.segments[segment](event, events):
                line = (segment, *(as_group(event.values[name]) for name in spec.get("by", [])))
                members[line, way.cohort(moment)][event.user].add(moment)
    cells = {}
    for (line, cohort), users in members.items():
        numbers = [
            {way.number(moment, back) for moment in starts for back in returns[user] if back >= moment}
            for user, starts in users.items()
        ]
        first = min(min(starts) for starts in users.values())
        for number, last in spec_brackets(spec):
            if not way.has_begun(first, number):
                break
            on = sum(any(number <= back <= last for back in own) for own in numbers)
            on_or_after = sum(max(own, default=-1) >= number for own in numbers)
            cells[line, cohort, number] = (len(users), on, on_or_after, way.is_over(cohort, last))
    return cells


def spec_brackets(spec: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """The first and the last number of each bracket; without them, each number alone."""
    if "brackets" not in spec:
        yield from ((number, number) for number in count())
    for bracket in spec.get("brackets", ()):
        first, _, last = str(bracket).partition("-")
        yield int(first), int(last or first)


def _start(part: Mapping[str, str], event: Happening, way: Way, words: Words) -> dt.datetime | None:
    """The moment at which an event makes its user start; that of a new one is the first, in its segments."""
    if part["event"] != "_new":
        return _moment(event, way) if takes(part, event, words) else None
    date, hour = event.first
    first = _moment(event._replace(date=date, hour=hour), way)
    is_taken = takes({**part, "event": "_all"}, event, words)
    return first if way.shows(first) and way.is_new_in(first, _moment(event, way)) and is_taken else None


def _has_cohort(spec: Mapping[str, Any], way: Way, moment: dt.datetime) -> bool:
    """Whether the chart's days touch the cohort's interval."""
    cohort = way.cohort(moment)
    after = next_first_day(way.unit, cohort)
    return bool(cohort <= spec.get("until", dt.date.max) and after > spec.get("since", dt.date.min))


def usage_interval(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values and number of intervals."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    unit = spec.get("interval", "day")
    for app, days in days_of.items():
        shown = {*starts_of(spec, unit, days)[1]}
        if not shown:
            continue
        span = days.starts("day")
        is_complete = all(days.is_complete("day", day) for day in span if days.start_of(unit, day) in shown)
        own = [
            event
            for event in reached(spec, unit, events_of.get(app, []), days)
            if days.start_of(unit, event.date) in shown
        ]
        for line, events in did(spec, own, events_of.get(app, []), words).items():
            dates: defaultdict[int, set[dt.date]] = defaultdict(set)
            for event in events:
                dates[event.user].add(event.date)
            gaps = [[(b - a).days for a, b in pairwise(sorted(found))] for found in dates.values()]
            medians = [statistics.median(each) / {"day": 1, "week": 7, "month": 30}[unit] for each in gaps if each]
            if not medians and spec.get("by"):
                continue
            for number in range(1, max(map(math.ceil, medians), default=1) + 1):
                exactly = sum(number - 1 < value <= number for value in medians)
                up_to = sum(value <= number for value in medians)
                rows[(*app, *line, number)] = exactly, up_to, len(medians), divided(up_to, len(medians)), is_complete
    return rows
