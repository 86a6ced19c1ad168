"""The charts of active users in plain Python: see oracle.py, whose truth this is built on."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import oracle
from oracle import WEEK_DAYS, App, Charts, Event, Session, Truth

ALL, NONE = "(all)", "(none)"
INTERVALS = {"daily": "day", "weekly": "week", "monthly": "month"}
MONDAY, SUNDAY = 0, 6


class SegmentMetrics(NamedTuple):
    project: str
    app: int
    breakdown: str
    segment: str
    metric_date: dt.date
    active_users: int
    new_users: int
    weekly_active_users: int
    monthly_active_users: int
    dau_mau: float | None
    sessions: int
    average_session_seconds: float | None
    average_capped_session_seconds: float | None
    average_uncapped_session_seconds: float | None
    events: int


class SegmentSession(NamedTuple):
    project: str
    app: int
    breakdown: str
    segment: str
    amplitude_id: int  # the canonical one
    session_id: int
    session_started_at: dt.datetime | None
    session_ended_at: dt.datetime | None
    session_date: dt.date | None
    session_seconds: float | None
    events: int
    is_longer_than_a_day: bool


class Lifecycle(NamedTuple):
    project: str
    app: int
    breakdown: str
    segment: str
    start_date: dt.date
    active_users: int
    new_users: int
    current_users: int
    resurrected_users: int
    dormant_users: int
    pulse: float | None
    is_complete: bool


class Stickiness(NamedTuple):
    project: str
    app: int
    breakdown: str
    segment: str
    start_date: dt.date
    active_days: int
    users: int
    users_or_more: int
    active_users: int
    share: float
    share_or_more: float
    is_complete: bool


@dataclass
class Segment:
    """What happened in a segment of an app; charts show it from the opening to the frontier."""

    app: App
    breakdown: str
    name: str
    first: Mapping[int, dt.date]
    """The date of each canonical user's earliest event in the whole app."""
    opening: dt.date
    frontier: dt.date
    events: list[Event] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def key(self) -> tuple[str, int, str, str]:
        return *self.app, self.breakdown, self.name


def tables(truth: Truth, charts: Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    segments = find_segments(truth)
    found: dict[str, tuple[type, list[tuple[object, ...]]]] = {
        "silver.segment_sessions": (
            SegmentSession,
            [(*segment.key(), *session[2:]) for segment in segments for session in segment.sessions],
        ),
        "gold.daily_metrics": (SegmentMetrics, [*find_metrics(truth, segments)]),
    }
    for name, unit in INTERVALS.items():
        calendar = Calendar(unit, charts.week_start)
        found[f"gold.lifecycle_{name}"] = Lifecycle, [*find_lifecycle(truth, segments, calendar)]
        if unit != "day":
            found[f"gold.stickiness_{name}"] = Stickiness, [*find_stickiness(truth, segments, calendar)]
    return found


@dataclass(frozen=True)
class Calendar:
    """Days, weeks or months."""

    unit: str
    week_start: str

    def start(self, date: dt.date) -> dt.date:
        """The first date of a date's interval."""
        if self.unit == "month":
            return date.replace(day=1)
        first = {"monday": MONDAY, "sunday": SUNDAY}[self.week_start]
        return date - dt.timedelta(days=(date.weekday() - first) % WEEK_DAYS if self.unit == "week" else 0)

    def after(self, start: dt.date) -> dt.date:
        """The first date of the interval after."""
        if self.unit == "month":
            return (start + dt.timedelta(days=31)).replace(day=1)
        return start + dt.timedelta(days=WEEK_DAYS if self.unit == "week" else 1)

    def days(self, start: dt.date) -> int:
        return (self.after(start) - start).days


def find_segments(truth: Truth) -> list[Segment]:
    """All of an app, and its events by platform and by country, each with the sessions that these events make up.

    Filters come before sessions: only the events that pass one are grouped (user-sessions-interpret.md).
    """
    firsts = {app: oracle.first_dates(own, truth.canonical) for app, own in oracle.by_app(truth.events).items()}
    segments: dict[tuple[App, str, str], Segment] = {}

    def segment(app: App, breakdown: str, name: str) -> Segment:
        made = Segment(app, breakdown, name, firsts[app], truth.openings[app], truth.frontiers[app])
        return segments.setdefault((app, breakdown, name), made)

    for event in truth.events:
        platform, country = (oracle.read_text(event.data, key) for key in ("platform", "country"))
        for breakdown, name in names(platform, country):
            segment((event.project, event.app), breakdown, name).events.append(event)
    for each in segments.values():
        each.sessions = oracle.find_sessions(each.events, truth.canonical)
    return [*segments.values()]


def names(platform: str | None, country: str | None) -> list[tuple[str, str]]:
    return [("all", ALL), ("platform", platform or NONE), ("country", country or NONE)]


def find_metrics(truth: Truth, segments: list[Segment]) -> Iterator[SegmentMetrics]:
    for segment in segments:
        days = oracle.daily_metrics_of(
            segment.app,
            segment.events,
            truth.canonical,
            segment.sessions,
            segment.first,
            segment.opening,
            segment.frontier,
        )
        for day in days:
            yield SegmentMetrics(
                *segment.key(),
                metric_date=day.date,
                active_users=day.active_users,
                new_users=day.new_users,
                weekly_active_users=day.weekly_active_users,
                monthly_active_users=day.monthly_active_users,
                dau_mau=ratio(day.active_users, day.monthly_active_users),
                sessions=day.sessions,
                average_session_seconds=day.average_session_seconds,
                average_capped_session_seconds=day.average_capped_session_seconds,
                average_uncapped_session_seconds=day.average_uncapped_session_seconds,
                events=day.events,
            )


def find_lifecycle(truth: Truth, segments: list[Segment], calendar: Calendar) -> Iterator[Lifecycle]:
    """Each interval with anybody active in it or in the one before."""
    for segment in segments:
        last = calendar.start(segment.frontier)
        active = active_by_interval(truth, segment, calendar)
        before: Set[int] = set()
        for start in intervals(min(active, default=None), last, calendar):
            now = active.get(start, set())
            new = {user for user in now if calendar.start(segment.first[user]) == start}
            dormant = before - now
            if now or dormant:
                yield Lifecycle(
                    *segment.key(),
                    start_date=start,
                    active_users=len(now),
                    new_users=len(new),
                    current_users=len((now & before) - new),
                    resurrected_users=len(now - before - new),
                    dormant_users=len(dormant),
                    pulse=ratio(len(new) + len(now - before - new), len(dormant)),
                    is_complete=start < last,
                )
            before = now


def find_stickiness(truth: Truth, segments: list[Segment], calendar: Calendar) -> Iterator[Stickiness]:
    """Each interval with anybody active, with every number of days that it has."""
    for segment in segments:
        active_days: defaultdict[dt.date, Counter[int]] = defaultdict(Counter)
        for date, users in active_by_date(truth, segment).items():
            active_days[calendar.start(date)].update(users)
        for start, counts in active_days.items():
            for days in range(1, calendar.days(start) + 1):
                exactly = sum(count == days for count in counts.values())
                or_more = sum(count >= days for count in counts.values())
                yield Stickiness(
                    *segment.key(),
                    start_date=start,
                    active_days=days,
                    users=exactly,
                    users_or_more=or_more,
                    active_users=len(counts),
                    share=exactly / len(counts),
                    share_or_more=or_more / len(counts),
                    is_complete=start < calendar.start(segment.frontier),
                )


def active_by_date(truth: Truth, segment: Segment) -> dict[dt.date, set[int]]:
    """The canonical users active on each date that charts show."""
    dates = oracle.active_users_by_date(segment.events, truth.canonical)
    return {date: users for date, users in dates.items() if segment.opening <= date <= segment.frontier}


def active_by_interval(truth: Truth, segment: Segment, calendar: Calendar) -> dict[dt.date, set[int]]:
    active: defaultdict[dt.date, set[int]] = defaultdict(set)
    for date, users in active_by_date(truth, segment).items():
        active[calendar.start(date)] |= users
    return dict(active)


def intervals(first: dt.date | None, last: dt.date, calendar: Calendar) -> Iterator[dt.date]:
    """Every interval from the first to the last."""
    start = first
    while start is not None and start <= last:
        yield start
        start = calendar.after(start)


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
