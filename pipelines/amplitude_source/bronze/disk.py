"""Say which setting names the place on disk that failed."""

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import duckdb

from ..lake.storage import LAKE_VARIABLE
from ..settings import DUCKDB_VARIABLE, VARIABLE_PREFIX, AmplitudeSettings, duckdb_path
from .duckdb_file import NAMES_IT
from .snowflake import SNOWFLAKE_VARIABLES, credential

WORK_VARIABLE = f"{VARIABLE_PREFIX}WORK_DIR"
KEY_VARIABLE = f"{SNOWFLAKE_VARIABLES}PRIVATE_KEY_PATH"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
FULL_BYTES = 16 << 20  # left on a disk: a write that failed has given back what it had


class Place(NamedTuple):
    """A path that a setting names."""

    setting: str
    path: Path

    def has(self, path: Path) -> bool:
        """Return whether a path lies here, or on the way here."""
        return self.path in (path, *path.parents) or path in self.path.parents

    @property
    def folder(self) -> Path:
        """Return the innermost folder on the way here that is there."""
        return next(folder for folder in (self.path, *self.path.parents) if folder.is_dir())

    def room(self) -> int:
        """Return how many bytes the disk has left for this user."""
        room = os.statvfs(self.folder)
        return room.f_bavail * room.f_frsize

    def is_full(self) -> bool:
        """Return whether the disk has hardly any room left."""
        return self.room() < FULL_BYTES

    def check(self) -> None:
        """Look, without a change, whether the place can be used.

        Raises:
            OSError: as a write there, or a read of the key, would meet it; `disk_fault` has the sentence.
        """
        if self.setting == KEY_VARIABLE:
            with self.path.open("rb"):
                return
        in_the_way = [path for path in (self.path, *self.path.parents) if path.is_file()]
        if in_the_way and not (self.setting == DUCKDB_VARIABLE and in_the_way == [self.path]):
            raise _os_error(errno.ENOTDIR, in_the_way[0])
        for path in (self.folder, *in_the_way):
            if not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else os.R_OK)):
                raise _os_error(errno.EACCES, path)
        if self.is_full():
            raise _os_error(errno.ENOSPC, self.path)


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def places(projects: Iterable[AmplitudeSettings], root: Path) -> list[Place]:
    """Return the places that commands write to, and the key that they read."""
    found = []
    for settings in projects:
        found.append(Place(WORK_VARIABLE, settings.work_path.absolute()))
        if settings.lake.is_local_filesystem:
            found.append(Place(LAKE_VARIABLE, Path(settings.lake.make_local_path(settings.lake.bucket_url))))
    if key := credential("private_key_path"):
        found.append(Place(KEY_VARIABLE, Path(key)))
    found.append(Place(DUCKDB_VARIABLE, duckdb_path(root)))
    found.append(Place("TMPDIR", Path(tempfile.gettempdir())))
    return list(dict.fromkeys(found))


def disk_fault(error: BaseException, known: list[Place]) -> str | None:
    """Return one sentence for an error of the disk, with the setting that mends it; None for any other error.

    Args:
        error: of the system, or of DuckDB while it writes its file.
        known: as `places` returns them.
    """
    if isinstance(error, duckdb.Error):
        text = " ".join(str(error).split())
        named = [place for place in known if str(place.path) in text]
        place = max(named, key=lambda place: len(str(place.path)), default=None)  # the innermost
        return f"{text}. {place.setting} {NAMES_IT}" if place else None
    if not isinstance(error, OSError) or error.errno is None:
        return None
    reason, mend = error.strerror or str(error), mend_of(error.errno)
    if isinstance(error.filename, str):
        path = Path(error.filename).absolute()
        named = [place for place in known if place.has(path)][:1]
        setting = f"set {named[0].setting} to another" if named else "choose another"
        return f"{path} cannot be used ({reason}): {mend}, or {setting}."
    if error.errno not in NO_ROOM:
        return None
    full = [place for place in known if place.is_full()] or known
    names = " or ".join(f"{place.setting} ({place.path})" for place in full)
    return f"A file cannot be written ({reason}): {mend}, or change {names}."


def mend_of(number: int) -> str:
    """Return what the user can do about an error of the system."""
    if number in NO_ROOM:
        return "make room on its disk"
    if number in NO_RIGHT:
        return "give this user the right to read and write there"
    if number in NO_FOLDER:
        return "remove the file that lies where a folder is needed"
    return "check its folder and its disk"
