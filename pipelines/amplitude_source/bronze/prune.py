"""Which hours of the archive retention may remove: those that every warehouse holds just as the archive does."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import dlt

from ..lake.archive import Archive, IncompleteHourError
from ..settings import HOUR, AmplitudeSettings, floor_hour, hours_between
from .ledger import Ledger, LedgerRow, read_ledgers
from .proof import DIFFERS, EXPLAINED, HOURS_AFTER, ProofDay, read_proof

COUNTS = """
    SELECT _export_hour, _dlt_load_id, COUNT(*) FROM {table}
    WHERE _project = %s AND _export_hour BETWEEN %s AND %s
    GROUP BY _export_hour, _dlt_load_id
"""
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
        if hour in self.doubtful:
            return Reason(f"Amplitude has another number of events of their days than {name}", is_fault=False)
        return None

    def _has_rows_of(self, row: LedgerRow) -> bool:
        key = row.export_hour, row.load_id
        return (self.loaded[key], self.rejected[key]) == (row.loaded_rows, row.rejected_rows)


def due_hours(archive: Archive, settings: AmplitudeSettings) -> dict[datetime, list[str]]:
    """Return the hours that are old enough, with the paths of their files, in order."""
    return {hour: paths for hour, paths in sorted(archive.files().items()) if hour < settings.kept_from}


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
    loaded, rejected = Counts(), Counts()
    if ledger:
        with pipeline.sql_client() as client:
            for name, counts in (("events", loaded), ("rejected_rows", rejected)):
                sql = COUNTS.format(table=client.make_qualified_table_name(name))
                with client.execute_query(sql, project, min(hours), max(hours)) as cursor:
                    counts.update({(hour, load_id): rows for hour, load_id, rows in cursor.fetchall()})
    return Witness(str(pipeline.destination.destination_name), ledger, loaded, rejected, doubtful_hours(days))


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


def oldest_overdue(archive: Archive, ledger: Ledger, settings: AmplitudeSettings) -> datetime | None:
    """Return the oldest hour of the ledger if retention should have removed its files a day ago, and has not."""
    oldest = min((hour for hour, row in ledger.items() if row.status == "loaded"), default=None)
    if oldest is None or oldest + 24 * HOUR >= settings.kept_from:
        return None
    return oldest if archive.has_own_files(oldest) else None
