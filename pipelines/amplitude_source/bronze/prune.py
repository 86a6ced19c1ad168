"""Which hours of the archive retention may remove: those that every warehouse holds just as the archive does."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import dlt

from ..lake.archive import Archive, IncompleteHourError
from ..rows.typer import KEPT_LINE_BYTES
from ..settings import HOUR, AmplitudeSettings, floor_hour, hours_between
from .ledger import Ledger, LedgerRow, read_ledgers
from .persons import Client, rows_of
from .proof import DIFFERS, EXPLAINED, HOURS_AFTER, ProofDay, read_proof

COUNTS = """
    SELECT _export_hour, _dlt_load_id, COUNT(*) FROM {table}
    WHERE _project = %s AND _export_hour BETWEEN %s AND %s
    GROUP BY _export_hour, _dlt_load_id
"""
CUT_LINES = """
    SELECT DISTINCT _export_hour FROM {table}
    WHERE _project = %s AND _export_hour BETWEEN %s AND %s AND LENGTH(line) >= %s
"""
LEAST_CHARACTERS = KEPT_LINE_BYTES // 4
"""Of a rejected line that bronze may have cut, because a character has up to 4 bytes."""
DAY = timedelta(days=1)
Counts = Counter[tuple[datetime, str]]
"""Rows by hour and load."""


class Reason(NamedTuple):
    """Why an hour stays in the archive although it is old enough to go."""

    text: str
    """With the mend."""
    is_fault: bool
    """Whether it stays until somebody mends something; else it goes once its time has come."""


DAMAGED = Reason("the lake's manifests of them are damaged or missing: run archive verify", is_fault=True)
ANNOUNCED = Reason("a change of theirs is not loaded yet: run a load", is_fault=False)


@dataclass(frozen=True)
class Witness:
    """What a warehouse says of a project's hours."""

    destination: str
    ledger: Ledger
    loaded: Counts
    """Of `bronze.events`."""
    rejected: Counts
    """Of `bronze.rejected_rows`."""
    cut: Collection[datetime]
    """Hours with rejected lines of which bronze may have the first part only."""
    doubtful: Collection[datetime]
    """Hours of days that have another number of events in Amplitude."""

    def doubt(self, hour: datetime, content: str | None) -> Reason | None:
        """Return why the archive's files of an hour are still needed here; None if they are not.

        Args:
            hour: any.
            content: the SHA-256 of the archive's files of it.
        """
        row, name = self.ledger.get(hour), self.destination
        if row is None:
            return Reason(f"{name} does not have them: run a load or --replay", is_fault=True)
        if not row.is_final:
            return Reason(f"{name} has them as {row.status}: run a load", is_fault=False)
        if row.sha256 != content:
            return Reason(f"{name} has loaded other files of them than the lake has: run archive verify", is_fault=True)
        if not self._has_rows_of(row):
            return Reason(f"{name} has not as many rows of them as its ledger says: run --replay", is_fault=True)
        if hour in self.cut:
            return Reason(f"{name} has only the first part of a rejected line of theirs", is_fault=False)
        if hour in self.doubtful:
            return Reason(f"Amplitude has another number of events of their days than {name}", is_fault=False)
        return None

    def _has_rows_of(self, row: LedgerRow) -> bool:
        key = row.export_hour, row.load_id
        return (self.loaded[key], self.rejected[key]) == (row.loaded_rows, row.rejected_rows)


def due_hours(archive: Archive, kept_from: datetime) -> dict[datetime, list[str]]:
    """Return the hours before one that have files in the lake, with the paths of these, in order."""
    return {hour: paths for hour, paths in sorted(archive.files().items()) if hour < kept_from}


def ask(pipeline: dlt.Pipeline, settings: AmplitudeSettings, hours: Collection[datetime]) -> Witness:
    """Ask a warehouse for some hours of a project.

    Args:
        pipeline: of the warehouse.
        settings: of the project.
        hours: at least one.
    """
    project = settings.project
    ledger = read_ledgers(pipeline).get(project, {})
    days = [day for day in read_proof(pipeline) if day.project == project]
    within = project, min(hours), max(hours)
    with pipeline.sql_client() as client:
        events, lines = map(client.make_qualified_table_name, ("events", "rejected_rows"))
        loaded, rejected = (_counts(client, table, *within) for table in (events, lines))
        cut = rows_of(client, CUT_LINES.format(table=lines), *within, LEAST_CHARACTERS)
    name = str(pipeline.destination.destination_name)
    return Witness(name, ledger, loaded, rejected, {hour for (hour,) in cut}, doubtful_hours(days))


def _counts(client: Client, table: str, *within: object) -> Counts:
    rows = rows_of(client, COUNTS.format(table=table), *within)
    return Counts({(hour, load_id): count for hour, load_id, count in rows})


def doubtful_hours(days: Iterable[ProofDay]) -> set[datetime]:
    """Return the hours in which events may have come of days that differ from Amplitude and cannot be explained."""
    return {
        hour
        for day in days
        if day.verdict == DIFFERS and day.cause not in EXPLAINED
        for hour in hours_between(floor_hour(day.starts_at), day.ends_at + HOURS_AFTER[-1] * HOUR)
    }


def needed(
    archive: Archive, witnesses: Collection[Witness], hours: Iterable[datetime]
) -> Iterator[tuple[datetime, Reason]]:
    """Yield the hours that must stay, each with the first reason."""
    announced = {*archive.announced()}
    for hour in hours:
        if reason := ANNOUNCED if hour in announced else _need(archive, witnesses, hour):
            yield hour, reason


def _need(archive: Archive, witnesses: Iterable[Witness], hour: datetime) -> Reason | None:
    try:
        content = archive.content(hour)
    except IncompleteHourError:
        return DAMAGED
    return next((doubt for witness in witnesses if (doubt := witness.doubt(hour, content))), None)


def oldest_overdue(archive: Archive, ledger: Ledger, kept_from: datetime) -> datetime | None:
    """Return the oldest hour of the ledger if retention should have removed its files a day ago, and has not."""
    oldest = min((hour for hour, row in ledger.items() if row.status == "loaded"), default=kept_from)
    return oldest if oldest + DAY < kept_from and archive.has_own_files(oldest) else None
