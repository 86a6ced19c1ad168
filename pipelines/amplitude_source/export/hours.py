"""From what Amplitude sent of each hour to the archive, whatever way it was sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ..bronze.disk import mend_of
from ..bronze.ledger import Ledger, LedgerRow
from ..errors import AmplitudeError
from ..lake.archive import Archive, ExportHour, IncompleteHourError, Member, RemovedHourError
from ..lake.storage import LAKE_VARIABLE, LakeError
from ..settings import AmplitudeSettings, format_hour


@dataclass(frozen=True)
class SentHour:
    """What Amplitude has of an hour."""

    hour: datetime
    members: list[Member]
    asked_at: datetime
    """When it was asked, naive UTC."""
    is_settled: bool
    """Whether an hour without members has no data, and will have none."""


def archive_hours(
    archive: Archive, settings: AmplitudeSettings, hours: Iterable[SentHour], ledger: Ledger, *, changed_only: bool
) -> Iterator[ExportHour]:
    """Put hours into the archive, one by one, and give all that it then holds of them.

    With `changed_only`, hours are left out of which Amplitude sends what both the archive and the warehouse hold.

    Raises:
        AmplitudeError: a file is broken, or the archive cannot be written.
    """
    for sent in hours:
        hour, row = sent.hour, ledger.get(sent.hour)
        try:
            if row and row.is_final:
                is_known = archive.is_loaded(hour, row.sha256) and archive.holds(hour, sent.members)
                if is_known and changed_only:
                    continue
                if sent.members and (archive.redacts or not is_known):
                    archive.announce(hour)
            exported = archive_hour(archive, sent, row)
        except LakeError:
            raise
        except OSError as error:
            raise AmplitudeError(
                f"Hour {format_hour(hour)} cannot be archived in {settings.lake.bucket_url} ({error}): "
                f"{mend_of(error.errno or 0)}, or set {LAKE_VARIABLE} to another, then run again: finished hours are "
                "kept."
            ) from error
        yield exported


def archive_hour(archive: Archive, sent: SentHour, row: LedgerRow | None) -> ExportHour:
    """Put what Amplitude sent of an hour into the archive.

    Nothing sent for an hour that has data in the warehouse means that Amplitude no longer has it, not that it is empty:
    the archive gives what it has. If that is damaged, removed or older, the hour stays open, or as it is in the
    warehouse.

    Raises:
        RemovedHourError: neither Amplitude, nor the archive, nor the warehouse has its data any more.
    """
    lost = row if row and row.status == "loaded" and not sent.members else None
    nothing = ExportHour(sent.hour, [], sent.asked_at, is_final=False)
    try:
        is_final = bool(sent.members) or (not lost and sent.is_settled)
        exported = archive.store_hour(sent.hour, sent.members, sent.asked_at, is_final)
    except IncompleteHourError:
        return archive.store_empty(sent.hour, sent.asked_at) if row and row.status == "empty" else nothing
    except RemovedHourError:
        if not lost:
            raise
        return nothing
    return nothing if lost and exported.exported_at < lost.exported_at else exported
