"""Amplitude's marks of first events beside new users, in plain Python: see oracle.py, whose truth this is built on."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

import oracle
from oracle import App, Charts, Event, Truth


class FirstEvent(NamedTuple):
    project: str
    app: int
    uuid: str | None
    export_hour: dt.datetime
    event_date: dt.date | None
    amplitude_id: int | None


class NewUsers(NamedTuple):
    project: str
    app: int
    event_date: dt.date
    new_users: int
    marked_users: int | None
    known_before_users: int | None
    older_users: int | None


def tables(truth: Truth, charts: Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    marked = [event for event in truth.events if is_marked(event)]
    return {
        "silver.first_events": (FirstEvent, [first_event(event) for event in marked]),
        "gold.new_users_daily": (NewUsers, [*find_new_users(truth, marked, ZoneInfo(charts.timezone))]),
    }


def is_marked(event: Event) -> bool:
    """Whether Amplitude took the event for its user's first."""
    notes = event.data.get("data")
    return isinstance(notes, Mapping) and notes.get("first_event") is True


def first_event(event: Event) -> FirstEvent:
    return FirstEvent(*(getattr(event, name) for name in FirstEvent._fields))


def find_new_users(truth: Truth, marked: Iterable[Event], zone: ZoneInfo) -> Iterator[NewUsers]:
    marks = oracle.by_app(marked)
    for app, events in oracle.by_app(truth.events).items():
        yield from new_users_of(truth, app, events, marks.get(app, []), zone)


def new_users_of(
    truth: Truth, app: App, events: Collection[Event], marked: Collection[Event], zone: ZoneInfo
) -> Iterator[NewUsers]:
    """Each date of an app with users, as far as charts show it.

    Every raw user without a mark had an event before the export. From the first to the last hour with a mark, a new
    user is marked on the date, known before or neither.
    """
    first = oracle.first_dates(events, truth.canonical)
    marked_users = oracle.users_by_date(marked, truth.canonical)
    unmarked = oracle.events_by_user(events).keys() - oracle.events_by_user(marked).keys()
    known_before = {truth.canonical[user] for user in unmarked}
    written = [oracle.date_in(zone, event.export_hour) for event in marked]
    for date, users in oracle.users_by_date(events, truth.canonical).items():
        if truth.shows(app, date):
            new, marks = {user for user in users if first[user] == date}, marked_users.get(date, set())
            counts = len(new & marks - known_before), len(new & known_before), len(marks - new)
            says = bool(written) and min(written) <= date <= max(written)
            yield NewUsers(*app, date, len(new), *(counts if says else (None, None, None)))
