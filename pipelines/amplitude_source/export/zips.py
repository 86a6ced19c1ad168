"""Read zip files that may be damaged or made to fill memory, disk or time."""

import struct
import zipfile
from pathlib import Path
from typing import IO, cast

from ..lake.archive import FREE_TEXT_BYTES, MAX_RATIO, MAX_TEXT_BYTES

# Amplitude's zips of 4 GB have some 20,000 entries; each takes up about 100 bytes here and 1 KB in memory.
MAX_DIRECTORY_BYTES = 32 << 20
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what others make of a few bytes fills gigabytes at once
ENCRYPTED = 0x1

END = struct.Struct("<4s4H2LH")
END64_LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCAL_HEADER = struct.Struct("<4s22x2H")
MAX_COMMENT_BYTES = 1 << 16


class UnreadZipError(Exception):
    """A zip that is damaged, or that no export is like; the message is the reason."""


def zip_entries(path: Path) -> list[zipfile.ZipInfo]:
    """Return the files in a zip.

    Raises:
        UnreadZipError: its directory is damaged or out of all proportion.
    """
    try:
        with path.open("rb") as file:
            if (size := directory_bytes(file)) > MAX_DIRECTORY_BYTES:
                raise UnreadZipError(f"its directory has {size:,} bytes")
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except UnreadZipError:
        raise
    except Exception as error:  # zipfile has no one error for garbage: struct's, zlib's, a seek before the start, ...
        raise UnreadZipError("it is no complete zip file") from error
    for entry in entries:
        if reason := objection(entry):
            raise UnreadZipError(f"{entry.filename!r} in it {reason}")
    if (size := sum(entry.file_size for entry in entries)) > MAX_TEXT_BYTES:
        raise UnreadZipError(f"it unzips to {size:,} bytes")
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise UnreadZipError("its entries overlap")
    return entries


def directory_bytes(file: IO[bytes]) -> int:
    """Return the size of a zip's directory; 0 where there is none."""
    size = file.seek(0, 2)
    start = max(0, size - MAX_COMMENT_BYTES - END.size)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + END.size:
        return 0
    directory: int = END.unpack_from(tail, at)[5]
    locator_at = start + at - END64_LOCATOR.size
    if locator_at < 0:
        return directory
    file.seek(locator_at)
    signature, _, end64_at, _ = END64_LOCATOR.unpack(file.read(END64_LOCATOR.size))
    if signature != b"PK\6\7":
        return directory
    file.seek(end64_at)
    return int(END64.unpack(file.read(END64.size))[8])


def objection(entry: zipfile.ZipInfo) -> str | None:
    """Return why an entry must not be unzipped."""
    if entry.flag_bits & ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in READ_METHODS:
        return f"is compressed by method {entry.compress_type}, which no export is"
    if entry.file_size > max(FREE_TEXT_BYTES, MAX_RATIO * entry.compress_size):
        return f"unzips to more than {MAX_RATIO} times its size"
    return None


def open_entry(path: Path, entry: zipfile.ZipInfo) -> IO[bytes]:
    """Open an entry for reading.

    `ZipFile.open` needs the zip's directory, and to read that for each entry takes a time that grows with its square.
    """
    file = path.open("rb")
    try:
        file.seek(entry.header_offset)
        signature, name_bytes, extra_bytes = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        if signature != b"PK\3\4":
            raise zipfile.BadZipFile("an entry is not where the directory says")
        file.seek(name_bytes + extra_bytes, 1)
        return cast(IO[bytes], zipfile.ZipExtFile(file, "r", entry, close_fileobj=True))
    except struct.error:
        file.close()
        raise zipfile.BadZipFile("an entry is cut off") from None
    except BaseException:
        file.close()
        raise


def is_whole_zip(path: Path) -> bool:
    """Return whether each entry of a zip can be read and has its checksum.

    What is gzipped in an entry stays so: the archive reads each member to its end anyway.
    """
    try:
        for entry in zip_entries(path):
            with open_entry(path, entry) as source:
                while source.read(1 << 20):
                    pass
    except Exception:  # as in `zip_entries`
        return False
    return True
