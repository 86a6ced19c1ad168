"""Retention in plain Python, a user, a start and a return at a time: see oracle.py, whose truth this is built on."""

import datetime as dt
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import oracle
from oracle import App, Event

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
WINDOW_DAYS = {"day": 1, "week": 7, "month": 30}
WEEKDAYS = {"monday": 0, "sunday": 6}
ALL_COHORTS = "(all)"

Segment: TypeAlias = tuple[str, str]  # breakdown, segment
CohortKey: TypeAlias = tuple[Segment, dt.date]  # segment, first day
Users: TypeAlias = dict[int, list[Event]]  # by canonical amplitude_id
Timed: TypeAlias = tuple[dt.datetime, Event]  # a moment of the way that time is counted, and its event


class RetentionCell(NamedTuple):
    project: str
    app: int
    interval_unit: str
    breakdown: str
    segment: str
    cohort: str
    cohort_date: dt.date | None
    interval_number: int
    cohort_users: int
    returned_on: int
    returned_on_or_after: int
    returned_on_rate: float
    returned_on_or_after_rate: float
    is_complete: bool


@dataclass(frozen=True)
class Way(ABC):
    """A way to count time from a start to a return; both are moments of the clock that it goes by."""

    unit: str
    zone: ZoneInfo
    week_start: str
    opening: dt.date
    frontier: dt.date

    @abstractmethod
    def moment(self, event: Event) -> dt.datetime: ...

    @abstractmethod
    def date(self, moment: dt.datetime) -> dt.date: ...

    @abstractmethod
    def is_new_in(self, first: dt.datetime, moment: dt.datetime) -> bool:
        """Whether a new user, whose first moment is given, is in the segments of what happened at a moment."""

    @abstractmethod
    def number(self, start: dt.datetime, returned: dt.datetime) -> int:
        """X of a return."""

    @abstractmethod
    def has_begun(self, first_start: dt.datetime, number: int) -> bool:
        """Whether X begins, for the first start of a cohort, by the end of the frontier's day."""

    @abstractmethod
    def is_over(self, cohort: dt.date, number: int) -> bool:
        """Whether X has no day from the frontier on, for any start that the cohort may have."""

    def cohort(self, moment: dt.datetime) -> dt.date:
        return first_day(self.unit, self.date(moment), self.week_start)

    def shows(self, moment: dt.datetime) -> bool:
        return self.opening <= self.date(moment) <= self.frontier


class CalendarWay(Way):
    """Strict calendar dates (retention-analysis-time.md)."""

    def moment(self, event: Event) -> dt.datetime:
        assert event.event_date is not None
        return dt.datetime.combine(event.event_date, dt.time())

    def date(self, moment: dt.datetime) -> dt.date:
        return moment.date()

    def is_new_in(self, first: dt.datetime, moment: dt.datetime) -> bool:
        """In the whole interval in which the user is new (retention-analysis-time.md, retention types)."""
        return self.cohort(moment) == self.cohort(first)

    def number(self, start: dt.datetime, returned: dt.datetime) -> int:
        return steps(self.unit, first_day(self.unit, start.date(), self.week_start), returned.date())

    def has_begun(self, first_start: dt.datetime, number: int) -> bool:
        return number <= steps(self.unit, self.cohort(first_start), self.frontier)

    def is_over(self, cohort: dt.date, number: int) -> bool:
        return number < steps(self.unit, cohort, self.frontier)


class WindowWay(Way):
    """Windows of 24 hours from an hour on; by weeks and months, of 7 and 30 days from a day on."""

    def moment(self, event: Event) -> dt.datetime:
        """The start of the hour, as clocks in the reporting time zone show it, in UTC; else the day."""
        assert event.event_time is not None
        assert event.event_date is not None
        if self.unit != "day":
            return dt.datetime.combine(event.event_date, dt.time())
        local = event.event_time.replace(tzinfo=dt.UTC).astimezone(self.zone)
        hour = local.replace(minute=0, second=0, microsecond=0)
        return hour.astimezone(dt.UTC).replace(tzinfo=None)

    def date(self, moment: dt.datetime) -> dt.date:
        return oracle.date_in(self.zone, moment) if self.unit == "day" else moment.date()

    def is_new_in(self, first: dt.datetime, moment: dt.datetime) -> bool:
        return moment == first

    def number(self, start: dt.datetime, returned: dt.datetime) -> int:
        return (returned - start) // (24 * HOUR) // WINDOW_DAYS[self.unit]

    def has_begun(self, first_start: dt.datetime, number: int) -> bool:
        return self.date(first_start + number * WINDOW_DAYS[self.unit] * 24 * HOUR) <= self.frontier

    def is_over(self, cohort: dt.date, number: int) -> bool:
        last_day = next_first_day(self.unit, cohort) - DAY
        if self.unit != "day":
            return last_day + (number + 1) * WINDOW_DAYS[self.unit] * DAY <= self.frontier
        last_start = dt.datetime.combine(last_day, dt.time(23), self.zone).astimezone(dt.UTC).replace(tzinfo=None)
        return self.date(last_start + (number + 1) * 24 * HOUR - HOUR) < self.frontier


def tables(truth: oracle.Truth, charts: oracle.Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    """By model, the type of its rows and the rows."""
    return {
        "gold.retention_calendar": (RetentionCell, [*find_cells(truth, charts, CalendarWay)]),
        "gold.retention_24h": (RetentionCell, [*find_cells(truth, charts, WindowWay)]),
    }


def find_cells(truth: oracle.Truth, charts: oracle.Charts, way: type[Way]) -> Iterator[RetentionCell]:
    zone = ZoneInfo(charts.timezone)
    for app, users in users_by_app(truth).items():
        span = truth.openings[app], truth.frontiers[app]
        ways = [way(unit, zone, charts.week_start, *span) for unit in WINDOW_DAYS]
        cells = [cell for of_unit in ways for cell in cells_of_app(app, users, of_unit)]
        yield from cells
        yield from overall(cells)


def users_by_app(truth: oracle.Truth) -> dict[App, Users]:
    """The events of each merged user that have a time."""
    users: defaultdict[App, defaultdict[int, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for user, own in oracle.events_by_user(truth.events).items():
        events = [event for event in own if event.event_time is not None]
        users[user[:2]][truth.canonical[user]].extend(events)
    return {app: dict(own) for app, own in users.items()}


def cells_of_app(app: App, users: Users, way: Way) -> Iterator[RetentionCell]:
    """The cells of every cohort, from X = 0 to what the frontier allows."""
    first_starts: dict[CohortKey, dt.datetime] = {}
    cohorts: defaultdict[CohortKey, dict[int, set[int]]] = defaultdict(dict)
    for user, own in users.items():
        moments = [(way.moment(event), event) for event in own]
        starts, returns = first_moment(moments, way), active_moments(moments, way)
        for start, segments in starts.items():
            numbers = {way.number(start, moment) for moment in returns if moment >= start}
            for segment in segments:
                key = segment, way.cohort(start)
                cohorts[key][user] = cohorts[key].get(user, set()) | numbers
                first_starts[key] = min(first_starts.get(key, start), start)
    for key, members in cohorts.items():
        segment, cohort = key
        number = 0
        while way.has_begun(first_starts[key], number):
            on = sum(number in numbers for numbers in members.values())
            on_or_after = sum(max(numbers, default=-1) >= number for numbers in members.values())
            is_over = way.is_over(cohort, number)
            yield cell(app, way.unit, segment, cohort, number, len(members), on, on_or_after, is_over)
            number += 1


def cell(
    app: App,
    unit: str,
    segment: Segment,
    cohort: dt.date | None,
    number: int,
    users: int,
    on: int,
    on_or_after: int,
    is_complete: bool,
) -> RetentionCell:
    name = ALL_COHORTS if cohort is None else str(cohort)
    rates = on / users, on_or_after / users
    return RetentionCell(*app, unit, *segment, name, cohort, number, users, on, on_or_after, *rates, is_complete)


def overall(cells: Iterable[RetentionCell]) -> Iterator[RetentionCell]:
    """For each X of a segment the sums of the complete cells."""
    summed: defaultdict[tuple[App, str, Segment, int], list[RetentionCell]] = defaultdict(list)
    for each in cells:
        if each.is_complete:
            segment = each.breakdown, each.segment
            summed[(each.project, each.app), each.interval_unit, segment, each.interval_number].append(each)
    for (app, unit, segment, number), own in summed.items():
        users, on = sum(each.cohort_users for each in own), sum(each.returned_on for each in own)
        on_or_after = sum(each.returned_on_or_after for each in own)
        yield cell(app, unit, segment, None, number, users, on, on_or_after, True)


def first_moment(events: Collection[Timed], way: Way) -> dict[dt.datetime, set[Segment]]:
    """The moment of a user's first event, of whatever type, if charts show it; with the segments of its interval."""
    first = min((moment for moment, _ in events), default=None)
    if first is None or not way.shows(first):
        return {}
    own = [event for moment, event in events if way.is_new_in(first, moment) and way.shows(moment)]
    return {first: set().union(*map(segments, own))}


def active_moments(events: Collection[Timed], way: Way) -> set[dt.datetime]:
    """The moments that charts show at which a user is active."""
    return {moment for moment in {moment for moment, event in events if event.is_active} if way.shows(moment)}


def segments(event: Event) -> set[Segment]:
    named = {(name, oracle.read_text(event.data, name) or "(none)") for name in ("platform", "country")}
    return {("all", "(all)")} | named


@cache
def first_day(unit: str, date: dt.date, week_start: str) -> dt.date:
    """The first day of a date's day, week or month."""
    while not {"day": True, "week": date.weekday() == WEEKDAYS[week_start], "month": date.day == 1}[unit]:
        date -= DAY
    return date


def next_first_day(unit: str, date: dt.date) -> dt.date:
    """The first day of the day, week or month that follows the one with this first day."""
    return date + WINDOW_DAYS[unit] * DAY if unit != "month" else (date + 31 * DAY).replace(day=1)


@cache
def steps(unit: str, first: dt.date, date: dt.date) -> int:
    """How many days, weeks or months after the one with this first day the date's one comes."""
    count = 0
    while (first := next_first_day(unit, first)) <= date:
        count += 1
    return count
