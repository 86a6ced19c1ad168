"""What sessions and users show besides their counts, in plain Python: see oracle.py, whose truth this is built on."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

import oracle
from oracle import NO_SESSION, Event, SessionKey, User

PAGE_PATH = "[Amplitude] Page Path"
TOUCH_KEYS = ("utm_source", "utm_medium", "utm_campaign", "referring_domain")
NO_TOUCH = (None, "", "EMPTY")
VALUE_TYPES = {bool: "boolean", int: "number", float: "number", str: "text", dict: "object", list: "array"}
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once, because making one takes long

TypedText: TypeAlias = tuple[str, str | None]


class Touch(NamedTuple):
    source: str | None
    medium: str | None
    campaign: str | None
    referrer: str | None


class SessionDetails(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the canonical one
    session_id: int
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


class UserPropertyChange(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the raw one
    property: str
    value_type: str
    value_text: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime | None


class EventProperty(NamedTuple):
    project: str
    app: int
    uuid: str | None
    export_hour: dt.datetime
    event_time: dt.datetime | None
    event_type: str | None
    property: str
    value_type: str
    value_text: str | None
    value_number: float | None
    value_boolean: bool | None


class WideEvent(NamedTuple):
    project: str
    app: int
    uuid: str | None
    event_date: dt.date | None
    is_active: bool
    canonical_amplitude_id: int
    user_id: str | None
    user_first_seen_at: dt.datetime | None
    device_family: str | None
    device_type: str | None
    session_started_at: dt.datetime | None
    session_seconds: float | None
    session_number: int | None
    entry_page: str | None
    source: str | None


class EventFromFuture(NamedTuple):
    project: str
    app: int
    uuid: str | None
    is_from_future: bool


def tables(truth: oracle.Truth, _charts: oracle.Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    """By model, the type of its rows and the rows; none of them depends on the charts' variables."""
    sessions = [*find_session_details(truth)]
    return {
        "silver.sessions": (SessionDetails, [*sessions]),
        "silver.users": (UserDetails, [*find_user_details(truth)]),
        "silver.user_property_changes": (UserPropertyChange, [*find_user_property_changes(truth)]),
        "silver.event_properties": (EventProperty, [*find_event_properties(truth)]),
        "silver.events": (EventFromFuture, [*find_events_from_future(truth)]),
        "gold.events": (WideEvent, [*find_wide_events(truth, sessions)]),
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
    """What each session is grouped by: the first value that is not null of each property, and the last page.

    See data-tables-use-session-metrics.md; an event within the session may show what the ones before it lack.
    """
    members = oracle.sessions_of(truth.events, truth.canonical)
    numbers = session_numbers(members)
    for key, own in members.items():
        ordered = sorted(own, key=moment)
        pages = [property_text(event.data.get("event_properties"), PAGE_PATH) for event in ordered]
        yield SessionDetails(
            *key,
            session_number=numbers[key],
            entry_event_type=ordered[0].event_type,
            exit_event_type=ordered[-1].event_type,
            entry_page=first_known(pages),
            exit_page=first_known(reversed(pages)),
            device_id=first_known(event.device_id for event in ordered),
            platform=first_known(oracle.read_text(event.data, "platform") for event in ordered),
            country=first_known(oracle.read_text(event.data, "country") for event in ordered),
            **session_touch(ordered)._asdict(),
        )


def session_key(truth: oracle.Truth, user: User, event: Event) -> SessionKey:
    """The key that a session of a raw user's event has, if it is in one."""
    return *user[:2], truth.canonical[user], NO_SESSION if event.session_id is None else event.session_id


def first_known(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value is not None), None)


def session_touch(ordered: Iterable[Event]) -> Touch:
    """Where a session came from, each property on its own."""
    return Touch(*(first_known(values) for values in zip(*map(touch, ordered), strict=True)))


def session_numbers(members: Mapping[SessionKey, list[Event]]) -> dict[SessionKey, int]:
    """1, 2, ... for the sessions of each user, by the time of the first event, then session_id."""
    starts: defaultdict[User, list[tuple[dt.datetime, SessionKey]]] = defaultdict(list)
    for key, own in members.items():
        starts[key[:3]].append((min(moment(event)[0] for event in own), key))
    return {
        key: number for own_starts in starts.values() for number, (_, key) in enumerate(sorted(own_starts), start=1)
    }


def find_user_details(truth: oracle.Truth) -> Iterable[UserDetails]:
    sessions = oracle.sessions_of(truth.events, truth.canonical)
    for user, own in oracle.events_by_user(truth.events).items():
        ordered = sorted(own, key=moment)
        first, latest = ordered[0], ordered[-1]
        first_session = sessions.get(session_key(truth, user, first), [first])
        came = first_touch(ordered, sorted(first_session, key=moment))
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


def first_touch(ordered: Iterable[Event], first_session: Iterable[Event]) -> Touch:
    """Amplitude's own initial touch as of the latest event that carries some of it, else that of the first session."""
    carriers = [event for event in ordered if carries_initial_touch(event)]
    return touch(carriers[-1], prefix="initial_") if carriers else session_touch(first_session)


def carries_initial_touch(event: Event) -> bool:
    properties = event.data.get("user_properties")
    return any(property_text(properties, f"initial_{key}") is not None for key in TOUCH_KEYS)


def find_user_property_changes(truth: oracle.Truth) -> Iterable[UserPropertyChange]:
    for user, own in oracle.events_by_user(truth.events).items():
        for property_, shown in values_by_time(own).items():
            changes = list(changes_of(sorted(shown.items())))
            ends = [since for since, _ in changes[1:]]
            for (since, (value_type, text)), until in zip_longest(changes, ends):
                yield UserPropertyChange(*user, property_, value_type, text, valid_from=since, valid_to=until)


def values_by_time(events: Iterable[Event]) -> dict[str, dict[dt.datetime, TypedText]]:
    """Of each user property the value at each time that an event shows it; the last by uuid counts."""
    values: defaultdict[str, dict[dt.datetime, TypedText]] = defaultdict(dict)
    for event in sorted(events, key=moment):
        for property_, value in properties_of(event, "user_properties"):
            values[property_][moment(event)[0]] = typed_text(value)
    return dict(values)


def changes_of(shown: Iterable[tuple[dt.datetime, TypedText]]) -> Iterable[tuple[dt.datetime, TypedText]]:
    """What differs from what was shown before."""
    before = None
    for time, value in shown:
        if value != before:
            yield time, value
        before = value


def find_event_properties(truth: oracle.Truth) -> Iterable[EventProperty]:
    for event in truth.events:
        for property_, value in properties_of(event, "event_properties"):
            value_type, text = typed_text(value)
            yield EventProperty(
                project=event.project,
                app=event.app,
                uuid=event.uuid,
                export_hour=event.export_hour,
                event_time=event.event_time,
                event_type=event.event_type,
                property=property_,
                value_type=value_type,
                value_text=text,
                value_number=float(text) if value_type == "number" and text else None,
                value_boolean=text == "true" if value_type == "boolean" else None,
            )


def find_events_from_future(truth: oracle.Truth) -> Iterable[EventFromFuture]:
    """The events that are dated after the hour in which they were uploaded."""
    for event in truth.events:
        late = event.event_time is not None and event.event_time >= event.export_hour + dt.timedelta(hours=1)
        yield EventFromFuture(event.project, event.app, event.uuid, late)


def find_wide_events(truth: oracle.Truth, shown: Iterable[SessionDetails]) -> Iterable[WideEvent]:
    """Each event that the export has reached the day of, with its merged user, its session and its device."""
    users = {user[:3]: user for user in truth.users}
    sessions = {session[:4]: session for session in truth.sessions}
    details = {session[:4]: session for session in shown}
    devices = latest_devices(truth)
    for event in truth.events:
        app = event.project, event.app
        if event.amplitude_id is None or event.event_date is None or event.event_date > truth.frontiers[app]:
            continue
        user = *app, truth.canonical[*app, event.amplitude_id]
        key = session_key(truth, (*app, event.amplitude_id), event)
        session, detail = sessions.get(key), details.get(key)
        device = devices.get((*app, event.device_id))
        yield WideEvent(
            *app,
            uuid=event.uuid,
            event_date=event.event_date,
            is_active=event.is_active,
            canonical_amplitude_id=user[-1],
            user_id=users[user].user_id,
            user_first_seen_at=users[user].first_seen_at,
            device_family=device and oracle.read_text(device.data, "device_family"),
            device_type=device and oracle.read_text(device.data, "device_type"),
            session_started_at=session and session.session_started_at,
            session_seconds=session and session.session_seconds,
            session_number=detail and detail.session_number,
            entry_page=detail and detail.entry_page,
            source=detail and detail.source,
        )


def latest_devices(truth: oracle.Truth) -> dict[tuple[str, int, str | None], Event]:
    """The latest event of each device."""
    return {
        (event.project, event.app, event.device_id): event
        for event in sorted(truth.events, key=moment)
        if event.device_id is not None
    }


def properties_of(event: Event, column: str) -> list[tuple[str, object]]:
    properties = event.data.get(column)
    return list(properties.items()) if isinstance(properties, Mapping) else []


def typed_text(value: object) -> TypedText:
    """The type of a value and its text: that of a string is the string itself, null has none."""
    return VALUE_TYPES.get(type(value), "null"), value if isinstance(value, str | None) else json_text(value)


def json_text(value: object) -> str:
    """JSON as DuckDB writes it: without blanks, nothing escaped that need not be, exponents without leading zeros."""
    text = ENCODER.encode(value)
    return text.replace("e-0", "e-") if isinstance(value, float) else text
