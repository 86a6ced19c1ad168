"""Which hours a run loads, and where each comes from: Amplitude, the archive, or a folder of exported files."""

import logging
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain, dropwhile, groupby
from pathlib import Path
from typing import Any

from .bronze.ledger import Ledger, LedgerRow, coverage, first_open
from .bronze.proof import Looks
from .bronze.verify import damaged_hours
from .errors import AmplitudeError
from .export.bucket import ExportBucket
from .export.exported import Exported, Source, exported_files, exported_objects
from .export.windows import ExportClient, export_hours
from .invocation import load_command
from .lake.archive import Archive, ExportHour, IncompleteHourError, RemovedHourError, check_all
from .settings import HOUR, AmplitudeSettings, export_bucket, floor_hour, format_hour, hours_between

LOG = logging.getLogger(__name__)
MERGES_LATE = 24 * HOUR
NO_LOOKS = Looks()
# Times `recheck_hours`. Amplitude was once 34 hours late, and one look after 24 misses that: an empty hour is looked at
# again after three days, and each hour a last time after a week.
PROOF_AGES, LAST_AGES = 3, 7


@dataclass(frozen=True)
class Cursors:
    """How far a project's hours were looked at again; kept in the state of dlt's resource, by project.

    Where new hours begin is not kept: the ledger says which hours are final.
    """

    recheck_hour: datetime
    """The first hour that was not compared with Amplitude's once more."""
    proof_hour: datetime
    """The first hour that, if it was empty, was not asked for after three days."""
    last_hour: datetime
    """The first hour that was not looked at for the last time."""

    @classmethod
    def read(cls, state: dict[str, str], settings: AmplitudeSettings, ledger: Ledger) -> "Cursors":
        """From a project's state; an empty warehouse begins with its first hour.

        A warehouse from before there was a last look does not get it for all of its history.
        """
        first, present = settings.first_hour.isoformat(), settings.present.isoformat()
        missing = {"recheck_hour": first, "proof_hour": first, "last_hour": present}
        texts = [state.get(name, default) if ledger else first for name, default in missing.items()]
        return cls(*map(datetime.fromisoformat, texts))

    def write(self, state: dict[str, Any]) -> None:
        state |= {name: hour.isoformat() for name, hour in vars(self).items()}


def first_unseen_hour(settings: AmplitudeSettings, ledger: Ledger) -> datetime:
    """The first hour from the project's beginning on that its ledger lacks or has as pending.

    Silver cannot have seen it, since hours pass in order and a project that has begun holds them back. What is loaded
    now is applied from that hour on, so that a rebuild gives what the runs gave. The project begins with its first
    hour in the ledger, or with START_HOUR if that was moved later.
    """
    return first_open(max(min(ledger, default=settings.first_hour), settings.first_hour), ledger)


@dataclass(frozen=True)
class Work:
    """The hours that a run is to load."""

    hours: Iterator[ExportHour]
    first: datetime
    size: int
    archive: Archive
    rechecks: int = 0
    """How many of them are looked at once more, and come only if they changed."""
    cursors: tuple[Cursors, Cursors] | None = None
    """Before the run and after it, if it moves them."""
    asks_amplitude: bool = True
    merges: tuple[Source, ...] = ()
    """Files of merged users that lie beside the hours."""
    looks: Looks = NO_LOOKS
    """At days that have too few events."""


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
        self._archive = Archive(settings.lake, settings.project, settings.privacy, settings.exports)

    @cached_property
    def _bucket(self) -> ExportBucket | None:
        if not self._settings.exports:
            return None
        newest = max((hour for hour, row in self._ledger.items() if row.status == "loaded"), default=None)
        return ExportBucket(self._settings, self._settings.exports, self._archive.apps(newest) if newest else ())

    def new_hours(self, cursors: Cursors, end: datetime | None, looks: Looks = NO_LOOKS) -> Work:
        """Every hour up to `end`, or the newest, that is not final; and those that are due for another look.

        After the first of them, those come again, too, that were loaded before they had settled.
        """
        first = self._settings.first_hour
        self._check_bounds(first, end)
        known = hours_between(first, end or self._settings.newest_hour)
        from_open = dropwhile(lambda hour: not self._is_open(hour), known)
        missing = [hour for hour in from_open if self._is_open(hour) or not self._had_settled(hour)]
        of_age, moved = self._due(cursors)
        due = sorted((of_age | looks.hours) - set(missing))  # a load must not have an hour twice
        hours = chain(self._export(missing), self._recheck(due))
        return Work(
            hours,
            first_unseen_hour(self._settings, self._ledger),
            len(missing) + len(due),
            self._archive,
            len(due),
            (cursors, moved),
            merges=self._merges_with([*missing, *due]),
            looks=looks,
        )

    def range(self, first: datetime, end: datetime | None) -> Work:
        """The hours `first` to `end`, or the newest, from Amplitude, whether they are loaded or not."""
        self._check_start(first)
        self._check_bounds(first, end)
        hours = hours_between(first, end or self._settings.newest_hour)
        return Work(self._export(hours), first, len(hours), self._archive, merges=self._merges_with(hours))

    def gaps(self) -> Work:
        """The hours that were never asked for, though later ones were."""
        ranges = coverage(self._ledger, self._settings.first_hour, self._settings.newest_hour)
        missing = [hour for gap in ranges if gap.status == "missing" for hour in hours_between(gap.first, gap.last)]
        first = missing[0] if missing else self._settings.first_hour
        merges = self._merges_with(missing)
        return Work(self._export(missing), first, len(missing), self._archive, merges=merges)

    def replay(self, first: datetime | None, last: datetime | None, folder: Path | str | None) -> Work:
        """The hours of the archive, or of a folder or a bucket with exported files, within the bounds."""
        exported = self._exported(folder) if folder else Exported({}, [])
        known = [*exported.hours] if folder else self._archive.hours()
        chosen = [hour for hour in sorted(known) if (not first or hour >= first) and (not last or hour <= last)]
        merges = tuple(exported.merges)
        if not chosen and merges:
            return Work(iter(()), self._settings.first_hour, 0, self._archive, asks_amplitude=False, merges=merges)
        if not chosen:
            raise AmplitudeError(f"{folder or 'The archive'} holds no hours to load; look at {load_command('status')}.")
        self._check_start(chosen[0])
        self._check_bounds(chosen[0], chosen[-1])
        if folder:
            hours = (self._archive.store_hour(hour, exported.hours[hour], self._settings.present) for hour in chosen)
        else:
            hours = self._whole(chosen)
        return Work(hours, chosen[0], len(chosen), self._archive, asks_amplitude=False, merges=merges)

    def _exported(self, folder: Path | str) -> Exported:
        if isinstance(folder, str):
            return exported_objects(export_bucket(self._settings.project, folder))
        return exported_files(folder)

    def mend(self, hours: list[datetime]) -> Work:
        """Damaged hours of the archive, from Amplitude: all are archived anew, those that differ are loaded."""
        return Work(self._recheck(hours, changed_only=False), hours[0], len(hours), self._archive, len(hours))

    def sample(self, folder: Path | None) -> ExportHour:
        """The newest hour with data of the archive, or of a folder of exported files, as it is there."""
        if folder:
            exported = exported_files(folder)
            hour, members = max((hour, members) for hour, members in exported.hours.items() if members)
            return ExportHour(hour, check_all(members), self._settings.present)
        for hour in reversed(self._archive.hours()):
            if not self._archive.removed_at(hour) and (found := self._archive.read_hour(hour)).members:
                return found
        raise AmplitudeError("The archive holds no hour with data yet: load one, or name a folder of exported files.")

    def declared_empty(self, first: datetime, last: datetime) -> Work:
        """The hours `first` to `last` that are not final, as hours without data."""
        self._check_start(first)
        self._check_bounds(first, last)
        open_hours = [hour for hour in hours_between(first, last) if self._is_open(hour)]
        hours = (self._declared_empty(hour) for hour in open_hours)
        return Work(hours, first, len(open_hours), self._archive, asks_amplitude=False)

    def _declared_empty(self, hour: datetime) -> ExportHour:
        try:
            return self._archive.store_hour(hour, [], self._settings.present)
        except IncompleteHourError:
            return self._archive.store_empty(hour, self._settings.present)

    def _is_open(self, hour: datetime) -> bool:
        """Whether an hour may still bring data: it is not final, or it was found empty by a clock that was ahead."""
        row = self._ledger.get(hour)
        return not row or not row.is_final or (row.status == "empty" and row.exported_at > self._settings.present)

    def _had_settled(self, hour: datetime) -> bool:
        return self._settings.is_settled(hour, self._ledger[hour].exported_at)

    def _due(self, cursors: Cursors) -> tuple[set[datetime], Cursors]:
        """The hours to look at once more, and the cursors after that.

        All that were young when they were exported, twice; the empty ones once in between; and those that a run changed
        in the archive before it broke off, without having loaded the change.
        """
        age = self._settings.recheck_hours * HOUR
        rows = list(self._ledger.values())
        again, recheck_hour = self._come_of_age(rows, age, cursors.recheck_hour)
        empty = [row for row in rows if row.status == "empty"]
        late, proof_hour = self._come_of_age(empty, PROOF_AGES * age, cursors.proof_hour)
        last, last_hour = self._come_of_age(rows, LAST_AGES * age, cursors.last_hour)
        return {*again, *late, *last, *self._unloaded()}, Cursors(recheck_hour, proof_hour, last_hour)

    def _come_of_age(self, rows: list[LedgerRow], age: timedelta, start: datetime) -> tuple[list[datetime], datetime]:
        """The hours from `start` on that are so old now and were younger when they were exported; and the new start.

        A start that lies ahead comes from a clock that was.
        """
        if not age:
            return [], start
        end = floor_hour(self._settings.present) - age
        in_range = [row for row in rows if row.is_final and min(start, end) <= row.export_hour < end]
        return [row.export_hour for row in in_range if row.exported_at < row.export_hour + HOUR + age], end

    def _unloaded(self) -> list[datetime]:
        """The hours that the archive announced and the warehouse lacks; the notes of the others go."""
        unloaded = []
        for hour in self._archive.announced():
            if hour in self._ledger and self._ledger[hour].is_final:
                if damaged_hours(self._archive, self._ledger, [hour]):
                    unloaded.append(hour)
                else:
                    self._archive.settle(hour)
        return unloaded

    def _export(self, hours: Iterable[datetime]) -> Iterator[ExportHour]:
        """Hours from Amplitude; those that are new to the warehouse, but not to the archive, from there."""
        for is_archived, group in groupby(hours, self._is_only_archived):
            if is_archived:
                yield from self._archived(list(group))
            else:
                for first, last in neighbours(group):
                    yield from self._ask(first, last)

    def _is_only_archived(self, hour: datetime) -> bool:
        return hour not in self._ledger and hour in self._archive

    def _archived(self, hours: list[datetime]) -> Iterator[ExportHour]:
        """Hours of the archive; those that are damaged or removed there from Amplitude."""
        for is_there, group in groupby(self._tried(hours), lambda tried: isinstance(tried, ExportHour)):
            if is_there:
                yield from (hour for hour in group if isinstance(hour, ExportHour))
                continue
            errors = [error for error in group if not isinstance(error, ExportHour)]
            if removed := [error for error in errors if isinstance(error, RemovedHourError)]:
                LOG.warning(
                    "%s This warehouse lacks them, so Amplitude is asked for them again.", removed_text(removed)
                )
            for first, last in neighbours(error.hour for error in errors):
                yield from self._ask(first, last)

    def _tried(self, hours: list[datetime]) -> Iterator[ExportHour | IncompleteHourError | RemovedHourError]:
        for read in self._archive.read_hours(hours):
            try:
                yield read()
            except (IncompleteHourError, RemovedHourError) as error:
                yield error

    def _whole(self, hours: list[datetime]) -> Generator[ExportHour, None, None]:
        """Hours of the archive. Those whose files retention has removed stay as the warehouse has them.

        Raises:
            AmplitudeError: some are damaged, or removed and not in the warehouse; this comes after all the others.
        """
        damaged, removed = list[IncompleteHourError](), list[RemovedHourError]()
        for tried in self._tried(hours):
            if isinstance(tried, ExportHour):
                yield tried
            elif isinstance(tried, RemovedHourError):
                removed.append(tried)
            else:
                damaged.append(tried)
        held = [error for error in removed if self._is_loaded(error.hour)]
        if held:
            LOG.warning("%s They stay as they are in the warehouse.", removed_text(held))
        if lacking := [error for error in removed if error not in held]:
            span = load_command("--start", format_hour(lacking[0].hour), "--end", format_hour(lacking[-1].hour))
            raise AmplitudeError(f"{removed_text(lacking)} The warehouse lacks them, so ask Amplitude for them: {span}")
        if damaged:
            raise one_error(damaged)
        if strangers := self._archive.strangers():
            raise AmplitudeError(
                f"{strangers[0]} is not the name of a manifest, so an hour may be missing in the archive: run "
                f"{load_command('archive', 'verify')}, then remove the file."
            )

    def _is_loaded(self, hour: datetime) -> bool:
        row = self._ledger.get(hour)
        return row is not None and row.is_final and self._archive.is_loaded(hour, row.sha256)

    def _recheck(self, hours: list[datetime], *, changed_only: bool = True) -> Iterator[ExportHour]:
        """Hours of the ledger of which Amplitude has other content."""
        for first, last in neighbours(hours):
            for hour in self._ask(first, last, changed_only=changed_only):
                if hour.hour in self._ledger and hour.sha256 != self._ledger[hour.hour].sha256:
                    yield hour

    def _ask(self, first: datetime, last: datetime, *, changed_only: bool = False) -> Iterator[ExportHour]:
        if self._bucket:
            hours = hours_between(first, last)
            return self._bucket.hours(self._archive, hours, self._ledger, changed_only=changed_only)
        client = ExportClient(self._settings)
        return export_hours(client, self._archive, self._settings, first, last, self._ledger, changed_only=changed_only)

    def _merges_with(self, hours: list[datetime]) -> tuple[Source, ...]:
        """The merges that Amplitude exported beside hours, and those of the last day, which may have come after theirs.

        Merges that are there already change nothing.
        """
        if not hours or not self._bucket:
            return ()
        newest = self._settings.newest_hour
        return tuple(self._bucket.merges([*hours, *hours_between(newest - MERGES_LATE, newest)]))

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


def neighbours(hours: Iterable[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Give the first and the last hour of each run of neighbouring hours; they come in order."""
    for _, group in groupby(enumerate(hours), lambda place: place[1] - place[0] * HOUR):
        run = [hour for _, hour in group]
        yield run[0], run[-1]


def removed_text(errors: list[RemovedHourError]) -> str:
    """Say of which hours retention has removed the files, and when."""
    hours = f"{format_hour(errors[0].hour)} to {format_hour(errors[-1].hour)}"
    days = sorted({f"{error.removed_at:%Y-%m-%d}" for error in errors})
    when = f"on {days[0]}" if len(days) == 1 else f"between {days[0]} and {days[-1]}"
    return f"Retention removed the files of {len(errors):,} hours from the lake {when} ({hours})."


def one_error(errors: list[IncompleteHourError]) -> AmplitudeError:
    """Make one error of those of several hours."""
    if len(errors) == 1:
        return errors[0]
    named = ", ".join(format_hour(error.hour) for error in errors[:5]) + (", ..." if len(errors) > 5 else "")
    return AmplitudeError(
        f"{len(errors)} hours are not whole in the archive: {named}. The first: {errors[0].reason}. The others are "
        f"loaded. Fetch these from Amplitude again: {load_command('archive', 'verify')}"
    )
