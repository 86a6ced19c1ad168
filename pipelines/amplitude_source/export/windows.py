"""The Export API: hours in, downloaded in windows ahead of their use; archived hours out (`hours.py`)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ..background import Ahead
from ..bronze.ledger import Ledger
from ..errors import AmplitudeError
from ..lake.archive import Archive, BrokenMemberError, ExportHour, Member, MemberName
from ..settings import HOUR, AmplitudeSettings, format_hour, hours_between
from .client import ATTEMPTS, ExportClient, Outcome
from .hours import SentHour, archive_hours
from .zips import open_entry, zip_entries

__all__ = ["WINDOW_HOURS", "ExportClient", "Outcome", "export_hours"]

WINDOW_HOURS = 24
GOOD_WINDOWS = 4
NOTHING_LOADED: Ledger = MappingProxyType({})
STOP_SECONDS = 1
"""How long to wait for a download that is called off; it ends by itself at its next read, and with the process."""


def export_hours(
    client: ExportClient,
    archive: Archive,
    settings: AmplitudeSettings,
    first: datetime,
    last: datetime,
    ledger: Ledger = NOTHING_LOADED,
    *,
    changed_only: bool = False,
) -> Iterator[ExportHour]:
    """Downloads and archives the hours `first` to `last`, both included, in order.

    The ledger says what the warehouse holds. With `changed_only`, hours are left out of which Amplitude sends what both
    the archive and the warehouse hold. What the archive alone holds may come from a run that broke off before its load.

    A file that turns out to be broken only when it is read is downloaded again, with what is left of its window.

    Raises:
        AmplitudeError: see `ExportClient.download`; or what Amplitude sent cannot be archived.
    """
    hour, attempts = first, client.attempts()
    with closing(Downloads(client, settings.work_path, first, last)) as downloads:
        while hour <= last:
            window = downloads.window(hour)
            try:
                sent = _sent_hours(window, settings)
                for exported in archive_hours(archive, settings, sent, ledger, changed_only=changed_only):
                    yield exported
                    hour, attempts = exported.hour + HOUR, client.attempts()
                hour = window.last + HOUR
            except BrokenMemberError as error:
                if not attempts.wait_for_next("sent a broken file"):
                    raise AmplitudeError(f"{client.host} sent a broken file {ATTEMPTS} times: {error}") from error
            finally:
                window.remove()


@dataclass(frozen=True)
class Window:
    """Hours that were downloaded together; without a zip where Amplitude has no data for any of them."""

    first: datetime
    last: datetime
    zip_path: Path | None
    asked_at: datetime
    """When Amplitude was asked for them, by its clock or this machine's, whichever is behind."""

    def remove(self) -> None:
        if self.zip_path:
            self.zip_path.unlink(missing_ok=True)


class WindowSize:
    """How many hours to ask for: halved where Amplitude finds them too many, doubled again after some windows in a row.

    A size that was tried in vain has to wait twice as long for its next trial, so that neither a heavy day slows a
    light year, nor a heavy year costs a vain request every few windows.
    """

    def __init__(self) -> None:
        self.hours = WINDOW_HOURS
        self._fitted = 0  # hours of the last window that fitted
        self._good = 0
        self._patience = GOOD_WINDOWS

    def too_large(self, asked: int) -> None:
        grown_in_vain = asked > self._fitted > 0
        self._patience = 2 * self._patience if grown_in_vain else GOOD_WINDOWS
        self.hours, self._good = asked // 2, 0

    def fits(self, asked: int) -> None:
        """A window smaller than the size (the range's last) proves nothing."""
        if asked < self.hours:
            return
        if asked > self._fitted:
            self._patience = GOOD_WINDOWS
        self._fitted, self._good = asked, self._good + 1
        if self._good >= self._patience and self.hours < WINDOW_HOURS:
            self.hours, self._good = min(2 * self.hours, WINDOW_HOURS), 0


class Downloads:
    """Windows of hours, each downloaded by a thread while the caller is busy with the one before.

    Only one download runs at a time, so that the windows' size is learnt in order, and at most one zip waits.
    """

    def __init__(self, client: ExportClient, folder: Path, first: datetime, last: datetime) -> None:
        self._client, self._folder, self._last = client, folder, last
        self._size = WindowSize()
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_zips()  # of a run that was killed
        self._ahead = self._ahead_from(first)

    def window(self, hour: datetime) -> Window:
        """The window that begins with this hour, and its successor's download begins.

        For hours that were given before it is downloaded now; it ends where the one that is there already begins.

        Raises:
            AmplitudeError: see `ExportClient.download`.
        """
        ahead = self._ahead
        if ahead and ahead.first == hour:
            window = ahead.result()
            self._ahead = self._ahead_from(window.last + HOUR)
            return window
        if ahead:
            ahead.wait()
        return self.fetch(hour, ahead.first - HOUR if ahead else self._last)

    def fetch(self, first: datetime, last: datetime, stopped: threading.Event | None = None) -> Window:
        """Downloads hours from `first` on, as many of those up to `last` as Amplitude gives at once."""
        while True:
            asked = min(self._size.hours, (last - first) // HOUR + 1)
            end = first + (asked - 1) * HOUR
            target = self._folder / f"window-{first:%Y%m%dT%H}-{end:%Y%m%dT%H}.zip"
            outcome = self._client.download(first, end, target, stopped)
            if outcome is not Outcome.TOO_LARGE:
                self._size.fits(asked)
                return Window(first, end, target if outcome is Outcome.ZIP else None, self._client.asked_at)
            self._size.too_large(asked)

    def close(self) -> None:
        """Calls off the download that runs, and removes what is on disk."""
        if self._ahead:
            self._ahead.stop()
        self._remove_zips()

    def _ahead_from(self, first: datetime) -> "_WindowAhead | None":
        return _WindowAhead(first, partial(self.fetch, first, self._last)) if first <= self._last else None

    def _remove_zips(self) -> None:
        for path in self._folder.glob("window-*.zip"):
            path.unlink()


class _WindowAhead(Ahead[Window]):
    """A window on its way."""

    def __init__(self, first: datetime, fetch: Callable[[threading.Event], Window]) -> None:
        self.first = first
        self._stopped = threading.Event()
        super().__init__(partial(fetch, self._stopped), "amplitude-download")

    def stop(self) -> None:
        self._stopped.set()
        self.wait(STOP_SECONDS)


def _sent_hours(window: Window, settings: AmplitudeSettings) -> Iterator[SentHour]:
    """The window's hours, one by one.

    Raises:
        AmplitudeError: the zip holds what was not asked for.
    """
    members = _zip_members(window.zip_path) if window.zip_path else {}
    hours = hours_between(window.first, window.last)
    if strangers := members.keys() - set(hours):
        raise AmplitudeError(
            f"Amplitude sent hour {format_hour(min(strangers))} with the hours {format_hour(window.first)} to "
            f"{format_hour(window.last)}, which were asked for; nothing of them was loaded. Run again."
        )
    for hour in hours:
        yield SentHour(hour, members.get(hour, []), window.asked_at, settings.is_settled(hour, window.asked_at))


def _zip_members(zip_path: Path) -> dict[datetime, list[Member]]:
    """The members of a window's zip, by hour.

    Raises:
        AmplitudeError: an entry's name is not one of Amplitude's, or two entries have the same.
    """
    by_name: dict[MemberName, Member] = {}
    for entry in zip_entries(zip_path):
        name = MemberName.parse(entry.filename)
        if name is None or name in by_name:
            problem = "comes twice" if name else "is not named like an hour's file"
            raise AmplitudeError(
                f"In Amplitude's zip {entry.filename!r} {problem}; nothing of it was loaded. Run again."
            )
        by_name[name] = Member(name, partial(open_entry, zip_path, entry))
    by_hour: dict[datetime, list[Member]] = {}
    for name, member in by_name.items():
        by_hour.setdefault(name.hour, []).append(member)
    return by_hour
