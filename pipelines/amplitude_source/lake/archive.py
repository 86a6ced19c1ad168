"""The archive: what Amplitude sent, byte for byte, under keys that depend on nothing but the member's name.

raw/project=<project>/app=<app>/date=<yyyy-mm-dd>/hour=<HH>/<app>_<yyyy-MM-dd>_<H>#<n>.json.gz
raw/project=<project>/hours/date=<yyyy-mm-dd>/hour=<HH>.json     the hour's manifest; without members: it has no data
raw/project=<project>/unloaded/<yyyy-mm-dd>T<HH>                 a note: the warehouse may lack a change of the hour
raw/project=<project>/erased/                                    whom no file may be of: see `erased.py`

A member that Amplitude wrote to a bucket of the user's own is not copied: the hour's manifest has its address. An hour
that retention has removed keeps its manifest, which says when.
"""

import hashlib
import json
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from itertools import chain, groupby
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from dlt.common.storages import FilesystemConfiguration
from isal import isal_zlib  # zlib's interface at twice its speed

from ..background import read_ahead
from ..errors import AmplitudeError
from .erased import PERSONS, Erased, ErasedFolder, Found, Rewritten, joined
from .open import Places, open_lake
from .privacy import Effects, PrivacySettings, Redactor, gzipped
from .storage import UNFINISHED, LakeError, Sink, Uploads, together

MEMBER_NAME = re.compile(r"(?P<app>\d+)_(?P<date>\d{4}-\d\d-\d\d)_(?P<hour>\d{1,2})#(?P<part>\d+)\.json\.gz")
MANIFEST_NAME = re.compile(r"/date=(?P<date>\d{4}-\d\d-\d\d)/hour=(?P<hour>[01]\d|2[0-3])\.json$")
HOUR_FOLDER = re.compile(r"/date=(?P<date>\d{4}-\d\d-\d\d)/hour=(?P<hour>[01]\d|2[0-3])/[^/]+$")
MANIFEST_KEYS = {"exported_at", "sent", "members", "places", "erased", "removed_at"}
LATER_KEYS: dict[str, object] = {"places": {}, "erased": {}, "removed_at": None}
EXAMPLE_NAME = "100011471_2026-06-01_0#0.json.gz"
READ_BYTES = 1 << 18
PIECE_BYTES = 1 << 18  # of unzipped text
KEPT_BYTES = 16 << 20  # of an hour's unzipped text, so that it need not be unzipped twice
# Against zip bombs. Amplitude's zips have up to 4 GB, and its lines shrink to 1/10 to 1/30.
MAX_TEXT_BYTES = 64 << 30
# One line again and again shrinks to 1/190, as deflate has to say each time how far back to copy from; with 20 KB of
# one character in it, to 1/360; newlines or spaces alone to 1/1030.
MAX_RATIO = 500
FREE_TEXT_BYTES = 256 << 20  # whatever the ratio: a matter of seconds
MAX_STREAMS = 1_000_000  # Amplitude's members are of one, bgzip's of one for 64 KB; so many empty ones take 7 seconds


class BrokenMemberError(AmplitudeError):
    """A member that is no complete gzip file."""

    def __init__(self, name: "MemberName", reason: str) -> None:
        super().__init__(
            f"{name.name} is no complete gzip file ({reason}): nothing of hour {name.hour:%Y-%m-%dT%H} was loaded; "
            "get the file again."
        )


class ZipBombError(AmplitudeError):
    """A member that is made to fill memory, disk or time. Another download would bring the same."""

    def __init__(self, name: "MemberName", reason: str) -> None:
        super().__init__(
            f"{name.name} {reason}, as no export of Amplitude's does: nothing of hour {name.hour:%Y-%m-%dT%H} was "
            "loaded; see what is in the file, then remove it or ask Amplitude for a sound one."
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
    place: str = ""
    """Its address, if it lies in a bucket of the user's own, where it stays."""


@dataclass(frozen=True)
class ArchivedMember:
    """A member whose bytes were read to the end, checked, and stand in the archive."""

    member: Member
    size: int
    sha256: str
    sent_sha256: str
    """Of what Amplitude sent: another where privacy rules changed it."""
    effects: Effects | None = field(default=None, repr=False, compare=False)
    """Of the privacy rules, if it passed them on its way."""
    erased: int = 0
    """How many lines of erased persons it lacks."""
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
    """What is known of one hour: its members; without members `is_final` tells no data from not yet available."""

    hour: datetime
    members: list[ArchivedMember]
    exported_at: datetime
    """When Amplitude was asked for it, naive UTC."""
    is_final: bool = True

    @property
    def erased_rows(self) -> int:
        """How many lines of erased persons it lacks."""
        return sum(member.erased for member in self.members)

    @property
    def sha256(self) -> str | None:
        """Of its content; None without members."""
        return content_sha256(shas(self.members))


class Searched(NamedTuple):
    """What an hour has of persons who are to be erased."""

    hour: datetime
    found: Found
    files: int
    """How many files have lines of theirs."""
    paths: list[str]
    """Of all its files in the lake."""
    is_removed: bool
    """Whether retention has removed these, so that nothing was looked at."""


class IncompleteHourError(AmplitudeError):
    """An hour of the archive that is not what its manifest says."""

    def __init__(self, hour: datetime, reason: str) -> None:
        self.hour, self.reason = hour, reason
        hour_ = f"{hour:%Y-%m-%dT%H}"
        super().__init__(
            f"Hour {hour_} is not whole in the archive ({reason}): load it from Amplitude with --start {hour_} "
            f"--end {hour_}."
        )


class RemovedHourError(AmplitudeError):
    """An hour whose files are asked for, and which retention has removed from the archive."""

    def __init__(self, hour: datetime, removed_at: datetime, manifest_path: str) -> None:
        self.hour, self.removed_at = hour, removed_at
        hour_ = f"{hour:%Y-%m-%dT%H}"
        super().__init__(
            f"Retention removed the files of hour {hour_} from the lake on {removed_at:%Y-%m-%d}: ask Amplitude for it "
            f"with --start {hour_} --end {hour_}. If Amplitude has nothing of it either, remove {manifest_path} from "
            "the lake and declare the hour empty."
        )


class Manifest(NamedTuple):
    """What the archive holds of an hour."""

    exported_at: datetime
    sent: str | None
    """The SHA-256 of what Amplitude sent, as `content_sha256` makes it."""
    members: dict[str, str]
    """The SHA-256 of each member by its name."""
    places: dict[str, str]
    """The addresses of the members that are not in the archive itself."""
    erased: dict[str, int]
    """How many lines of erased persons the members lack; those that lack none are not in it."""
    removed_at: datetime | None = None
    """When retention removed the files from the lake, naive UTC; None while they are there."""

    @classmethod
    def parse(cls, text: bytes, hour: datetime) -> "Manifest":
        """Read the manifest of an hour. Those that were written before manifests had a checksum have none.

        Those without what came later (`LATER_KEYS`) are written as they were then.

        Raises:
            ValueError: it is damaged, or it is another hour's.
        """
        try:
            fields = LATER_KEYS | json.loads(text)
            stated = fields.pop("sha256", None)
            exported_at = datetime.fromisoformat(fields["exported_at"])
            removed_at = datetime.fromisoformat(fields["removed_at"]) if fields["removed_at"] else None
            manifest = cls(
                exported_at, fields["sent"], fields["members"], fields["places"], fields["erased"], removed_at
            )
            names = [MemberName.parse(name) for name in manifest.members]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it lacks {error}") from None
        if fields.keys() != MANIFEST_KEYS or stated not in (None, manifest.sha256(hour)):
            raise ValueError("its checksum is wrong")
        if not all(name and name.hour == hour for name in names):
            raise ValueError("it names a file that is not the hour's")
        return manifest

    def sha256(self, hour: datetime) -> str:
        """Return its own checksum, which covers the hour, too: the file may bear another hour's name."""
        text = json.dumps([hour, *self._stated().values()], default=datetime.isoformat)
        return hashlib.sha256(text.encode()).hexdigest()

    def text(self, hour: datetime) -> bytes:
        fields = self._stated() | {"sha256": self.sha256(hour)}
        return json.dumps(fields, default=datetime.isoformat, indent=2).encode()

    def _stated(self) -> dict[str, object]:
        fields = self._asdict()
        last = max((name for name in LATER_KEYS if fields[name]), key=[*fields].index, default="members")
        return dict([*fields.items()][: [*fields].index(last) + 1])  # as before there were the others

    @property
    def content(self) -> str | None:
        """The SHA-256 of the members, as the ledger has it."""
        return content_sha256(self.members)


class Archive:
    """A project's part of the lake's `raw/` folder."""

    def __init__(
        self,
        lake: FilesystemConfiguration,
        project: str,
        privacy: PrivacySettings | None = None,
        exports: FilesystemConfiguration | None = None,
    ) -> None:
        """What comes from outside passes the privacy rules, and the list of erased persons, before a byte is kept.

        `exports` is the bucket to which Amplitude exports. An archive without `privacy` only compares checksums.

        Raises:
            AmplitudeError: a rule cannot be followed, or the key of the erased persons is missing.
        """
        self._redactor = privacy.redactor() if privacy else None
        self._lake = open_lake(lake)
        self._places = Places((exports, lake))
        self._root = f"raw/project={project}"
        self._days: dict[date, set[datetime]] = {}
        self.erasures = ErasedFolder(self._lake, self._root, privacy) if privacy else None
        self._erased = self.erasures.persons() if self.erasures else None
        self.is_being_erased_from = bool(self._erased and self.erasures and self.erasures.unfinished())
        """Whether an erasure was begun and is not finished."""

    def take_over(self, project: str) -> None:
        """Copy the archive of a project that has this one's name now; it stays under its old name, too."""
        for path in self._lake.paths(f"raw/project={project}"):
            target = path.replace(f"raw/project={project}/", f"{self._root}/", 1)
            data = self._lake.read(path)
            if target == f"{self._root}/{PERSONS}" and target in self._lake.paths(self._root):
                data = joined(data, self._lake.read(target))
            self._lake.write(target, data)
        self._days.clear()

    def remove(self) -> None:
        """Remove all of the archive, of a project whose name is another now.

        Manifests go before the files that they name, because a loader on AWS may not remove them: then all of it stays.

        Raises:
            AmplitudeError: the lake refuses.
        """
        paths = self._lake.paths(self._root)
        try:
            for path in sorted(paths, key=lambda path: not path.startswith(f"{self._root}/hours/")):
                self._lake.remove(path)
        except AmplitudeError as error:
            raise AmplitudeError(
                f"Nothing but the old folder is left: remove {self._root}/ from the lake with the rights of an "
                f"administrator. The lake said: {error}"
            ) from error
        finally:
            self._days.clear()

    @property
    def redacts(self) -> bool:
        """Whether the same files may be archived as others, because rules have changed."""
        return self._redactor is not None

    def store_hour(
        self, hour: datetime, members: Iterable[Member], exported_at: datetime, is_final: bool = True
    ) -> ExportHour:
        """Makes the archive hold exactly these members for the hour, and gives all that it then holds, checked.

        An hour is replaced as a whole, app by app: what another app has there stays, and belongs to the hour too. A
        damaged manifest says nothing of other apps, so it is replaced by what comes.

        Raises:
            AmplitudeError: a member is no complete gzip file; the archive keeps what it held.
            IncompleteHourError: there are no members, and what the archive holds of the hour is damaged.
            RemovedHourError: retention has removed what the archive would give.
        """
        sent = sorted(members, key=_by_name)
        before = self._sound_manifest(hour) if sent else self._manifest(hour)
        if not sent and before and before.members:  # Amplitude no longer has it
            return self.read_hour(hour)
        others = self._members_of_other_apps(before, {member.name.app for member in sent})
        if before and others:
            self._check_files(hour, before)
        kept = check_all(others)
        replaced = self._replace(sent)
        archived = sorted([*replaced, *kept], key=_by_name)
        if is_final:
            sent_content = content_sha256({m.name.name: m.sent_sha256 for m in replaced})
            self._write_manifest(hour, manifest_of(archived, exported_at, sent_content))
            self._remove_copies(replaced)
        return ExportHour(hour, archived, exported_at, is_final)

    def store_empty(self, hour: datetime, exported_at: datetime) -> ExportHour:
        """Make a manifest without members take the place of a damaged one: the hour is known to have no data."""
        self._write_manifest(hour, manifest_of([], exported_at, None))
        return ExportHour(hour, [], exported_at)

    def _replace(self, members: list[Member]) -> list[ArchivedMember]:
        """Copies all members before the first takes its place, so that a broken one changes nothing.

        Those that lie in a bucket of the user's own, and that nothing changes, are only checked.
        """
        if all(self._stays_where_it_is(member) for member in members):
            return check_all(members)
        with together(self._lake.uploads()) as uploads:
            archived = checked(partial(self._copy, member, uploads) for member in members)
        for folder, group in groupby(archived, key=lambda m: m.name.folder):
            self._remove_others(f"{self._root}/{folder}", {m.name.name for m in group})
        return archived

    def _stays_where_it_is(self, member: Member) -> bool:
        return bool(member.place) and not self._redactor and not self._has_erased_lines(member)

    def _copy(self, member: Member, uploads: Uploads, room: int) -> ArchivedMember:
        if self._stays_where_it_is(member):
            return check(member, room)
        erased = self._erased if self._has_erased_lines(member) else None
        with member.open() as source, uploads.create(self._path(member.name)) as sink:
            archived = _copy_checked(member, source, sink, room, self._redactor, erased)
        return replace(archived, member=self._member(member.name)) if self._redactor or erased else archived

    def _has_erased_lines(self, member: Member) -> bool:
        return self._erased is not None and find_lines(member, self._erased).total() > 0

    def _remove_others(self, folder: str, names: set[str]) -> None:
        """Members of an earlier export that are no longer sent go, and what a killed run left."""
        for path in self._lake.paths(folder):
            if PurePosixPath(path).name not in names:
                self._lake.remove(path)

    def _remove_copies(self, members: Iterable[ArchivedMember]) -> None:
        """Copies go that the manifest no longer names, because it has the members' own places."""
        members = [*members]
        for folder in {m.name.folder for m in members if m.member.place}:
            kept = {m.name.name for m in members if m.name.folder == folder and not m.member.place}
            self._remove_others(f"{self._root}/{folder}", kept)

    def _members_of_other_apps(self, manifest: Manifest | None, apps: set[int]) -> list[Member]:
        members = self._members(manifest) if manifest else []
        return [member for member in members if member.name.app not in apps]

    def _members(self, manifest: Manifest) -> list[Member]:
        names = [name for text in manifest.members if (name := MemberName.parse(text))]
        return [self._member(name, manifest.places.get(name.name, "")) for name in names]

    def _member(self, name: MemberName, place: str = "") -> Member:
        if place:
            return Member(name, partial(self._places.open, place), place)
        return Member(name, partial(self._lake.open, self._path(name)))

    def _path(self, name: MemberName) -> str:
        return f"{self._root}/{name.folder}/{name.name}"

    def _manifest(self, hour: datetime) -> Manifest | None:
        """Read an hour's manifest, if there is one.

        Raises:
            IncompleteHourError: it is damaged.
        """
        path = self._manifest_path(hour)
        try:
            return Manifest.parse(self._lake.read(path), hour)
        except FileNotFoundError:
            return None
        except LakeError:  # that is no fault of the hour
            raise
        except (OSError, ValueError) as error:
            raise IncompleteHourError(hour, f"its manifest {path} is damaged: {error}") from error

    def _known_manifest(self, hour: datetime) -> Manifest:
        manifest = self._manifest(hour)
        if not manifest:
            raise IncompleteHourError(hour, "its manifest is missing")
        return manifest

    def _check_files(self, hour: datetime, manifest: Manifest) -> None:
        if manifest.removed_at:
            raise RemovedHourError(hour, manifest.removed_at, self._manifest_path(hour))

    def _sound_manifest(self, hour: datetime) -> Manifest | None:
        try:
            return self._manifest(hour)
        except IncompleteHourError:
            return None

    def _write_manifest(self, hour: datetime, manifest: Manifest) -> None:
        """Last, and at once: it tells an hour that is whole from one that a killed run left half replaced."""
        self._lake.write(self._manifest_path(hour), manifest.text(hour))

    def _manifest_path(self, hour: datetime) -> str:
        return f"{self._root}/hours/date={hour:%Y-%m-%d}/hour={hour:%H}.json"

    def __contains__(self, hour: datetime) -> bool:
        """Whether there is a manifest of the hour, by a listing of its day that is made once."""
        day = hour.date()
        if day not in self._days:
            folder = f"{self._root}/hours/date={day}"
            self._days[day] = self._hours_below(folder)
        return hour in self._days[day]

    def hours(self) -> list[datetime]:
        """Every hour that the archive holds, those without data included."""
        return sorted(self._hours_below(f"{self._root}/hours"))

    def _hours_below(self, folder: str) -> set[datetime]:
        return {hour for path in self._lake.paths(folder) if (hour := hour_named(MANIFEST_NAME, path))}

    def strangers(self) -> list[str]:
        """List the files among the manifests that are none, by their names."""
        paths = self._lake.paths(f"{self._root}/hours")
        return [path for path in paths if not hour_named(MANIFEST_NAME, path) and not path.endswith(UNFINISHED)]

    def announce(self, hour: datetime) -> None:
        """Note, for good, that an hour which the warehouse has is about to change here.

        A run that ends before the warehouse has the change leaves the note to the next one.
        """
        self._lake.write(self._note_path(hour), b"")
        self._lake.sync()

    def announced(self) -> list[datetime]:
        """List the hours with such a note."""
        names = [PurePosixPath(path).name for path in self._lake.paths(f"{self._root}/unloaded")]
        return [datetime.fromisoformat(name) for name in names if not name.endswith(UNFINISHED)]

    def settle(self, hour: datetime) -> None:
        """Remove the note: the warehouse has what the archive has."""
        self._lake.remove(self._note_path(hour))

    def _note_path(self, hour: datetime) -> str:
        return f"{self._root}/unloaded/{hour:%Y-%m-%dT%H}"

    def sync(self) -> None:
        """Return once all that was archived would survive a power cut.

        Raises:
            AmplitudeError: it cannot be written.
        """
        try:
            self._lake.sync()
        except OSError as error:
            raise AmplitudeError(f"The archive cannot be written to disk ({error}); nothing was loaded.") from error

    def is_loaded(self, hour: datetime, sha256: str | None) -> bool:
        """Whether a warehouse whose ledger has this checksum holds what the archive holds of an hour."""
        manifest = self._sound_manifest(hour)
        return manifest is not None and manifest.content == sha256

    def holds(self, hour: datetime, members: Iterable[Member]) -> bool:
        """Whether Amplitude sends of an hour what it sent before, byte for byte, or has nothing of it (any more)."""
        manifest = self._sound_manifest(hour)
        sent = {member.name.name: _sha256(member) for member in sorted(members, key=_by_name)}
        return manifest is not None and (not sent or manifest.sent == content_sha256(sent))

    def read_hour(self, hour: datetime) -> ExportHour:
        """Gives an hour that is in the archive, checked.

        Raises:
            IncompleteHourError: it is not what its manifest says.
            RemovedHourError: retention has removed its files.
        """
        if self._erased:
            self.purge(hour)
        manifest = self._known_manifest(hour)
        self._check_files(hour, manifest)
        with _told_of_damage(hour):
            members = check_all(sorted(self._members(manifest), key=_by_name))
        if changed := [m.name.name for m in members if m.sha256 != manifest.members[m.name.name]]:
            raise IncompleteHourError(hour, f"{changed[0]} is not the file that was archived")
        members = [replace(member, erased=manifest.erased.get(member.name.name, 0)) for member in members]
        return ExportHour(hour, members, manifest.exported_at)

    def search(self, erased: Erased, hours: Iterable[datetime] | None = None) -> Iterator["Searched"]:
        """Yield hours, by default all, with what they have of persons. A far lake is read ahead.

        Raises:
            IncompleteHourError: a file of an hour cannot be read.
        """
        hours, count = self.hours() if hours is None else hours, self._lake.reads_ahead
        search = partial(self._search, erased=erased)
        if count:
            yield from (searched() for searched in read_ahead(search, hours, count))
        else:
            yield from map(search, hours)

    def _search(self, hour: datetime, erased: Erased) -> "Searched":
        manifest = self._manifest(hour)
        is_removed = bool(manifest and manifest.removed_at)
        members = self._members(manifest) if manifest and not is_removed else []
        with _told_of_damage(hour):
            found = [find_lines(member, erased) for member in members]
        paths = [self._path(member.name) for member in members]
        return Searched(hour, sum(found, Found()), sum(map(bool, found)), paths, is_removed)

    def lines_of(self, persons: Erased) -> Iterator[bytes]:
        """Yield the lines of persons, in pieces, from the hours whose files are there."""
        for hour in self.hours():
            for member in self.read_hour(hour).members if not self.removed_at(hour) else ():
                piece = b"\n"
                for piece in persons.theirs(member.text()):
                    yield piece
                if not piece.endswith(b"\n"):  # the last line of a file
                    yield b"\n"

    def purge(self, hour: datetime) -> None:
        """Rewrite an hour without the lines of erased persons, if it has any.

        First it is noted what the files become. So one that a killed run has rewritten is known by its checksum, and
        the hour is finished without Amplitude.

        Raises:
            IncompleteHourError: it is neither what its manifest says, nor what an erasure made of it.
        """
        manifest = self._manifest(hour)
        if not (self.erasures and self._erased and manifest) or manifest.removed_at:
            return
        with _told_of_damage(hour):
            members = [member for member in self._members(manifest) if self._has_erased_lines(member)]
        if not members and not self.is_being_erased_from:
            return
        noted = self.erasures.rewritten(hour)
        now = self._checked_shas(hour, manifest, noted)
        with together(self._lake.uploads()) as uploads:
            rewritten = [self._without_erased(member, uploads) for member in members]
            becomes = rewritten_manifest(manifest, noted, now, rewritten)
            if becomes == manifest:
                return
            noted = noted or Rewritten(f"{hour:%Y-%m-%dT%H}", manifest.members, {}, {}, manifest.erased)
            elsewhere = sorted({*noted.elsewhere, *(member.place for member in members if member.place)})
            note = replace(noted, after=becomes.members, erased=becomes.erased, elsewhere=elsewhere)
            self.erasures.note_hour(hour, note)
            self.announce(hour)
        self._write_manifest(hour, becomes)
        self._lake.sync()

    def _checked_shas(self, hour: datetime, manifest: Manifest, noted: Rewritten | None) -> dict[str, str]:
        """Return the SHA-256 of each member as it is."""
        with _told_of_damage(hour):
            now = {member.name.name: _sha256(member) for member in self._members(manifest)}
        for name, sha256 in now.items():
            if sha256 not in (manifest.members[name], noted and noted.after.get(name)):
                raise IncompleteHourError(hour, f"{name} is not the file that was archived")
        return now

    def _without_erased(self, member: Member, uploads: Uploads) -> ArchivedMember:
        with member.open() as source, uploads.create(self._path(member.name)) as sink:
            return _copy_checked(member, source, sink, room=0, erased=self._erased)

    def remove_strays(self, known: Collection[str]) -> None:
        """Remove files that killed runs left: those on their way, and members that no manifest names.

        Args:
            known: the paths of the members that manifests name.
        """
        for path in self._lake.paths(self._root):
            if path.endswith(UNFINISHED) or (MemberName.parse(path) and path not in known):
                self._lake.remove(path)

    def removed_at(self, hour: datetime) -> datetime | None:
        """Return when retention removed an hour's files; None while they are there, or if nothing is known of them."""
        manifest = self._sound_manifest(hour)
        return manifest.removed_at if manifest else None

    def content(self, hour: datetime) -> str | None:
        """Return the SHA-256 of an hour's files by its manifest, as the ledger has it; nothing else is looked at.

        Raises:
            IncompleteHourError: the manifest is missing or damaged.
        """
        return self._known_manifest(hour).content

    def has_own_files(self, hour: datetime) -> bool:
        """Return whether an hour's manifest names files that lie in the lake itself."""
        manifest = self._sound_manifest(hour)
        return bool(manifest and not manifest.removed_at and manifest.members.keys() - manifest.places.keys())

    def files(self) -> dict[datetime, list[str]]:
        """List the paths of each hour's files in the lake, those of killed runs too. Hours without any are left out."""
        found: dict[datetime, list[str]] = {}
        for page in self._lake.pages(f"{self._root}/app="):
            for path in page:
                if hour := hour_named(HOUR_FOLDER, path):
                    found.setdefault(hour, []).append(path)
        return found

    def remove_files(self, files: Mapping[datetime, Collection[str]], at: datetime) -> None:
        """Remove hours' files for good. First their manifests say so, so a run that was killed is finished by the next.

        Args:
            files: the paths of each hour, as `files` has them.
            at: the present.
        """
        for hour in files:
            manifest = self._known_manifest(hour)
            if not manifest.removed_at:
                self._write_manifest(hour, manifest._replace(removed_at=at))
        self._lake.sync()
        for path in chain.from_iterable(files.values()):
            self._lake.remove(path)

    def apps(self, hour: datetime) -> set[int]:
        """Return Amplitude's numbers of the projects that an hour has files of; none if its manifest is damaged."""
        manifest = self._sound_manifest(hour)
        names = map(MemberName.parse, manifest.members if manifest else ())
        return {name.app for name in names if name}

    def verify(self, hour: datetime) -> str | None:
        """Compare an hour with its manifest by the checksums alone, which is faster than `read_hour`.

        An hour that retention has removed is what its manifest says.

        Returns:
            The SHA-256 of its content, as the ledger has it.

        Raises:
            IncompleteHourError: it is not what its manifest says.
        """
        manifest = self._known_manifest(hour)
        for member in [] if manifest.removed_at else self._members(manifest):
            with _told_of_damage(hour):
                sha256 = _sha256(member)
            if sha256 != manifest.members[member.name.name]:
                raise IncompleteHourError(hour, f"{member.name.name} is not the file that was archived")
        return manifest.content

    def read_hours(self, hours: Iterable[datetime]) -> Iterator[Callable[[], ExportHour]]:
        """For each hour, in order, the call that gives it as `read_hour` does; a far lake is read ahead of them."""
        if count := self._lake.reads_ahead:
            return read_ahead(self.read_hour, hours, count)
        return (partial(self.read_hour, hour) for hour in hours)


def erased_persons(lake: FilesystemConfiguration, project: str, privacy: PrivacySettings) -> Erased | None:
    """Return the persons whom a project has erased; None where nobody ever was.

    Raises:
        AmplitudeError: the key is missing, or it is another one.
    """
    return ErasedFolder(open_lake(lake), f"raw/project={project}", privacy).persons()


@contextmanager
def _told_of_damage(hour: datetime) -> Iterator[None]:
    """Turn what goes wrong with a file of an hour into an error of the hour; a fault of the whole lake stays one."""
    try:
        yield
    except LakeError:
        raise
    except FileNotFoundError as error:
        raise IncompleteHourError(hour, f"{PurePosixPath(str(error.filename or error)).name} is missing") from error
    except (OSError, BrokenMemberError, ZipBombError) as error:
        raise IncompleteHourError(hour, str(error)) from error


def hour_named(pattern: re.Pattern[str], path: str) -> datetime | None:
    """Return the hour that a path names where it matches; None if it names none."""
    match = pattern.search(path)
    try:
        return datetime.fromisoformat(f"{match['date']}T{match['hour']}") if match else None
    except ValueError:
        return None


def shas(members: Iterable[ArchivedMember]) -> dict[str, str]:
    """The SHA-256 of members by their names."""
    return {member.name.name: member.sha256 for member in members}


def content_sha256(members: Mapping[str, str]) -> str | None:
    """The SHA-256 of an hour, from that of each member by its name, in order; None for an hour without members."""
    lines = "".join(f"{sha256} {name}\n" for name, sha256 in members.items())
    return hashlib.sha256(lines.encode()).hexdigest() if lines else None


def find_lines(member: Member, erased: Erased) -> Found:
    """Return how many lines a member has of each erased id, by its hash."""
    found = Found()
    with member.open() as source, sound(member.name):
        deque(erased.kept(gunzip(iter(partial(source.read, READ_BYTES), b"")), found), maxlen=0)
    return found


def manifest_of(members: Iterable[ArchivedMember], exported_at: datetime, sent: str | None) -> Manifest:
    """Return what a manifest says of members."""
    members = [*members]
    places = {member.name.name: member.member.place for member in members if member.member.place}
    erased = {member.name.name: member.erased for member in members if member.erased}
    return Manifest(exported_at, sent, shas(members), places, erased)


def rewritten_manifest(
    manifest: Manifest, noted: Rewritten | None, now: Mapping[str, str], rewritten: list[ArchivedMember]
) -> Manifest:
    """Return the manifest of an hour from which lines of erased persons went.

    Args:
        manifest: of before.
        noted: what an earlier run was about to do to the hour.
        now: the SHA-256 of each member, some of them rewritten by that run.
        rewritten: by this run.
    """
    erased = dict(manifest.erased)
    if noted:
        erased |= {name: noted.erased[name] for name in now if now[name] != manifest.members[name]}
    for member in rewritten:
        erased[member.name.name] = erased.get(member.name.name, 0) + member.erased
    copied = shas(rewritten)
    places = {name: place for name, place in manifest.places.items() if name not in copied}
    return manifest._replace(members={**now, **copied}, places=places, erased=erased)


def _sha256(member: Member) -> str:
    with member.open() as source:
        return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]  # it need not be seekable


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


class _Tally:
    """Counts and hashes bytes as they pass."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def of(self, chunks: Iterable[bytes], sink: Sink | None = None) -> Iterator[bytes]:
        for chunk in chunks:
            self.size += len(chunk)
            self._digest.update(chunk)
            if sink:
                sink.write(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def sound(name: MemberName) -> Iterator[None]:
    """Say of which member it is that it cannot be unzipped.

    Raises:
        BrokenMemberError: it is no complete gzip file.
        ZipBombError: it is made to fill memory.
    """
    try:
        yield
    except (isal_zlib.error, zlib.error, zipfile.BadZipFile, EOFError) as error:  # type: ignore[misc]  # the stubs have an instance
        raise BrokenMemberError(name, str(error)) from None
    except OverflowError as error:
        raise ZipBombError(name, str(error)) from None


def _copy_checked(
    member: Member,
    source: IO[bytes],
    sink: Sink | None,
    room: int,
    redactor: Redactor | None = None,
    erased: Erased | None = None,
) -> ArchivedMember:
    """Copies a gzip file, or what is left of it without persons and by the redactor, and checks that it is whole."""
    chunks: Iterator[bytes] = iter(partial(source.read, READ_BYTES), b"")
    archived = sent = _Tally()
    effects = redactor.no_effects() if redactor else None
    lost = Found()
    if redactor or erased:
        sent = _Tally()
        text = gunzip(sent.of(chunks))
        text = erased.kept(text, lost) if erased else text
        chunks = redactor.redact(text, effects) if redactor else gzipped(text)
    kept: deque[bytes] = deque()
    with sound(member.name):
        for piece in gunzip(archived.of(chunks, sink)):
            room -= len(piece)
            if room < 0:
                kept.clear()
            else:
                kept.append(piece)
    return ArchivedMember(member, archived.size, archived.sha256, sent.sha256, effects, lost.total(), kept)


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses any number of gzip streams in a row, in bounded pieces.

    Raises:
        isal_zlib.error: this is no gzip, or a checksum is wrong.
        EOFError: the last stream is not complete.
        OverflowError: this is a zip bomb.
    """
    stream, streams = isal_zlib.decompressobj(wbits=31), 1
    read = given = 0
    for chunk in chunks:
        read += len(chunk)
        while chunk:
            if stream.eof:
                stream, streams = isal_zlib.decompressobj(wbits=31), streams + 1
            piece = stream.decompress(chunk, PIECE_BYTES)
            given += len(piece)
            _check_growth(read, given, streams)
            yield piece
            chunk = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        raise EOFError("it ends too early")


def _check_growth(read: int, given: int, streams: int) -> None:
    """Whether bytes that were read may have given so much text.

    Raises:
        OverflowError: they may not.
    """
    if given > MAX_TEXT_BYTES:
        raise OverflowError(f"unzips to more than {MAX_TEXT_BYTES:,} bytes")
    if given > max(FREE_TEXT_BYTES, MAX_RATIO * read):
        raise OverflowError(f"unzips to more than {MAX_RATIO} times its size")
    if streams > MAX_STREAMS:
        raise OverflowError(f"has more than {MAX_STREAMS:,} gzip streams in it")


def _by_name(member: Member | ArchivedMember) -> MemberName:
    return member.name
