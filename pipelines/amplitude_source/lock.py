"""One loading command at a time in a work folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from .errors import AmplitudeError

LOCK_FILE = "lock"
BUSY_EXIT = 4  # the exit code of a command that another one keeps from its work


class BusyError(AmplitudeError):
    """Another process uses what the command needs for itself."""


@contextmanager
def locked(folder: Path, now: datetime, command: str) -> Iterator[None]:
    """Holds the folder's lock; a file in it tells who does, since when (`now`, UTC), and with which command.

    Two commands in one folder would delete each other's downloads and unfinished loads. The lock is the kernel's and
    ends with its holder, be that killed; the file stays, and means nothing by itself.

    Raises:
        BusyError: another process holds it.
        AmplitudeError: the folder's file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+", encoding="utf-8", errors="backslashreplace") as file:
        _acquire(file, folder)
        _write(file, f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%d %H:%M} UTC: {command}")
        try:
            yield
        finally:
            _write(file, "")


def holder_of(folder: Path) -> str | None:
    """Return who holds the folder's lock, as `locked` notes it; None if nobody does.

    A holder writes its name as soon as it has the lock, so an empty file needs no look at the lock itself.
    """
    try:
        with (folder / LOCK_FILE).open(encoding="utf-8", errors="backslashreplace") as file:
            return file.read() if _is_held(file) else None
    except FileNotFoundError:
        return None


def _is_held(file: TextIO) -> bool:
    if not os.fstat(file.fileno()).st_size:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # which ends with the file
    except BlockingIOError:
        return True
    return False


def _acquire(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read() or "a process that has only just started or is ending"
        raise BusyError(
            f"{folder} is in use by {holder}. Wait until that has ended, or give this command a "
            "SOURCES__AMPLITUDE__WORK_DIR of its own."
        ) from None
    except OSError as error:
        raise AmplitudeError(
            f"{folder} cannot be locked ({error.strerror}): choose a SOURCES__AMPLITUDE__WORK_DIR on a disk of this "
            "machine."
        ) from error


def _write(file: TextIO, text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()
