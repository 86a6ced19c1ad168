"""Whether Amplitude has as many events of a day as silver: what gold.proven_days says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..settings import HOUR, hours_between

PROOF_TABLE = "gold.proven_days"
DIFFERS, EQUAL = "differs", "equal"
# Causes for which rows are missing here: Amplitude's export may have them by now.
MENDED_BY_A_LOOK = ("late rows", "empty hours", "late copies")
# Days that are asked about by event type: each costs a request for each type.
MOST_DOUBTFUL = 3
EXPLAINED = ("zone", "deleted types", "erased persons")
# With each further look at a day come hours of upload that are further from its end.
HOURS_AFTER = (3, 24, 72)
QUERY = f"""
    SELECT project, event_date, verdict, likely_cause, ours, theirs, zone_offset_minutes, asked_at, day_starts_at,
        day_ends_at
    FROM {PROOF_TABLE}
    ORDER BY project, event_date
"""


@dataclass(frozen=True)
class ProofDay:
    """All events of a day, here and in Amplitude."""

    project: str
    day: date
    verdict: str
    cause: str | None
    ours: int
    theirs: int
    zone_offset_minutes: int | None
    asked_at: datetime
    starts_at: datetime
    ends_at: datetime
    """In UTC, as all times."""


def read_proof(pipeline: dlt.Pipeline) -> list[ProofDay]:
    """Read the verdict on each day; nothing where gold is not built yet."""
    if pipeline.destination.destination_name == "filesystem" or not pipeline.default_schema_name:
        return []
    try:
        with pipeline.sql_client() as client, client.execute_query(QUERY) as cursor:
            return [ProofDay(*row) for row in cursor.fetchall()]
    except DatabaseUndefinedRelation:
        return []


def doubtful_days(days: Iterable[ProofDay], project: str) -> list[date]:
    """Return the newest days of a project that differ for a reason that event types may show."""
    own = [day for day in days if day.project == project and day.verdict == DIFFERS and day.cause not in EXPLAINED]
    return sorted(day.day for day in own)[-MOST_DOUBTFUL:]


@dataclass(frozen=True)
class Looks:
    """The hours to look at again because a day has too few events, and how often each day was looked at."""

    hours: frozenset[datetime] = frozenset()
    state: Mapping[str, Mapping[str, Any]] | None = None
    """By day; kept in the state of dlt's resource."""


def looks_at(days: Iterable[ProofDay], state: Mapping[str, Mapping[str, Any]], budget: int) -> Looks:
    """Choose the hours to look at again.

    A day is looked at once for each answer of Amplitude's that differs, and as often as `HOURS_AFTER` has entries.

    Args:
        days: of one project.
        state: how often each day was looked at before.
        budget: of hours.
    """
    hours: set[datetime] = set()
    looked = {day: dict(look) for day, look in state.items()}
    for day in days:
        look = looked.get(f"{day.day}", {"times": 0, "asked_at": ""})
        is_known = day.asked_at.isoformat() <= look["asked_at"] or look["times"] >= len(HOURS_AFTER)
        if day.verdict != DIFFERS or day.cause not in MENDED_BY_A_LOOK or is_known:
            continue
        first = day.starts_at.replace(minute=0, second=0, microsecond=0)
        of_day = set(hours_between(first, day.ends_at + HOURS_AFTER[look["times"]] * HOUR - timedelta(seconds=1)))
        if len(hours | of_day) > budget:
            continue
        hours |= of_day
        looked[f"{day.day}"] = {"times": look["times"] + 1, "asked_at": day.asked_at.isoformat()}
    known = {f"{day.day}" for day in days}
    return Looks(frozenset(hours), {day: look for day, look in looked.items() if day in known})
