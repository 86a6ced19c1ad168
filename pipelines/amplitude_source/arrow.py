"""From gzipped JSON lines to Arrow tables with explicit types, by DuckDB; what cannot be read is kept with its reason.

No value is ever rounded or nulled: a row with a value that does not fit its column's type goes to the rejected rows as
a whole. DuckDB reads lines as Arrow strings over the unzipped bytes themselves, so that Python touches no row: only a
batch that DuckDB finds fault with is looked through line by line.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from .archive import ArchivedMember, MemberName
from .settings import EXPORT_COLUMNS, ORIGIN_COLUMNS, REJECTED_COLUMNS

BATCH_BYTES = 8 << 20  # of unzipped JSON; memory use goes by it
CHUNK_ROWS = 2048  # DuckDB shares a batch out among its threads by such chunks
READ_BYTES = 1 << 20
NEWLINE = ord("\n")

# Without these a row has no identity, no user or no place in time.
REQUIRED_KEYS = ("uuid", "app", "amplitude_id", "event_type", "event_time", "server_upload_time")

ARROW_TYPES = {
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "text": pa.string(),
}

# For each type: the SQL of its value from {text}, the JSON value as text; and when {value} is not what {text} says.
TYPES: dict[str, tuple[str, str | None]] = {
    "bigint": ("TRY_CAST({text} AS BIGINT)", "{value}::VARCHAR IS DISTINCT FROM {text}"),
    "double": ("TRY_CAST({text} AS DOUBLE)", "{text} IS NOT NULL AND NOT COALESCE(ISFINITE({value}), FALSE)"),
    "bool": ("TRY_CAST({text} AS BOOLEAN)", "{text} NOT IN ('true', 'false')"),
    "timestamp": (
        "TRY_STRPTIME({text}, ['%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%d %H:%M:%S'])",
        "{text} IS NOT NULL AND {value} IS NULL",
    ),
    "text": ("{text}", None),
    "json": ("{text}::VARCHAR", None),
}


class BronzeTables(NamedTuple):
    """Rows for `bronze.events` and for `bronze.rejected_rows`; either may be empty."""

    events: pa.Table
    rejected: pa.Table


def arrow_schema(types: dict[str, str]) -> pa.Schema:
    return pa.schema([(name, ARROW_TYPES[type_]) for name, type_ in types.items()])


ORIGIN_SCHEMA = arrow_schema(ORIGIN_COLUMNS)
REJECTED_SCHEMA = arrow_schema(REJECTED_COLUMNS)


# Rows of one shape are the rule: by the hash of their keys there are few groups to look at.
KEYS_QUERY = """
    SELECT ANY_VALUE(keys)
    FROM (SELECT JSON_KEYS("$line") AS keys FROM batch)
    GROUP BY HASH(keys)
"""
IntArray: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

NO_OBJECT = "no JSON object"
NOT_READ = "no JSON that DuckDB reads"


class Segment(NamedTuple):
    """Where in the buffer a member's bytes begin, and how many of its rows came before them."""

    offset: int
    name: MemberName
    rows_before: int


class RowReader:
    """Reads members in batches that may span members and hours; while one is typed, the next is unzipped.

    Args:
        normalize: dlt's naming convention: from a key of the export to the name of its column.
    """

    def __init__(self, normalize: Callable[[str], str]) -> None:
        self._normalize = normalize
        self._columns = {key: normalize(key) for key in EXPORT_COLUMNS}
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'")
        self._buffer = bytearray()
        self._segments: list[Segment] = []
        self._typist = ThreadPoolExecutor(1)
        self._typing: Future[BronzeTables] | None = None

    def read(self, member: ArchivedMember) -> Iterator[BronzeTables]:
        """Takes in a member's rows; gives a batch whenever one is ready."""
        self._segments.append(Segment(len(self._buffer), member.name, 0))
        with member.member.open() as source, gzip.open(source) as text:
            while chunk := text.read(READ_BYTES):
                self._buffer += chunk
                if len(self._buffer) >= BATCH_BYTES and b"\n" in chunk:
                    yield from self._next_batch()
        if self._buffer and self._buffer[-1] != NEWLINE:
            self._buffer += b"\n"

    def finish(self) -> Iterator[BronzeTables]:
        """Gives what is left, and ends the reader."""
        yield from self._next_batch()
        yield from self._typed_batch()
        self._typist.shutdown()

    def _next_batch(self) -> Iterator[BronzeTables]:
        """Hands the full lines over to be typed and gives the batch before."""
        text = bytes(self._buffer[: self._buffer.rfind(b"\n") + 1])
        del self._buffer[: len(text)]
        starts = line_starts(text)
        lines, origin = strings(text, starts), self._origin(starts)
        yield from self._typed_batch()
        self._typing = self._typist.submit(self._tables, lines, origin)

    def _typed_batch(self) -> Iterator[BronzeTables]:
        if self._typing:
            yield self._typing.result()
        self._typing = None

    def _tables(self, lines: pa.Array, origin: pa.Table) -> BronzeTables:
        """Types a batch; what becomes of a line depends on that line alone, whatever stands beside it."""
        try:
            lines.validate(full=True)  # UTF-8, which DuckDB takes for granted
            typed = self._typed(lines)
        except (pa.ArrowInvalid, duckdb.Error):
            is_json = self._is_json(lines)
            if pc.all(is_json).as_py():
                raise
            errors = pc.coalesce(reasons_of(lines, pc.invert(is_json)), NOT_READ)
            bad = rejected(origin, pc.if_else(is_json, None, errors), lines)
            good = self._tables(lines.filter(is_json), origin.filter(is_json))
            return BronzeTables(good.events, pa.concat_tables([bad, good.rejected]))
        reasons = typed["$reason"].combine_chunks()
        if pc.any(typed["$doubt"]).as_py():
            reasons = pc.coalesce(reasons_of(lines, typed["$doubt"].combine_chunks()), reasons)
        events = typed.drop_columns(["$reason", "$doubt"])
        for field in ORIGIN_SCHEMA:
            events = events.append_column(field, origin[field.name])
        return BronzeTables(events.filter(reasons.is_null()), rejected(origin, reasons, lines))

    def _is_json(self, lines: pa.Array) -> pa.Array:
        """Which lines DuckDB can read."""
        texts = [text if is_utf8(text) else b"" for text in binary(lines)]
        self._duckdb.register("batch", pa.table({"$line": pa.array(texts, pa.string())}))
        valid = self._duckdb.execute('SELECT JSON_VALID("$line") FROM batch').to_arrow_table()
        return valid.column(0).combine_chunks()

    def _origin(self, starts: IntArray) -> pa.Table:
        """Hour, file and row number of the lines that start there; the last member may go on in the next batch."""
        firsts = np.searchsorted(starts, [segment.offset for segment in self._segments])
        counts = np.diff([*firsts, len(starts)])
        members = pa.array(np.repeat(np.arange(len(counts)), counts))
        names = [segment.name for segment in self._segments]
        rows = [
            np.arange(count) + segment.rows_before + 1 for segment, count in zip(self._segments, counts, strict=True)
        ]
        self._segments = [Segment(0, each.name, each.rows_before + int(counts[-1])) for each in self._segments[-1:]]
        hours, files, numbers = ORIGIN_SCHEMA.types
        return pa.table(
            [
                pa.array([name.hour for name in names], hours).take(members),
                pa.array([name.name for name in names], files).take(members),
                pa.array(np.concatenate([np.arange(0), *rows]), numbers),
            ],
            schema=ORIGIN_SCHEMA,
        )

    def _typed(self, lines: pa.Array) -> pa.Table:
        """A column for each key, `$reason` where a row does not fit, `$doubt` where a line may be no JSON after all.

        Raises:
            duckdb.Error: a line is no JSON.
        """
        batches = pa.table({"$line": lines}).to_batches(max_chunksize=CHUNK_ROWS)
        self._duckdb.register("batch", pa.Table.from_batches(batches, pa.schema({"$line": pa.string()})))
        keys = {key for (keys,) in self._duckdb.execute(KEYS_QUERY).fetchall() for key in keys or ()}
        for key in sorted(keys - self._columns.keys()):
            self._columns[key] = column_name(key, self._normalize)
        return self._duckdb.execute(typing_query(self._columns)).to_arrow_table()


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


def line_starts(text: bytes) -> IntArray:
    """Where the lines of a text that ends with a newline start; empty lines are left out."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)
    starts = np.concatenate(([0], ends + 1))[:-1]
    short = np.flatnonzero(ends - starts <= 1)
    empty = [line for line in short if text[starts[line] : ends[line]] in (b"", b"\r")]
    return np.delete(starts, empty)


def strings(text: bytes, starts: IntArray) -> pa.Array:
    """The lines that start there, as strings over the text's own bytes, each with the white space that follows it."""
    offsets = np.append(starts, len(text)).astype(np.int32)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(text))


def binary(lines: pa.Array) -> list[bytes]:
    texts: list[bytes] = lines.view(pa.binary()).to_pylist()
    return texts


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def reasons_of(lines: pa.Array, is_suspect: pa.Array) -> pa.Array:
    """Why the suspect lines are no JSON by the standard, which DuckDB reads more leniently; NULL for the others."""
    pairs = zip(binary(lines), is_suspect.to_pylist(), strict=True)
    return pa.array([syntax_error(line) if suspect else None for line, suspect in pairs], pa.string())


def syntax_error(line: bytes) -> str | None:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    return None


def rejected(origin: pa.Table, reasons: pa.Array, lines: pa.Array) -> pa.Table:
    """The rows that have a reason."""
    is_bad = reasons.is_valid()
    texts = [line.decode("utf-8", "backslashreplace").rstrip("\r\n") for line in binary(lines.filter(is_bad))]
    columns = [*origin.filter(is_bad).columns, reasons.filter(is_bad), pa.array(texts, pa.string())]
    return pa.table(columns, schema=REJECTED_SCHEMA)


def typing_query(columns: dict[str, str]) -> str:
    """The SQL that types `batch("$line")`. Names of its own begin with `$`, which no column's does.

    Args:
        columns: each key of the export and the column that it lands in; keys not in `EXPORT_COLUMNS` are text.
    """
    types = {key: EXPORT_COLUMNS.get(key, "text") for key in columns}
    fields = struct_fields(columns)
    structure = json.dumps({key: "JSON" if types[key] == "json" else "VARCHAR" for key in fields})
    texts, values = [], []
    problems = [f"""WHEN LEFT(LTRIM("$line", E' \\t\\r\\n'), 1) <> '{{' THEN {literal(NO_OBJECT)}"""]
    for number, (key, column) in enumerate(columns.items()):
        text, value = f'"${number}"', quoted(column)
        value_sql, bad_sql = TYPES[types[key]]
        texts.append(f"{field(key, fields)} AS {text}")
        values.append(f"{value_sql.format(text=text)} AS {value}")
        if key in REQUIRED_KEYS:
            problems.append(f"WHEN {text} IS NULL THEN {literal(f'{key} is missing')}")
        if bad_sql:
            bad = bad_sql.format(text=text, value=value)
            problems.append(f"WHEN {bad} THEN {literal(f'{key} is no {types[key]}: ')} || LEFT({text}, 100)")
    json_columns = [quoted(column) for key, column in columns.items() if types[key] == "json"]
    doubts = ["CONTAINS(\"$line\", 'NaN')", "CONTAINS(\"$line\", 'nfinity')"]
    doubts += [f"CONTAINS({column}, 'Infinity')" for column in json_columns]
    return f"""
        SELECT
            {", ".join(map(quoted, columns.values()))},
            CASE {" ".join(problems)} END AS "$reason",
            COALESCE({" OR ".join(doubts)}, FALSE) AS "$doubt"
        FROM (
            SELECT *, {", ".join(values)}
            FROM (
                SELECT "$line", {", ".join(texts)}
                FROM (SELECT "$line", FROM_JSON("$line", {literal(structure)}) AS "$fields" FROM batch)
            )
        )
    """


def field(key: str, fields: list[str]) -> str:
    """The SQL of a key's value as text."""
    if key in fields:
        return f'"$fields".{quoted(key)}'
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    return f'"$line" ->> ({literal(pointer)})'


def struct_fields(keys: Iterable[str]) -> list[str]:
    """The keys that one DuckDB struct can hold: of keys that differ in case only, the first; none without a name."""
    return sorted({key.lower(): key for key in reversed([*keys]) if key and "\0" not in key}.values())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "' || CHR(0) || '") + "'"
