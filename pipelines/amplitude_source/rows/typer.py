"""From blocks of JSON lines to typed Arrow tables and Parquet files; what cannot be read is kept with its reason.

No value is ever rounded or lost: one that does not fit its column stands in `ODD_VALUES` as it was sent, and the column
is NULL. Only a line without a required key, or one that no parser reads, goes to the rejected rows. The outcome depends
on the line alone, and not on its neighbours. When `bronze.events` is full (`MAX_COLUMNS`), it depends on the keys that
came before, because the first of them have the columns.

DuckDB types the rows. Lines of one shape, written as DuckDB would write them, are the rule: so a stretch of lines is
typed by the keys of its first one. What that leaves out is looked at again, ever more closely (see `queries.py`).
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ..tables import (
    EXPORT_COLUMNS,
    EXPORT_TYPES,
    LOAD_ID,
    ODD_VALUES,
    ORIGIN_COLUMNS,
    ORIGIN_TYPES,
    REJECTED_COLUMNS,
    REQUIRED_KEYS,
    arrow_schema,
    types_of,
)
from .lines import LINE, LINES_SCHEMA, Block
from .odd_values import without_odd_values
from .queries import FACTS_QUERY, MAX_KEYS, ODD, Values, odd_query, shape_query, struct_fields, written_query
from .rejects import EXAMPLE_CHARACTERS, TOO_DEEP, TOO_LONG, Fault, json_fault, text_fault

TYPING_THREADS = 2
STRETCHES_UNDER_WAY = 3  # two being typed, and one for whoever is done first
STRETCH_BYTES = 10 << 20  # of unzipped JSON; DuckDB takes up 50 MB and four times as much
STRETCH_LINES = 1 << 16  # more than that of real lines has; a rejected line takes up 1 KB, be it two bytes long
KEPT_LINE_BYTES = 64 << 10  # of a rejected line; most of Amplitude's have 2 KB
NO_ROOM = "no room for a key"
KEYS = pa.list_(pa.string())
# Of `bronze.events`. With so many DuckDB types half as fast, and takes up twice the memory; wider tables are no use.
MAX_COLUMNS = 2_000

REJECTED_SCHEMA = arrow_schema(types_of(REJECTED_COLUMNS))
SENT = "$sent"  # a line as it was before odd values were taken out of it
ODD_SCHEMA = pa.schema([*LINES_SCHEMA, (ODD, pa.string()), (SENT, pa.binary())])
FAULTY_SCHEMA = pa.schema([*ODD_SCHEMA, ("reason", pa.string()), ("value", pa.string())])


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
    """Lines as in `FAULTY_SCHEMA` that DuckDB must not be given."""


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
        self._types = dict.fromkeys([*columns, *self._keys.values(), *ORIGIN_COLUMNS, LOAD_ID, ODD_VALUES], "text")
        self._types |= {column: EXPORT_TYPES[key] for key, column in self._keys.items()} | ORIGIN_TYPES
        self._load_id = load_id
        self._unseen: dict[str, str] = {}
        self._columns_with_values: set[str] = set()
        self._columns_with_nulls: set[str] = set()
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
                regular = threads.submit(self._type_regular, stretch, self._regular_queries(stretch.first_line()))
                under_way.append((stretch.hours(), regular))  # and not the text, which is large
                del stretch
                if len(under_way) > STRETCHES_UNDER_WAY:
                    yield self._complete(*under_way.popleft())
            while under_way:
                yield self._complete(*under_way.popleft())

    def _regular_queries(self, first_line: bytes) -> list[str]:
        """The SQL for a stretch's regular rows, if its first line is JSON with known keys that one struct can hold."""
        try:
            row = orjson.loads(first_line)
        except orjson.JSONDecodeError:
            return []
        shape = [*row] if isinstance(row, dict) and len(row) <= MAX_KEYS else []
        # Keys that became columns in earlier loads; those without one yet are for the odd lines to bring.
        self._learn(key for key in shape if key not in self._keys and self._column(key) in self._types)
        is_known = {*REQUIRED_KEYS} <= {*shape} <= self._keys.keys()
        if not is_known or len(struct_fields(shape)) < len(shape):
            return []
        return [written_query(self._keys, {key: self._expected(key) for key in shape}), shape_query(self._keys, shape)]

    def _expected(self, key: str) -> Values:
        """What the rows so far had of a key.

        A third of Amplitude's keys are null in every line, another third never is. Not to read the ones and not to look
        for nulls in the others saves a tenth of a load; a line against expectation is for the second query.
        """
        if key in REQUIRED_KEYS:
            return "all"
        if not self._columns_with_values:
            return "some"
        if self._keys[key] not in self._columns_with_values:
            return "none"
        return "some" if self._keys[key] in self._columns_with_nulls else "all"

    def _type_regular(self, stretch: Stretch, queries: list[str]) -> RegularRows:
        """What the queries, one after the other, find nothing odd about."""
        sound = [without_broken_text(block) for block in stretch.blocks]
        events, left_out = self._typed_by(queries, pa.Table.from_batches([lines for lines, _ in sound]))
        return RegularRows(events, left_out, pa.concat_tables(broken for _, broken in sound))

    def _typed_by(self, queries: list[str], lines: pa.Table) -> tuple[list[pa.Table], pa.Table]:
        """The events that each query makes of what the one before left out, and the lines that all leave out."""
        events = []
        with self._duckdb.cursor() as cursor:
            # A third of the planning, of which there is one for each stretch.
            cursor.execute("PRAGMA disable_optimizer")
            for query in queries:
                regular, reasons = typed(cursor, query, lines)
                events.append(regular)
                lines = lines.filter(reasons.is_valid())  # a copy: the text of the others is no longer held
                if not lines.num_rows:
                    break
        return events, lines

    def _complete(self, hours: Counter[datetime], under_way: Future[RegularRows]) -> TypedRows:
        """All rows of a stretch; there is at least one table of events, which may be empty."""
        regular, left_out, broken = under_way.result()
        refused = REJECTED_SCHEMA.empty_table()
        if left_out.num_rows and not regular:  # a key of its first line may have got its column since it was read
            first_line = binary(left_out[LINE][:1])[0]
            regular, left_out = self._typed_by(self._regular_queries(first_line), left_out)
        if left_out.num_rows or broken.num_rows or not regular:
            odd, refused = self._type_odd(left_out, broken)
            regular = [*regular, odd]
        events = [self._with_all_columns(table) for table in regular]
        for table in events:
            nulls = {name: column.null_count for name, column in zip(table.column_names, table.columns, strict=True)}
            self._columns_with_values |= {name for name, count in nulls.items() if count < table.num_rows}
            self._columns_with_nulls |= {name for name, count in nulls.items() if count}
        accounted = sum(table.num_rows for table in events) + refused.num_rows
        if accounted != hours.total():
            raise RuntimeError(f"{hours.total()} lines became {accounted} rows; nothing of them is loaded.")
        return TypedRows(events, refused, hours, self._new_columns(events))

    def _type_odd(self, lines: pa.Table, broken: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return rows of whatever keys, and the lines that are none as rejected rows.

        Only lines that become rows bring new columns.
        """
        sound, keys, faulty = self._examined(with_nothing_odd(lines))
        mended, lost = mend(pa.concat_tables([broken, faulty]))
        mended, more_keys, still_faulty = self._examined(mended)
        lines, keys = pa.concat_tables([sound, mended]), pa.concat_arrays([keys, more_keys])
        self._learn(pc.unique(keys.flatten()).to_pylist())
        lines, crowded_out = self._with_room(lines, keys)
        events = with_origin(run(self._duckdb, odd_query(self._keys), lines), lines)
        return events, pa.concat_tables([lost, rejected(still_faulty), crowded_out])

    def _examined(self, lines: pa.Table) -> tuple[pa.Table, pa.ListArray, pa.Table]:
        """Return lines that are rows, their keys, and the others with their faults as in `FAULTY_SCHEMA`."""
        facts = run(self._duckdb, FACTS_QUERY, lines)
        columns = (facts[name].to_pylist() for name in ("$reason", "$value"))
        faults = [Fault(reason, value) if reason else None for reason, value in zip(*columns, strict=True)]
        for number in np.flatnonzero(facts["$suspect"]):
            faults[number] = json_fault(binary(lines[LINE][number : number + 1])[0]) or faults[number]
        good, faulty = parted(lines, faults)
        is_good = pa.array([fault is None for fault in faults], pa.bool_())
        return good, facts["$keys"].filter(is_good).cast(KEYS).combine_chunks(), faulty

    def _with_room(self, lines: pa.Table, keys: pa.ListArray) -> tuple[pa.Table, pa.Table]:
        """Return the lines, with values that have no column beside them, and those that cannot be mended."""
        names, numbers = keys.flatten(), pc.list_parent_indices(keys)
        crowded: dict[int, Fault] = {}
        for number in np.flatnonzero(pc.invert(pc.is_in(names, pa.array(self._keys)))):
            fault = Fault(NO_ROOM, names[number].as_py()[:EXAMPLE_CHARACTERS])
            crowded.setdefault(numbers[number].as_py(), fault)
        good, faulty = parted(lines, [crowded.get(number) for number in range(lines.num_rows)])
        mended, lost = mend(faulty, self._keys)
        return pa.concat_tables([good, mended]), lost

    def _learn(self, keys: Iterable[str]) -> dict[str, str]:
        """Gives each new key a column, as long as there is room; gives all keys that have one, with it."""
        for key in keys:
            if key in self._keys:
                continue
            column = self._column(key)
            if column not in self._types:
                if len(self._types) >= MAX_COLUMNS:
                    continue
                self._types[column] = "text"
                self._unseen[column] = key
            self._keys[key] = column
        return self._keys

    def _column(self, key: str) -> str:
        return column_name(key, self._normalize)

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
        constants = {LOAD_ID: pa.repeat(self._load_id, events.num_rows)}
        present = dict(zip(events.column_names, events.columns, strict=True)) | constants
        empty = pa.nulls(events.num_rows)
        columns = {column: present.get(column, empty) for column in self._types}
        return pa.table(columns, arrow_schema(self._types))


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
    events = with_origin(events.drop_columns("$reason"), lines)
    return events.filter(reasons.is_null()) if reasons.null_count < len(reasons) else events, reasons


def with_origin(events: pa.Table, lines: pa.Table) -> pa.Table:
    """Return the events with the origin of their lines, which have the same order."""
    for name in ORIGIN_COLUMNS:
        events = events.append_column(name, lines[name])
    return events


def run(connection: duckdb.DuckDBPyConnection, query: str, lines: pa.Table) -> pa.Table:
    """Runs a query over `lines`; a row each, in their order."""
    connection.register("lines", lines)
    return connection.sql(query).to_arrow_table()  # `execute` would buffer the rows once more, for a sixth more time


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
    is_own = name in ORIGIN_COLUMNS or name == ODD_VALUES or name.startswith("_dlt_")
    if name == plain and not key.startswith("_") and not is_own:
        return name
    return normalize(f"{name}_{hashlib.sha256(key.encode()).hexdigest()[:6]}")


def without_broken_text(block: Block) -> tuple[pa.RecordBatch, pa.Table]:
    """Lines that DuckDB can be given, which takes UTF-8 for granted, and the others as in `FAULTY_SCHEMA`."""
    if block.is_modest and has_utf8(block.lines[LINE]):
        return block.lines, FAULTY_SCHEMA.empty_table()
    lines = pa.Table.from_batches([block.lines])
    good, broken = parted(lines, [text_fault(line) for line in binary(lines[LINE])])
    return good.combine_chunks().to_batches()[0] if good.num_rows else block.lines.slice(0, 0), broken


def has_utf8(lines: pa.Array) -> bool:
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def parted(lines: pa.Table, faults: list[Fault | None]) -> tuple[pa.Table, pa.Table]:
    """Return lines without a fault, and those with one as in `FAULTY_SCHEMA`."""
    is_good = pa.array([fault is None for fault in faults], pa.bool_())
    faulty = with_nothing_odd(lines.filter(pc.invert(is_good)))
    for name in Fault._fields:
        values = [getattr(fault, name) for fault in faults if fault]
        faulty = faulty.append_column(name, pa.array(values, pa.string()))
    return lines.filter(is_good), faulty.select(FAULTY_SCHEMA.names)


def with_nothing_odd(lines: pa.Table) -> pa.Table:
    """Return lines as in `ODD_SCHEMA`: those from which nothing was taken out lack its last columns."""
    for field in [*ODD_SCHEMA][lines.num_columns :]:
        lines = lines.append_column(field, pa.nulls(lines.num_rows, field.type))
    return lines


def mend(faulty: pa.Table, columns: Container[str] | None = None) -> tuple[pa.Table, pa.Table]:
    """Return the lines that are rows without their odd values, which stand beside them, and the rejected rows.

    Args:
        faulty: lines as in `FAULTY_SCHEMA`.
        columns: the keys that have a column; None where each key may still get one.
    """
    texts, odd, is_mended = list[str](), list[str](), list[bool]()
    sent = pc.coalesce(faulty[SENT], faulty[LINE].cast(pa.binary()))
    faulty = faulty.set_column(ODD_SCHEMA.get_field_index(SENT), SENT, sent)
    columns_of_lines = (binary(faulty[LINE]), faulty["reason"].to_pylist(), faulty[ODD].to_pylist())
    for line, reason, before in zip(*columns_of_lines, strict=True):
        mended = None if reason in (TOO_LONG, TOO_DEEP) else without_odd_values(line, columns)
        is_mended.append(mended is not None)
        if mended:
            texts.append(mended.line)
            odd.append(f"{before},{mended.odd}" if before else mended.odd)
    is_row = pa.array(is_mended, pa.bool_())
    lines = faulty.filter(is_row).select(ODD_SCHEMA.names)
    for name, values in {LINE: texts, ODD: odd}.items():
        lines = lines.set_column(ODD_SCHEMA.get_field_index(name), name, pa.array(values, pa.string()))
    return lines, rejected(faulty.filter(pc.invert(is_row)))


def rejected(faulty: pa.Table) -> pa.Table:
    """Return lines as in `FAULTY_SCHEMA` as rejected rows."""
    lines = pc.coalesce(faulty[SENT], faulty[LINE].cast(pa.binary())).to_pylist()
    texts = [line.rstrip(b"\r\n")[:KEPT_LINE_BYTES].decode("utf-8", "backslashreplace") for line in lines]
    return (
        faulty.append_column("line", pa.array(texts, pa.string())).select(REJECTED_SCHEMA.names).cast(REJECTED_SCHEMA)
    )


def binary(lines: pa.Array | pa.ChunkedArray) -> list[bytes]:
    texts: list[bytes] = lines.cast(pa.binary()).to_pylist()
    return texts
