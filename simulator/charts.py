"""Amplitude's own numbers, counted from the rows that it has stored so far: the export gives them hours later."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from math import fsum
from operator import attrgetter
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from simulator.archive import Archive
from simulator.catalog import Row

ANY_EVENT, ANY_ACTIVE_EVENT = "_all", "_active"

_NO_SESSION = -1
_REPEATS_WITHIN = timedelta(days=7)
_LONGEST_SESSION = timedelta(days=1)
_ARRIVAL = attrgetter("uploaded_at", "event_time", "amplitude_id")


class Seen(NamedTuple):
    """What the numbers need of a row."""

    uploaded_at: str
    event_time: str
    client_event_time: str
    amplitude_id: int
    user_id: str | None
    device_id: str
    insert_id: str | None
    event_type: str
    session_id: int

    @classmethod
    def of(cls, row: Row) -> Self:
        """Read a row of the export."""
        user_id, insert_id = row["user_id"], row.get("$insert_id")
        return cls(
            str(row["server_upload_time"]),
            str(row["event_time"]),
            str(row.get("client_event_time") or row["event_time"]),
            int(str(row["amplitude_id"])),
            None if user_id is None else str(user_id),
            str(row["device_id"]),
            None if insert_id is None else str(insert_id),
            str(row["event_type"]),
            int(str(row.get("session_id") or _NO_SESSION)),
        )


class Session(NamedTuple):
    """A session that charts count."""

    user: int
    day: str
    seconds: float


@dataclass(frozen=True, eq=False)
class History:
    """What a project has seen until now; told apart by identity, so that numbers can be kept by it."""

    events: list[Seen]
    """Without repeats, in the order in which they came."""
    merged: dict[int, int]
    """The user that each amplitude_id counts as."""


@lru_cache(maxsize=2)
def history(archive: Archive, now: datetime, counts_late_repeats: bool, merges: frozenset[tuple[int, int]]) -> History:
    """Read every row that was uploaded until now; kept for the next questions, which are about the same ones."""
    seen = (Seen.of(row) for row in archive.rows(datetime.min, now))
    rows = sorted((row for row in seen if row.uploaded_at < f"{now:%Y-%m-%d %H:%M:%S}"), key=_ARRIVAL)
    return History([*unique(rows, counts_late_repeats)], merged_users(rows) | dict(merges))


@lru_cache(maxsize=4)
def figures(seen: History, timezone: str, inactive: frozenset[str], deleted: frozenset[str]) -> "Figures":
    """Count what a project has seen, once for the same settings."""
    return Figures(seen, timezone, inactive, deleted)


def unique(rows: Iterable[Seen], counts_late_repeats: bool = False) -> Iterator[Seen]:
    """Leave out repeats: Amplitude drops an event of a device whose insert id came within the last seven days.

    Args:
        rows: in the order in which they came.
        counts_late_repeats: whether a repeat that came later counts as another event, as it does in Amplitude. If not,
            it is left out as well if it has the same type and time, so that one event counts once.

    Yields:
        The first row of each event.
    """
    kept: defaultdict[tuple[str, str], list[Seen]] = defaultdict(list)
    for row in rows:
        if row.insert_id is not None:
            same = kept[row.device_id, row.insert_id]
            if any(_repeats(row, earlier, counts_late_repeats) for earlier in same):
                continue
            same.append(row)
        yield row


def _repeats(row: Seen, earlier: Seen, counts_late_repeats: bool) -> bool:
    is_copy = (row.event_type, row.event_time) == (earlier.event_type, earlier.event_time)
    if is_copy and not counts_late_repeats:
        return True
    return datetime.fromisoformat(row.uploaded_at) - datetime.fromisoformat(earlier.uploaded_at) <= _REPEATS_WITHIN


def merged_users(rows: Iterable[Seen]) -> dict[int, int]:
    """Return who each user counts as: without a login, the first to log in on one of the user's devices."""
    devices: defaultdict[int, set[str]] = defaultdict(set)
    logins: dict[str, tuple[str, int]] = {}
    known: set[int] = set()
    for row in sorted(rows, key=_ARRIVAL):
        devices[row.amplitude_id].add(row.device_id)
        if row.user_id is not None:
            logins.setdefault(row.device_id, (row.uploaded_at, row.amplitude_id))
            known.add(row.amplitude_id)
    merged = {user: user for user in devices}
    for user in devices.keys() - known:
        if of_devices := [logins[device] for device in devices[user] if device in logins]:
            merged[user] = min(of_devices)[1]
    return merged


class Figures:
    """The numbers of charts, by day in the project's time zone."""

    def __init__(
        self, history: History, timezone: str, inactive: Collection[str] = (), deleted: Collection[str] = ()
    ) -> None:
        self.merged = history.merged
        self.inactive = frozenset(inactive)
        self._events = history.events
        self._timezone = timezone
        self._outside_sessions = self.inactive | set(deleted)
        self._totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._users: defaultdict[str, defaultdict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for event in self._events:
            day = self.day(event.event_time)
            self._totals[event.event_type][day] += 1
            self._users[event.event_type][day].add(self.merged[event.amplitude_id])

    def day(self, time: str) -> str:
        """Return the day of a UTC time in the project's time zone."""
        return _day(time[:16], self._timezone)

    def totals(self, event_type: str) -> Counter[str]:
        """Return how many events of a type, or of all types that a general name stands for, each day has."""
        return sum((self._totals[name] for name in self._types(event_type)), Counter())

    def users(self, event_type: str) -> dict[str, set[int]]:
        """Return the users with such an event on each day."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        for name in self._types(event_type):
            for day, users in self._users[name].items():
                found[day] |= users
        return found

    def new_users(self) -> Counter[str]:
        """Return how many users had their earliest event on each day."""
        first: dict[int, str] = {}
        for day, users in self.users(ANY_EVENT).items():
            first |= {user: min(day, first.get(user, day)) for user in users}
        return Counter(first.values())

    def of_user(self, user: int) -> list[Seen]:
        """Return the events of a merged user."""
        return self._by_user.get(user, [])

    def users_where(self, fits: Callable[[Seen], bool]) -> set[int]:
        """Return the merged users with an event that fits."""
        return {self.merged[event.amplitude_id] for event in self._events if fits(event)}

    @cached_property
    def sessions(self) -> list[Session]:
        """The sessions of at most a day: charts leave longer ones out.

        A session is what a merged user did under one session_id, except for events of inactive and deleted types. Its
        day is that of its first event, and the client's clock says how long it took.
        """
        own: defaultdict[tuple[int, int], list[Seen]] = defaultdict(list)
        for event in self._events:
            if event.session_id != _NO_SESSION and event.event_type not in self._outside_sessions:
                own[self.merged[event.amplitude_id], event.session_id].append(event)
        found = ((user, events, _length(events)) for (user, _), events in own.items())
        return [
            Session(user, self.day(min(event.event_time for event in events)), length.total_seconds())
            for user, events, length in found
            if length <= _LONGEST_SESSION
        ]

    def average_session_seconds(self) -> dict[str, float]:
        """Return the mean length of the sessions that began on each day."""
        lengths: defaultdict[str, list[float]] = defaultdict(list)
        for session in self.sessions:
            lengths[session.day].append(session.seconds)
        return {day: fsum(seconds) / len(seconds) for day, seconds in lengths.items()}

    def sessions_per_user(self) -> dict[str, float]:
        """Return, for each day, the sessions that began on it divided by the users who began one."""
        users: defaultdict[str, list[int]] = defaultdict(list)
        for session in self.sessions:
            users[session.day].append(session.user)
        return {day: len(own) / len(set(own)) for day, own in users.items()}

    @cached_property
    def _by_user(self) -> dict[int, list[Seen]]:
        own: defaultdict[int, list[Seen]] = defaultdict(list)
        for event in self._events:
            own[self.merged[event.amplitude_id]].append(event)
        return own

    def _types(self, event_type: str) -> list[str]:
        if event_type == ANY_EVENT:
            return [*self._totals]
        if event_type == ANY_ACTIVE_EVENT:
            return [name for name in self._totals if name not in self.inactive]
        return [event_type] if event_type in self._totals else []


def _length(events: Sequence[Seen]) -> timedelta:
    times = [event.client_event_time for event in events]
    return datetime.fromisoformat(max(times)) - datetime.fromisoformat(min(times))


@lru_cache(maxsize=1 << 17)
def _day(minute: str, timezone: str) -> str:
    """Return the day of a UTC minute elsewhere; no zone is off by a part of a minute."""
    moment = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d}"
