"""The lake's files, in a local folder or on S3: nobody ever sees one that is half written.

Paths are relative to the lake, with slashes.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar, Protocol, cast

from botocore.exceptions import BotoCoreError, ClientError
from dlt.common.configuration import configspec, resolve_type
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.configuration.specs import CredentialsConfiguration
from dlt.common.storages import FilesystemConfiguration

from ..errors import AmplitudeError

LAKE_VARIABLE = "SOURCES__AMPLITUDE__LAKE__BUCKET_URL"
EXPORT_VARIABLE = "SOURCES__AMPLITUDE__EXPORT_BUCKET_URL"
CREDENTIALS = (
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or SOURCES__AMPLITUDE__LAKE__CREDENTIALS__*, or "
    "give the machine a role"
)
AGAIN = "run again: finished hours are kept"
S3, GS = "s3://", "gs://"
# Of a far file that is read: the block that is used and the one that comes next.
BLOCK_BYTES = 8 << 20
BLOCKS = 2
NO_CREDENTIALS = CredentialsConfiguration | None
"""What dlt takes for a place that needs none."""
UNFINISHED = ".unfinished"
MANY_FILES = 100
"""From here on, one sync of the disk before those of the files is quicker. It reports no errors, so they stay."""
AWS_ERRORS = (BotoCoreError, ClientError)


@configspec
class LakeConfiguration(FilesystemConfiguration):
    """`SOURCES__AMPLITUDE__LAKE__*`, or `[sources.amplitude.lake]` of `.dlt/config.toml`."""

    variable: ClassVar[str] = LAKE_VARIABLE
    places: ClassVar[Mapping[str, str]] = {"file": "a folder", "s3": "s3://bucket/prefix"}

    bucket_url: str = "data/lake"
    """The lake: a folder, or `s3://bucket/prefix`."""
    retention_days: int | None = None
    """How many days after its end an hour's files stay before `archive prune` removes them. Default: for ever."""

    @resolve_type("credentials")
    def resolve_credentials_type(self) -> type[CredentialsConfiguration]:
        """Refuse other places, before dlt asks for the credentials of another cloud."""
        if self.protocol not in self.places:
            *others, last = self.places.values()
            raise LakeError(f"{self.variable}: write {', '.join(others)} or {last}, not {self}.")
        return super().resolve_credentials_type()


@configspec
class ExportBucketConfiguration(LakeConfiguration):
    """Where Amplitude itself writes its export, with the credentials of the lake for S3, and Google's own for GCS."""

    variable: ClassVar[str] = EXPORT_VARIABLE
    places: ClassVar[Mapping[str, str]] = {**LakeConfiguration.places, "gs": "gs://bucket/prefix"}

    @resolve_type("credentials")  # which dlt does not inherit
    def resolve_credentials_type(self) -> type[CredentialsConfiguration]:
        """Refuse other places; ask for no credentials where Google's library finds them."""
        resolved = super().resolve_credentials_type()
        return (
            cast(type[CredentialsConfiguration], None | CredentialsConfiguration) if self.protocol == "gs" else resolved
        )


class LakeError(AmplitudeError, OSError):
    """The lake cannot be read or written. Libraries that put up with an OSError put up with it, too."""


class Sink(Protocol):
    """A file on its way."""

    def write(self, data: bytes, /) -> object: ...


class Uploads(Protocol):
    """Files on their way, of which nobody sees any before `commit`."""

    def create(self, path: str) -> AbstractContextManager[Sink]:
        """A new file, complete when its context ends."""

    def commit(self) -> None:
        """All files take their places, each at once."""

    def discard(self) -> None:
        """What was not committed is forgotten."""


class Files(Protocol):
    """A folder of files that is only read."""

    def open(self, path: str) -> IO[bytes]:
        """A file to be read in pieces. Raises FileNotFoundError where there is none."""

    def pages(self, prefix: str, after: str = "") -> Iterator[list[str]]:
        """The paths that begin with a prefix, in the order of their bytes, from behind one on; some at a time."""


class Lake(Files, Protocol):
    """A folder of files."""

    @property
    def reads_ahead(self) -> int:
        """How many hours are worth being read before their turn, for each read waits for answers."""

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError where there is none."""

    def write(self, path: str, data: bytes) -> None:
        """A small file; what was there before stays until all of it is."""

    def uploads(self) -> Uploads: ...

    def paths(self, folder: str) -> list[str]:
        """Of all files below a folder, which need not exist."""

    def remove(self, path: str) -> None: ...

    def sync(self) -> None:
        """Returns once all that was written would survive a power cut."""


@contextmanager
def together(uploads: Uploads) -> Iterator[Uploads]:
    """Commits what was created within if nothing fails, and leaves no trace of it otherwise."""
    try:
        yield uploads
        uploads.commit()
    finally:
        uploads.discard()


@contextmanager
def told_credentials() -> Iterator[None]:
    """Tells what is wrong with the AWS credentials that dlt and botocore look for.

    Raises:
        LakeError: there are none, or a profile, a file or a login that they come from is at fault.
    """
    try:
        yield
    except ConfigFieldMissingException as error:
        if "`aws_access_key_id`" not in str(error):  # a field of a field of a field
            raise
        raise LakeError(no_credentials("none were found")) from error
    except AWS_ERRORS as error:
        raise LakeError(no_credentials(error)) from error


def no_credentials(reason: object) -> str:
    return f"There are no AWS credentials for the lake ({reason}): {CREDENTIALS}."


class LocalLake:
    """A folder of this machine. A file on its way has a name of its own, ending in `.unfinished`.

    `sync` writes through to the disk what was committed before it. A file that replaces another is synced at once: a
    power cut in between would leave neither.
    """

    reads_ahead = 0

    def __init__(self, root: Path) -> None:
        self._root = root
        self._syncs = Syncs(root)

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def open(self, path: str) -> IO[bytes]:
        return (self._root / path).open("rb")

    def write(self, path: str, data: bytes) -> None:
        with together(self.uploads()) as uploads, uploads.create(path) as file:
            file.write(data)

    def uploads(self) -> "LocalUploads":
        return LocalUploads(self._root, self._syncs)

    def paths(self, folder: str) -> list[str]:
        files = (path for path in (self._root / folder).rglob("*") if path.is_file())
        return sorted(path.relative_to(self._root).as_posix() for path in files)

    def pages(self, prefix: str, after: str = "") -> Iterator[list[str]]:
        found = sorted(self.paths(prefix.rpartition("/")[0]), key=str.encode)
        yield [path for path in found if path.startswith(prefix) and path.encode() > after.encode()]

    def remove(self, path: str) -> None:
        (self._root / path).unlink()

    def sync(self) -> None:
        self._syncs.wait()


class Syncs:
    """Files of a folder that are not known to be on the disk yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: list[Path] = []

    def add(self, path: Path) -> None:
        self._files.append(path)

    def wait(self) -> None:
        """Return once the files are on the disk, and their names in the folders from the root's own on down."""
        if len(self._files) >= MANY_FILES:
            os.sync()
        for file in self._files:
            with suppress(FileNotFoundError):  # it was removed since
                sync_path(file)
        for folder in self._folders():
            sync_path(folder)
        self._files.clear()

    def _folders(self) -> set[Path]:
        folders = {file.parent for file in self._files}
        above = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(self._root.parent)}
        return folders | above


class LocalUploads:
    """Files that are renamed once they are complete."""

    def __init__(self, root: Path, syncs: Syncs) -> None:
        self._root = root
        self._syncs = syncs
        self._targets: list[Path] = []

    def create(self, path: str) -> IO[bytes]:
        target = self._root / path
        self._targets.append(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        return unfinished(target).open("wb")

    def commit(self) -> None:
        for target in self._targets:
            if target.exists():
                sync_path(unfinished(target))
            unfinished(target).replace(target)
            self._syncs.add(target)
        self._targets.clear()

    def discard(self) -> None:
        for target in self._targets:
            with suppress(FileNotFoundError, NotADirectoryError):  # it was committed, or its folder could not be made
                unfinished(target).unlink()


def unfinished(target: Path) -> Path:
    return target.with_name(target.name + UNFINISHED)


def sync_path(path: Path) -> None:
    """Write a file, or the names in a folder, through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
