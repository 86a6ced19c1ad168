"""What silver and gold hold of bronze: hours that they took in, must take in again, or wait for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..settings import HOUR
from .ledger import Ledger, LedgerRow, retired_from

TAKEN_TABLE = "gold.export_hours_taken"


@dataclass(frozen=True)
class TakenHour:
    """One hour of a project as silver and gold hold it."""

    sha256: str | None
    """Of its files, as in the ledger; None for an hour without data."""
    revision: int
    """The ledger's number of its content, which goes up where the same files give other rows, too."""
    is_certain: bool
    """False if a load replaced the hour while models ran: some may have seen the old content."""


Taken = Mapping[tuple[str, datetime], TakenHour]
"""By project and hour. It is empty until SQLMesh has built silver and gold for the first time."""


def read_taken(pipeline: dlt.Pipeline) -> Taken:
    """Read what production's silver and gold hold; nothing where they are not built, as for a lake of files."""
    if pipeline.destination.destination_name == "filesystem" or not pipeline.default_schema_name:
        return {}
    query = f"SELECT project, export_hour, sha256, revision, load_id IS NOT NULL FROM {TAKEN_TABLE}"
    try:
        with pipeline.sql_client() as client, client.execute_query(query) as cursor:
            rows = cursor.fetchall()
    except DatabaseUndefinedRelation:
        return {}
    return {(project, hour): TakenHour(*content) for project, hour, *content in rows}


@dataclass(frozen=True)
class Restatement:
    """A run of neighbouring hours that silver and gold hold otherwise than bronze."""

    first: datetime
    last: datetime
    since: datetime
    """When the last of them changed."""


def restatements(ledgers: Mapping[str, Ledger], taken: Taken) -> list[Restatement]:
    """List what silver and gold have to take in again.

    These are the hours that changed after silver took them in, those of a project that joined when silver was past
    them, and those that are no longer in the ledger because the project has another name.
    """
    if not taken:
        return []
    first, last = bounds(taken)
    newest_load = max((row.loaded_at for ledger in ledgers.values() for row in ledger.values()), default=first)
    since: dict[datetime, datetime] = {}

    def note(hour: datetime, time: datetime) -> None:
        since[hour] = max(time, since.get(hour, time))

    for project, ledger in ledgers.items():
        for hour, row in ledger.items():
            if row.is_final and first <= hour <= last and not is_held(row, taken.get((project, hour))):
                note(hour, row.revised_at or row.loaded_at)
    for project, hour in taken:
        if hour not in ledgers.get(project, {}):
            note(hour, newest_load)
    found: list[Restatement] = []
    for hour in sorted(since):
        if found and hour == found[-1].last + HOUR:
            found[-1] = Restatement(found[-1].first, hour, max(found[-1].since, since[hour]))
        else:
            found.append(Restatement(hour, hour, since[hour]))
    return found


def is_held(row: LedgerRow, taken: TakenHour | None) -> bool:
    """Whether silver and gold hold the content that the ledger has of an hour."""
    return taken is not None and taken.is_certain and (taken.sha256, taken.revision) == (row.sha256, row.revision)


def bounds(taken: Taken) -> tuple[datetime, datetime]:
    """The first and the last hour that silver and gold hold; they hold something."""
    hours = [hour for _, hour in taken]
    return min(hours), max(hours)


@dataclass(frozen=True)
class OutOfReach:
    """Finished hours of a project that lie before the first hour that silver takes in."""

    project: str
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Built:
    """How far silver and gold are, and what holds them back."""

    first: datetime
    last: datetime
    """The hours that silver and gold hold."""
    waiting_hours: int
    """Later hours that some project has in bronze."""
    lacking: list[str]
    """The projects that lack the next hour; without one the next `sqlmesh run` takes it in."""
    is_overdue: bool
    """Whether silver and gold should have the next hour by now."""
    out_of_reach: list[OutOfReach]

    @property
    def next_hour(self) -> datetime:
        return self.last + HOUR


def built(ledgers: Mapping[str, Ledger], taken: Taken, overdue_before: datetime) -> Built:
    """Compare what silver and gold hold with the ledger, by the rule of the gate (`export_hours_landed`).

    Args:
        ledgers: by project.
        taken: what silver and gold hold, which is something.
        overdue_before: hours before this one should be there from every project.
    """
    first, last = bounds(taken)
    next_hour = last + HOUR
    final = {project: [hour for hour, row in ledger.items() if row.is_final] for project, ledger in ledgers.items()}
    waiting = {hour for hours in final.values() for hour in hours if hour > last}
    lacking = [
        project
        for project, ledger in ledgers.items()
        if min(ledger) <= next_hour < (retired_from(ledger) or datetime.max) and next_hour not in final[project]
    ]
    early = {project: [hour for hour in hours if hour < first] for project, hours in final.items()}
    return Built(
        first,
        last,
        len(waiting),
        sorted(lacking),
        bool(waiting) and (not lacking or next_hour < overdue_before),
        [OutOfReach(project, min(hours), max(hours)) for project, hours in early.items() if hours],
    )


def newest_final(ledger: Ledger) -> datetime | None:
    """Return the newest finished hour of a project, or None."""
    return max((hour for hour, row in ledger.items() if row.is_final), default=None)


def forgotten(ledgers: Mapping[str, Ledger], known: Collection[str]) -> list[str]:
    """Return the projects that silver waits for although the settings no longer have them."""
    return [name for name, ledger in ledgers.items() if name not in known and retired_from(ledger) is None]
