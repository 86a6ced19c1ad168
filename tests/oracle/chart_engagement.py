"""Engagement matrices, computed in plain Python from Amplitude's pages: engagement-matrix-discover.md."""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from . import App
from .charts import Days, Happening, Period, Words, as_group, name_of, takes

Test: TypeAlias = Callable[[Happening], bool]


def engagement(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values and event."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    unit, segments, by = spec.get("interval", "day"), spec.get("segments", ["(all)"]), spec.get("by", [])
    for app, days in days_of.items():
        shown = _shown(spec, unit, days)
        events = [
            event._replace(is_first_day=days.start_of(unit, event.first[0]) == days.start_of(unit, event.date))
            for event in events_of.get(app, [])
            if days.start_of(unit, event.date) in shown
        ]
        of_segments = {
            segment: [event for event in events if segment == "(all)" or words.segments[segment](event, events_of[app])]
            for segment in segments
        }
        tests = _tests(spec, [event for own in of_segments.values() for event in own], words)
        for segment, own in of_segments.items():
            for group in {tuple(as_group(event.values[name]) for name in by) for event in own} if by else {()}:
                of_group = [event for event in own if tuple(as_group(event.values[name]) for name in by) == group]
                for name, test in tests.items():
                    done = [event for event in of_group if test(event)]
                    if shown and (done or not by):
                        rows[(*app, segment, *group, name)] = _row(done, own, shown, unit, days)
    return rows


def _shown(spec: Mapping[str, Any], unit: str, days: Days) -> list[Period]:
    until, since = spec.get("until", dt.date.max), spec.get("since", dt.date.min)
    return [
        start
        for start in days.starts(unit)
        if days.date_of(unit, start, last=False) <= until and days.date_of(unit, start, last=True) >= since
    ]


def _tests(spec: Mapping[str, Any], events: Sequence[Happening], words: Words) -> dict[Any, Test]:
    """What makes an event one of each name: of the chart's, or of the active types that came in its segments."""

    def test(part: Mapping[str, str]) -> Test:
        return lambda event: takes(part, event, words)

    if "events" in spec:
        return {name_of(part): test(part) for part in spec["events"]}
    return {event.type: test({"event": str(event.type)}) for event in events if event.is_active}


def _row(
    done: Sequence[Happening], own: Sequence[Happening], shown: Sequence[Period], unit: str, days: Days
) -> tuple[Any, ...]:
    shares, times, dates = [], [], []
    for start in shown:
        found = [event for event in done if days.start_of(unit, event.date) == start]
        active = {event.user for event in own if event.is_active and days.start_of(unit, event.date) == start}
        users = {event.user for event in found}
        if active:
            shares.append(len(users) / len(active))
        if users:
            times.append(len(found) / len(users))
            dates.append(len({(event.user, event.date) for event in found}) / len(users))
    complete = all(days.is_complete(unit, start) for start in shown)
    return len(done), mean(shares), mean(times), mean(dates), complete


def mean(values: Sequence[float]) -> float | None:
    """An average of averages, by the page; of intervals that had users."""
    return math.fsum(values) / len(values) if values else None
