"""The truth about a set of exported rows, computed in plain Python for the SQL models to be compared with.

Brute force on purpose: everything is held in memory, every rule is one small function, and nothing is shared with the
models. All times are naive UTC; a date is a date in the reporting time zone. A value is *absent* when its key is
missing, null or an empty string. Projects never influence each other, nor do the apps of one.
"""

import datetime as dt
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

MEMBER_NAME = re.compile(r"\d+_(?P<date>\d{4}-\d{2}-\d{2})_(?P<hour>\d{1,2})#\d+\.json\.gz")
NO_SESSION = -1
LONG_AGO = dt.datetime(1, 1, 3)
DEDUPLICATION_WINDOW = dt.timedelta(days=7)
WEEK_DAYS = 7
MONTH_DAYS = 30
LONGEST_SECONDS = 24 * 60 * 60

App: TypeAlias = tuple[str, int]  # project, app
User: TypeAlias = tuple[str, int, int]  # project, app, amplitude_id
Device: TypeAlias = tuple[str, int, str]  # project, app, device_id
SessionKey: TypeAlias = tuple[str, int, int, int]  # project, app, canonical amplitude_id, session_id
Span: TypeAlias = tuple[dt.datetime, dt.datetime]  # first and last export hour
LoginRank: TypeAlias = tuple[dt.datetime, dt.datetime, dt.datetime, int]


@dataclass(frozen=True)
class Row:
    """A row as exported: its project, the UTC hour and name of its archive member, its line there, its JSON object."""

    project: str
    hour: dt.datetime
    member: str
    position: int
    data: dict[str, object]


class Event(NamedTuple):
    """A row's columns that matter here, None where absent; a unique event keeps those of the row that arrived first."""

    project: str
    app: int
    uuid: str | None
    export_hour: dt.datetime
    member: str
    position: int
    server_upload_time: dt.datetime | None
    device_id: str | None
    insert_id: str | None
    amplitude_id: int | None
    user_id: str | None
    event_type: str | None
    session_id: int | None
    event_time: dt.datetime | None
    client_event_time: dt.datetime | None
    event_date: dt.date | None
    is_active: bool
    is_deleted: bool
    """Whether its type is deleted in Amplitude: it still makes its user active, but counts in no session."""
    data: Mapping[str, object]


class Merge(NamedTuple):
    """What Amplitude's merge feed says: this user was merged into that one."""

    project: str
    amplitude_id: int
    merged_amplitude_id: int
    event_time: dt.datetime
    server_time: dt.datetime


class UserAlias(NamedTuple):
    project: str
    app: int
    amplitude_id: int
    canonical_amplitude_id: int


class Session(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the canonical one
    session_id: int
    session_started_at: dt.datetime | None
    session_ended_at: dt.datetime | None
    session_date: dt.date | None
    session_seconds: float | None
    events: int
    is_longer_than_a_day: bool


class UserDay(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the raw one
    event_date: dt.date
    events: int
    active_events: int


class UserSummary(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the raw one
    canonical_amplitude_id: int
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    events: int
    active_days: int
    user_id: str | None


class DailyMetrics(NamedTuple):
    project: str
    app: int
    date: dt.date
    active_users: int
    new_users: int
    weekly_active_users: int
    monthly_active_users: int
    sessions: int
    average_session_seconds: float | None
    average_capped_session_seconds: float | None
    average_uncapped_session_seconds: float | None
    events: int


@dataclass(frozen=True)
class Charts:
    """The variables in sqlmesh/config.yaml that charts go by, with their defaults."""

    timezone: str = "UTC"
    week_start: str = "monday"
    attribution_window_days: int = 30


@dataclass(frozen=True)
class Truth:
    """Every table that the models must agree with, each sorted by its key.

    What is built on these is in modules of its own, `oracle_*.py`: `tables(truth, charts)` of each gives, by a model's
    name, the type of its rows, whose fields are the model's columns, and the rows.
    """

    events: list[Event]
    user_aliases: list[UserAlias]
    sessions: list[Session]
    user_days: list[UserDay]
    users: list[UserSummary]
    daily_metrics: list[DailyMetrics]
    canonical: dict[User, int]
    """The amplitude_id that each raw user counts under."""
    reached: dict[App, dt.datetime]
    """The last export hour of each app's project, with or without events."""
    openings: dict[App, dt.date]
    """The first date of each app that charts show: the date of its project's first export hour."""
    frontiers: dict[App, dt.date]
    """The last date of each app that charts show: the date of its project's last export hour."""

    def shows(self, app: App, date: dt.date) -> bool:
        """Whether charts show a date of an app."""
        return self.openings[app] <= date <= self.frontiers[app]


def compute(
    rows: Iterable[Row],
    inactive: Mapping[str, Collection[str]],
    timezone: str = "UTC",
    merges: Collection[Merge] = (),
    deleted: Collection[str] = (),
    exported: Mapping[str, Span] | None = None,
) -> Truth:
    """Compute all tables from exported rows.

    Args:
        rows: the exported rows, in any order.
        inactive: by project, the event types that do not make a user active; they never did, whenever the rows came in.
        timezone: the reporting time zone, an IANA name.
        merges: Amplitude's merge feed.
        deleted: the event types that are deleted in Amplitude, in any project.
        exported: by project, the first and the last hour that were exported, with rows or without. By default the
            export ends with the last hour of the rows, and began before all of them.

    Returns:
        The truth.

    Raises:
        ValueError: a row has no app, nothing to tell its repeats by, or a value that is no number or time.
    """
    zone = ZoneInfo(timezone)
    events = unique_events(read_event(row, inactive.get(row.project, ()), deleted, zone) for row in rows)
    canonical = canonical_users(events, merges)
    sessions = find_sessions(events, canonical)
    user_days = find_user_days(events)
    spans = {app: span_of(app, own, exported) for app, own in by_app(events).items()}
    openings = {app: date_in(zone, first) for app, (first, _) in spans.items()}
    frontiers = {app: date_in(zone, last) for app, (_, last) in spans.items()}
    return Truth(
        events=events,
        user_aliases=[UserAlias(*user, canonical[user]) for user in sorted(canonical)],
        sessions=sessions,
        user_days=user_days,
        users=find_users(events, canonical, user_days),
        daily_metrics=find_daily_metrics(events, canonical, sessions, openings, frontiers),
        canonical=canonical,
        reached={app: last for app, (_, last) in spans.items()},
        openings=openings,
        frontiers=frontiers,
    )


def read_members(project: str, paths: Iterable[Path]) -> Iterator[Row]:
    """Read archive members, gzip files of one JSON object a line, named `{app}_{yyyy-MM-dd}_{H}#{n}.json.gz`.

    Args:
        project: whose they are.
        paths: the files.

    Yields:
        Their rows, file by file.

    Raises:
        ValueError: a file is named otherwise, or a line is not JSON.
    """
    for path in paths:
        hour = member_hour(path.name)
        with gzip.open(path, "rb") as lines:
            for position, line in enumerate(lines):
                yield Row(project, hour, path.name, position, json.loads(line))


def member_hour(name: str) -> dt.datetime:
    """The UTC hour in a member's name; it is not zero-padded."""
    match = MEMBER_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"not the name of an archive member: {name}")
    return dt.datetime.fromisoformat(match["date"]) + dt.timedelta(hours=int(match["hour"]))


def read_text(data: Mapping[str, object], name: str) -> str | None:
    """A value as text, None where absent."""
    value = data.get(name)
    return None if value is None or value == "" else str(value)


def read_integer(data: Mapping[str, object], name: str) -> int | None:
    """A whole number, None where absent."""
    value = read_text(data, name)
    return None if value is None else int(value)


def read_time(data: Mapping[str, object], name: str) -> dt.datetime | None:
    """A naive UTC time, None where absent."""
    value = read_text(data, name)
    if value is None:
        return None
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        raise ValueError(f"{name} is not naive: {value}")
    return moment


def date_in(zone: ZoneInfo, moment: dt.datetime) -> dt.date:
    """The date on the calendar of `zone` at a naive UTC time."""
    return moment.replace(tzinfo=dt.UTC).astimezone(zone).date()


def read_event(row: Row, inactive: Collection[str], deleted: Collection[str], zone: ZoneInfo) -> Event:
    """A row's columns, its date, and whether its event type is an inactive or a deleted one."""
    app = read_integer(row.data, "app")
    if app is None:
        raise ValueError(f"no app: {row.member} line {row.position}")
    event_type = read_text(row.data, "event_type")
    event_time = read_time(row.data, "event_time")
    return Event(
        project=row.project,
        app=app,
        uuid=read_text(row.data, "uuid"),
        export_hour=row.hour,
        member=row.member,
        position=row.position,
        server_upload_time=read_time(row.data, "server_upload_time"),
        device_id=read_text(row.data, "device_id"),
        insert_id=read_text(row.data, "$insert_id"),
        amplitude_id=read_integer(row.data, "amplitude_id"),
        user_id=read_text(row.data, "user_id"),
        event_type=event_type,
        session_id=read_integer(row.data, "session_id"),
        event_time=event_time,
        client_event_time=read_time(row.data, "client_event_time"),
        event_date=None if event_time is None else date_in(zone, event_time),
        is_active=event_type not in inactive,
        is_deleted=event_type in deleted,
        data=row.data,
    )


def arrival(event: Event) -> tuple[dt.datetime, dt.datetime, bool, str, str, int]:
    """Order of arrival: export hour, upload time, uuid, member, position; an absent value comes last."""
    return (
        event.export_hour,
        event.server_upload_time or dt.datetime.max,
        event.uuid is None,
        event.uuid or "",
        event.member,
        event.position,
    )


def unique_events(events: Iterable[Event]) -> list[Event]:
    """Leave out repeats; by project, app and uuid.

    In order of arrival, a row repeats an earlier event of the same device and insert id if it was uploaded within 7
    days of it (Amplitude's rule: apis/http-v2, event deduplication), or if it has its type and time, too (a copy). A
    row without one of the two ids repeats one of the same uuid.
    """
    kept: defaultdict[tuple[object, ...], list[Event]] = defaultdict(list)
    for event in sorted(events, key=arrival):
        ids: tuple[object, ...] = (event.project, event.app, event.device_id, event.insert_id)
        if event.device_id is None or event.insert_id is None:
            if event.uuid is None:
                raise ValueError(f"no uuid, and no device_id and $insert_id: {event.member} line {event.position}")
            ids = event.project, event.app, event.uuid
        if not any(len(ids) == 3 or is_repeat(event, earlier) for earlier in kept[ids]):
            kept[ids].append(event)

    def key(event: Event) -> tuple[object, ...]:
        return event.project, event.app, event.uuid is None, event.uuid or "", arrival(event)

    return sorted((event for own in kept.values() for event in own), key=key)


def is_repeat(event: Event, earlier: Event) -> bool:
    """Whether an event repeats an earlier one with the same ids."""
    is_copy = (event.event_type, event.event_time) == (earlier.event_type, earlier.event_time)
    uploaded, before = (each.server_upload_time or each.export_hour for each in (event, earlier))
    return is_copy or uploaded <= before + DEDUPLICATION_WINDOW


def events_by_user(events: Iterable[Event]) -> dict[User, list[Event]]:
    """The events of each raw user; an event without amplitude_id has no user."""
    users: defaultdict[User, list[Event]] = defaultdict(list)
    for event in events:
        if event.amplitude_id is not None:
            users[event.project, event.app, event.amplitude_id].append(event)
    return dict(users)


def login_ranks(events: Iterable[Event]) -> dict[Device, list[LoginRank]]:
    """The logins on each device: one for each amplitude_id that carried a user_id there.

    A login ranks by its first export hour; then by the first upload time and the first event time among the events of
    that hour that carry a user_id (each its own minimum, absent ones last), which no later hour can change; then by
    amplitude_id.
    """
    logins: defaultdict[tuple[Device, int], list[Event]] = defaultdict(list)
    for event in events:
        if event.device_id is not None and event.amplitude_id is not None and event.user_id is not None:
            logins[(event.project, event.app, event.device_id), event.amplitude_id].append(event)
    ranks: defaultdict[Device, list[LoginRank]] = defaultdict(list)
    for (device, amplitude_id), carriers in logins.items():
        hour = min(event.export_hour for event in carriers)
        first = [event for event in carriers if event.export_hour == hour]
        rank = (
            hour,
            min(event.server_upload_time or dt.datetime.max for event in first),
            min(event.event_time or dt.datetime.max for event in first),
            amplitude_id,
        )
        ranks[device].append(rank)
    return dict(ranks)


def merge_targets(merges: Iterable[Merge]) -> dict[tuple[str, int], int]:
    """Into whom each user was merged last by the server's time, then by the event's, then into the smallest id."""
    targets = {}
    for merge in sorted(merges, key=lambda merge: (merge.server_time, merge.event_time, -merge.merged_amplitude_id)):
        targets[merge.project, merge.amplitude_id] = merge.merged_amplitude_id
    return targets


def chain_end(project: str, amplitude_id: int, targets: Mapping[tuple[str, int], int]) -> int:
    """The last user of a chain of merges; of a chain that runs into a circle the smallest user of the circle."""
    chain = [amplitude_id]
    while (target := targets.get((project, chain[-1]))) is not None:
        if target in chain:
            return min(chain[chain.index(target) :])
        chain.append(target)
    return chain[-1]


def canonical_users(events: Iterable[Event], merges: Iterable[Merge] = ()) -> dict[User, int]:
    """The amplitude_id that each raw user counts under.

    Amplitude's merges go first: the end of the user's chain, if it has events of its own in the app. If none of those
    who come to one end ever carried a user_id, they merge into the first login over all devices that the end's events
    name, and so into the end of that one's chain.
    """
    events = list(events)
    ranks, users, targets = login_ranks(events), events_by_user(events), merge_targets(merges)
    ends: dict[User, User] = {}
    for project, app, amplitude_id in users:
        end = project, app, chain_end(project, amplitude_id, targets)
        ends[project, app, amplitude_id] = end if end in users else (project, app, amplitude_id)
    logged_in = {ends[user] for user, own in users.items() if any(event.user_id is not None for event in own)}
    canonical: dict[User, int] = {}
    for user, end in ends.items():
        project, app, amplitude_id = end
        devices = {event.device_id for event in users[end] if event.device_id is not None}
        logins = [rank for device_id in devices for rank in ranks.get((project, app, device_id), [])]
        if end not in logged_in and logins:
            amplitude_id = ends[project, app, min(logins)[-1]][-1]
        canonical[user] = amplitude_id
    return canonical


def sessions_of(events: Iterable[Event], canonical: Mapping[User, int]) -> dict[SessionKey, list[Event]]:
    """The events of each session: those that share a canonical user and a session_id other than -1.

    Events of inactive and of deleted types are in no session (session-length.md).
    """
    members: defaultdict[SessionKey, list[Event]] = defaultdict(list)
    for event in events:
        if event.amplitude_id is None or event.session_id is None or event.session_id == NO_SESSION:
            continue
        if event.is_active and not event.is_deleted:
            user = canonical[event.project, event.app, event.amplitude_id]
            members[event.project, event.app, user, event.session_id].append(event)
    return dict(members)


def find_sessions(events: Iterable[Event], canonical: Mapping[User, int]) -> list[Session]:
    """The sessions that some events make up, dated by their start (instrument-track-sessions.md).

    Start and end are the first and the last event_time. The length is measured by the client's own clock
    (session-length.md), with event_time in the place of an absent client_event_time.
    """
    sessions = []
    for key, own in sorted(sessions_of(events, canonical).items()):
        times = [event.event_time for event in own if event.event_time is not None]
        clock = [time for event in own if (time := event.client_event_time or event.event_time) is not None]
        length = max(clock) - min(clock) if clock else None
        sessions.append(
            Session(
                *key,
                session_started_at=min(times, default=None),
                session_ended_at=max(times, default=None),
                session_date=min((event.event_date for event in own if event.event_date), default=None),
                session_seconds=None if length is None else length.total_seconds(),
                events=len(own),
                is_longer_than_a_day=length is not None and length > dt.timedelta(days=1),
            )
        )
    return sessions


def find_user_days(events: Iterable[Event]) -> list[UserDay]:
    """The events and active events of each raw user on each date; an event without event_time has no date."""
    days: defaultdict[tuple[User, dt.date], list[Event]] = defaultdict(list)
    for event in events:
        if event.amplitude_id is not None and event.event_date is not None:
            days[(event.project, event.app, event.amplitude_id), event.event_date].append(event)
    return [
        UserDay(*user, event_date, len(own), sum(event.is_active for event in own))
        for (user, event_date), own in sorted(days.items())
    ]


def find_users(
    events: Iterable[Event], canonical: Mapping[User, int], user_days: Iterable[UserDay]
) -> list[UserSummary]:
    """Each raw user: first and last event, counts, and the user_id that its latest event with one carried."""
    active_days: defaultdict[User, int] = defaultdict(int)
    for day in user_days:
        if day.active_events > 0:
            active_days[day.project, day.app, day.amplitude_id] += 1
    users = []
    for user, own in sorted(events_by_user(events).items()):
        moments = [event.event_time for event in own if event.event_time is not None]
        users.append(
            UserSummary(
                *user,
                canonical_amplitude_id=canonical[user],
                first_seen_at=min(moments, default=None),
                last_seen_at=max(moments, default=None),
                events=len(own),
                active_days=active_days[user],
                user_id=latest_user_id(own),
            )
        )
    return users


def latest_user_id(events: Iterable[Event]) -> str | None:
    """The user_id of the latest event with one, by event_time, then uuid (then user_id); absent ones come first."""
    carried = [
        (event.event_time or dt.datetime.min, event.uuid or "", event.user_id)
        for event in events
        if event.user_id is not None
    ]
    return max(carried)[-1] if carried else None


def by_app(events: Iterable[Event]) -> dict[App, list[Event]]:
    apps: defaultdict[App, list[Event]] = defaultdict(list)
    for event in events:
        apps[event.project, event.app].append(event)
    return dict(apps)


def span_of(app: App, events: Iterable[Event], exported: Mapping[str, Span] | None) -> Span:
    """The first and the last export hour of an app's project."""
    return exported[app[0]] if exported else (LONG_AGO, max(event.export_hour for event in events))


def find_daily_metrics(
    events: Iterable[Event],
    canonical: Mapping[User, int],
    sessions: Iterable[Session],
    openings: Mapping[App, dt.date],
    frontiers: Mapping[App, dt.date],
) -> list[DailyMetrics]:
    """The daily metrics of each app of each project."""
    events_of = by_app(events)
    sessions_of: defaultdict[App, list[Session]] = defaultdict(list)
    for session in sessions:
        sessions_of[session.project, session.app].append(session)
    return [
        metrics
        for app in sorted(events_of)
        for metrics in daily_metrics_of(
            app,
            events_of[app],
            canonical,
            sessions_of[app],
            first_dates(events_of[app], canonical),
            openings[app],
            frontiers[app],
        )
    ]


def daily_metrics_of(
    app: App,
    events: Collection[Event],
    canonical: Mapping[User, int],
    sessions: Iterable[Session],
    first: Mapping[int, dt.date],
    opening: dt.date,
    frontier: dt.date,
) -> Iterator[DailyMetrics]:
    """The metrics of some events of an app on every date from their earliest to the frontier, others included.

    Sessions of more than a day are left out (user-sessions-track-engagement-frequency.md, last note), but for the
    averages of all: with a maximum of a day (dashboard-rest.md, session length distribution) and without.
    Events dated before the opening or after the frontier do not count. A weekly or monthly active user had an active
    event on one of the 7 or 30 dates that end with the date; a new one has an event on the `first` date of all of the
    user's events.
    """
    events = [event for event in events if event.event_date and opening <= event.event_date <= frontier]
    active = active_users_by_date(events, canonical)
    present = users_by_date(events, canonical)
    all_lengths = session_seconds_by_date(sessions)
    count = events_by_date(events)
    for date in dates_to_frontier(count, frontier):
        every = all_lengths.get(date, [])
        seconds = [each for each in every if each <= LONGEST_SECONDS]
        yield DailyMetrics(
            *app,
            date=date,
            active_users=len(active_in_window(active, date, 1)),
            new_users=sum(first[user] == date for user in present.get(date, ())),
            weekly_active_users=len(active_in_window(active, date, WEEK_DAYS)),
            monthly_active_users=len(active_in_window(active, date, MONTH_DAYS)),
            sessions=len(seconds),
            average_session_seconds=mean(seconds),
            average_capped_session_seconds=mean([min(each, LONGEST_SECONDS) for each in every]),
            average_uncapped_session_seconds=mean(every),
            events=count.get(date, 0),
        )


def mean(values: Collection[float]) -> float | None:
    return fsum(values) / len(values) if values else None


def dates_to_frontier(dates: Iterable[dt.date], frontier: dt.date) -> list[dt.date]:
    """Every date from the earliest of `dates` to the frontier; none where all are later than the frontier."""
    first = min(dates, default=None)
    days = 0 if first is None else (frontier - first).days + 1
    return [] if first is None else [first + dt.timedelta(days=day) for day in range(days)]


def active_in_window(active: Mapping[dt.date, set[int]], last: dt.date, days: int) -> set[int]:
    """The canonical users active on at least one of the `days` dates that end with `last`."""
    return set().union(*(active.get(last - dt.timedelta(days=day), set()) for day in range(days)))


def active_users_by_date(events: Iterable[Event], canonical: Mapping[User, int]) -> dict[dt.date, set[int]]:
    """The canonical users with an active event on each date."""
    return users_by_date((event for event in events if event.is_active), canonical)


def users_by_date(events: Iterable[Event], canonical: Mapping[User, int]) -> dict[dt.date, set[int]]:
    """The canonical users with an event on each date."""
    users: defaultdict[dt.date, set[int]] = defaultdict(set)
    for event in events:
        if event.amplitude_id is not None and event.event_date is not None:
            users[event.event_date].add(canonical[event.project, event.app, event.amplitude_id])
    return dict(users)


def first_dates(events: Iterable[Event], canonical: Mapping[User, int]) -> dict[int, dt.date]:
    """The date of each canonical user's earliest event, inactive ones included."""
    dates: defaultdict[int, list[dt.date]] = defaultdict(list)
    for date, users in users_by_date(events, canonical).items():
        for user in users:
            dates[user].append(date)
    return {user: min(own) for user, own in dates.items()}


def session_seconds_by_date(sessions: Iterable[Session]) -> dict[dt.date, list[float]]:
    """The lengths of the sessions that started on each date."""
    lengths: defaultdict[dt.date, list[float]] = defaultdict(list)
    for session in sessions:
        if session.session_date is not None and session.session_seconds is not None:
            lengths[session.session_date].append(session.session_seconds)
    return dict(lengths)


def events_by_date(events: Iterable[Event]) -> dict[dt.date, int]:
    """How many events each date has: inactive ones too, and those of nobody."""
    count: defaultdict[dt.date, int] = defaultdict(int)
    for event in events:
        if event.event_date is not None:
            count[event.event_date] += 1
    return dict(count)
