"""The DuckDB file: one process at a time may write it, and while it does, no other may read it."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import duckdb
import psutil

from ..errors import AmplitudeError
from ..lock import BusyError

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.2
SHOWN_WORDS = 3  # of the holder's command line; a secret stands further behind, if at all
NAMES_IT = "names it: check its folder, its rights and the room on its disk."  # after the setting
HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.*?)(?: \(PID (?P<pid>\d+)\))")

Result = TypeVar("Result")


def patiently(opened: Callable[[], Result], path: Path) -> Result:
    """Open the DuckDB file, and wait some seconds while another process holds it.

    While this waits, a mark beside the file asks those who only look at it to give way: see `giving_way`. A new file
    that DuckDB could not finish, as on a full disk, is removed, because it could never be opened again.

    Args:
        opened: opens the file, or raises what DuckDB raises.
        path: the file, for the sentence.

    Raises:
        BusyError: another process still holds the file.
        AmplitudeError: the file cannot be opened at all.
    """
    deadline, is_new = time.monotonic() + PATIENCE_SECONDS, not path.exists()
    try:
        return _await(opened, path, deadline, is_new=is_new)
    finally:
        if waiting_process(path) == os.getpid():
            mark_of(path).unlink(missing_ok=True)


def _await(opened: Callable[[], Result], path: Path, deadline: float, *, is_new: bool) -> Result:
    while True:
        try:
            return opened()
        except duckdb.Error as error:
            if not is_held(error):
                if is_new:
                    path.unlink(missing_ok=True)
                raise AmplitudeError(unreadable(path, error)) from error
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{path} is in use by {holder(error)}. Close the file there (a notebook, an SQL client, another "
                    "command), then run again."
                ) from error
            is_new = False
            with suppress(OSError):  # a folder that only others may write to: readers finish first, as they did before
                mark_of(path).write_text(str(os.getpid()))
        time.sleep(POLL_SECONDS)


def mark_of(path: Path) -> Path:
    """Return the file beside the DuckDB file that holds the id of a process which waits for it."""
    return path.with_name(f"{path.name}.wanted")


def waiting_process(path: Path) -> int | None:
    """Return the id of a process that waits for the DuckDB file; None where none does, or it was killed meanwhile."""
    try:
        text = mark_of(path).read_text()
    except FileNotFoundError:
        return None
    return int(text) if text.isdecimal() and psutil.pid_exists(int(text)) else None


@contextmanager
def giving_way(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Let a connection look at the DuckDB file, and interrupt it as soon as another process waits for the file.

    Args:
        connection: one that only reads, and that its caller closes at once.
        path: the file.

    Raises:
        duckdb.InterruptException: another process waits.
    """
    if waiting_process(path):
        raise duckdb.InterruptException(f"Another process waits for {path}.")
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            if waiting_process(path):
                connection.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def is_held(error: BaseException) -> bool:
    """Whether DuckDB cannot open its file because another process has it open."""
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


def holder(error: duckdb.Error) -> str:
    """Describe the process that holds the file: its command and its id, as far as DuckDB and the system name them."""
    found = HOLDER.search(str(error))
    if not found:
        return "another process"
    return f"process {found['pid']} ({command_line(found['pid']) or Path(found['program']).name})"


def command_line(pid: str) -> str:
    """Return the first words of a process's command line; nothing where the system does not show it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return ""
    return " ".join([Path(words[0]).name, *words[1:SHOWN_WORDS]]).strip()


def unreadable(path: Path, error: duckdb.Error) -> str:
    """Say why DuckDB cannot open the file at all."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}: load something first, or correct DESTINATION__DUCKDB__CREDENTIALS."
    reason = " ".join(str(error).removeprefix("IO Error: ").split())
    return f"DuckDB cannot open {path} ({reason}). DESTINATION__DUCKDB__CREDENTIALS {NAMES_IT}"
