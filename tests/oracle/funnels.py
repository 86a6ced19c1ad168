"""Funnels in plain Python: see oracle.py, whose truth this is built on.

The rules are those of Amplitude's pages under funnel-analysis: how Amplitude computes funnels, how it computes
conversions, how it handles simultaneous events. A condition on all events of a path says which paths there are, and
each step of each entry tries all events of the user. `exhaustive_way` tries all choices of events, which only a handful
of events allows.
"""

import csv
import datetime as dt
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, product
from statistics import median
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import oracle
from oracle import Event, User
from oracle.people import moment, properties_of, typed_text

ANY, EXACT = "any", "exact"
SECOND, MICROSECOND = dt.timedelta(seconds=1), dt.timedelta(microseconds=1)

Segment: TypeAlias = tuple[str, str]  # breakdown, segment
Path: TypeAlias = tuple["Doing", ...]


@dataclass(frozen=True)
class Step:
    event_type: str
    property_filter: str
    """property=value, empty for none."""

    def excludes(self, other: "Step") -> bool:
        """Whether the filters ask one property for two values, so that Amplitude can tell events of one type apart."""
        name, _, value = self.property_filter.partition("=")
        other_name, _, other_value = other.property_filter.partition("=")
        return "" not in (name, other_name) and name == other_name and value != other_value


@dataclass(frozen=True)
class Funnel:
    name: str
    steps: tuple[Step, ...]
    order: str
    window: dt.timedelta


class Doing(NamedTuple):
    """An event and what it may do; these compare by time, then uuid."""

    time: dt.datetime
    uuid: str
    steps: frozenset[int]
    """Of a funnel, from 0."""


class FunnelEvent(NamedTuple):
    project: str
    app: int
    funnel: str
    step: int
    uuid: str | None
    export_hour: dt.datetime
    amplitude_id: int  # the raw one
    event_time: dt.datetime | None
    event_date: dt.date | None
    platform: str | None
    country: str | None


class FunnelPath(NamedTuple):
    project: str
    app: int
    amplitude_id: int  # the canonical one
    funnel: str
    entry_uuid: str
    entry_date: dt.date
    platform: str | None
    country: str | None
    entered_at: dt.datetime
    step: int
    reached_at: dt.datetime
    is_best: bool
    is_best_of_platform: bool
    is_best_of_country: bool

    def segments(self) -> list[Segment]:
        """Those in which it counts."""
        places = [("all", "(all)"), ("platform", self.platform or "(none)"), ("country", self.country or "(none)")]
        return [*compress(places, (self.is_best, self.is_best_of_platform, self.is_best_of_country))]


class FunnelUsers(NamedTuple):
    project: str
    app: int
    funnel: str
    breakdown: str
    segment: str
    entry_date: dt.date
    step: int
    event_type: str
    users: int
    entered_users: int
    conversion_from_start: float
    conversion_from_previous: float | None
    median_seconds: float | None
    average_seconds: float | None
    is_complete: bool


def tables(truth: oracle.Truth, charts: oracle.Charts) -> dict[str, tuple[type, list[tuple[object, ...]]]]:
    """By model, the type of its rows and the rows."""
    funnels = read_funnels(charts.funnels)
    paths = [*find_paths(truth, funnels)]
    return {
        "silver.funnel_events": (FunnelEvent, [*find_funnel_events(truth, funnels)]),
        "silver.funnel_paths": (FunnelPath, [*paths]),
        "gold.funnels": (FunnelUsers, [*find_users(truth, funnels, paths, ZoneInfo(charts.timezone))]),
    }


def read_funnels(text: str) -> list[Funnel]:
    """The funnels that the text of a CSV file defines."""
    rows: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text)):
        rows[row["funnel"]].append(row)
    return [
        Funnel(
            name,
            tuple(
                Step(row["event_type"], row["property_filter"]) for row in sorted(own, key=lambda row: int(row["step"]))
            ),
            own[0]["step_order"],
            dt.timedelta(seconds=round(float(own[0]["window_hours"]) * 3600)),
        )
        for name, own in rows.items()
    ]


def does(step: Step, event: Event) -> bool:
    """Whether the event has the type of the step, and its property with its value among those that a query sees."""
    if event.event_type != step.event_type or not step.property_filter:
        return event.event_type == step.event_type
    return any(
        f"{name}={text}" == step.property_filter
        for property_, value in properties_of(event, "event_properties")
        for name, text in query_values(property_, value)
    )


def query_values(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A value as charts show it: split if it is an array, by keys after a dot if it is an object, True for true."""
    _, text = typed_text(value)
    if text is not None:
        yield name, text
    if isinstance(value, bool):
        yield name, str(value)
    for item in value if isinstance(value, list) else []:
        yield from query_values(name, item)
    for key, item in value.items() if isinstance(value, dict) else []:
        yield from query_values(f"{name}.{key}", item)


def find_funnel_events(truth: oracle.Truth, funnels: Iterable[Funnel]) -> Iterator[FunnelEvent]:
    for event in truth.events:
        for funnel in funnels:
            for number, step in enumerate(funnel.steps, 1):
                if event.amplitude_id is not None and does(step, event):
                    yield FunnelEvent(
                        project=event.project,
                        app=event.app,
                        funnel=funnel.name,
                        step=number,
                        uuid=event.uuid,
                        export_hour=event.export_hour,
                        amplitude_id=event.amplitude_id,
                        event_time=event.event_time,
                        event_date=event.event_date,
                        platform=oracle.read_text(event.data, "platform"),
                        country=oracle.read_text(event.data, "country"),
                    )


def find_paths(truth: oracle.Truth, funnels: Sequence[Funnel]) -> Iterator[FunnelPath]:
    """The steps of the paths of each user, funnel and day of entry that are the best of the day or of a segment."""
    for user, events in shown_events(truth).items():
        active = sorted(moment(event)[0] for event in events if event.is_active)
        for funnel in funnels:
            yield from paths_of(user, events, active, funnel)


def shown_events(truth: oracle.Truth) -> dict[User, list[Event]]:
    """Each merged user's events on days that charts show."""
    users: defaultdict[User, list[Event]] = defaultdict(list)
    for event in truth.events:
        if event.amplitude_id is None or event.event_date is None:
            continue
        if truth.shows((event.project, event.app), event.event_date):
            canonical = truth.canonical[event.project, event.app, event.amplitude_id]
            users[event.project, event.app, canonical].append(event)
    return users


def paths_of(
    user: User, events: Iterable[Event], active: Sequence[dt.datetime], funnel: Funnel
) -> Iterator[FunnelPath]:
    own = {
        Doing(*moment(event), steps): event
        for event in events
        if (steps := frozenset(number for number, step in enumerate(funnel.steps) if does(step, event)))
    }
    doings = sorted(own)
    best: dict[tuple[object, ...], Doing] = {}
    reached = {entry: reached_at(entry, doings, active, funnel) for entry in doings if 0 in entry.steps}
    for entry in sorted(reached, key=lambda entry: (-len(reached[entry]), entry)):
        for contest in contests(own[entry]):
            best.setdefault(contest, entry)
    for entry in set(best.values()):
        event = own[entry]
        assert event.event_date is not None
        is_best, is_best_of_platform, is_best_of_country = (best[contest] == entry for contest in contests(event))
        for number, time in enumerate(reached[entry], 1):
            yield FunnelPath(
                *user,
                funnel=funnel.name,
                entry_uuid=entry.uuid,
                entry_date=event.event_date,
                platform=oracle.read_text(event.data, "platform"),
                country=oracle.read_text(event.data, "country"),
                entered_at=entry.time,
                step=number,
                reached_at=time,
                is_best=is_best,
                is_best_of_platform=is_best_of_platform,
                is_best_of_country=is_best_of_country,
            )


def contests(entry: Event) -> list[tuple[object, ...]]:
    """What an entry may be the best of: its day, and the day on its platform and in its country."""
    return [
        ("day", entry.event_date),
        *((name, entry.event_date, oracle.read_text(entry.data, name)) for name in ("platform", "country")),
    ]


def reached_at(
    entry: Doing, doings: Sequence[Doing], active: Sequence[dt.datetime], funnel: Funnel
) -> list[dt.datetime]:
    """When each step that the entry's path comes to is reached."""
    if funnel.order == ANY:
        return path_in_any_order(entry, doings, funnel)
    find = path_in_exact_order if funnel.order == EXACT else path_in_order
    return times(find((entry,), doings, active, funnel))


def times(path: Path) -> list[dt.datetime]:
    """For each event of a path the time when all up to it had happened, by its first event's in the funnel."""
    return [max(event.time for event in path[: number + 1]) for number in range(len(path))]


def path_in_order(path: Path, doings: Sequence[Doing], _active: Sequence[dt.datetime], funnel: Funnel) -> Path:
    """The path with the earliest event that may follow for one step after the other."""
    following = [event for event in doings if may_follow(event, path, funnel)]
    return path_in_order((*path, min(following)), doings, _active, funnel) if following else path


def path_in_exact_order(path: Path, doings: Sequence[Doing], active: Sequence[dt.datetime], funnel: Funnel) -> Path:
    """The longest of all paths that begin with this one, of these the earliest."""
    following = [
        event for event in doings if may_follow(event, path, funnel) and not is_interrupted(path, event, active)
    ]
    ways = [path_in_exact_order((*path, event), doings, active, funnel) for event in following]
    return min([path, *ways], key=lambda way: (-len(way), times(way), way))


def may_follow(event: Doing, path: Path, funnel: Funnel) -> bool:
    """Whether an event does the next step, is soon enough, and in order with every event of the path."""
    number = len(path)
    if number not in event.steps or event.time > path[0].time + funnel.window:
        return False
    step, before = funnel.steps[number], funnel.steps[:number]
    is_told_apart = any(other.event_type == step.event_type and step.excludes(other) for other in before)
    if is_told_apart and event[:2] <= max(path)[:2]:
        return False
    return all(
        event.time > earlier.time + SECOND  # else Amplitude takes both for one
        if other.event_type == step.event_type and not step.excludes(other)
        else event.time >= earlier.time - SECOND
        for earlier, other in zip(path, before, strict=True)
    )


def is_interrupted(path: Path, event: Doing, active: Iterable[dt.datetime]) -> bool:
    """Whether an active event lies between the path and the event, within a second of neither."""
    return any(times(path)[-1] + SECOND < time < event.time - SECOND for time in active)


def path_in_any_order(entry: Doing, doings: Sequence[Doing], funnel: Funnel) -> list[dt.datetime]:
    """The soonest of the longest ways through the steps, over all windows with the entry that begin with an event."""
    starts = [event.time for event in doings if entry.time - funnel.window <= event.time <= entry.time]
    ways = [
        way_in_window(entry, [event for event in doings if start <= event.time <= start + funnel.window], funnel)
        for start in starts
    ]
    return min(ways, key=lambda way: (-len(way), way))


def way_in_window(entry: Doing, doings: Iterable[Doing], funnel: Funnel) -> list[dt.datetime]:
    way = [entry.time]
    for number in range(1, len(funnel.steps)):
        done = [max(event.time, way[-1]) for event in doings if number in event.steps]
        if not done:
            break
        way.append(min(done))
    return way


def exhaustive_way(
    entry: Doing, doings: Sequence[Doing], active: Sequence[dt.datetime], funnel: Funnel
) -> list[dt.datetime]:
    """The same as `reached_at`, from all choices of an event a step: the furthest of them, and of these the soonest."""
    ways = []
    for length in range(1, len(funnel.steps) + 1):
        choices = [[event for event in doings if number in event.steps] for number in range(1, length)]
        ways += [times(path) for rest in product(*choices) if is_path(path := (entry, *rest), active, funnel)]
    return min(ways, key=lambda way: (-len(way), way))


def is_path(path: Path, active: Sequence[dt.datetime], funnel: Funnel) -> bool:
    """Whether its events are within one window and, if it matters, different ones, in order and uninterrupted."""
    if funnel.order == ANY:
        return max(path).time <= min(path).time + funnel.window
    return len(set(path)) == len(path) and all(
        may_follow(path[number], path[:number], funnel)
        and not (funnel.order == EXACT and is_interrupted(path[:number], path[number], active))
        for number in range(1, len(path))
    )


def find_users(
    truth: oracle.Truth, funnels: Iterable[Funnel], paths: Iterable[FunnelPath], zone: ZoneInfo
) -> Iterator[FunnelUsers]:
    """Users and seconds of each step of each funnel, segment and day with entries."""
    taken: defaultdict[tuple[str, int, str, str, str, dt.date], defaultdict[int, list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for path in paths:
        for segment in path.segments():
            key = path.project, path.app, path.funnel, *segment, path.entry_date
            taken[key][path.step].append((path.reached_at - path.entered_at) // MICROSECOND)
    by_name = {funnel.name: funnel for funnel in funnels}
    for key, by_step in taken.items():
        funnel, end = by_name[key[2]], truth.reached[key[:2]] + dt.timedelta(hours=1)
        for number, step in enumerate(funnel.steps, 1):
            own, before = by_step[number], len(by_step[number - 1])
            yield FunnelUsers(
                *key,
                step=number,
                event_type=step.event_type,
                users=len(own),
                entered_users=len(by_step[1]),
                conversion_from_start=len(own) / len(by_step[1]),
                conversion_from_previous=len(own) / before if before else None,
                median_seconds=median(own) / 1_000_000 if own else None,
                average_seconds=sum(own) / len(own) / 1_000_000 if own else None,
                is_complete=oracle.date_in(zone, end - funnel.window) > key[-1],
            )
