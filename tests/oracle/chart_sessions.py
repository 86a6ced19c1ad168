"""User sessions charts in plain Python: user-sessions-track-engagement-frequency.md, user-sessions-interpret.md.

A session is a user's events with one session id, of types that are neither inactive nor deleted (session-length.md). It
is dated by its start (instrument-track-sessions.md).
"""

import datetime as dt
import math
from bisect import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from . import App
from .charts import Days, Happening, Period, Rows, Time, Words, as_group, divided, median, takes

Line: TypeAlias = tuple[str, ...]
"""The segment and the values of `by`."""
DEFAULT_BUCKETS = {
    "length_distribution": [0, 3, 10, 30, 60, 180, 600, 1800, 3600],
    "event_distribution": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
}


class Session(NamedTuple):
    seconds: float
    times: int


def sessions(
    spec: Mapping[str, Any],
    events_of: Mapping[App, Sequence[Happening]],
    before_of: Mapping[App, Sequence[Happening]],
    days_of: Mapping[App, Days],
    words: Words,
) -> Rows:
    """The rows of a chart, by project, app, segment, values, interval and, of a distribution, bucket."""
    rows: Rows = {}
    for app, days in days_of.items():
        time = Time(spec, days)
        starts = days.starts(time.unit)
        events = events_of.get(app, [])
        found: defaultdict[Line, defaultdict[Period, list[Session]]] = defaultdict(lambda: defaultdict(list))
        active: defaultdict[tuple[Line, Period], set[int]] = defaultdict(set)
        own: defaultdict[tuple[Line, Any], list[Happening]] = defaultdict(list)
        for event in [*before_of.get(app, []), *events]:
            for segment in spec.get("segments", ["(all)"]):
                if segment == "(all)" or words.segments[segment](event, events):
                    line = (segment, *(as_group(event.values[name]) for name in spec.get("by", [])))
                    if event.is_in_session:
                        own[line, (event.user, event.session)].append(event)
                    if event.is_active and event.date >= days.first:
                        active[line, _period(event, time, days)].add(event.user)
        for (line, _), of_session in own.items():
            first = min(of_session, key=lambda event: event.time)
            period = _period(first, time, days)
            session = _session(spec, of_session, time, words)
            is_shown = first.date >= days.first and days.date_of(time.unit, period, last=False) <= spec.get(
                "until", dt.date.max
            )
            if session and is_shown and period in starts:
                found[line][period].append(session)
        lines = [*found] if spec.get("by") else [(segment,) for segment in spec.get("segments", ["(all)"])]
        for line in lines:
            for period in time.shown:
                for key, value in _values(spec, found[line][period], len(active[line, period])).items():
                    rows[(*app, *line, period, *key)] = (value, days.is_complete(time.unit, period))
    return rows


def _period(event: Happening, time: Time, days: Days) -> Period:
    return event.hour if time.unit == "hour" else days.start_of(time.unit, event.date)


def _session(spec: Mapping[str, Any], events: Sequence[Happening], time: Time, words: Words) -> Session | None:
    """The session that some events make up, if the chart counts it."""
    clock = [event.client_time for event in events]
    length = max(clock) - min(clock)
    if length > dt.timedelta(days=1) or length.total_seconds() < spec.get("min_seconds", 0):
        return None
    asked = [event._replace(is_first_day=time.is_new(event)) for event in events]
    if "contains" in spec and not any(takes(spec["contains"], event, words) for event in asked):
        return None
    times = sum(takes(spec["event"], event, words) for event in asked) if "event" in spec else 0
    return Session(length.total_seconds(), times)


def _values(
    spec: Mapping[str, Any], found: Sequence[Session], active_users: int
) -> dict[tuple[int, ...], float | None]:
    """What a point shows, by its bucket if it has any."""
    measure = spec.get("measure", "total_sessions")
    seconds = [session.seconds for session in found]
    if measure in DEFAULT_BUCKETS:
        starts = spec.get("buckets", DEFAULT_BUCKETS[measure])
        amounts = seconds if measure == "length_distribution" else [session.times for session in found]
        places = [bisect(starts, amount) - 1 for amount in amounts]
        return {(start,): places.count(place) for place, start in enumerate(starts)}
    times = sum(session.times for session in found)
    value: dict[str, float | None] = {
        "total_sessions": len(found),
        "average_per_user": divided(len(found), active_users),
        "time_spent": math.fsum(seconds),
        "time_spent_per_user": divided(math.fsum(seconds), active_users),
        "average_length": divided(math.fsum(seconds), len(seconds)),
        "median_length": median(seconds),
        "total_events": times,
        "average_events": divided(times, len(found)),
    }
    return {(): value[measure]}
