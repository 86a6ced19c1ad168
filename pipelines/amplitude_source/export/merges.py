"""Amplitude's merge feed: files of merged users, as some plans export them, into `bronze.merge_ids`.

A line is a user who was merged (`amplitude_id`) into its original (`merged_amplitude_id`), and when. Keys come in lower
or upper case; in S3 `merge_event_time` is named `merge_time`, and times are epoch milliseconds.
"""

import gzip
import zlib
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import dlt
import orjson
import pyarrow as pa
from dlt.extract import DltResource

from ..background import read_ahead
from ..errors import AmplitudeError
from ..settings import AmplitudeSettings, as_utc
from ..tables import MERGE_IDS_COLUMNS, arrow_schema, column_hints, types_of
from .exported import Source

LONGEST_LINE = 65_536  # in bytes; of four numbers and times
FILES_AHEAD = 8  # there is one for each hour, and on S3 a small file is mostly waiting
EPOCH, MILLISECOND, MICROSECOND = datetime(1970, 1, 1), timedelta(milliseconds=1), timedelta(microseconds=1)
BIGINT = range(-(2**63), 2**63)


class Merge(NamedTuple):
    """What a line says; its times in epoch microseconds."""

    amplitude_id: int
    merged_amplitude_id: int
    merge_event_time: int
    merge_server_time: int


@dlt.source(name="amplitude")
def amplitude_merges(settings: AmplitudeSettings, merges: pa.Table, effective_hour: datetime) -> DltResource:
    """The rows of `read_merges` that bronze does not have yet.

    A row says what Amplitude did once, so all that it says is its key, and one that is there stays as it is, with its
    `_effective_hour`: the same file twice changes nothing.
    """
    schema = arrow_schema(types_of(MERGE_IDS_COLUMNS))
    for name, value in {"_project": settings.project, "_effective_hour": effective_hour}.items():
        column = schema.field(name)
        merges = merges.append_column(column, pa.repeat(pa.scalar(value, column.type), merges.num_rows))
    return dlt.resource(
        [merges],
        name="merge_ids",
        columns=column_hints(MERGE_IDS_COLUMNS),
        primary_key=["_project", *Merge._fields],
        write_disposition={"disposition": "merge", "strategy": "insert-only"},
    )


def read_merges(files: Iterable[Source]) -> pa.Table:
    """The merges in files, each once.

    Raises:
        AmplitudeError: a file or a line cannot be read.
    """
    columns = [array("q") for _ in Merge._fields]
    for read in read_ahead(read_columns, files, FILES_AHEAD):
        for column, values in zip(columns, read(), strict=True):
            column.extend(values)
    schema = pa.schema([field for field in arrow_schema(types_of(MERGE_IDS_COLUMNS)) if field.name in Merge._fields])
    table = pa.table([pa.array(column, pa.int64()) for column in columns], names=Merge._fields)
    # dlt does not look for repeats within a load
    return table.group_by([*Merge._fields]).aggregate([]).select(schema.names).cast(schema)


def read_columns(file: Source) -> "list[array[int]]":  # which Python 3.11 does not evaluate
    """Read the merges in a file, as a column for each of their fields."""
    columns = [array("q") for _ in Merge._fields]
    for merge in read_file(file):
        for column, value in zip(columns, merge, strict=True):
            column.append(value)
    return columns


def read_file(file: Source) -> Iterator[Merge]:
    """The lines of a file, which may be gzipped."""
    try:
        is_gzipped = file.is_gzipped()
        with file.open() as raw:
            lines = gzip.GzipFile(fileobj=raw) if is_gzipped else raw
            for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE + 1), b""), 1):
                try:
                    yield read_line(line)
                except ValueError as error:
                    raise AmplitudeError(f"{file.place}, line {number}: {error}; nothing was loaded.") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise AmplitudeError(f"{file.place} cannot be read ({reason}); nothing was loaded.") from None


def read_line(line: bytes) -> Merge:
    """What a line says.

    Raises:
        ValueError: it is no merge; the message tells why.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a line of more than {LONGEST_LINE:,} bytes")
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise ValueError("no JSON") from None
    if not isinstance(data, dict):
        raise ValueError("no JSON object")
    values = {key.lower(): value for key, value in data.items()}
    values.setdefault("merge_event_time", values.get("merge_time"))
    ids = [read_id(name, values.get(name)) for name in Merge._fields[:2]]
    return Merge(*ids, *(read_time(name, values.get(name)) for name in Merge._fields[2:]))


def read_id(name: str, value: object) -> int:
    if type(value) is not int or value not in BIGINT:
        raise wrong(name, value, "whole number of 64 bits")
    return value


def read_time(name: str, value: object) -> int:
    """In epoch microseconds, from a text in ISO's format, UTC unless it says otherwise, or from epoch milliseconds."""
    try:
        if type(value) is int:
            return (EPOCH + value * MILLISECOND - EPOCH) // MICROSECOND
        if isinstance(value, str):
            return (as_utc(datetime.fromisoformat(value)) - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        pass
    raise wrong(name, value, "time")


def wrong(name: str, value: object, what: str) -> ValueError:
    return ValueError(f"{name} is missing" if value is None else f"{name} is no {what}: {orjson.dumps(value).decode()}")
