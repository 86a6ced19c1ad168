"""What sessions and users show besides their counts, in plain Python: see oracle.py, whose truth this is built on."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import oracle
from oracle import NO_SESSION, Event, User

PAGE_PATH = "[Amplitude] Page Path"
TOUCH_KEYS = ("utm_source", "utm_medium", "utm_campaign", "referring_domain")
NO_TOUCH = (None, "", "EMPTY")

SessionKey: TypeAlias = tuple[User, int | None]  # the canonical user, session_id


class Touch(NamedTuple):
    source: str | None
    medium: str | None
    campaign: str | None
    referrer: str | None


class SessionDetails(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the canonical one
    session_id: int | None
    session_number: int
    entry_event_type: str | None
    exit_event_type: str | None
    entry_page: str | None
    exit_page: str | None
    device_id: str | None
    platform: str | None
    country: str | None
    source: str | None
    medium: str | None
    campaign: str | None
    referrer: str | None


class UserDetails(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the raw one
    first_source: str | None
    first_medium: str | None
    first_campaign: str | None
    first_referrer: str | None
    first_platform: str | None
    first_country: str | None
    latest_platform: str | None
    latest_country: str | None
    user_properties: str | None


def tables(truth: oracle.Truth, _charts: oracle.Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    """By model, the type of its rows and the rows; none of them depends on the charts' variables."""
    return {
        "silver.sessions": (SessionDetails, [*find_session_details(truth)]),
        "silver.users": (UserDetails, [*find_user_details(truth)]),
    }


def moment(event: Event) -> tuple[dt.datetime, str]:
    """What events of a user are ordered by: their time, then the uuid."""
    return event.event_time or dt.datetime.min, event.uuid or ""


def property_text(properties: object, key: str) -> str | None:
    """A property as text, as `str` where it is one; None where it is absent or null."""
    value = properties.get(key) if isinstance(properties, Mapping) else None
    return value if value is None or isinstance(value, str) else json_text(value)


def touch(event: Event, prefix: str = "") -> Touch:
    """Where the user came from as of the event."""
    values = [property_text(event.data.get("user_properties"), prefix + key) for key in TOUCH_KEYS]
    return Touch(*[None if value in NO_TOUCH else value for value in values])


def find_session_details(truth: oracle.Truth) -> Iterable[SessionDetails]:
    members: defaultdict[SessionKey, list[Event]] = defaultdict(list)
    for event in truth.events:
        if event.is_active and event.amplitude_id is not None and event.session_id not in (None, NO_SESSION):
            user = event.project, event.app, truth.canonical[event.project, event.app, event.amplitude_id]
            members[user, event.session_id].append(event)
    numbers = session_numbers(members)
    for (user, session_id), own in members.items():
        ordered = sorted(own, key=moment)
        pages = [
            path
            for event in ordered
            if (path := property_text(event.data.get("event_properties"), PAGE_PATH)) is not None
        ]
        entry = ordered[0]
        source, medium, campaign, referrer = touch(entry)
        yield SessionDetails(
            project=entry.project,
            app=entry.app,
            amplitude_id=user[-1],
            session_id=session_id,
            session_number=numbers[user, session_id],
            entry_event_type=entry.event_type,
            exit_event_type=ordered[-1].event_type,
            entry_page=pages[0] if pages else None,
            exit_page=pages[-1] if pages else None,
            device_id=entry.device_id,
            platform=oracle.read_text(entry.data, "platform"),
            country=oracle.read_text(entry.data, "country"),
            source=source,
            medium=medium,
            campaign=campaign,
            referrer=referrer,
        )


def session_numbers(members: Mapping[SessionKey, list[Event]]) -> dict[SessionKey, int]:
    """1, 2, ... for the sessions of each user, by the time of the first event, then session_id."""
    starts: defaultdict[User, list[tuple[dt.datetime, int | None]]] = defaultdict(list)
    for (user, session_id), own in members.items():
        starts[user].append((min(moment(event)[0] for event in own), session_id))
    return {
        (user, session_id): number
        for user, own_starts in starts.items()
        for number, (_, session_id) in enumerate(sorted(own_starts), start=1)
    }


def find_user_details(truth: oracle.Truth) -> Iterable[UserDetails]:
    for user, own in oracle.events_by_user(truth.events).items():
        ordered = sorted(own, key=moment)
        first, latest = ordered[0], ordered[-1]
        came = first_touch(ordered)
        properties = [event.data["user_properties"] for event in ordered if event.data.get("user_properties")]
        yield UserDetails(
            *user,
            first_source=came.source,
            first_medium=came.medium,
            first_campaign=came.campaign,
            first_referrer=came.referrer,
            first_platform=oracle.read_text(first.data, "platform"),
            first_country=oracle.read_text(first.data, "country"),
            latest_platform=oracle.read_text(latest.data, "platform"),
            latest_country=oracle.read_text(latest.data, "country"),
            user_properties=json_text(properties[-1]) if properties else None,
        )


def first_touch(ordered: Iterable[Event]) -> Touch:
    """Amplitude's own initial touch as of the latest event that carries some of it, else that of the first event."""
    events = list(ordered)
    carriers = [event for event in events if carries_initial_touch(event)]
    return touch(carriers[-1], prefix="initial_") if carriers else touch(events[0])


def carries_initial_touch(event: Event) -> bool:
    properties = event.data.get("user_properties")
    return any(property_text(properties, f"initial_{key}") is not None for key in TOUCH_KEYS)


def json_text(value: object) -> str:
    """JSON as DuckDB writes it: without blanks, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
