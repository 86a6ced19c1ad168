"""From blocks of JSON lines to typed Arrow tables and Parquet files; what cannot be read is kept with its reason.

No value is ever rounded or nulled: a row with a value that does not fit its column's type goes to the rejected rows as
a whole. What becomes of a line depends on that line alone, whatever stands beside it; only when `bronze.events` is full
(`MAX_COLUMNS`), on the keys that came before, for who comes first has a column.

DuckDB types the rows. Lines of one shape, written as DuckDB would write them, are the rule: so a stretch of lines is
typed by the keys of its first one. What that leaves out is looked at again, ever more closely (see `queries.py`).
"""

import hashlib
import json
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .columns import EXPORT_COLUMNS, ORIGIN_COLUMNS, REJECTED_COLUMNS, REQUIRED_KEYS, arrow_schema
from .lines import LINE, MAX_DEPTH, MAX_LINE_BYTES, Block
from .queries import FACTS_QUERY, MAX_KEYS, odd_query, shape_query, struct_fields, written_query

LOAD_ID = "_dlt_load_id"
TYPING_THREADS = 2
STRETCHES_UNDER_WAY = 3  # two being typed, and one for whoever is done first
STRETCH_BYTES = 12 << 20  # of unzipped JSON; DuckDB takes up five times as much
STRETCH_LINES = 1 << 16  # more than that of real lines has; a rejected line takes up 1 KB, be it two bytes long
EXAMPLE_CHARACTERS = 100
KEPT_LINE_BYTES = 64 << 10  # of a rejected line; most of Amplitude's have 2 KB
# Of `bronze.events`. With so many DuckDB types half as fast, and takes up twice the memory; wider tables are no use.
MAX_COLUMNS = 2_000
MAX_INTEGER_DIGITS = 38  # what Snowflake's and DuckDB's widest types hold
MAX_DOUBLE_DIGITS = 17
# A file costs the warehouse a statement, and several are loaded at once. Two of DuckDB's row groups to the row: what is
# left of one would be written anew when DuckDB closes its file.
ROWS_PER_FILE = 2 * 122_880

TOO_LONG = f"longer than {MAX_LINE_BYTES:,} bytes"
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
CUT = f" (the line is cut to {KEPT_LINE_BYTES:,} bytes here; the archive has all of it)"
NOT_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}"]+', re.DOTALL)
REJECTED_SCHEMA = arrow_schema(REJECTED_COLUMNS)


class Stretch(NamedTuple):
    """The blocks that one query takes in.

    Its end is a matter of memory: what DuckDB needs to read JSON it gives back only when a query ends.
    """

    blocks: list[Block]

    def first_line(self) -> bytes:
        """Empty where it may be too much for a parser."""
        return next((line for block in self.blocks if block.is_modest for line in binary(block.lines[LINE][:1])), b"")

    def hours(self) -> Counter[datetime]:
        """How many lines each hour has."""
        return sum((block.hours for block in self.blocks), Counter[datetime]())


class TypedRows(NamedTuple):
    """What became of a stretch: each of its lines is a row of one of the events' tables or a rejected one."""

    events: list[pa.Table]
    rejected: pa.Table
    hours: Counter[datetime]
    """Lines of each hour."""
    new_columns: list[dict[str, str | int | None]]
    """As in `SCHEMA_CHANGES_COLUMNS`: columns that `bronze.events` does not have yet."""


class RegularRows(NamedTuple):
    """What a thread makes of a stretch."""

    events: list[pa.Table]
    """With the columns of their keys and origin."""
    left_out: pa.Table
    """Lines as in `LINES_SCHEMA`."""
    broken: pa.Table
    """Rejected rows."""


class RowTyper:
    """Types lines.

    Args:
        normalize: dlt's naming convention: from a key of the export to the name of its column.
        columns: those that `bronze.events` has already, in their order, for dlt rewrites files that have another one.
        load_id: dlt's load that the rows belong to. dlt takes files as they are, so they bear it from the start.
    """

    def __init__(self, normalize: Callable[[str], str], columns: Iterable[str], load_id: str) -> None:
        self._normalize = normalize
        self._keys = {key: normalize(key) for key in EXPORT_COLUMNS}
        self._types = dict.fromkeys([*columns, *self._keys.values(), *ORIGIN_COLUMNS, LOAD_ID], "text")
        self._types |= {column: EXPORT_COLUMNS[key] for key, column in self._keys.items()} | ORIGIN_COLUMNS
        self._load_id = load_id
        self._unseen: dict[str, str] = {}
        # A query runs in the thread that asks for it alone: two at once are faster than one with two threads.
        self._duckdb = duckdb.connect(config={"threads": 1})
        self._duckdb.execute("SET GLOBAL TimeZone = 'UTC'")

    def type_all(self, blocks: Iterator[Block]) -> Iterator[TypedRows]:
        """Types all blocks: regular rows in threads, while the caller reads ahead and writes what came before.

        Reading stays in the caller's thread: inside DuckDB, Ctrl-C could not interrupt a download. What is odd is typed
        there too, for the order in which keys become known must not depend on which thread is faster.
        """
        under_way: deque[tuple[Counter[datetime], Future[RegularRows]]] = deque()
        with ThreadPoolExecutor(TYPING_THREADS) as threads:
            for stretch in stretches(blocks):
                regular = threads.submit(self._type_regular, stretch, self._regular_queries(stretch))
                under_way.append((stretch.hours(), regular))  # and not the text, which is large
                del stretch
                if len(under_way) > STRETCHES_UNDER_WAY:
                    yield self._complete(*under_way.popleft())
            while under_way:
                yield self._complete(*under_way.popleft())

    def _regular_queries(self, stretch: Stretch) -> list[str]:
        """The SQL for a stretch's regular rows, if its first line is JSON with known keys that one struct can hold."""
        try:
            row = orjson.loads(stretch.first_line())
        except orjson.JSONDecodeError:
            return []
        shape = [*row] if isinstance(row, dict) else []
        is_known = {*REQUIRED_KEYS} <= {*shape} <= self._keys.keys()
        if not is_known or len(struct_fields(shape)) < len(shape) or len(shape) > MAX_KEYS:
            return []
        return [written_query(self._keys, shape), shape_query(self._keys, shape)]

    def _type_regular(self, stretch: Stretch, queries: list[str]) -> RegularRows:
        """What the queries, one after the other, find nothing odd about."""
        sound = [without_broken_text(block) for block in stretch.blocks]
        lines = pa.Table.from_batches([lines for lines, _ in sound])
        events = []
        with self._duckdb.cursor() as cursor:
            for query in queries:
                regular, reasons = typed(cursor, query, lines)
                events.append(regular)
                lines = lines.filter(reasons.is_valid())  # a copy: the text of the others is no longer held
                if not lines.num_rows:
                    break
        return RegularRows(events, lines, pa.concat_tables(broken for _, broken in sound))

    def _complete(self, hours: Counter[datetime], under_way: Future[RegularRows]) -> TypedRows:
        """All rows of a stretch; there is at least one table of events, be it empty."""
        regular, left_out, refused = under_way.result()
        if left_out.num_rows or not regular:
            odd, faulty = self._type_odd(left_out)
            regular, refused = [*regular, odd], pa.concat_tables([refused, faulty])
        events = [self._with_all_columns(table) for table in regular]
        accounted = sum(table.num_rows for table in events) + refused.num_rows
        if accounted != hours.total():
            raise RuntimeError(f"{hours.total()} lines became {accounted} rows; nothing of them is loaded.")
        return TypedRows(events, refused, hours, self._new_columns(events))

    def _type_odd(self, lines: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Rows of whatever keys, and the lines that are none as rejected rows."""
        lines, keys, faulty = self._without_faults(lines)
        self._learn(pc.unique(keys.flatten()).to_pylist())
        lines, crowded_out = parted(lines, self._without_room(keys))
        events, reasons = typed(self._duckdb, odd_query(self._keys), lines)
        return events, pa.concat_tables([faulty, crowded_out, rejected(lines, reasons)])

    def _without_faults(self, lines: pa.Table) -> tuple[pa.Table, pa.ListArray, pa.Table]:
        """Lines that are JSON objects within the limits, their keys, and the others as rejected rows."""
        facts = run(self._duckdb, FACTS_QUERY, lines)
        reasons = facts["$reason"].to_pylist()
        for number in np.flatnonzero(facts["$suspect"]):
            reasons[number] = json_fault(binary(lines[LINE][number : number + 1])[0]) or reasons[number]
        good, faulty = parted(lines, reasons)
        keys = facts["$keys"].filter(pa.array(reasons, pa.string()).is_null()).combine_chunks()
        return good, keys, faulty

    def _without_room(self, keys: pa.ListArray) -> list[str | None]:
        """For each line with a key that has no column the reason."""
        reasons: list[str | None] = [None] * len(keys)
        names, lines = keys.flatten(), pc.list_parent_indices(keys)
        for number in reversed(np.flatnonzero(pc.invert(pc.is_in(names, pa.array(self._keys))))):
            name = names[number].as_py()[:EXAMPLE_CHARACTERS]
            reasons[lines[number].as_py()] = f"no room for key {name}: events has {MAX_COLUMNS:,} columns already"
        return reasons

    def _learn(self, keys: Iterable[str]) -> dict[str, str]:
        """Gives each new key a column, as long as there is room; gives all keys that have one, with it."""
        for key in keys:
            if key in self._keys:
                continue
            column = column_name(key, self._normalize)
            if column not in self._types:
                if len(self._types) >= MAX_COLUMNS:
                    continue
                self._types[column] = "text"
                self._unseen[column] = key
            self._keys[key] = column
        return self._keys

    def _new_columns(self, events: list[pa.Table]) -> list[dict[str, str | int | None]]:
        """Columns that are new with these tables; an example from them, if there is a value."""
        found: list[dict[str, str | int | None]] = []
        for column, key in self._unseen.items():
            first = next((row for table in events if (row := first_with(table, column))), {})
            example = first[column][:EXAMPLE_CHARACTERS] if first else None
            origin = {name: first.get(name) for name in ("_archive_file", "_archive_row")}
            found.append({"column_name": column, "key": key, "data_type": "text", "example": example} | origin)
        self._unseen.clear()
        return found

    def _with_all_columns(self, events: pa.Table) -> pa.Table:
        """The events with all columns of `bronze.events`; those of keys that they do not have are empty."""
        count, constants = events.num_rows, {LOAD_ID: self._load_id}
        columns = {
            column: events[column] if column in events.column_names else pa.repeat(constants.get(column), count)
            for column in self._types
        }
        return pa.table(columns, arrow_schema(self._types))


@dataclass
class EventsFile:
    """A Parquet file with rows for `bronze.events`."""

    path: Path
    schema: pa.Schema
    rows: int = 0


class EventsWriter:
    """Writes tables of events to files, at least one; a table with more columns than those before begins a new file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[EventsFile] = []
        self._open: tuple[EventsFile, pq.ParquetWriter] | None = None

    def write(self, events: pa.Table) -> None:
        while events.num_rows or not self._files:
            file, writer = self._file_with_room(events.schema)
            part = events.slice(0, ROWS_PER_FILE - file.rows)
            writer.write_table(part)
            file.rows += part.num_rows
            events = events.slice(part.num_rows)

    def _file_with_room(self, schema: pa.Schema) -> tuple[EventsFile, pq.ParquetWriter]:
        if not self._open or self._open[0].schema != schema or self._open[0].rows == ROWS_PER_FILE:
            self._close_file()
            file = EventsFile(self._folder / f"{len(self._files)}.parquet", schema)
            self._files.append(file)
            self._open = file, pq.ParquetWriter(file.path, schema)
        return self._open

    def close(self) -> list[EventsFile]:
        """Completes the files; all have the columns of the last one, as the table will."""
        self._close_file()
        with ThreadPoolExecutor(TYPING_THREADS) as threads:
            return [*threads.map(lambda file: widened(file, self._files[-1].schema), self._files)]

    def _close_file(self) -> None:
        if self._open:
            self._open[1].close()
        self._open = None


def widened(file: EventsFile, schema: pa.Schema) -> EventsFile:
    """The file, with empty columns for keys that came up after it. dlt would make one large file of all such files."""
    missing = list(schema)[len(file.schema) :]
    if not missing:
        return file
    narrow = file.path.rename(file.path.with_suffix(".narrow"))
    with pq.ParquetFile(narrow) as source, pq.ParquetWriter(file.path, schema) as sink:
        for number in range(source.num_row_groups):
            rows = source.read_row_group(number)
            for field in missing:
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
            sink.write_table(rows)
    narrow.unlink()
    return replace(file, schema=schema)


def stretches(blocks: Iterator[Block]) -> Iterator[Stretch]:
    """The blocks, in stretches of a bounded size."""
    stretch, size, lines = Stretch([]), 0, 0
    for block in chain.from_iterable(block.parts() for block in blocks):
        stretch.blocks.append(block)
        size += block.bytes
        lines += block.lines.num_rows
        if size >= STRETCH_BYTES or lines >= STRETCH_LINES:
            yield stretch
            stretch, size, lines = Stretch([]), 0, 0
    if stretch.blocks:
        yield stretch


def typed(connection: duckdb.DuckDBPyConnection, query: str, lines: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
    """The lines without a `$reason` as events, and each line's reason."""
    events = run(connection, query, lines)
    reasons = events["$reason"]
    events = events.drop_columns("$reason")
    for name in ORIGIN_COLUMNS:  # rows come in the order of their lines
        events = events.append_column(name, lines[name])
    return events.filter(reasons.is_null()) if reasons.null_count < len(reasons) else events, reasons


def run(connection: duckdb.DuckDBPyConnection, query: str, lines: pa.Table) -> pa.Table:
    """Runs a query over `lines`; a row each, in their order."""
    connection.register("lines", lines)
    return connection.sql(query).to_arrow_table()  # a third faster than `execute`, which buffers the rows


def first_with(events: pa.Table, column: str) -> dict[str, Any] | None:
    """The first row in which a column has a value."""
    row = pc.index(events[column].is_valid(), True).as_py() if column in events.column_names else -1
    return events.select([column, "_archive_file", "_archive_row"]).slice(row, 1).to_pylist()[0] if row >= 0 else None


def column_name(key: str, normalize: Callable[[str], str]) -> str:
    """The column of a key that is not in `EXPORT_COLUMNS`, from the key alone, whatever keys came before.

    Two keys can be one name to the warehouse (`Plan` and `plan`), or one of the pipeline's or dlt's own, which begin
    with `_`: a key that is not written as its column would be gets a hash of itself at the end.
    """
    try:
        name = normalize(key)
    except ValueError:  # nothing but blanks
        name = "blank"
    plain = f"_{key[1:]}" if key.startswith("$") else key
    is_own = name in ORIGIN_COLUMNS or name.startswith("_dlt_")
    if name == plain and not key.startswith("_") and not is_own:
        return name
    return normalize(f"{name}_{hashlib.sha256(key.encode()).hexdigest()[:6]}")


def without_broken_text(block: Block) -> tuple[pa.RecordBatch, pa.Table]:
    """Lines that DuckDB can be given, for it takes UTF-8 for granted, and the others as rejected rows."""
    if block.is_modest and has_utf8(block.lines[LINE]):
        return block.lines, REJECTED_SCHEMA.empty_table()
    lines = pa.Table.from_batches([block.lines])
    good, broken = parted(lines, [text_fault(line) for line in binary(lines[LINE])])
    return good.combine_chunks().to_batches()[0] if good.num_rows else block.lines.slice(0, 0), broken


def has_utf8(lines: pa.Array) -> bool:
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def parted(lines: pa.Table, reasons: list[str | None]) -> tuple[pa.Table, pa.Table]:
    """Lines without a reason, and those with one as rejected rows."""
    array = pa.array(reasons, pa.string())
    return lines.filter(array.is_null()), rejected(lines, array)


def rejected(lines: pa.Table, reasons: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The lines that have a reason, as rejected rows."""
    bad = lines.append_column("reason", reasons).filter(reasons.is_valid())
    texts = [line.rstrip(b"\r\n") for line in binary(bad[LINE])]
    is_cut = pa.array([len(text) > KEPT_LINE_BYTES for text in texts], pa.bool_())
    kept = [text[:KEPT_LINE_BYTES].decode("utf-8", "backslashreplace") for text in texts]
    told = pc.binary_join_element_wise(bad["reason"], pc.if_else(is_cut, CUT, ""), "")
    columns = bad.append_column("line", pa.array(kept, pa.string()))
    columns = columns.set_column(columns.column_names.index("reason"), "reason", told)
    return columns.select(REJECTED_SCHEMA.names).cast(REJECTED_SCHEMA)


def binary(lines: pa.Array | pa.ChunkedArray) -> list[bytes]:
    texts: list[bytes] = lines.cast(pa.binary()).to_pylist()
    return texts


def text_fault(line: bytes) -> str | None:
    """Why DuckDB must not be given a line."""
    if line.find(b"\n") > MAX_LINE_BYTES:
        return TOO_LONG
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and depth(line) > MAX_DEPTH:
        return TOO_DEEP
    try:
        line.decode()
    except UnicodeDecodeError:
        return syntax_error(line)
    return None


def depth(line: bytes) -> int:
    """How deep brackets outside of texts are nested."""
    brackets = np.frombuffer(NOT_NESTING.sub(b"", line), np.uint8)
    steps = (brackets & 2).astype(np.int8) - 1  # that bit is set in `[` and `{`, not in `]` and `}`
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))


def json_fault(line: bytes) -> str | None:
    """Why a line is no JSON by the standard, or has a value that no column can hold."""
    return syntax_error(line) or number_fault(line)


def syntax_error(line: bytes) -> str | None:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    return None


def number_fault(line: bytes) -> str | None:
    """Why a line of JSON has a number that would not stay what it is."""
    faults: list[str] = []

    def check(number: str) -> None:
        if not is_held(number):
            faults.append(f"a number that no column holds as it is: {number[:EXAMPLE_CHARACTERS]}")

    json.loads(line.decode(), parse_int=check, parse_float=check)
    return faults[0] if faults else None


def is_held(number: str) -> bool:
    """Whether a column can hold a number as it stands in JSON: as a whole number, or as the double that it denotes.

    Writers print a double in up to 17 digits. A number of more is no double, unless one says exactly the same.
    """
    if number.lstrip("-").isdigit():
        return len(number.lstrip("-")) <= MAX_INTEGER_DIGITS
    digits = number.lower().partition("e")[0].replace(".", "").strip("-0")
    double = float(number)
    if not digits or not double:
        return not digits
    is_normal = sys.float_info.min <= abs(double) <= sys.float_info.max
    return (len(digits) <= MAX_DOUBLE_DIGITS and is_normal) or Decimal(number) == Decimal(repr(double))
