"""Find the exported files in a folder, by names that browsers, shells and other tools may have changed.

Whatever could be an export is read or named: nothing is left out in silence.
"""

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain, groupby
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast
from urllib.parse import unquote

import orjson
from dlt.common.storages import FilesystemConfiguration
from isal import isal_zlib

from ..errors import AmplitudeError
from ..lake.archive import EXAMPLE_NAME, READ_BYTES, Member, MemberName, gunzip
from ..lake.open import open_files, place_of
from ..rows.lines import MAX_LINE_BYTES
from .zips import UnreadZipError, open_entry, zip_entries

NAMED_FILES = 5  # in a message
HEAD_BYTES = 1 << 16
GZIP_LEVEL = 6

# What browsers and file managers add to the name of a second copy, and wget to its end.
COPY = r"(?:[ _]?\(\d+\)| - copy(?: ?\(\d+\))?| copy(?: \d+)?)?"
HOUR = r"(?P<date>\d{4}-\d\d-\d\d)_(?P<hour>\d{1,2})"
ENDING = rf"{COPY}\.json{COPY}(?:\.gz{COPY})?(?:\.\d+)?"
EVENTS_NAME = re.compile(rf"(?:copy of )?(?P<app>\d+)_{HOUR}#(?P<part>\d+){ENDING}", re.IGNORECASE)
# The number is that of the organization, with a dash, or in some legacy ones that of the project.
MERGES_NAME = re.compile(rf"(?:copy of )?(?P<name>-?\d+_{HOUR}){ENDING}", re.IGNORECASE)
# Amplitude's documentation of the export to S3 has these labels, and not how the files are named.
MARK_NAME = re.compile(rf"(?:(?P<app>\d+)|-\d+)_{HOUR}(?!\d).*complete.*|complete(?:\..*)?", re.IGNORECASE)
LIKE_AN_EXPORT = re.compile(r"\d{4}-\d\d-\d\d_\d{1,2}(?!\d).*\.json|\.json\.gz|\.gz$|\.zip", re.IGNORECASE)

GZIP, ZIP, EMPTY_ZIP = b"\x1f\x8b", b"PK\3\4", b"PK\5\6"
PACKED = (GZIP, ZIP, b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!")
EVENT_KEYS = (b'"event_type"', b'"amplitude_id"', b'"merged_amplitude_id"')
READ_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    OverflowError,
    zlib.error,
    isal_zlib.error,  # type: ignore[assignment]  # the stubs have an instance
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Source:
    """A file in a folder, or in a zip there.

    Args:
        place: where it is, for messages.
        name: its base name.
        open: opens it for reading.
    """

    place: str
    name: str
    open: Callable[[], IO[bytes]]

    @classmethod
    def of(cls, path: Path) -> "Source":
        return cls(str(path), path.name, partial(_open_file, path))

    def head(self) -> bytes:
        with self.open() as file:
            return file.read(HEAD_BYTES)

    def is_gzipped(self) -> bool:
        return self.head().startswith(GZIP)

    def text(self) -> Iterator[bytes]:
        """Its text, unzipped if need be."""
        with self.open() as file:
            pieces = iter(partial(file.read, READ_BYTES), b"")
            yield from gunzip(pieces) if self.is_gzipped() else pieces


class Exported(NamedTuple):
    """What a folder holds."""

    hours: dict[datetime, list[Member]]
    """The files of events of each hour, in order; none for an hour that Amplitude marked as complete without data."""
    merges: list[Source]
    """Files of merged users."""


def exported_files(folder: Path) -> Exported:
    """Find the exported files anywhere below a folder, in the zips there too; or in one zip, or one file.

    Raises:
        AmplitudeError: there are none, or one that could be an export cannot be read.
    """
    search = Search()
    if folder.is_file():
        search.add_file(folder)
    elif folder.exists():
        search.add_folder(folder)
    return found_by(search, folder)


def exported_objects(bucket: FilesystemConfiguration) -> Exported:
    """Find the exported files anywhere in a bucket, or below a prefix of it.

    Raises:
        AmplitudeError: as for `exported_files`.
    """
    search = Search()
    search.add_bucket(bucket)
    return found_by(search, bucket)


def found_by(search: "Search", folder: object) -> Exported:
    """Return what a search found in a place."""
    members = search.members()
    merges = [search.one_of(sources) for sources in search.merges.values()]
    if search.unread:
        more = f"; and {len(search.unread) - NAMED_FILES} more" if len(search.unread) > NAMED_FILES else ""
        raise AmplitudeError(
            f"{folder}: nothing was loaded, because these could be exports and cannot be read: "
            f"{'; '.join(search.unread[:NAMED_FILES])}{more}. Mend or rename them (an exported file is named like "
            f"{EXAMPLE_NAME}), or move them away."
        )
    if not members and not merges and not search.marked:
        raise AmplitudeError(f"{folder}: no exported files below it; they are named like {EXAMPLE_NAME}.")
    hours = {hour: list(group) for hour, group in groupby(members, key=lambda member: member.name.hour)}
    return Exported({hour: hours.get(hour, []) for hour in sorted({*hours, *search.marked})}, merges)


@dataclass
class Search:
    """What was found so far; several sources of one name are copies."""

    events: dict[MemberName, list[Source]] = field(default_factory=dict)
    merges: dict[str, list[Source]] = field(default_factory=dict)
    marked: set[datetime] = field(default_factory=set)
    """Hours that Amplitude marked as complete."""
    unread: list[str] = field(default_factory=list)
    """What could be an export and cannot be read, with the reason."""

    def add_folder(self, folder: Path) -> None:
        seen: set[tuple[int, int]] = set()
        for path, folders, files in os.walk(folder, onerror=self._add_unread_folder, followlinks=True):
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in seen:  # by way of a link
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not is_shadow(name))
            for name in sorted(files):
                self.add_file(Path(path, name))

    def _add_unread_folder(self, error: OSError) -> None:
        self.unread.append(f"{error.filename} ({error.strerror})")

    def add_file(self, path: Path) -> None:
        if is_shadow(path.name):
            return
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                if LIKE_AN_EXPORT.search(path.name):
                    self.unread.append(f"{path} (it is no file)")
            elif is_named(path.name):
                self._add(Source.of(path))
            elif is_zip(path):
                self._add_zip(path)
            else:
                self._add(Source.of(path))
        except READ_ERRORS as error:
            self.unread.append(f"{path} ({getattr(error, 'strerror', None) or error})")

    def add_bucket(self, bucket: FilesystemConfiguration) -> None:
        files = open_files(bucket)
        for path in chain.from_iterable(files.pages("")):
            parts = PurePosixPath(path).parts
            if path.endswith("/") or any(map(is_shadow, parts)):
                continue
            source = Source(place_of(bucket, path), parts[-1], partial(files.open, path))
            if not is_named(source.name) and source.head().startswith((ZIP, EMPTY_ZIP)):
                self.unread.append(f"{source.place} (it is a zip: fetch it to a folder first)")
            else:
                self._add(source)

    def _add_zip(self, path: Path) -> None:
        try:
            entries = zip_entries(path)
        except UnreadZipError as error:
            self.unread.append(f"{path} ({error})")
            return
        for entry in entries:
            name = PurePosixPath(entry.filename)
            if any(map(is_shadow, name.parts)):
                continue
            try:
                self._add(Source(f"{path}: {name}", name.name, partial(open_entry, path, entry)))
            except READ_ERRORS as error:
                self.unread.append(f"{path}: {name} ({error})")

    def _add(self, source: Source) -> None:
        name = plain(source.name)
        if (match := EVENTS_NAME.fullmatch(name)) and (member := member_name(match)):
            self.events.setdefault(member, []).append(source)
        elif match := MERGES_NAME.fullmatch(name):
            self.merges.setdefault(match["name"], []).append(source)
        elif (match := MARK_NAME.fullmatch(name)) and not has_events(next(source.text(), b"")):
            if match["app"] and (hour := parsed_hour(match)):
                self.marked.add(hour)
        elif could_be_export(name, source.head()):
            self.unread.append(f"{source.place} (it is not named like an exported file)")

    def members(self) -> list[Member]:
        """The members in order, each once."""
        return [Member(name, self._opener(self.one_of(self.events[name]))) for name in sorted(self.events)]

    def _opener(self, source: Source) -> Callable[[], IO[bytes]]:
        try:
            head = source.head()
            is_text = not head.startswith(GZIP) and (
                head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") or not source.name.lower().endswith(".gz")
            )
            if not head or not is_text:
                return source.open  # the archive refuses what is no gzip file
            if is_cut(source):
                self.unread.append(f"{source.place} (its last line is cut off)")
        except READ_ERRORS as error:
            self.unread.append(f"{source.place} ({error})")
        return partial(_open_gzipped, source)

    def one_of(self, sources: list[Source]) -> Source:
        """Return the one to read of several sources of one name, if they hold the same."""
        if len(sources) == 1:
            return sources[0]
        try:
            chosen = next(filter(Source.is_gzipped, sources), sources[0])
            for other in sources:
                if other is not chosen and not agree(chosen, other):
                    self.unread.append(
                        f"{other.place} (it differs from {chosen.place}, which is the same file by name)"
                    )
        except READ_ERRORS as error:
            self.unread.append(f"one of {', '.join(source.place for source in sources)} ({error})")
            return sources[0]
        return chosen


def plain(name: str) -> str:
    """Return a name without the escapes of an address, of which an address that was copied may have two layers."""
    return unquote(unquote(name))


def member_name(match: re.Match[str]) -> MemberName | None:
    """Return the name as Amplitude gives it."""
    hour, part, app = int(match["hour"]), int(match["part"]), int(match["app"])
    return MemberName.parse(f"{app}_{match['date']}_{hour}#{part}.json.gz")


def parsed_hour(match: re.Match[str]) -> datetime | None:
    try:
        return datetime.strptime(f"{match['date']} {match['hour']}", "%Y-%m-%d %H")
    except ValueError:
        return None


def is_shadow(name: str) -> bool:
    """Return whether macOS keeps something of its own under a name."""
    return name.startswith("._") or name in ("__MACOSX", ".DS_Store")


def is_named(name: str) -> bool:
    return bool(EVENTS_NAME.fullmatch(plain(name)) or MERGES_NAME.fullmatch(plain(name)))


def is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix.lower() == ".zip" or file.read(4) in (ZIP, EMPTY_ZIP)


def could_be_export(name: str, head: bytes) -> bool:
    """Return whether a file whose name is not understood may hold exported rows, by its name or its beginning."""
    if LIKE_AN_EXPORT.search(name) or head.startswith(PACKED) or head[257:262] == b"ustar":
        return True
    return has_events(head)


def has_events(text: bytes) -> bool:
    """Return whether the beginning of a text is JSON with keys of an export."""
    return text.lstrip(b"\xef\xbb\xbf \t\r\n[").startswith(b"{") and any(key in text for key in EVENT_KEYS)


def agree(chosen: Source, other: Source) -> bool:
    """Return whether two sources hold the same text.

    Beside a gzip file, plain text may end early: `gunzip` has not come to its end, and the gzip file has all of it.
    """
    texts, pending = chosen.text(), b""
    for piece in other.text():
        while len(pending) < len(piece):
            if not (more := next(filter(None, texts), b"")):
                return False
            pending += more
        if not pending.startswith(piece):
            return False
        pending = pending[len(piece) :]
    is_early = chosen.is_gzipped() and not other.is_gzipped()
    return is_early or not (pending or any(texts))


def is_cut(source: Source) -> bool:
    """Return whether a file of JSON lines ends within one. It has no checksum, as a gzip file has."""
    last = b""
    for piece in source.text():
        _, newline, rest = piece.rpartition(b"\n")
        last = rest if newline else (last + rest)[:MAX_LINE_BYTES]
    if not last.strip():
        return False
    try:
        orjson.loads(last)
    except orjson.JSONDecodeError:
        return True
    return False


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_gzipped(source: Source) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(Gzipped(source.open()), READ_BYTES))


class Gzipped(io.RawIOBase):
    """The gzip file of a plain one. It has no time in it: the same text gives the same bytes."""

    def __init__(self, text: IO[bytes]) -> None:
        self._text = text
        self._zlib = zlib.compressobj(GZIP_LEVEL, wbits=31)
        self._packed = b""
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io itself passes
        while not self._packed and not self._is_done:
            text = self._text.read(READ_BYTES)
            self._is_done = not text
            self._packed = self._zlib.compress(text) if text else self._zlib.flush()
        count = min(len(buffer), len(self._packed))
        buffer[:count] = self._packed[:count]
        self._packed = self._packed[count:]
        return count

    def close(self) -> None:
        self._text.close()
        super().close()
