"""The archive: what Amplitude sent, byte for byte, under keys that depend on nothing but the member's name.

raw/app=<app>/date=<yyyy-mm-dd>/hour=<HH>/<app>_<yyyy-MM-dd>_<H>#<n>.json.gz
raw/empty/date=<yyyy-mm-dd>/hour=<HH>       an hour that is known to hold no data
"""

import hashlib
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from dlt.common.storages import FilesystemConfiguration
from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from fsspec import AbstractFileSystem

from .settings import AmplitudeError

MEMBER_NAME = re.compile(r"(?P<app>\d+)_(?P<date>\d{4}-\d\d-\d\d)_(?P<hour>\d{1,2})#(?P<part>\d+)\.json\.gz")
EMPTY_MARKER = re.compile(r"/empty/date=(?P<date>\d{4}-\d\d-\d\d)/hour=(?P<hour>\d\d)$")
EXAMPLE_NAME = "100011471_2026-06-01_0#0.json.gz"
READ_BYTES = 1 << 18
PIECE_BYTES = 1 << 18  # of unzipped text
KEPT_BYTES = 16 << 20  # of an hour's unzipped text, so that it need not be unzipped twice


class BrokenMemberError(AmplitudeError):
    """A member that is no complete gzip file."""

    def __init__(self, name: "MemberName", reason: str) -> None:
        super().__init__(
            f"{name.name} is no complete gzip file ({reason}): nothing of hour {name.hour:%Y-%m-%dT%H} was loaded; "
            "get the file again."
        )


class MemberName(NamedTuple):
    """A member's base name, taken apart. Sorts by hour, app and partition number."""

    hour: datetime
    app: int
    partition: int
    name: str

    @classmethod
    def parse(cls, path: str) -> "MemberName | None":
        """None where the name is not one that Amplitude's export gives."""
        name = PurePosixPath(path).name
        match = MEMBER_NAME.fullmatch(name)
        if not match:
            return None
        try:
            hour = datetime.strptime(f"{match['date']} {match['hour']}", "%Y-%m-%d %H")
        except ValueError:
            return None
        return cls(hour, int(match["app"]), int(match["part"]), name)

    @property
    def folder(self) -> str:
        return f"app={self.app}/date={self.hour:%Y-%m-%d}/hour={self.hour:%H}"


@dataclass(frozen=True)
class Member:
    """One gzipped file of an hour, somewhere it can be read from."""

    name: MemberName
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class ArchivedMember:
    """A member whose bytes were read to the end, checked, and stand in the archive."""

    member: Member
    size: int
    sha256: str
    kept: deque[bytes] = field(default_factory=deque, repr=False, compare=False)
    """Its text, if the check kept it."""

    def text(self) -> Iterator[bytes]:
        """Its unzipped text, in pieces. What the check kept of it is handed out once, and then no longer held."""
        if self.kept:
            while self.kept:
                yield self.kept.popleft()
            return
        with self.member.open() as source:
            yield from gunzip(iter(partial(source.read, READ_BYTES), b""))

    @property
    def name(self) -> MemberName:
        return self.member.name


@dataclass(frozen=True)
class ExportHour:
    """What is known of one hour: its members; without members `empty` tells no data from not yet available."""

    hour: datetime
    members: list[ArchivedMember]
    is_final: bool = True


class Archive:
    """The `raw/` folder of the lake, local or on an object store."""

    def __init__(self, lake: FilesystemConfiguration) -> None:
        self._fs: AbstractFileSystem
        self._fs, path = fsspec_from_config(lake)
        self._root = f"{path.rstrip('/')}/raw"

    def store_hour(self, hour: datetime, members: Iterable[Member], is_final: bool = True) -> ExportHour:
        """Makes the archive hold exactly these members for the hour, and gives all that it then holds, checked.

        An hour is replaced as a whole, app by app: what another app has there stays, and belongs to the hour too.

        Raises:
            AmplitudeError: a member is no complete gzip file; the archive keeps what it held.
        """
        sent = self._replace(sorted(members, key=_by_name))
        kept = check_all(self._members_of_other_apps(hour, {m.name.app for m in sent}))
        marker = self._empty_marker(hour)
        if sent and self._fs.exists(marker):
            self._fs.rm(marker)
        if not sent and not kept and is_final:
            self._fs.makedirs(marker.rpartition("/")[0], exist_ok=True)
            self._fs.touch(marker)
        return ExportHour(hour, sorted([*sent, *kept], key=_by_name), is_final)

    def _replace(self, members: list[Member]) -> list[ArchivedMember]:
        """Copies all members before it puts the first in its place, so that a broken one changes nothing."""
        targets = [f"{self._root}/{member.name.folder}/{member.name.name}" for member in members]
        copies = [f"{target}.unfinished" for target in targets]
        try:
            archived = checked(partial(self._copy, member, copy) for member, copy in zip(members, copies, strict=True))
        except BaseException:
            self._fs.rm([copy for copy in copies if self._fs.exists(copy)])
            raise
        for copy, target in zip(copies, targets, strict=True):
            self._fs.mv(copy, target)
        for folder, group in groupby(archived, key=lambda m: m.name.folder):
            self._remove_others(f"{self._root}/{folder}", {m.name.name for m in group})
            self._apps.add(folder.partition("/")[0])
        return archived

    def _copy(self, member: Member, target: str, room: int) -> ArchivedMember:
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        with member.open() as source, self._fs.open(target, "wb") as sink:
            return _copy_checked(member, source, sink, room)

    def _remove_others(self, folder: str, names: set[str]) -> None:
        """Members of an earlier export that are no longer sent go."""
        for path in self._fs.ls(folder, detail=False, refresh=True):
            if PurePosixPath(path).name not in names:
                self._fs.rm(path)

    def _members_of_other_apps(self, hour: datetime, apps: set[int]) -> list[Member]:
        others = self._apps - {f"app={app}" for app in apps}
        folders = [f"{self._root}/{app}/date={hour:%Y-%m-%d}/hour={hour:%H}" for app in others]
        paths = [path for folder in folders if self._fs.exists(folder) for path in self._fs.find(folder)]
        return [Member(name, partial(self._fs.open, path, "rb")) for path in paths if (name := MemberName.parse(path))]

    @cached_property
    def _apps(self) -> set[str]:
        """The folders of apps; a warehouse has one or a few."""
        folders = self._fs.ls(self._root, detail=False) if self._fs.exists(self._root) else []
        return {name for path in folders if (name := PurePosixPath(path).name).startswith("app=")}

    def _empty_marker(self, hour: datetime) -> str:
        return f"{self._root}/empty/date={hour:%Y-%m-%d}/hour={hour:%H}"

    def hours(self) -> dict[datetime, list[Member]]:
        """The members of every hour that the archive knows; none for an hour without data."""
        hours: dict[datetime, list[Member]] = {}
        for path in self._fs.find(self._root):
            if name := MemberName.parse(path):
                hours.setdefault(name.hour, []).append(Member(name, partial(self._fs.open, path, "rb")))
            elif marker := EMPTY_MARKER.search(path):
                hours.setdefault(datetime.fromisoformat(f"{marker['date']}T{marker['hour']}"), [])
        return hours

    def read_hour(self, hour: datetime, members: Iterable[Member]) -> ExportHour:
        """Checks members that lie in the archive already.

        Raises:
            AmplitudeError: a member is no complete gzip file any more.
        """
        return ExportHour(hour, check_all(sorted(members, key=_by_name)))


def folder_hours(folder: Path) -> dict[datetime, list[Member]]:
    """The exported files anywhere below a folder, by hour.

    Raises:
        AmplitudeError: there are none, or a file has a name that is not Amplitude's or that another one has.
    """
    members: dict[MemberName, Member] = {}
    for path in sorted(folder.rglob("*.json.gz")):
        if not (name := MemberName.parse(path.name)):
            raise AmplitudeError(
                f"{path} is not named like an exported file ({EXAMPLE_NAME}): rename it or move it away."
            )
        if name in members:
            raise AmplitudeError(f"{folder}: more than one file is named {name.name}; keep one of them.")
        members[name] = Member(name, partial(_open_file, path))
    if not members:
        raise AmplitudeError(f"{folder}: no exported files below it; they are named like {EXAMPLE_NAME}.")
    return {hour: list(group) for hour, group in groupby(sorted(members.values(), key=_by_name), key=_by_hour)}


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def check_all(members: Iterable[Member]) -> list[ArchivedMember]:
    """Reads an hour's members to their ends.

    Raises:
        BrokenMemberError: one is no complete gzip file.
    """
    return checked(partial(check, member) for member in members)


def check(member: Member, room: int = 0) -> ArchivedMember:
    """Reads a member to its end, and keeps its text if that fits in so many bytes.

    Raises:
        BrokenMemberError: it is no complete gzip file.
    """
    with member.open() as source:
        return _copy_checked(member, source, None, room)


def checked(checks: Iterable[Callable[[int], ArchivedMember]]) -> list[ArchivedMember]:
    """Checks members, and keeps as much of their text as there is room for."""
    members: list[ArchivedMember] = []
    for check_member in checks:
        members.append(check_member(KEPT_BYTES - sum(len(piece) for member in members for piece in member.kept)))
    return members


def _copy_checked(member: Member, source: IO[bytes], sink: IO[bytes] | None, room: int) -> ArchivedMember:
    """Copies a gzip file while it checks that it is complete."""
    size, digest = 0, hashlib.sha256()
    kept: deque[bytes] = deque()

    def chunks() -> Iterator[bytes]:
        nonlocal size
        while chunk := source.read(READ_BYTES):
            size += len(chunk)
            digest.update(chunk)
            if sink:
                sink.write(chunk)
            yield chunk

    try:
        for piece in gunzip(chunks()):
            room -= len(piece)
            if room < 0:
                kept.clear()
            else:
                kept.append(piece)
    except (zlib.error, zipfile.BadZipFile, EOFError) as error:
        raise BrokenMemberError(member.name, str(error)) from None
    return ArchivedMember(member, size, digest.hexdigest(), kept)


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses any number of gzip streams in a row, in bounded pieces.

    Raises:
        zlib.error: this is no gzip, or a checksum is wrong.
        EOFError: the last stream is not complete.
    """
    stream = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        while chunk:
            if stream.eof:
                stream = zlib.decompressobj(wbits=31)
            yield stream.decompress(chunk, PIECE_BYTES)
            chunk = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        raise EOFError("it ends too early")


def _by_name(member: Member | ArchivedMember) -> MemberName:
    return member.name


def _by_hour(member: Member) -> datetime:
    return member.name.hour
