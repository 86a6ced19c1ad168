"""Who saw which variant of an experiment first, in plain Python (under-the-hood/en/event-tracking.md)."""

import datetime as dt
from collections import defaultdict
from typing import NamedTuple

from . import Event, Truth

NONE = "(none)"


class Exposure(NamedTuple):
    """A user of an experiment's run, or of a flag."""

    project: str
    app: int
    flag_key: str
    experiment_key: str
    canonical_amplitude_id: int
    variant: str
    first_exposed_at: dt.datetime
    first_exposed_on: dt.date
    exposures: int
    variants: int
    has_several_variants: bool


def exposures(truth: Truth) -> list[Exposure]:
    """The users with an exposure to a variant by the last day that charts show."""
    found: defaultdict[tuple[str, int, str, str, int], list[tuple[dt.datetime, str, str, dt.date]]] = defaultdict(list)
    for event in truth.events:
        key = _key(event, truth)
        if key and event.event_date <= truth.frontiers[event.project, event.app]:
            variant = event.data["event_properties"]["[Experiment] Variant"]
            found[key].append((event.event_time, event.uuid or "", variant, event.event_date))
    rows = []
    for key, own in found.items():
        time, _, variant, date = min(own)
        variants = len({each for _, _, each, _ in own})
        rows.append(Exposure(*key, variant, time, date, len(own), variants, variants > 1))
    return rows


def _key(event: Event, truth: Truth) -> tuple[str, int, str, str, int] | None:
    """Of the row that an event counts in; None if it is no exposure to a variant."""
    properties = event.data["event_properties"]
    if event.event_type != "[Experiment] Exposure" or not properties.get("[Experiment] Variant"):
        return None
    run = properties.get("[Experiment] Experiment Key") or NONE
    user = truth.canonical[event.project, event.app, event.amplitude_id]
    return event.project, event.app, properties["[Experiment] Flag Key"], run, user
