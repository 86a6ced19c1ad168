"""Whether the archive still holds what the ledger says that the warehouse has."""

from collections.abc import Iterable
from datetime import datetime
from random import Random

from ..lake.archive import Archive, IncompleteHourError
from .ledger import Ledger, LedgerRow

SAMPLE_HOURS = 20
SAMPLE_BYTES = 20_000_000  # so that a look at a sample stays a matter of seconds, on S3, too


def archived_hours(archive: Archive, ledger: Ledger) -> list[datetime]:
    """List the hours that the archive holds or should hold: the final ones have a manifest, the empty ones too."""
    return sorted({*archive.hours(), *(hour for hour, row in ledger.items() if row.is_final)})


def sample_hours(archive: Archive, ledger: Ledger, random: Random) -> list[datetime]:
    """Draw some of the hours that the archive should hold, small enough together to be read at once.

    Hours of which the archive announced a change are the next run's.
    """
    announced = set(archive.announced())
    final = [row for row in ledger.values() if row.is_final and row.export_hour not in announced]
    drawn, size = list[LedgerRow](), 0
    for row in random.sample(final, min(len(final), SAMPLE_HOURS)):
        if size + row.bytes <= SAMPLE_BYTES:
            size += row.bytes
            drawn.append(row)
    return sorted(row.export_hour for row in drawn)


def damaged_hours(archive: Archive, ledger: Ledger, hours: Iterable[datetime]) -> list[IncompleteHourError]:
    """Compare hours with their checksums in the archive and in the ledger; return what is wrong, an error an hour."""
    damaged = []
    for hour in hours:
        try:
            content = archive.verify(hour)
            if hour in ledger and ledger[hour].is_final and ledger[hour].sha256 != content:
                removed_at = archive.removed_at(hour)
                when = f" had, from which retention removed them on {removed_at:%Y-%m-%d}" if removed_at else ""
                raise IncompleteHourError(hour, f"the warehouse has other files of it than the archive{when}")
        except IncompleteHourError as error:
            damaged.append(error)
    return damaged
