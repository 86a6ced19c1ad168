"""What users do, and in which order, in plain Python: see oracle.py, whose truth this is built on."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import oracle
from oracle import Event, SessionKey, User

START, END = "(start)", "(end)"
ALL, NONE = "(all)", "(none)"

Segment: TypeAlias = tuple[str, str]  # breakdown, segment
Deed: TypeAlias = tuple[str, int, dt.date, str | None, str, str]  # project, app, date, event_type, breakdown, segment
Edge: TypeAlias = tuple[str, int, dt.date, str, str, str | None, str | None]  # as SessionPath begins


class EventAdoption(NamedTuple):
    project: str
    app: int
    event_date: dt.date
    event_type: str | None
    breakdown: str
    segment: str
    events: int
    users: int
    active_users: int
    active_users_share: float | None


class SessionPath(NamedTuple):
    project: str
    app: int
    event_date: dt.date
    breakdown: str
    segment: str
    from_event_type: str | None
    to_event_type: str | None
    transitions: int
    sessions: int
    users: int


def tables(truth: oracle.Truth, _charts: oracle.Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    """By model, the type of its rows and the rows; none of them depends on the charts' variables."""
    return {
        "gold.event_adoption_daily": (EventAdoption, [*find_event_adoption(truth)]),
        "gold.session_paths": (SessionPath, [*find_session_paths(truth)]),
    }


def segments_of(event: Event) -> list[Segment]:
    """The segment of an event in each breakdown."""
    return [
        ("all", ALL),
        ("platform", oracle.read_text(event.data, "platform") or NONE),
        ("country", oracle.read_text(event.data, "country") or NONE),
    ]


def shown_events(truth: oracle.Truth) -> Iterator[tuple[Event, dt.date, User]]:
    """The events of days that charts show, each with its day and its user after merging."""
    for event in truth.events:
        if event.amplitude_id is None or event.event_date is None:
            continue
        if truth.shows((event.project, event.app), event.event_date):
            user = truth.canonical[event.project, event.app, event.amplitude_id]
            yield event, event.event_date, (event.project, event.app, user)


def find_event_adoption(truth: oracle.Truth) -> Iterator[EventAdoption]:
    """Who did what on which day in which segment, and how many that is for each user who was active there.

    More than one for each, where many did an inactive type (faq_and_troubleshooting/en/event-segmentation.md).
    """
    doers: defaultdict[Deed, Counter[User]] = defaultdict(Counter)
    active: defaultdict[tuple[str, int, dt.date, str, str], set[User]] = defaultdict(set)
    for event, date, user in shown_events(truth):
        for breakdown, segment in segments_of(event):
            doers[event.project, event.app, date, event.event_type, breakdown, segment][user] += 1
            if event.is_active:
                active[event.project, event.app, date, breakdown, segment].add(user)
    for (project, app, date, event_type, breakdown, segment), users in doers.items():
        everybody = active.get((project, app, date, breakdown, segment), set())
        yield EventAdoption(
            project=project,
            app=app,
            event_date=date,
            event_type=event_type,
            breakdown=breakdown,
            segment=segment,
            events=users.total(),
            users=len(users),
            active_users=len(everybody),
            active_users_share=len(users) / len(everybody) if everybody else None,
        )


def find_session_paths(truth: oracle.Truth) -> Iterator[SessionPath]:
    """From each event of a segment's session to the next one, with a start before the first and an end after the last.

    Events that are dated ahead wait until the export has reached their day. A session that began on a day before those
    that charts show is in no chart.
    """
    segments: defaultdict[Segment, list[Event]] = defaultdict(list)
    for event in truth.events:
        if event.event_date and event.event_date <= truth.frontiers[event.project, event.app]:
            for segment in segments_of(event):
                segments[segment].append(event)
    walked: defaultdict[Edge, Counter[SessionKey]] = defaultdict(Counter)
    for segment, shown in segments.items():
        for session, own in oracle.sessions_of(shown, truth.canonical).items():
            events = sorted(own, key=moment)
            began = events[0].event_date
            if began is None or not truth.shows(session[:2], began):
                continue
            stations = [START, *(event.event_type for event in events), END]
            for event, (before, after) in zip([events[0], *events], pairwise(stations), strict=True):
                assert event.event_date is not None
                walked[event.project, event.app, event.event_date, *segment, before, after][session] += 1
    for edge, sessions in walked.items():
        yield SessionPath(*edge, sessions.total(), len(sessions), len({session[:3] for session in sessions}))


def moment(event: Event) -> tuple[dt.datetime, str]:
    """What events of a session are ordered by: their time, then the uuid."""
    return event.event_time or dt.datetime.min, event.uuid or ""
