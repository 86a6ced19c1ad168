"""From blocks of JSON lines to typed Arrow tables and Parquet files; what cannot be read is kept with its reason.

No value is ever rounded or nulled: a row with a value that does not fit its column's type goes to the rejected rows as
a whole. What becomes of a line depends on that line alone, whatever stands beside it.

DuckDB types the rows. Those of one shape are the rule, so a block is typed by the keys of its first line; what that
leaves out (other keys, a doubtful or broken line, a value of the wrong type) is looked at again, the long way.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .lines import BLOCK_SCHEMA, LINE, Block
from .settings import EXPORT_COLUMNS, ORIGIN_COLUMNS, REJECTED_COLUMNS, arrow_schema

# Without these a row has no identity, no user or no place in time.
REQUIRED_KEYS = ("uuid", "app", "amplitude_id", "event_type", "event_time", "server_upload_time")

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

LOAD_ID = "_dlt_load_id"
# What JSON writers that do not keep to the standard write for a number, and DuckDB reads.
DOUBT = f"(CONTAINS(\"{LINE}\", 'NaN') OR CONTAINS(\"{LINE}\", 'nfinity'))"

NO_OBJECT = "no JSON object"
NOT_READ = "no JSON that DuckDB reads"
DOUBLE_KEY = "a key comes twice"
REJECTED_SCHEMA = arrow_schema(REJECTED_COLUMNS)


class TypedRows(NamedTuple):
    """What became of a block's lines: each is a row of one of the events' tables or a rejected one."""

    events: list[pa.Table]
    rejected: pa.Table
    hours: Counter[datetime]
    """Lines of each hour."""


class RowTyper:
    """Types blocks of lines, one after the other.

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
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'")

    def type_block(self, block: Block) -> TypedRows:
        """Types a block's lines; there is at least one table of events, be it empty."""
        lines, rejected = without_broken_text(block.table)
        events = []
        if shape := self._shape(lines):
            regular, lines = self._type_regular(lines, shape)
            events.append(regular)
        if lines.num_rows or not events:
            odd, refused = self._type_odd(lines)
            events.append(odd)
            rejected = pa.concat_tables([rejected, refused])
        return TypedRows(events, rejected, block.hours)

    def _shape(self, lines: pa.Table) -> list[str]:
        """The keys of the first line, if one DuckDB struct can hold them all."""
        text = lines[LINE][0].as_py() if lines.num_rows else ""
        ((keys,),) = self._duckdb.execute("SELECT TRY(JSON_KEYS(?))", [text]).fetchall()
        return keys if keys and len(struct_fields(keys)) == len(keys) else []

    def _type_regular(self, lines: pa.Table, shape: list[str]) -> tuple[pa.Table, pa.Table]:
        """The rows that have exactly the shape's keys and nothing odd about them, and the lines left out."""
        self._learn(shape)
        typed = self._typed(lines, regular_query(self._keys, shape))
        if typed["$reason"].null_count == typed.num_rows:
            return typed.select(list(self._types)), lines.slice(0, 0)
        is_regular = typed["$reason"].is_null()
        left_out = typed.select(BLOCK_SCHEMA.names).filter(pc.invert(is_regular))
        return typed.select(list(self._types)).filter(is_regular), left_out

    def _type_odd(self, lines: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Rows of whatever keys, and the lines that are none as rejected rows."""
        lines, broken = self._without_broken_json(lines)
        self._duckdb.register("lines", lines)
        keys = self._duckdb.execute(f'SELECT DISTINCT UNNEST(JSON_KEYS("{LINE}")) FROM lines').fetchall()
        self._learn(key for (key,) in keys)
        typed = self._typed(lines, odd_query(self._keys))
        refused = rejected(typed, typed["$reason"])
        return typed.filter(typed["$reason"].is_null()).select(list(self._types)), pa.concat_tables([broken, refused])

    def _typed(self, lines: pa.Table, query: str) -> pa.Table:
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

    def _learn(self, keys: Iterable[str]) -> None:
        """Gives each new key a column."""
        for key in sorted(set(keys) - self._keys.keys()):
            self._keys[key] = column_name(key, self._normalize)
            self._types.setdefault(self._keys[key], "text")

    def _columns(self) -> str:
        """The SQL of a row's columns; of those that `bronze.events` has from a key not met in this load, NULL."""
        known = {*self._keys.values(), *ORIGIN_COLUMNS}
        values = dict.fromkeys(self._types.keys() - known, "NULL::VARCHAR") | {LOAD_ID: literal(self._load_id)}
        return ", ".join(
            f"{values[column]} AS {quoted(column)}" if column in values else quoted(column) for column in self._types
        )


class EventsFile(NamedTuple):
    """A Parquet file with rows for `bronze.events`."""

    path: Path
    schema: pa.Schema
    rows: int


class EventsWriter:
    """Writes tables of events to as few files as their columns allow: each file costs the warehouse a statement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[EventsFile] = []
        self._writer: pq.ParquetWriter | None = None

    def write(self, events: pa.Table) -> None:
        if not self._writer or events.schema.names != self._files[-1].schema.names:
            self.close()
            path = self._folder / f"{len(self._files)}.parquet"
            self._files.append(EventsFile(path, events.schema, 0))
            self._writer = pq.ParquetWriter(path, events.schema)
        self._writer.write_table(events)
        self._files[-1] = self._files[-1]._replace(rows=self._files[-1].rows + events.num_rows)

    def close(self) -> list[EventsFile]:
        """Completes the files."""
        if self._writer:
            self._writer.close()
        self._writer = None
        return self._files


def typed(blocks: Iterable[Block], typer: RowTyper) -> Iterator[TypedRows]:
    """Types each block in a thread while the next one is read."""
    with ThreadPoolExecutor(1) as thread:
        under_way = None
        for block in blocks:
            if under_way:
                yield under_way.result()
            under_way = thread.submit(typer.type_block, block)
        if under_way:
            yield under_way.result()


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


def without_broken_text(lines: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Lines that are UTF-8, which DuckDB takes for granted, and the others as rejected rows."""
    try:
        lines[LINE].validate(full=True)
    except pa.ArrowInvalid:
        return parted(lines, [None if is_utf8(line) else syntax_error(line) for line in binary(lines[LINE])])
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


def binary(lines: pa.ChunkedArray) -> list[bytes]:
    return [text for chunk in lines.chunks for text in chunk.view(pa.binary()).to_pylist()]


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


def regular_query(keys: dict[str, str], shape: list[str]) -> str:
    """The SQL that types lines with exactly the keys of the shape; any other line gets some `$reason`."""
    parse = f'TRY(FROM_JSON_STRICT("{LINE}", {structure(shape)}))'  # NULL where a key is missing or comes twice, too
    odd = {'"$fields" IS NULL': "odd", f'LEN(JSON_KEYS("{LINE}")) <> {len(shape)}': "odd", DOUBT: "odd"}
    fields = set(shape)
    texts = {key: f'"$fields".{quoted(key)}' if key in fields else "NULL::VARCHAR" for key in keys}
    return typing_query(keys, parse, odd, texts)


def odd_query(keys: dict[str, str]) -> str:
    """The SQL that types JSON lines with any of the keys, those included that no DuckDB struct can hold."""
    fields = struct_fields(keys)
    parse = f'FROM_JSON("{LINE}", {structure(fields)})'
    odd = {
        f"""LEFT(LTRIM("{LINE}", E' \\t\\r\\n'), 1) <> '{{'""": NO_OBJECT,
        f'LEN(JSON_KEYS("{LINE}")) <> LEN(LIST_DISTINCT(JSON_KEYS("{LINE}")))': DOUBLE_KEY,
    }
    texts = {key: f'"$fields".{quoted(key)}' if key in fields else f'"{LINE}" ->> ({pointer(key)})' for key in keys}
    return typing_query(keys, parse, odd, texts)


def typing_query(keys: dict[str, str], parse: str, odd: dict[str, str], texts: dict[str, str]) -> str:
    """The SQL that types `lines`. Names of its own begin with `$`, which no column's does.

    Args:
        keys: each key of the export and the column that it lands in; keys not in `EXPORT_COLUMNS` are text.
        parse: the SQL of `$fields`, a struct, from `$line`.
        odd: SQL conditions under which a line is no row, and the `$reason` that it gets.
        texts: the SQL of each key's value as text from `$fields` or `$line`.
    """
    types = {key: EXPORT_COLUMNS.get(key, "text") for key in keys}
    names = {key: f'"${number}"' for number, key in enumerate(keys)}
    values = [f"{TYPES[types[key]][0].format(text=names[key])} AS {quoted(column)}" for key, column in keys.items()]
    reasons = [f"WHEN {condition} THEN {literal(reason)}" for condition, reason in odd.items()]
    reasons += [f"WHEN {names[key]} IS NULL THEN {literal(f'{key} is missing')}" for key in REQUIRED_KEYS]
    reasons += [misfit(key, types[key], names[key], quoted(column)) for key, column in keys.items()]
    return f"""
        SELECT *, CASE {" ".join(reasons)} END AS "$reason"
        FROM (
            SELECT *, {", ".join(values)}
            FROM (
                SELECT *, {", ".join(f"{texts[key]} AS {name}" for key, name in names.items())}
                FROM (SELECT *, {parse} AS "$fields" FROM lines)
            )
        )
    """


def misfit(key: str, type_: str, text: str, value: str) -> str:
    """The SQL of the reason where a value does not fit its column's type, if that can be."""
    is_misfit = TYPES[type_][1]
    if not is_misfit:
        return ""
    reason = f"{literal(f'{key} is no {type_}: ')} || LEFT({text}, 100)"
    return f"WHEN {is_misfit.format(text=text, value=value)} THEN {reason}"


def structure(keys: list[str]) -> str:
    """A DuckDB struct's fields, as FROM_JSON takes them: text, for a cast would round; nested values stay JSON."""
    return literal(json.dumps({key: "JSON" if EXPORT_COLUMNS.get(key) == "json" else "VARCHAR" for key in keys}))


def pointer(key: str) -> str:
    return literal("/" + key.replace("~", "~0").replace("/", "~1"))


def struct_fields(keys: Iterable[str]) -> list[str]:
    """The keys that one DuckDB struct can hold: of keys that differ in case only, the first; none without a name."""
    return sorted({key.lower(): key for key in reversed([*keys]) if key and "\0" not in key}.values())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "' || CHR(0) || '") + "'"
