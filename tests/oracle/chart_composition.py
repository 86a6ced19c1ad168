"""User compositions, computed in plain Python from Amplitude's pages: other-charts-user-composition.md."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from . import App
from .charts import DAY, Days, Happening, Words, as_group


def composition(
    spec: Mapping[str, Any], events_of: Mapping[App, Sequence[Happening]], days_of: Mapping[App, Days], words: Words
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a chart, by project, app, segment and value."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for app, days in days_of.items():
        first = max(days.first, spec.get("since", dt.date.min))
        last = min(days.last, spec.get("until", dt.date.max))
        shown = [first + number * DAY for number in range((last - first).days + 1)]
        complete = all(days.is_complete("day", day) for day in shown)
        events = events_of.get(app, [])
        owned = {
            segment: _owned(
                spec,
                [
                    event
                    for event in events
                    if event.is_active
                    and first <= event.date <= last
                    and (segment == "(all)" or words.segments[segment](event, events))
                ],
            )
            for segment in spec.get("segments", ["(all)"])
        }
        sizes = Counter(value for users in owned.values() for values in users.values() for value in values)
        kept = [value for value, _ in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))][
            : spec.get("top", 13)
        ]
        for segment, users in owned.items():
            counts = Counter(
                value for values in users.values() for value in {own if own in kept else "(other)" for own in values}
            )
            for value, count in counts.items():
                rows[(*app, segment, value)] = (count, count / len(users), complete)
    return rows


def _owned(spec: Mapping[str, Any], events: Sequence[Happening]) -> dict[int, set[str]]:
    """The values of each user who was active."""
    (name,), measure = spec["by"], spec.get("measure", "most_recent_value")
    found: defaultdict[int, list[Happening]] = defaultdict(list)
    for event in events:
        found[event.user].append(event)
    owned = {}
    for user, own in found.items():
        values = {as_group(event.values[name]) for event in own}
        if measure == "most_recent_value":
            values = {max((event.time, as_group(event.values[name])) for event in own)[1]}
        elif measure == "cross_property_values":
            values = {", ".join(sorted(values))}
        owned[user] = values
    return owned
