"""Lines as members have them, and the rows of bronze that they become."""

import gzip
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple

import pyarrow as pa
from dlt.common.normalizers.naming.snake_case import NamingConvention

from amplitude_source.lake.archive import ArchivedMember, Member, MemberName
from amplitude_source.rows.lines import Block, LineReader
from amplitude_source.rows.typer import RowTyper
from amplitude_source.tables import EXPORT_TYPES, LOAD_ID, ODD_VALUES, ORIGIN_TYPES
from support.members import export_row, member_name

HOUR = datetime(2026, 6, 1, 5)
NAME = member_name(HOUR)
normalize = NamingConvention().normalize_identifier
DLT_COLUMNS = {"_dlt_id", LOAD_ID}
Row = dict[str, Any]


def member(data: bytes, name: str = NAME) -> ArchivedMember:
    def opened() -> IO[bytes]:
        return io.BytesIO(gzip.compress(data, compresslevel=1))

    parsed = MemberName.parse(name)
    assert parsed
    return ArchivedMember(Member(parsed, opened), size=0, sha256="", sent_sha256="")


class BronzeTables(NamedTuple):
    """What a block becomes."""

    events: pa.Table
    rejected: pa.Table


def read(*members: ArchivedMember, columns: Iterable[str] = ()) -> list[BronzeTables]:
    """All blocks of the members, the last one included, where `bronze.events` has these columns besides its own."""
    return [
        BronzeTables(in_order(pa.concat_tables(rows.events, promote_options="default")), rows.rejected)
        for rows in RowTyper(normalize, columns, "a load").type_all(blocks(members))
    ]


def blocks(members: Iterable[ArchivedMember]) -> Iterator[Block]:
    reader = LineReader("web")
    for each in members:
        yield from reader.read(each)
    yield reader.block()


def in_order(events: pa.Table) -> pa.Table:
    """As in the members; odd rows are typed after the others."""
    return events.sort_by([(name, "ascending") for name in ORIGIN_TYPES])


def read_lines(*lines: bytes) -> BronzeTables:
    (batch,) = read(member(b"".join(line + b"\n" for line in lines)))
    return batch


def read_rows(*rows: Row) -> BronzeTables:
    return read_lines(*(json.dumps(row).encode() for row in rows))


def value_of(key: str, value: object) -> object:
    """What a value of a key becomes; the row must not be rejected, and nothing of it be odd."""
    event = event_of(json.dumps(export_row(**{key: value})).encode())
    assert event[ODD_VALUES] is None
    return event[normalize(key)]


def event_of(line: bytes) -> Row:
    """What a line becomes, which must not be rejected."""
    batch = read_lines(line)
    assert batch.rejected.to_pylist() == []
    events: list[Row] = batch.events.to_pylist()
    assert len(events) == 1
    return events[0]


def odd_values(event: Row) -> Any:
    return json.loads(event[ODD_VALUES] or "{}")


def reasons(batch: BronzeTables) -> list[str]:
    return [str(reason) for reason in batch.rejected["reason"].to_pylist()]


def compact(row: Row) -> bytes:
    """As Amplitude writes it."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def columns_of_unknown_keys(batch: BronzeTables) -> dict[str, list[str]]:
    known = {*map(normalize, EXPORT_TYPES), *ORIGIN_TYPES, LOAD_ID, ODD_VALUES}
    return {name: batch.events[name].to_pylist() for name in batch.events.column_names if name not in known}
