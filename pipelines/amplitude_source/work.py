"""Which hours a run loads, and where each comes from: Amplitude, the archive, or a folder of exported files."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from .archive import Archive, ExportHour, IncompleteHourError
from .errors import AmplitudeError
from .export_api import ExportClient, export_hours
from .exported import Exported, Source, exported_files
from .ledger import Ledger, LedgerRow, coverage
from .settings import HOUR, AmplitudeSettings, floor_hour, format_hour, hours_between


@dataclass(frozen=True)
class Cursors:
    """The places from which a plain run continues; kept in the state of dlt's resource, by project."""

    next_hour: datetime
    """The first hour that may still bring data."""
    recheck_hour: datetime
    """The first hour that was not compared with Amplitude's once more."""

    @classmethod
    def read(cls, state: dict[str, str], settings: AmplitudeSettings, ledger: Ledger) -> "Cursors":
        """From a project's state; an empty warehouse begins with its first hour."""
        first = settings.first_hour.isoformat()
        texts = [state.get(name, first) if ledger else first for name in ("next_hour", "recheck_hour")]
        next_hour, recheck_hour = map(datetime.fromisoformat, texts)
        return cls(first_open(next_hour, ledger), recheck_hour)

    def write(self, state: dict[str, Any]) -> None:
        state |= {"next_hour": self.next_hour.isoformat(), "recheck_hour": self.recheck_hour.isoformat()}


def first_open(hour: datetime, ledger: Ledger) -> datetime:
    """The first hour from this one on that is not final."""
    while hour in ledger and ledger[hour].is_final:
        hour += HOUR
    return hour


@dataclass(frozen=True)
class Work:
    """The hours that a run is to load."""

    hours: Iterator[ExportHour]
    first: datetime
    size: int
    rechecks: int = 0
    """How many of them are looked at once more, and come only if they changed."""
    cursors: Cursors | None = None
    """The places to continue from before this run, if it moves them."""
    recheck_end: datetime = datetime.min
    """Where the one for looking once more is to be after it."""
    asks_amplitude: bool = True
    merges: tuple[Source, ...] = ()
    """Files of merged users that lie beside the hours."""


class Planner:
    """Plans the work of a project's run.

    Args:
        settings: of the project.
        ledger: what is loaded.

    Raises:
        AmplitudeError: of the constructor, for privacy rules that cannot be followed.
    """

    def __init__(self, settings: AmplitudeSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._archive = Archive(settings.lake, settings.project, settings.privacy.redactor())

    def new_hours(self, cursors: Cursors, end: datetime | None) -> Work:
        """From where the last run ended to `end`, or the newest; and those that are due for a second look."""
        first, last = cursors.next_hour, end or self._settings.newest_hour
        self._check_bounds(first, end)
        count = max(0, (last - first) // HOUR + 1)
        recheck_end = max(cursors.recheck_hour, self._settings.recheck_end)
        due = [row.export_hour for row in self._ledger.values() if self._is_due(row, cursors.recheck_hour, recheck_end)]
        hours = chain(self._export(first, last), self._recheck(sorted(due)))
        return Work(hours, first, count + len(due), len(due), cursors, recheck_end)

    def range(self, first: datetime, end: datetime | None) -> Work:
        """The hours `first` to `end`, or the newest, from Amplitude, whether they are loaded or not."""
        last = end or self._settings.newest_hour
        self._check_start(first)
        self._check_bounds(first, end)
        return Work(self._export(first, last), first, max(0, (last - first) // HOUR + 1))

    def gaps(self) -> Work:
        """The hours that were never asked for, though later ones were."""
        ranges = coverage(self._ledger, self._settings.first_hour, self._settings.newest_hour)
        missing = [range_ for range_ in ranges if range_.status == "missing"]
        hours = chain.from_iterable(self._export(gap.first, gap.last) for gap in missing)
        first = missing[0].first if missing else self._settings.first_hour
        return Work(hours, first, sum(gap.hours for gap in missing))

    def replay(self, first: datetime | None, last: datetime | None, folder: Path | None) -> Work:
        """The hours of the archive, or of a folder of exported files, within the bounds."""
        exported = exported_files(folder) if folder else Exported({}, [])
        known = [*exported.hours] if folder else self._archive.hours()
        chosen = [hour for hour in sorted(known) if (not first or hour >= first) and (not last or hour <= last)]
        merges = tuple(exported.merges)
        if not chosen and merges:
            return Work(iter(()), self._settings.first_hour, 0, asks_amplitude=False, merges=merges)
        if not chosen:
            raise AmplitudeError(
                f"{folder or 'The archive'} holds no hours to load; look at python pipelines/amplitude.py status."
            )
        self._check_start(chosen[0])
        self._check_bounds(chosen[0], chosen[-1])
        if folder:
            hours = (self._archive.store_hour(hour, exported.hours[hour], self._settings.present) for hour in chosen)
        else:
            hours = (read() for read in self._archive.read_hours(chosen))
        return Work(hours, chosen[0], len(chosen), asks_amplitude=False, merges=merges)

    def declared_empty(self, first: datetime, last: datetime) -> Work:
        """The hours `first` to `last` that are not final, as hours without data."""
        self._check_start(first)
        self._check_bounds(first, last)
        open_hours = [hour for hour in hours_between(first, last) if not is_final(hour, self._ledger)]
        hours = (self._archive.store_hour(hour, [], self._settings.present) for hour in open_hours)
        return Work(hours, first, len(open_hours), asks_amplitude=False)

    def _export(self, first: datetime, last: datetime) -> Iterator[ExportHour]:
        """Hours from Amplitude; those that are new to the warehouse, but not to the archive, from there."""
        for is_archived, group in groupby(hours_between(first, last), self._is_only_archived):
            hours = list(group)
            if is_archived:
                yield from self._archived(hours)
            else:
                yield from self._ask(hours[0], hours[-1])

    def _is_only_archived(self, hour: datetime) -> bool:
        return hour not in self._ledger and hour in self._archive

    def _archived(self, hours: list[datetime]) -> Iterator[ExportHour]:
        for hour, read in zip(hours, self._archive.read_hours(hours), strict=True):
            try:
                yield read()
            except IncompleteHourError:
                yield from self._ask(hour, hour)

    def _recheck(self, hours: list[datetime]) -> Iterator[ExportHour]:
        for _, group in groupby(enumerate(hours), lambda place: place[1] - place[0] * HOUR):
            neighbours = [hour for _, hour in group]
            yield from self._ask(neighbours[0], neighbours[-1], changed_only=True)

    def _is_due(self, row: LedgerRow, start: datetime, end: datetime) -> bool:
        is_in_range = start <= row.export_hour < end
        return is_in_range and row.is_final and self._settings.is_young(row.export_hour, row.exported_at)

    def _ask(self, first: datetime, last: datetime, *, changed_only: bool = False) -> Iterator[ExportHour]:
        client = ExportClient(self._settings)
        return export_hours(client, self._archive, self._settings, first, last, changed_only=changed_only)

    def _check_start(self, first: datetime) -> None:
        """Refuses an hour before the warehouse's first one."""
        if first < self._settings.first_hour:
            raise AmplitudeError(
                f"Hour {format_hour(first)} lies before SOURCES__AMPLITUDE__START_HOUR ({self._settings.start_hour}), "
                f"where the warehouse begins: set START_HOUR to {format_hour(first)} or earlier."
            )

    def _check_bounds(self, first: datetime, last: datetime | None) -> None:
        """Refuses a range that ends before it starts, or reaches into the future."""
        if last is None:
            return
        if last < first:
            raise AmplitudeError(f"--end {format_hour(last)} lies before the first hour to load, {format_hour(first)}.")
        if last >= floor_hour(self._settings.present):
            raise AmplitudeError(
                f"Hour {format_hour(last)} is not over yet (it is {self._settings.present:%Y-%m-%dT%H:%M} UTC): "
                "choose an earlier --end."
            )


def is_final(hour: datetime, ledger: Ledger) -> bool:
    return hour in ledger and ledger[hour].is_final
