"""Charts of each type, computed in plain Python from Amplitude's pages.

event-segmentation-choose-measurement.md, -custom-formulas.md, -interpret-2.md, and the FAQ on event segmentation;
retention-analysis-time.md and -calculation.md, whose rules stand in retention.py; lifecycle-interpret.md;
stickiness-interpret.md.
"""

import datetime as dt
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from . import NO_SESSION, App, Span, Truth
from .properties import declared_value, revenue

Period: TypeAlias = dt.date | dt.datetime
Found: TypeAlias = Sequence[tuple[Any, "Happening"]]
"""Events, each with whom it counts for."""
Cells: TypeAlias = defaultdict[tuple[str, str, tuple[str, ...], Period], list[tuple[Any, "Happening"]]]
"""By letter, segment, values and point."""
Value: TypeAlias = Callable[[Mapping[str, Found], int, "str | None"], float | None]
LETTERS = "ABCDEFGH"
Rows: TypeAlias = dict[tuple[Any, ...], tuple[float | None, bool]]
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


class Happening(NamedTuple):
    """An event as charts see it."""

    app: App
    user: Any
    """Who counts: the user's canonical id, or the value that a chart counts by."""
    type: str | None
    is_active: bool
    uuid: str
    time: dt.datetime
    """In UTC."""
    client_time: dt.datetime
    """The same by the client's clock; without one, by Amplitude's."""
    date: dt.date
    hour: dt.datetime
    """When its local hour began, in UTC."""
    is_first_day: bool
    first: tuple[dt.date, dt.datetime]
    """The date and the hour of the user's first event, shown or not."""
    session: tuple[int, int | None] | None
    is_in_session: bool
    """Whether its session counts it."""
    values: Mapping[str, Any]
    """By the names of columns."""


@dataclass(frozen=True)
class Words:
    """What the definitions of a chart mean, as Python."""

    conditions: Mapping[str, Callable[[Mapping[str, Any]], bool]]
    """By their SQL."""
    events: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    segments: Mapping[str, Callable[[Happening, Collection[Happening]], bool]] = field(default_factory=dict)
    """Whether an event is in a segment, by it and all shown events of its app."""


@dataclass(frozen=True)
class Days:
    """The days and hours that charts show of an app."""

    zone: ZoneInfo
    week_start: int
    """The first day of a week: 0 for Monday, 6 for Sunday."""
    first: dt.date
    last: dt.date
    span: Span
    """The first and the last export hour."""

    def starts(self, unit: str) -> list[Period]:
        """All intervals that begin or lie in the shown days, in order."""
        days = [self.first + number * DAY for number in range((self.last - self.first).days + 1)]
        if unit != "hour":
            return sorted({self.start_of(unit, day) for day in days})
        hours = set()
        for day in days:
            moment = self.midnight(day)
            while moment < self.midnight(day + DAY):
                if moment < self.span[1] + HOUR:
                    hours.add(local_hour(self.zone, moment))
                moment += HOUR / 2
        return sorted(hours)

    def start_of(self, unit: str, day: dt.date) -> dt.date:
        if unit == "week":
            return day - (day.weekday() - self.week_start) % 7 * DAY
        if unit == "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        return day.replace(day=1) if unit == "month" else day

    def end_of(self, unit: str, start: Period) -> Period:
        """The start of the next interval."""
        if unit == "hour":
            return start + HOUR
        next_day = start + {"day": 1, "week": 7, "month": 31, "quarter": 93}[unit] * DAY
        return self.start_of(unit, next_day)

    def midnight(self, day: dt.date) -> dt.datetime:
        local = dt.datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return local.astimezone(dt.UTC).replace(tzinfo=None)

    def is_complete(self, unit: str, start: Period) -> bool:
        """Whether every hour of the interval was exported."""
        end = self.end_of(unit, start)
        first, last = (each if isinstance(each, dt.datetime) else self.midnight(each) for each in (start, end))
        return self.span[0] <= first and last <= self.span[1] + HOUR

    def date_of(self, unit: str, start: Period, *, last: bool) -> dt.date:
        """The first or the last shown day of an interval."""
        if isinstance(start, dt.datetime):
            return start.replace(tzinfo=dt.UTC).astimezone(self.zone).date()
        end = self.end_of(unit, start)
        assert not isinstance(end, dt.datetime)
        return min(end - DAY, self.last) if last else max(start, self.first)


def local_hour(zone: ZoneInfo, moment: dt.datetime) -> dt.datetime:
    """The UTC time at which the local hour of a UTC time began."""
    local = moment.replace(tzinfo=dt.UTC).astimezone(zone)
    return moment - dt.timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def happenings(
    truth: Truth, zone: ZoneInfo, declared: Sequence[Mapping[str, str]], *, before_export: bool = False
) -> dict[App, list[Happening]]:
    """The shown events of each app, or those of days before its export."""
    firsts: dict[tuple[App, int], tuple[dt.date, dt.datetime]] = {}
    counts: Counter[tuple[App, int]] = Counter()
    for event in truth.events:
        app = (event.project, event.app)
        assert event.amplitude_id is not None
        assert event.event_date is not None
        assert event.event_time is not None
        user = truth.canonical[event.project, event.app, event.amplitude_id]
        first = event.event_date, local_hour(zone, event.event_time)
        firsts[app, user] = min(firsts.get((app, user), first), first)
        counts[app, user] += 1
    shown: defaultdict[App, list[Happening]] = defaultdict(list)
    for event in truth.events:
        app = (event.project, event.app)
        assert event.amplitude_id is not None
        assert event.event_date is not None
        assert event.event_time is not None
        is_before = event.event_date < truth.openings[app]
        if not (is_before if before_export else truth.shows(app, event.event_date)):
            continue
        user = truth.canonical[event.project, event.app, event.amplitude_id]
        sources = {
            name: event.data.get(name) for name in ("event_properties", "user_properties", "groups", "group_properties")
        }
        values = {each["column"]: declared_value(each, sources) for each in declared}
        shown[app].append(
            Happening(
                app,
                user,
                event.event_type,
                event.is_active,
                event.uuid or "",
                event.event_time,
                event.client_event_time or event.event_time,
                event.event_date,
                local_hour(zone, event.event_time),
                firsts[app, user][0] == event.event_date,
                firsts[app, user],
                None if event.session_id in (None, NO_SESSION) else (user, event.session_id),
                event.session_id not in (None, NO_SESSION) and event.is_active and not event.is_deleted,
                values
                | {name: event.data.get(name) or None for name in ("country", "platform")}
                | {"now.events": counts[app, user], "canonical_amplitude_id": user}
                | {"revenue": revenue(event.event_type, sources)},
            )
        )
    return shown


def counted_by(
    column: str, events_of: Mapping[App, Sequence[Happening]], others_of: Mapping[App, Sequence[Happening]]
) -> dict[App, list[Happening]]:
    """The events with a value of a column in the user's place, which is new with the first of these and of others.

    Of account-level reporting (analytics/en/account-level-reporting.md): a group does what its members do.
    """
    counted: dict[App, list[Happening]] = {}
    for app, events in events_of.items():
        firsts: dict[Any, tuple[dt.date, dt.datetime]] = {}
        for event in (*others_of.get(app, []), *events):
            if (value := event.values[column]) is not None:
                first = event.date, event.hour
                firsts[value] = min(firsts.get(value, first), first)
        counted[app] = [
            event._replace(user=value, first=firsts[value], is_first_day=firsts[value][0] == event.date)
            for event in events
            if (value := event.values[column]) is not None
        ]
    return counted


def segmentation(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> Rows:
    """The rows of a chart, by project, app, series, segment, values, interval."""
    rows: Rows = {}
    for app, days in days_of.items():
        rows |= _of_app(spec, app, events_of.get(app, []), days, words)
    return rows


class Time:
    """The points of a chart, and the intervals whose events count in each.

    Args:
        spec: the chart.
        days: those that are shown.
    """

    def __init__(self, spec: Mapping[str, Any], days: Days) -> None:
        self.unit, self._days = spec.get("interval", "day"), days
        self.reach, self.average = spec.get("rolling_window") or 1, spec.get("rolling_average") or 1
        until, since = spec.get("until", dt.date.max), spec.get("since", dt.date.min)
        starts = [each for each in days.starts(self.unit) if days.date_of(self.unit, each, last=False) <= until]
        self.shown = [each for each in starts if days.date_of(self.unit, each, last=True) >= since]
        first = starts.index(self.shown[0]) if self.shown else len(starts)
        self.points = starts[max(0, first - self.average + 1) :]
        """With those before the first shown one that an average looks at."""
        self.held: dict[Period, list[Period]] = {}
        self.points_of: defaultdict[Period, list[Period]] = defaultdict(list)
        for point in self.points:
            place = starts.index(point)
            low = first if spec.get("cumulative") else max(0, place - self.reach + 1)
            self.held[point] = starts[low : place + 1]
            for period in self.held[point]:
                self.points_of[period].append(point)
        self._all_count = bool(spec.get("cumulative"))

    def of(self, event: Happening) -> list[Period]:
        """The points in which an event counts."""
        period = event.hour if self.unit == "hour" else self._days.start_of(self.unit, event.date)
        return self.points_of.get(period, [])

    def is_new(self, event: Happening) -> bool:
        """Whether the user's first event is of the same interval (FAQ on event segmentation, "New User")."""
        date, hour = event.first
        if self.unit == "hour":
            return hour == event.hour
        return self._days.start_of(self.unit, date) == self._days.start_of(self.unit, event.date)

    def is_complete(self, point: Period) -> bool:
        enough = self._all_count or len(self.held[point]) == self.reach
        return enough and all(self._days.is_complete(self.unit, each) for each in self.held[point])


def _of_app(spec: Mapping[str, Any], app: App, events: Sequence[Happening], days: Days, words: Words) -> Rows:
    by, segments, time = spec.get("by", []), spec.get("segments", ["(all)"]), Time(spec, days)
    chosen = list(_chosen(spec, events, time, words))
    if spec.get("top") and by:
        sizes = Counter(group for _, _, group, *_ in chosen)
        kept = {group for group, _ in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[: spec["top"]]}
        chosen = [(a, b, c if c in kept else ("(other)",) * len(by), *rest) for a, b, c, *rest in chosen]
    cells: Cells = defaultdict(list)
    for letter, segment, group, counted, event in chosen:
        for point in time.of(event):
            cells[letter, segment, group, point].append((counted, event))
    if spec.get("measure") == "frequency":
        return _frequency(spec, app, cells, time)
    lines = {(segment, group) for _, segment, group, _ in cells} if by else {(segment, ()) for segment in segments}
    actives = _actives(spec, events, time, words)
    rows: Rows = {}
    for series, measure in formulas(spec):
        for segment, group in lines:
            values = [
                measure(
                    {letter: cells.get((letter, segment, group, point), []) for letter in LETTERS},
                    len(actives[segment, point]),
                    spec.get("of"),
                )
                for point in time.points
            ]
            for number, point in enumerate(time.points):
                if point in time.shown:
                    low = max(0, number - time.average + 1)
                    complete = all(map(time.is_complete, time.points[low : number + 1]))
                    value = _mean(values[low : number + 1]) if "rolling_average" in spec else values[number]
                    rows[(*app, series, segment, *group, point)] = (
                        value,
                        complete and number - low == time.average - 1,
                    )
    return rows


def _chosen(
    spec: Mapping[str, Any], events: Sequence[Happening], time: Time, words: Words
) -> Iterator[tuple[str, str, tuple[str, ...], Any, Happening]]:
    """Each event that counts at some point: its letter, a segment, its values, who is counted."""
    for letter, part in zip(LETTERS, spec["events"], strict=False):
        for segment in spec.get("segments", ["(all)"]):
            for event in events:
                if not time.of(event):
                    continue
                if not takes(part, event._replace(is_first_day=time.is_new(event)), words):
                    continue
                if segment == "(all)" or words.segments[segment](event, events):
                    for group in groups(event, spec.get("by", [])):
                        yield letter, segment, group, event.user, event


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _actives(
    spec: Mapping[str, Any], events: Sequence[Happening], time: Time, words: Words
) -> defaultdict[tuple[str, Period], set[Any]]:
    """Who was active in each segment and interval: what Active % divides by."""
    found: defaultdict[tuple[str, Period], set[Any]] = defaultdict(set)
    active = {"events": [{"event": "_active"}], "segments": spec.get("segments", ["(all)"])}
    for _, segment, _, counted, event in _chosen(active, events, time, words):
        for point in time.of(event):
            found[segment, point].add(counted)
    return found


def _frequency(spec: Mapping[str, Any], app: App, cells: Cells, time: Time) -> Rows:
    """How many users did it how often."""
    users: defaultdict[tuple[str, str, tuple[str, ...], int], Counter[Period]] = defaultdict(Counter)
    for (letter, segment, group, point), found in cells.items():
        for times in Counter(counted for counted, _ in found).values():
            users[letter, segment, group, times][point] += 1
    rows: Rows = {}
    for letter, part in zip(LETTERS, spec["events"], strict=False):
        for segment, group, times in {key[1:] for key in users}:
            for point in time.points:
                value = float(users[letter, segment, group, times][point])
                rows[(*app, name_of(part), segment, *group, times, point)] = (value, time.is_complete(point))
    return rows


def takes(part: Mapping[str, str], event: Happening, words: Words) -> bool:
    """Whether an event is one of a part."""
    for own in words.events.get(part["event"], [{"event": part["event"]}]):
        if is_of_type(own["event"], event) and ("where" not in own or words.conditions[own["where"]](event.values)):
            return "where" not in part or words.conditions[part["where"]](event.values)
    return False


def is_of_type(name: str, event: Happening) -> bool:
    special = {"_all": True, "_active": event.is_active, "_new": event.is_first_day}
    return special.get(name, event.type == name)


def name_of(part: Mapping[str, str]) -> str:
    return part.get("name", part["event"])


def groups(event: Happening, by: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The groups that an event is in: of a list, those of all its values."""
    values = [event.values[name] for name in by]
    yield from product(*(map(as_group, value) if isinstance(value, tuple) else [as_group(value)] for value in values))


def as_group(value: Any) -> str:
    """A value as charts break down by it."""
    if value is None:
        return "(none)"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value) if isinstance(value, str) else json.dumps(value)


def formulas(spec: Mapping[str, Any]) -> list[tuple[str, Value]]:
    """What a chart has rows of, with the way to compute it."""
    if "formula" in spec:
        return [(spec["formula"], FORMULAS[spec["formula"]])]
    measure = MEASURES[spec.get("measure", "uniques")]

    def of(letter: str) -> Value:
        return lambda found, actives, column: measure(found[letter], actives, column)

    return [(name_of(part), of(letter)) for letter, part in zip(LETTERS, spec["events"], strict=False)]


def amounts(found: Found, column: str | None) -> list[float]:
    assert column is not None
    return [event.values[column] for _, event in found if event.values[column] is not None]


def uniques(found: Found) -> int:
    return len({counted for counted, _ in found})


def median(values: Iterable[float]) -> float | None:
    return percentile(values, 0.5)


def percentile(values: Iterable[float], share: float) -> float | None:
    """With a straight line between the two values around it."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(values: Sequence[float]) -> float | None:
    """How far the 90th percentile lies above the mean."""
    high, mean = percentile(values, 0.9), _mean(values)
    return None if high is None or mean is None else high - mean


def divided(one: float, other: float) -> float | None:
    return one / other if other else None


def distinct_per_user(found: Found, column: str | None) -> float | None:
    assert column is not None
    pairs = {(counted, event.values[column]) for counted, event in found if event.values[column] is not None}
    return divided(len(pairs), len({counted for counted, _ in pairs}))


MEASURES: Mapping[str, Callable[[Found, int, str | None], float | None]] = {
    "uniques": lambda found, _, __: uniques(found),
    "totals": lambda found, _, __: len(found),
    "active": lambda found, actives, _: divided(uniques(found), actives),
    "average": lambda found, _, __: divided(len(found), uniques(found)),
    "sessions": lambda found, _, __: len({event.session for _, event in found if event.session}),
    "property_sum": lambda found, _, column: math.fsum(values) if (values := amounts(found, column)) else None,
    "property_average": lambda found, _, column: divided(
        math.fsum(amounts(found, column)), len(amounts(found, column))
    ),
    "property_median": lambda found, _, column: median(amounts(found, column)),
    "property_min": lambda found, _, column: min(amounts(found, column), default=None),
    "property_max": lambda found, _, column: max(amounts(found, column), default=None),
    "property_distinct": lambda found, _, column: len({*amounts(found, column)}),
    "property_distinct_per_user": lambda found, _, column: distinct_per_user(found, column),
}
FORMULAS: Mapping[str, Value] = {
    "UNIQUES(B) / UNIQUES(A)": lambda found, _, __: divided(uniques(found["B"]), uniques(found["A"])),
    "(TOTALS(A) + totals(b)) * 100": lambda found, _, __: (len(found["A"]) + len(found["B"])) * 100,
    "PERCENTILE(A, 0.9) - PROPAVG(A)": lambda found, _, column: spread(amounts(found["A"], column)),
    "ACTIVE(A) - ACTIVE(B)": lambda found, actives, _: (
        uniques(found["A"]) / actives - uniques(found["B"]) / actives if actives else None
    ),
}


# --- lifecycle and stickiness


def did(
    spec: Mapping[str, Any], reached: Sequence[Happening], events: Sequence[Happening], words: Words
) -> dict[tuple[str, ...], list[Happening]]:
    """The events of a chart with one event, by segment and values; segments go by all events."""
    found: defaultdict[tuple[str, ...], list[Happening]] = defaultdict(list)
    for event in reached:
        for segment in spec.get("segments", ["(all)"]):
            if takes(spec.get("event", {"event": "_active"}), event, words) and (
                segment == "(all)" or words.segments[segment](event, events)
            ):
                for group in groups(event, spec.get("by", [])):
                    found[segment, *group].append(event)
    if not spec.get("by"):
        return {(segment,): found[(segment,)] for segment in spec.get("segments", ["(all)"])}
    return dict(found)


def lifecycle(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values and interval: active, and each state."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    unit = spec.get("interval", "day")
    for app, days in days_of.items():
        starts, shown = starts_of(spec, unit, days)
        own = reached(spec, unit, events_of.get(app, []), days)
        for line, events in did(spec, own, events_of.get(app, []), words).items():
            users: defaultdict[Period, set[int]] = defaultdict(set)
            new: defaultdict[Period, set[int]] = defaultdict(set)
            for event in events:
                users[days.start_of(unit, event.date)].add(event.user)
                if event.is_first_day:
                    new[days.start_of(unit, event.date)].add(event.user)
            for start in shown:
                place = starts.index(start)
                before = users[starts[place - 1]] if place else set()
                now = users[start]
                current = (now & before) - new[start]
                counts = (len(now), len(new[start]), len(current), len(now - new[start] - current), len(before - now))
                pulse = divided(counts[1] + counts[3], counts[4])
                rows[(*app, *line, start)] = (*counts, pulse, days.is_complete(unit, start))
    return rows


def stickiness(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values, interval and number of days."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    unit = spec.get("interval", "week")
    for app, days in days_of.items():
        own = reached(spec, unit, events_of.get(app, []), days)
        for line, events in did(spec, own, events_of.get(app, []), words).items():
            for start in starts_of(spec, unit, days)[1]:
                dates: defaultdict[int, set[dt.date]] = defaultdict(set)
                for event in events:
                    if days.start_of(unit, event.date) == start:
                        dates[event.user].add(event.date)
                end = days.end_of(unit, start)
                assert not isinstance(start, dt.datetime)
                assert not isinstance(end, dt.datetime)
                for number in range(1, (end - start).days + 1):
                    exactly = sum(len(found) == number for found in dates.values())
                    more = sum(len(found) >= number for found in dates.values())
                    shares = divided(exactly, len(dates)), divided(more, len(dates))
                    counts = exactly, more, len(dates), *shares
                    rows[(*app, *line, start, number)] = (*counts, days.is_complete(unit, start))
    return rows


def reached(spec: Mapping[str, Any], unit: str, events: Iterable[Happening], days: Days) -> list[Happening]:
    """The events up to the chart's last interval, with whether the user is new in their interval."""
    starts = {*starts_of(spec, unit, days)[0]}
    return [
        event._replace(is_first_day=days.start_of(unit, event.first[0]) == days.start_of(unit, event.date))
        for event in events
        if days.start_of(unit, event.date) in starts
    ]


def starts_of(spec: Mapping[str, Any], unit: str, days: Days) -> tuple[list[Period], list[Period]]:
    """All intervals up to the chart's last one, and those that it shows."""
    until, since = spec.get("until", dt.date.max), spec.get("since", dt.date.min)
    starts = [each for each in days.starts(unit) if days.date_of(unit, each, last=False) <= until]
    return starts, [each for each in starts if days.date_of(unit, each, last=True) >= since]
