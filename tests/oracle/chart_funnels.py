"""Funnel charts in plain Python, from Amplitude's pages: all ways that a user may have taken are tried.

funnel-analysis-build.md, -interpret.md, -how-amplitude-computes.md, -how-amplitude-computes-conversions.md,
-how-amplitude-handles-simultaneous-events.md, -hold-properties-constant.md, and the FAQ on funnel analysis.
"""

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Any, NamedTuple, TypeAlias

from . import App
from .charts import DAY, HOUR, Days, Happening, Period, Words, as_group, divided, name_of, takes

SECOND = dt.timedelta(seconds=1)
UNITS = {"second": SECOND, "minute": 60 * SECOND, "hour": HOUR, "day": DAY, "week": 7 * DAY}
AUTOMATIC = (1, 10, 60, 600, 3600, 86_400)
SPECIAL = {"_all", "_active", "_new"}
Times: TypeAlias = tuple[dt.datetime, ...]
Rows: TypeAlias = dict[tuple[Any, ...], tuple[Any, ...]]


class Way(NamedTuple):
    """A user's way through the funnel."""

    entry: Happening
    reached: Times
    """When each step and those before it were done."""

    @property
    def rank(self) -> tuple[Any, ...]:
        """The longest comes first, then the one that begins first, then the one that is over first."""
        return -len(self.reached), self.entry.time, self.entry.uuid, self.reached[::-1]


@dataclass(frozen=True)
class Funnel:
    """A chart's rules.

    Args:
        spec: the chart as its file has it.
        words: what its words mean.
        exclusive: pairs of conditions that no event meets both.
    """

    spec: Mapping[str, Any]
    words: Words
    exclusive: Sequence[tuple[str, str]]

    @property
    def steps(self) -> list[Mapping[str, str]]:
        return list(self.spec["steps"])

    @property
    def window(self) -> dt.timedelta:
        return length(self.spec.get("within", "1 day"))

    def may_be_one(self, one: int, other: int) -> bool:
        """Whether an event of a step may be one of another step."""
        for own in self._types(self.steps[one]):
            for theirs in self._types(self.steps[other]):
                same = own[0] == theirs[0] or {own[0], theirs[0]} & SPECIAL
                conditions = {(a, b) for a in own[1:] for b in theirs[1:]}
                if same and not any(pair in conditions or pair[::-1] in conditions for pair in self.exclusive):
                    return True
        return False

    def _types(self, part: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
        for own in self.words.events.get(part["event"], [{"event": part["event"]}]):
            yield (own["event"], *(each["where"] for each in (own, part) if "where" in each))

    def ends(self, event: Happening, step: int) -> bool:
        """Whether an event must not come between a step and the next."""
        if self.spec.get("order") == "exact" and event.is_active:
            return True
        for each in self.spec.get("exclude", []):
            first, last = each.get("between", (1, len(self.steps)))
            if first - 1 <= step < last - 1 and takes(each, event, self.words):
                return True
        return False

    def ways(self, entry: Happening, events: Sequence[Happening]) -> Iterator[Times]:
        """All ways of one who is counted that begin with an event, also those that end before the last step."""
        own = [[event.time for event in events if takes(step, event, self.words)] for step in self.steps]
        ends = [[event.time for event in events if self.ends(event, step)] for step in range(len(own))]
        ways: set[Times] = {(entry.time,)}
        for step, times in enumerate(own):
            yield from ways
            if step:
                ways = {(*way, time) for way in ways for time in times if self._may_follow(way, time, ends[step - 1])}
                yield from ways

    def _may_follow(self, way: Times, time: dt.datetime, ends: Sequence[dt.datetime]) -> bool:
        step = len(way)
        if self.spec.get("order") == "any":
            first, last = min(*way, time), max(*way, time)
            return last - first <= self.window and not any(first + SECOND < end < last - SECOND for end in ends)
        return (
            time <= way[0] + self.window
            and all(
                time > earlier + SECOND if self.may_be_one(number, step) else time >= earlier - SECOND
                for number, earlier in enumerate(way)
            )
            and not any(max(way) + SECOND < end < time - SECOND for end in ends)
        )


def length(text: str) -> dt.timedelta:
    number, unit = text.split()
    return int(number) * UNITS[unit.removesuffix("s")]


def funnel(
    spec: Mapping[str, Any],
    events_of: Mapping[App, Sequence[Happening]],
    days_of: Mapping[App, Days],
    words: Words,
    exclusive: Sequence[tuple[str, str]] = (),
) -> Rows:
    """The rows of a chart, by project, app, segment, values, and step or bucket."""
    rows: Rows = {}
    for app, days in days_of.items():
        best = _best(Funnel(spec, words, exclusive), events_of.get(app, []), days)
        show = {"time_to_convert": _time_to_convert, "conversion_over_time": _over_time}.get(spec.get("show", ""), _all)
        rows |= {(*app, *key): row for key, row in show(spec, best, days).items()}
    return rows


Line: TypeAlias = tuple[str, ...]
Best: TypeAlias = dict[Line, list[Way]]


def _best(rules: Funnel, events: Sequence[Happening], days: Days) -> Best:
    """The way that counts of each who is counted, and in conversion over time of each interval, by segment and values.

    A filter of a segment comes before the choice of the way, and values of `by` after it
    (how-amplitude-computes-conversions.md, note on filters and group-bys).
    """
    spec = rules.spec
    counted: defaultdict[tuple[Any, ...], list[Happening]] = defaultdict(list)
    for event in events:
        held = tuple(event.values[name] for name in spec.get("hold_constant", []))
        if None not in held:
            counted[event.user, *held].append(event)
    best: Best = {} if spec.get("by") else {(segment,): [] for segment in spec.get("segments", ["(all)"])}
    is_over_time = spec.get("show") == "conversion_over_time"
    for own in counted.values():
        ways: defaultdict[tuple[str, Period | None], list[Way]] = defaultdict(list)
        for entry in own:
            start = days.start_of(spec.get("interval", "day"), entry.date)
            if start not in _starts(spec, days) or not takes(rules.steps[0], entry, rules.words):
                continue
            longest = min(
                (Way(entry, tuple(accumulate(times, max))) for times in rules.ways(entry, own)),
                key=lambda way: way.rank,
            )
            for segment in spec.get("segments", ["(all)"]):
                if segment == "(all)" or rules.words.segments[segment](entry, events):
                    ways[segment, start if is_over_time else None].append(longest)
        for (segment, _), found in ways.items():
            way = min(found, key=lambda way: way.rank)
            line = (segment, *(as_group(way.entry.values[name]) for name in spec.get("by", [])))
            best.setdefault(line, []).append(way)
    return best


def _starts(spec: Mapping[str, Any], days: Days) -> list[Period]:
    """The intervals in which users may enter."""
    unit, until, since = spec.get("interval", "day"), spec.get("until", dt.date.max), spec.get("since", dt.date.min)
    return [
        start
        for start in days.starts(unit)
        if days.date_of(unit, start, last=False) <= until and days.date_of(unit, start, last=True) >= since
    ]


def _is_over(spec: Mapping[str, Any], days: Days, start: Period) -> bool:
    """Whether the export has all of an interval, and of the conversion windows that begin in it."""
    unit = spec.get("interval", "day")
    end = days.midnight(days.date_of(unit, start, last=True) + DAY)
    return days.is_complete(unit, start) and end + length(spec.get("within", "1 day")) <= days.span[1] + HOUR


def _all(spec: Mapping[str, Any], best: Best, days: Days) -> Rows:
    starts = _starts(spec, days)
    if not starts:
        return {}
    is_over = all(_is_over(spec, days, start) for start in starts)
    return {(*line, step): (*row, is_over) for line, ways in best.items() for step, row in _steps(spec, ways)}


def _over_time(spec: Mapping[str, Any], best: Best, days: Days) -> Rows:
    rows: Rows = {}
    unit = spec.get("interval", "day")
    for line, ways in best.items():
        for start in _starts(spec, days):
            own = [way for way in ways if days.start_of(unit, way.entry.date) == start]
            is_over = _is_over(spec, days, start)
            rows |= {(*line, step, start): (*row, is_over) for step, row in _steps(spec, own)}
    return rows


def _steps(spec: Mapping[str, Any], ways: Sequence[Way]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Each step with its users, their shares, and the median and average of their seconds."""
    before = len(ways)
    for number, part in enumerate(spec["steps"]):
        own = [way.reached for way in ways if len(way.reached) > number]
        statistics: list[float | None] = [None] * 4
        if number and own:
            took = [[(way[number] - way[place]).total_seconds() for way in own] for place in (number - 1, 0)]
            statistics = [value for seconds in took for value in (median(seconds), math.fsum(seconds) / len(seconds))]
        shares = (divided(len(own), len(ways)), divided(len(own), before) if number else None)
        yield number + 1, (name_of(part), len(own), *shares, *statistics)
        before = len(own)


def _time_to_convert(spec: Mapping[str, Any], best: Best, days: Days) -> Rows:
    last, window = len(spec["steps"]), length(spec.get("within", "1 day")).total_seconds()
    size = next(size for size in AUTOMATIC if window // size < 1000)
    if "bucket" in spec:
        size = int(length(spec["bucket"]).total_seconds())
    pairs = {*((step - 1, step) for step in range(2, last + 1)), (1, last)}
    counts = {
        (line, pair): Counter(
            (way.reached[pair[1] - 1] - way.reached[pair[0] - 1]) // (size * SECOND)
            for way in ways
            if len(way.reached) >= pair[1]
        )
        for line, ways in best.items()
        for pair in pairs
    }
    top = max((bucket for found in counts.values() for bucket in found), default=0)
    is_over = all(_is_over(spec, days, start) for start in _starts(spec, days))
    return {
        (*line, *pair, bucket * size): (found[bucket], found[bucket] / found.total(), is_over)
        for (line, pair), found in counts.items()
        if found
        for bucket in range(top + 1)
    }
