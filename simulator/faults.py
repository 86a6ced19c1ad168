"""Faults of a real API and network, on demand: what goes wrong, for which requests, and how often."""

import gzip
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from simulator.archive import AVAILABLE_AFTER, StoredMember

# The paths that the simulator serves; {id} stands for any one word.
EXPORT = "/api/2/export"
EVENTS_LIST = "/api/2/events/list"
USER_COUNTS = "/api/2/users"
SEGMENTATION = "/api/2/events/segmentation"
SESSION_LENGTHS = "/api/2/sessions/average"
SESSIONS_PER_USER = "/api/2/sessions/peruser"
SAVED_CHART = "/api/3/chart/{id}/query"
USER_ACTIVITY = "/api/2/useractivity"
USER_SEARCH = "/api/2/usersearch"
DELETION_JOBS = "/api/2/deletions/users"
ANNOTATIONS = "/api/3/annotations"
ANNOTATION_CATEGORIES = "/api/3/annotation-categories"
COHORTS = "/api/3/cohorts"
COHORT_REQUEST = "/api/5/cohorts/request/{id}"
COHORT_STATUS = "/api/5/cohorts/request-status/{id}"
COHORT_FILE = "/api/5/cohorts/request/{id}/file"
COHORT_LINK = "/cohort-files/{id}"
TAXONOMY_CATEGORIES = "/api/2/taxonomy/category"
TAXONOMY_EVENTS = "/api/2/taxonomy/event"
TAXONOMY_EVENT_PROPERTIES = "/api/2/taxonomy/event-property"
TAXONOMY_USER_PROPERTIES = "/api/2/taxonomy/user-property"
TAXONOMY_GROUP_PROPERTIES = "/api/2/taxonomy/group-property"
EXPERIMENTS = "/api/1/experiments"
FLAGS = "/api/1/flags"

HTML = "text/html; charset=utf-8"
HTML_PAGE = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"

_MOST_HOURS_LATE = 4


@dataclass(frozen=True, repr=False)
class _Brief:
    """Shows only what is not the default: a printed plan is short, and can be pasted into a test."""

    def __repr__(self) -> str:
        values = ((field, getattr(self, field.name)) for field in fields(self))
        shown = (f"{field.name}={value!r}" for field, value in values if value != field.default)
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Reply(_Brief):
    """Another answer than the right one: an error, or a 200 whose body is no zip."""

    status: int
    retry_after: str | None = None
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, repr=False)
class NoAnswer(_Brief):
    """The connection is reset before any answer."""


@dataclass(frozen=True, repr=False)
class CutBody(_Brief):
    """Only a share of the body's bytes is sent.

    After them the HTTP body ends as it should; or the connection is closed in the middle of it, or reset; or nothing
    comes any more, until the client hangs up or the simulator is closed.
    """

    share: float
    ending: Literal["proper", "closed", "reset", "stall"]


@dataclass(frozen=True, repr=False)
class Drip(_Brief):
    """The whole body comes in so many pieces, with a pause in seconds before each."""

    pieces: int
    pause: float


class Change(_Brief, ABC):
    """What an export holds differs from what it should hold; told of the members of the fault's hour alone."""

    @abstractmethod
    def apply(self, members: list[StoredMember]) -> list[StoredMember]:
        """The members to send in place of these."""


@dataclass(frozen=True, repr=False)
class LateHour(Change):
    """The hour is not there: a 404, or a zip of the window's other hours."""

    def apply(self, members: list[StoredMember]) -> list[StoredMember]:  # noqa: ARG002 - whichever they are
        return []


@dataclass(frozen=True, repr=False)
class LatePartition(Change):
    """The hour's last member is not there; an hour of one member is not there at all."""

    def apply(self, members: list[StoredMember]) -> list[StoredMember]:
        return members[:-1]


@dataclass(frozen=True, repr=False)
class OtherRows(Change):
    """The hour has other rows, in one file."""

    data: bytes

    def apply(self, members: list[StoredMember]) -> list[StoredMember]:
        return [members[0].edited(lambda _: self.data)]


class _Edit(Change):
    """The hour's first member has other bytes."""

    @abstractmethod
    def edit(self, data: bytes) -> bytes:
        """The bytes to send in place of these."""

    def apply(self, members: list[StoredMember]) -> list[StoredMember]:
        return [*(member.edited(self.edit) for member in members[:1]), *members[1:]]


@dataclass(frozen=True, repr=False)
class FewerLines(_Edit):
    """A share of the lines, from the first on and at least one, in a sound gzip."""

    share: float

    def edit(self, data: bytes) -> bytes:
        lines = gzip.decompress(data).splitlines(keepends=True)
        return gzip.compress(b"".join(lines[: max(1, int(len(lines) * self.share))]), mtime=0)


class _Damage(_Edit):
    """The hour's first member cannot be read."""


@dataclass(frozen=True, repr=False)
class CutGzip(_Damage):
    """A share of the gzip's bytes, in a sound zip."""

    share: float

    def edit(self, data: bytes) -> bytes:
        return data[: int(len(data) * self.share)]


@dataclass(frozen=True, repr=False)
class BadGzipChecksum(_Damage):
    """A gzip whose checksum is not that of its content, in a sound zip."""

    def edit(self, data: bytes) -> bytes:
        checksum = int.from_bytes(data[-8:-4], "little") + 1  # one more each time: two such faults are no cure
        return data[:-8] + (checksum % 2**32).to_bytes(4, "little") + data[-4:]


Delivery: TypeAlias = NoAnswer | CutBody | Drip
Disturbance: TypeAlias = Reply | Delivery


class Call(NamedTuple):
    """A request; faults go by its path and hours, which only those for exports have."""

    path: str
    query: dict[str, str]
    hours: list[datetime]
    now: datetime
    template: str = ""
    """The path with {id} in the place of an id."""


@dataclass(frozen=True, repr=False)
class Fault(_Brief):
    """An effect, and the requests that it strikes: all conditions must hold, and it strikes `times` times, or always.

    Every fault waits until a request's credentials are right: a 401 or 403 of a plan refuses good ones.
    """

    effect: Disturbance | Change
    times: int | None = None
    hour: datetime | None = None
    """Strikes requests for this hour among others. Of an export it then changes this hour only, else all of it."""
    longer_than: int | None = None
    """Strikes requests for more hours than this."""
    until: datetime | None = None
    """Strikes while the simulator's clock stands before this time."""
    path: str = EXPORT
    """One of the paths above, or with an id in the place of {id} that request alone."""

    def fits(self, call: Call) -> bool:
        """Whether it strikes such a request, as long as its times are not used up."""
        return (
            self.path in (call.path, call.template)
            and (self.hour is None or self.hour in call.hours)
            and (self.longer_than is None or len(call.hours) > self.longer_than)
            and (self.until is None or call.now < self.until)
        )


class FaultPlan:
    """The faults of a simulator, and how often each has struck; any thread may ask."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        self._struck = [0] * len(faults)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "FaultPlan(\n" + "".join(f"    {fault!r},\n" for fault in self.faults) + ")"

    def disturb(self, call: Call) -> Fault | None:
        """The first disturbance that strikes the request: a request suffers one of them at most."""
        with self._lock:
            for number, fault in self._due(call):
                if not isinstance(fault.effect, Change):
                    self._struck[number] += 1
                    return fault
        return None

    def change(self, call: Call, members: list[StoredMember]) -> tuple[list[StoredMember], tuple[Fault, ...]]:
        """The members to send, and the faults that changed them; one that finds nothing to change has not struck."""
        struck = []
        with self._lock:
            # Damage comes last: lines can only be taken from what can be read.
            for number, fault in sorted(self._due(call), key=lambda due: isinstance(due[1].effect, _Damage)):
                changed = _changed(fault, members)
                if changed != members:
                    self._struck[number] += 1
                    struck.append(fault)
                    members = changed
        return members, tuple(struck)

    def _due(self, call: Call) -> Iterator[tuple[int, Fault]]:
        for number, fault in enumerate(self.faults):
            if fault.fits(call) and (fault.times is None or self._struck[number] < fault.times):
                yield number, fault


def _changed(fault: Fault, members: list[StoredMember]) -> list[StoredMember]:
    if not isinstance(fault.effect, Change):
        return members
    touched = [member for member in members if fault.hour in (None, member.hour)]
    others = [member for member in members if fault.hour not in (None, member.hour)]
    return sorted([*others, *fault.effect.apply(touched)], key=lambda member: member.name)


def random_plan(rng: Random, hours: Sequence[datetime]) -> FaultPlan:
    """Draw three to six faults that pass, each after striking twice at most.

    A run that fails has used up a strike, so that a client that is run again has everything after a few runs, however
    little it retries. Hours change only within four hours of coming out, when a client cannot take them for final yet.
    Bodies that stall are left out: they would take as long as the client's patience.
    """
    return FaultPlan(*(rng.choice(_DRAWS)(rng, rng.choice(hours)) for _ in range(rng.randint(3, 6))))


def _draw_reply(rng: Random, hour: datetime) -> Fault:
    replies = (
        Reply(429, retry_after="0"),
        *(Reply(status) for status in (429, 500, 502, 503, 401, 403)),
        Reply(200, body=HTML_PAGE, content_type=HTML),
        Reply(200),
    )
    return Fault(rng.choice(replies), rng.randint(1, 2), rng.choice((hour, None)))


def _draw_too_large(rng: Random, _hour: datetime) -> Fault:
    return Fault(Reply(rng.choice((400, 504))), rng.randint(1, 2), longer_than=rng.choice((1, 5, 11)))


def _draw_delivery(rng: Random, hour: datetime) -> Fault:
    deliveries = (
        CutBody(_share(rng), "proper"),
        CutBody(_share(rng), "closed"),
        CutBody(_share(rng), "reset"),
        NoAnswer(),
        Drip(pieces=5, pause=0.01),
    )
    return Fault(rng.choice(deliveries), rng.randint(1, 2), rng.choice((hour, None)))


def _draw_damage(rng: Random, hour: datetime) -> Fault:
    return Fault(rng.choice((CutGzip(_share(rng)), BadGzipChecksum())), rng.randint(1, 2), rng.choice((hour, None)))


def _draw_late(rng: Random, hour: datetime) -> Fault:
    effect = rng.choice((LateHour(), LatePartition(), FewerLines(_share(rng))))
    late = timedelta(hours=rng.randint(1, _MOST_HOURS_LATE))
    return Fault(effect, rng.randint(1, 2), hour, until=hour + AVAILABLE_AFTER + late)


def _share(rng: Random) -> float:
    return round(rng.uniform(0, 0.99), 2)


_DRAWS: tuple[Callable[[Random, datetime], Fault], ...] = (
    _draw_reply,
    _draw_too_large,
    _draw_delivery,
    _draw_damage,
    _draw_late,
)
