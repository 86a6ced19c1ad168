"""From blocks of JSON lines to typed Arrow tables and Parquet files; what cannot be read is kept with its reason.

No value is ever rounded or nulled: a row with a value that does not fit its column's type goes to the rejected rows as
a whole. What becomes of a line depends on that line alone, whatever stands beside it.

DuckDB types the rows. Those of one shape are the rule, so a stretch of lines is typed by the keys of its first one;
what that leaves out (other keys, a doubtful line, a value of the wrong type) is looked at again, the long way.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from queue import Queue, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .columns import EXPORT_COLUMNS, ORIGIN_COLUMNS, REJECTED_COLUMNS, arrow_schema
from .lines import LINE, LINES_SCHEMA, Block
from .queries import DOUBT, literal, odd_query, quoted, regular_query, struct_fields

LOAD_ID = "_dlt_load_id"
STRETCH_BYTES = 32 << 20  # of unzipped JSON
BLOCKS_AHEAD = 8
EXAMPLE_CHARACTERS = 100
# A file costs the warehouse a statement, and several are loaded at once. Two of DuckDB's row groups to the row: what is
# left of one would be written anew when DuckDB closes its file.
ROWS_PER_FILE = 2 * 122_880

NOT_READ = "no JSON that DuckDB reads"
REJECTED_SCHEMA = arrow_schema(REJECTED_COLUMNS)


class Stretch:
    """The blocks that one query takes in: DuckDB pulls them as it goes.

    Its end is a matter of memory: what DuckDB needs to read JSON it gives back only when a query ends.
    """

    def __init__(self, first: Block, others: Iterator[Block]) -> None:
        self.hours: Counter[datetime] = Counter()
        self.rejected = [REJECTED_SCHEMA.empty_table()]
        self._first = first
        self._others = others

    def first_line(self) -> str:
        lines = self._first.lines[LINE]
        return lines[0].as_py() if len(lines) and is_utf8(binary(lines)[0]) else ""

    def lines(self) -> Iterator[pa.RecordBatch]:
        size = 0
        for block in chain([self._first], self._others):
            lines, broken = without_broken_text(block.lines)
            self.hours += block.hours
            self.rejected.append(broken)
            size += block.bytes
            yield lines
            if size >= STRETCH_BYTES:
                return


class TypedRows(NamedTuple):
    """What became of a stretch: each of its lines is a row of one of the events' tables or a rejected one."""

    events: list[pa.Table]
    rejected: pa.Table
    hours: Counter[datetime]
    """Lines of each hour."""
    new_columns: list[dict[str, str | int | None]]
    """As in `SCHEMA_CHANGES_COLUMNS`: columns that `bronze.events` does not have yet."""


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
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'")

    def type_stretch(self, stretch: Stretch) -> TypedRows:
        """Types the lines of a stretch; there is at least one table of events, be it empty."""
        lines = pa.RecordBatchReader.from_batches(LINES_SCHEMA, stretch.lines())
        events = []
        if shape := self._shape(stretch.first_line()):
            regular, lines = self._type_regular(lines, shape)
            events.append(regular)
        else:
            lines = lines.read_all()
        if lines.num_rows or not events:
            odd, refused = self._type_odd(lines)
            events.append(odd)
            stretch.rejected.append(refused)
        refused = pa.concat_tables(stretch.rejected)
        accounted = sum(table.num_rows for table in events) + refused.num_rows
        if accounted != stretch.hours.total():
            raise RuntimeError(f"{stretch.hours.total()} lines became {accounted} rows; nothing of them is loaded.")
        return TypedRows(events, refused, stretch.hours, self._new_columns(events))

    def _shape(self, line: str) -> list[str]:
        """The keys of a line, if one DuckDB struct can hold them all."""
        ((keys,),) = self._duckdb.execute("SELECT TRY(JSON_KEYS(?))", [line]).fetchall()
        return keys if keys and len(struct_fields(keys)) == len(keys) else []

    def _type_regular(self, lines: pa.RecordBatchReader, shape: list[str]) -> tuple[pa.Table, pa.Table]:
        """The rows that have exactly the shape's keys and nothing odd about them, and the lines left out."""
        typed = self._typed(lines, regular_query(self._learn(shape), shape))
        is_regular = typed["$reason"].is_null()
        left_out = typed.select(LINES_SCHEMA.names).filter(pc.invert(is_regular))
        events = typed.select(list(self._types))
        return events.filter(is_regular) if left_out.num_rows else events, left_out

    def _type_odd(self, lines: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Rows of whatever keys, and the lines that are none as rejected rows."""
        lines, broken = self._without_broken_json(lines)
        self._duckdb.register("lines", lines)
        keys = self._duckdb.execute(f'SELECT DISTINCT UNNEST(JSON_KEYS("{LINE}")) FROM lines').fetchall()
        typed = self._typed(lines, odd_query(self._learn(key for (key,) in keys)))
        refused = rejected(typed, typed["$reason"])
        return typed.filter(typed["$reason"].is_null()).select(list(self._types)), pa.concat_tables([broken, refused])

    def _typed(self, lines: pa.Table | pa.RecordBatchReader, query: str) -> pa.Table:
        """All of `bronze.events`' columns, `$reason`, and the line where there is one."""
        self._duckdb.register("lines", lines)
        line = f'CASE WHEN "$reason" IS NOT NULL THEN "{LINE}" END AS "{LINE}"'
        return self._duckdb.execute(f'SELECT {self._columns()}, "$reason", {line} FROM ({query})').to_arrow_table()

    def _without_broken_json(self, lines: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Lines that are JSON, and the others as rejected rows. DuckDB reads what the standard does not allow, too."""
        self._duckdb.register("lines", lines)
        checks = self._duckdb.execute(f'SELECT JSON_VALID("{LINE}"), {DOUBT} FROM lines').fetchall()
        reasons = [
            None if is_valid and not is_doubtful else syntax_error(line) or (None if is_valid else NOT_READ)
            for line, (is_valid, is_doubtful) in zip(binary(lines[LINE]), checks, strict=True)
        ]
        return parted(lines, reasons)

    def _learn(self, keys: Iterable[str]) -> dict[str, str]:
        """Gives each new key a column; gives all keys with their columns."""
        for key in sorted(set(keys) - self._keys.keys()):
            column = self._keys[key] = column_name(key, self._normalize)
            if column not in self._types:
                self._types[column] = "text"
                self._unseen[column] = key
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

    def _columns(self) -> str:
        """The SQL of a row's columns; of those that `bronze.events` has from a key not met in this load, NULL."""
        known = {*self._keys.values(), *ORIGIN_COLUMNS}
        values = dict.fromkeys(self._types.keys() - known, "NULL::VARCHAR") | {LOAD_ID: literal(self._load_id)}
        return ", ".join(
            f"{values[column]} AS {quoted(column)}" if column in values else quoted(column) for column in self._types
        )


@dataclass
class EventsFile:
    """A Parquet file with rows for `bronze.events`."""

    path: Path
    schema: pa.Schema
    rows: int = 0


class EventsWriter:
    """Writes tables of events to files, at least one; a table with other columns begins a new file."""

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
            self.close()
            file = EventsFile(self._folder / f"{len(self._files)}.parquet", schema)
            self._files.append(file)
            self._open = file, pq.ParquetWriter(file.path, schema)
        return self._open

    def close(self) -> list[EventsFile]:
        """Completes the files."""
        if self._open:
            self._open[1].close()
        self._open = None
        return self._files


def typed(blocks: Iterator[Block], typer: RowTyper) -> Iterator[TypedRows]:
    """Types all blocks, in a thread, while the next ones are read here and those before are written by the caller.

    Reading stays in the caller's thread: inside DuckDB, Ctrl-C could not interrupt a download.
    """
    todo: Queue[Block | None] = Queue(BLOCKS_AHEAD)
    done: SimpleQueue[TypedRows | BaseException] = SimpleQueue()
    thread = Thread(target=type_all, args=(iter(todo.get, None), typer, done))
    thread.start()
    try:
        for block in blocks:
            todo.put(block)
            yield from finished(done)
    finally:
        todo.put(None)
        todo.put(None)  # after a fault two may wait for the end: the thread, and the one in which DuckDB reads ahead
        thread.join()
    yield from finished(done)


def type_all(blocks: Iterator[Block], typer: RowTyper, done: SimpleQueue[TypedRows | BaseException]) -> None:
    try:
        for first in blocks:
            done.put(typer.type_stretch(Stretch(first, blocks)))
    except BaseException as error:
        done.put(error)
        for _ in blocks:  # whoever puts more must not wait for ever for room
            pass


def finished(done: SimpleQueue[TypedRows | BaseException]) -> Iterator[TypedRows]:
    while not done.empty():
        result = done.get()
        if isinstance(result, BaseException):
            raise result
        yield result


def first_with(events: pa.Table, column: str) -> dict[str, Any] | None:
    """The first row in which a column has a value."""
    row = pc.index(events[column].is_valid(), True).as_py() if column in events.column_names else -1
    return events.slice(row, 1).to_pylist()[0] if row >= 0 else None


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


def without_broken_text(lines: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.Table]:
    """Lines that are UTF-8, which DuckDB takes for granted, and the others as rejected rows."""
    try:
        lines[LINE].validate(full=True)
    except pa.ArrowInvalid:
        good, broken = parted(
            pa.Table.from_batches([lines]),
            [None if is_utf8(line) else syntax_error(line) for line in binary(lines[LINE])],
        )
        return good.combine_chunks().to_batches()[0] if good.num_rows else lines.slice(0, 0), broken
    return lines, REJECTED_SCHEMA.empty_table()


def parted(lines: pa.Table, reasons: list[str | None]) -> tuple[pa.Table, pa.Table]:
    """Lines without a reason, and those with one as rejected rows."""
    array = pa.array(reasons, pa.string())
    return lines.filter(array.is_null()), rejected(lines, array)


def rejected(lines: pa.Table, reasons: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The lines that have a reason, as rejected rows."""
    bad = lines.append_column("reason", reasons).filter(reasons.is_valid())
    texts = [line.decode("utf-8", "backslashreplace").rstrip("\r\n") for line in binary(bad[LINE])]
    columns = bad.append_column("line", pa.array(texts, pa.string()))
    return columns.select(REJECTED_SCHEMA.names).cast(REJECTED_SCHEMA)


def binary(lines: pa.Array | pa.ChunkedArray) -> list[bytes]:
    texts: list[bytes] = lines.cast(pa.binary()).to_pylist()
    return texts


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def syntax_error(line: bytes) -> str | None:
    """Why a line is no JSON by the standard."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    return None
