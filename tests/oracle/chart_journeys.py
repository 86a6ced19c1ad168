"""Journeys charts in plain Python: journeys-understand-paths.md, journeys-understand-visualizations.md."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeAlias

from . import App
from .charts import Days, Happening, Words, as_group, takes

Line: TypeAlias = tuple[str, ...]
"""The segment and the values of `by`."""
Path: TypeAlias = tuple[str, ...]
"""The names of events, from that of the first step on."""
Node: TypeAlias = tuple[str, bool, Happening]
"""The name of an event, and whether paths begin or end with it."""
ENDS = {"from": "(dropped off)", "to": "(did not perform an event)"}


def journeys(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment, values, step and path."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for app, days in days_of.items():
        is_complete = all(
            days.is_complete("day", day)
            for day in days.starts("day")
            if spec.get("since", dt.date.min) <= day <= spec.get("until", dt.date.max)
        )
        for line, paths in _paths(spec, events_of.get(app, []), words).items():
            named = [*_named(spec, paths)]
            for step in range(1, spec.get("steps", 5) + 1):
                counts = Counter(path[:step] for path in named if len(path) >= step)
                for path, count in counts.items():
                    before, last = (None, *path)[-2:]
                    names = [name.replace(">", ">>") for name in path]
                    ends = (before, last) if "from" in spec else (last, before)
                    text = " > ".join(names if "from" in spec else reversed(names))
                    rows[(*app, *line, step, text)] = (*ends, count, count / len(named), is_complete)
    return rows


def _paths(spec: Mapping[str, Any], events: Sequence[Happening], words: Words) -> Mapping[Line, list[Path]]:
    """The paths that count, those that end early with what stands for it."""
    found: defaultdict[Line, list[Path]] = defaultdict(list)
    for segment in spec.get("segments", ["(all)"]):
        own = [event for event in events if segment == "(all)" or words.segments[segment](event, events)]
        streams: defaultdict[Any, list[Happening]] = defaultdict(list)
        for event in sorted(own, key=lambda event: (event.time, event.uuid)):
            if spec.get("since", dt.date.min) <= event.date <= spec.get("until", dt.date.max):
                # What is counted may be no user: one session has events of several companies, say.
                session = () if _window(spec) else event.session
                if session is not None:  # else it is out of session
                    streams[event.user, session].append(event)
        first: dict[tuple[Line, int], tuple[Any, Path]] = {}
        for stream in streams.values():
            for event, path in _of_stream(spec, stream, words):
                line = (segment, *(as_group(event.values[name]) for name in spec.get("by", [])))
                if spec.get("measure") == "totals":
                    found[line].append(path)
                else:
                    mine = (event.time, event.uuid), path
                    first[line, event.user] = min(first.get((line, event.user), mine), mine)
        for (line, _), (_, path) in first.items():
            found[line].append(path)
    return found


def _window(spec: Mapping[str, Any]) -> dt.timedelta | None:
    if spec.get("within", "session") == "session":
        return None
    number, unit = spec["within"].split()
    return int(number) * dt.timedelta(**{unit.rstrip("s") + "s": 1})


def _of_stream(spec: Mapping[str, Any], stream: Sequence[Happening], words: Words) -> Iterator[tuple[Happening, Path]]:
    """Each path of a session, or of a user."""
    window = _window(spec)
    nodes: list[Node] = [node for event in stream if (node := _node(spec, event, words))]
    if spec.get("collapse_repeats"):
        nodes = [
            node for before, node in zip([None, *nodes], nodes, strict=False) if not _repeats(node, before, window)
        ]
    for place, (_, is_anchor, event) in enumerate(nodes):
        if is_anchor:
            rest = nodes[place:] if "from" in spec else nodes[place::-1]
            # It is used up before the next event.
            near = takewhile(lambda node: window is None or abs(node[2].time - event.time) <= window, rest)  # noqa: B023 - read at once
            names = [name for name, _, _ in near][: spec.get("steps", 5)]
            yield event, (*names, *[ENDS["from" if "from" in spec else "to"]] * (len(names) < spec.get("steps", 5)))


def _node(spec: Mapping[str, Any], event: Happening, words: Words) -> Node | None:
    """An event as part of paths, if it is one."""
    anchor = spec.get("from") or spec["to"]
    is_anchor = takes(anchor, event, words)
    shown = event.is_active if _window(spec) else event.is_in_session
    if "events" in spec:
        shown = any(takes(part, event, words) for part in spec["events"])
    if any(takes(part, event, words) for part in spec.get("exclude", [])):
        shown = False
    if not shown and not is_anchor:
        return None
    own = [part for part in (anchor, *spec.get("events", [])) if part["event"] in words.events]
    name = next((part["event"] for part in own if takes(part, event, words)), event.type or "(none)")
    return name, is_anchor, event


def _repeats(node: Node, before: Node | None, window: dt.timedelta | None) -> bool:
    if before is None or node[:2] != before[:2]:
        return False
    return window is None or node[2].time - before[2].time <= window


def _named(spec: Mapping[str, Any], paths: Sequence[Path]) -> Iterator[Path]:
    """The paths, with one name for the rare events of each step."""
    kept = []
    for step in range(spec.get("steps", 5)):
        sizes = Counter(path[step] for path in paths if len(path) > step and path[step] not in ENDS.values())
        common = sorted(sizes, key=lambda name: (-sizes[name], name))[: spec.get("top", 5)]
        kept.append({*common, *ENDS.values()})
    for path in paths:
        yield tuple(name if name in kept[step] else "(other)" for step, name in enumerate(path))
