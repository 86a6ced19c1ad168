"""Where users came from, in plain Python: see oracle.py, whose truth this is built on, and oracle_people.py."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import oracle
from oracle import App, Event, User
from oracle.activity import find_segments
from oracle.people import Touch, find_session_details, find_user_details, moment
from oracle.retention import Segment, segments

NO_TOUCH = Touch(None, None, None, None)


class Acquisition(NamedTuple):
    project: str
    app: int
    metric_date: dt.date
    breakdown: str
    segment: str
    touch: str
    source: str
    medium: str
    campaign: str
    referrer: str
    new_users: int
    active_users: int
    sessions: int


class Visit(NamedTuple):
    """A session as a whole."""

    session_id: int
    started_at: dt.datetime
    number: int
    date: dt.date
    touch: Touch


@dataclass
class Count:
    new_users: int = 0
    active_users: set[User] = field(default_factory=set)
    sessions: int = 0


Key: TypeAlias = tuple[App, dt.date, Segment, str, Touch]


def tables(truth: oracle.Truth, charts: oracle.Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    """By model, the type of its rows and the rows."""
    return {"gold.acquisition": (Acquisition, [*find_acquisition(truth, charts)])}


def find_acquisition(truth: oracle.Truth, charts: oracle.Charts) -> Iterator[Acquisition]:
    counts: defaultdict[Key, Count] = defaultdict(Count)
    firsts, visits_of = first_touches(truth), visits_by_user(truth)
    for place in find_segments(truth):
        for session in place.sessions:
            date, user = session.session_date, session[:3]
            if date is None or not truth.shows(place.app, date) or session.is_longer_than_a_day:
                continue
            last = last_touch(session.session_id, visits_of[user], charts.attribution_window_days)
            for name, touch in {"first": firsts[user], "last": last}.items():
                count = counts[place.app, date, (place.breakdown, place.name), name, touch]
                count.sessions += 1
                count.active_users.add(user)
    for user, own in events_by_merged_user(truth).items():
        app, visits = user[:2], visits_of.get(user, [])
        date = min(event.event_date for event in own if event.event_date)
        met = visits[0].touch if visits and visits[0].date == date else NO_TOUCH
        met_in = set[Segment]().union(*(segments(event) for event in own if event.event_date == date))
        for name, touch in {"first": firsts[user], "last": met}.items():
            for segment in met_in if truth.shows(app, date) else ():
                counts[app, date, segment, name, touch].new_users += 1
    for (app, date, segment, name, touch), count in counts.items():
        source, medium, campaign, referrer = (value or "(none)" for value in touch)
        yield Acquisition(
            *app,
            date,
            *segment,
            touch=name,
            source=source,
            medium=medium,
            campaign=campaign,
            referrer=referrer,
            new_users=count.new_users,
            active_users=len(count.active_users),
            sessions=count.sessions,
        )


def events_by_merged_user(truth: oracle.Truth) -> dict[User, list[Event]]:
    users: defaultdict[User, list[Event]] = defaultdict(list)
    for user, own in oracle.events_by_user(truth.events).items():
        users[(*user[:2], truth.canonical[user])].extend(own)
    return dict(users)


def first_touches(truth: oracle.Truth) -> dict[User, Touch]:
    """Of each merged user, the first touch of the one among its users whose first event is the earliest."""
    details = {(each.project, each.app, each.amplitude_id): each for each in find_user_details(truth)}
    seen = {
        user: (moment(min(own, key=moment))[0], user[2]) for user, own in oracle.events_by_user(truth.events).items()
    }
    touches: dict[User, Touch] = {}
    for user in sorted(seen, key=lambda user: seen[user]):
        own = details[user]
        touch = Touch(own.first_source, own.first_medium, own.first_campaign, own.first_referrer)
        touches.setdefault((*user[:2], truth.canonical[user]), touch)
    return touches


def visits_by_user(truth: oracle.Truth) -> dict[User, list[Visit]]:
    """The sessions of each merged user, by their number."""
    details = {(s.project, s.app, s.amplitude_id, s.session_id): s for s in find_session_details(truth)}
    visits: defaultdict[User, list[Visit]] = defaultdict(list)
    for session in truth.sessions:
        if session.session_started_at is None or session.session_date is None:
            continue
        own = details[session[:4]]
        touch = Touch(own.source, own.medium, own.campaign, own.referrer)
        visits[session[:3]].append(
            Visit(session.session_id, session.session_started_at, own.session_number, session.session_date, touch)
        )
    return {user: sorted(own, key=lambda visit: visit.number) for user, own in visits.items()}


def last_touch(session_id: int, visits: Sequence[Visit], days: int) -> Touch:
    """That of the latest session up to this one with any, unless it is longer ago than so many days."""
    (visit,) = (each for each in visits if each.session_id == session_id)
    came: Iterable[Visit] = (each for each in visits if each.number <= visit.number and each.touch != NO_TOUCH)
    latest = max(came, key=lambda each: each.number, default=None)
    is_known = latest is not None and visit.started_at - latest.started_at <= dt.timedelta(days=days)
    return latest.touch if latest is not None and is_known else NO_TOUCH
