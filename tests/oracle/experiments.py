"""Who saw which variant of an experiment first, in plain Python (under-the-hood/en/event-tracking.md)."""

import datetime as dt
from collections import defaultdict
from typing import NamedTuple

from . import Truth

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
        properties = event.data["event_properties"]
        if event.event_type != "[Experiment] Exposure" or not isinstance(properties, dict):
            continue
        assert event.amplitude_id is not None
        assert event.event_time is not None
        assert event.event_date is not None
        app = event.project, event.app
        if properties["[Experiment] Variant"] and event.event_date <= truth.frontiers[app]:
            run = properties.get("[Experiment] Experiment Key") or NONE
            key = (*app, properties["[Experiment] Flag Key"], run, truth.canonical[*app, event.amplitude_id])
            exposure = event.event_time, event.uuid or "", properties["[Experiment] Variant"], event.event_date
            found[key].append(exposure)
    rows = []
    for key, own in found.items():
        time, _, variant, date = min(own)
        variants = len({each for _, _, each, _ in own})
        rows.append(Exposure(*key, variant, time, date, len(own), variants, variants > 1))
    return rows
