"""From gzipped JSON lines to Arrow tables with explicit types, by DuckDB; what cannot be read is kept with its reason.

Python checks each line's syntax and keys; DuckDB types the values, in batches. No value is ever rounded or nulled:
a row with a value that does not fit its column's type goes to the rejected rows as a whole.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from .archive import ArchivedMember
from .settings import EXPORT_COLUMNS, ORIGIN_COLUMNS, REJECTED_COLUMNS

BATCH_ROWS = 50_000
BATCH_BYTES = 64 << 20

# Without these a row has no identity, no user or no place in time.
REQUIRED_KEYS = ("uuid", "app", "amplitude_id", "event_type", "event_time", "server_upload_time")

ARROW_TYPES = {
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "text": pa.string(),
}

# For each type: the SQL of its value, and when a text is none, over {text}: the JSON value as text.
TYPES: dict[str, tuple[str, str]] = {
    "bigint": ("TRY_CAST({text} AS BIGINT)", "TRY_CAST({text} AS BIGINT)::VARCHAR IS DISTINCT FROM {text}"),
    "double": ("TRY_CAST({text} AS DOUBLE)", "{text} IS NOT NULL AND NOT COALESCE(ISFINITE({value}), FALSE)"),
    "bool": ("TRY_CAST({text} AS BOOLEAN)", "{text} NOT IN ('true', 'false')"),
    "timestamp": (
        "TRY_STRPTIME({text}, ['%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%d %H:%M:%S'])",
        "{text} IS NOT NULL AND {value} IS NULL",
    ),
    "text": ("{text}", "FALSE"),
    "json": ("{text}::VARCHAR", "FALSE"),
}


class BronzeTables(NamedTuple):
    """Rows for `bronze.events` and for `bronze.rejected_rows`; either may be empty."""

    events: pa.Table
    rejected: pa.Table


def arrow_schema(types: dict[str, str]) -> pa.Schema:
    return pa.schema([(name, ARROW_TYPES[type_]) for name, type_ in types.items()])


BATCH_SCHEMA = arrow_schema({"line": "text", **ORIGIN_COLUMNS})
REJECTED_SCHEMA = arrow_schema(REJECTED_COLUMNS)


class RowReader:
    """Reads members in batches that may span members and hours.

    Args:
        normalize: dlt's naming convention: from a key of the export to the name of its column.
    """

    def __init__(self, normalize: Callable[[str], str]) -> None:
        self._normalize = normalize
        self._columns = {key: normalize(key) for key in EXPORT_COLUMNS}
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'")
        self._clear()

    def _clear(self) -> None:
        self._lines: list[bytes] = []
        self._origins: list[tuple[object, ...]] = []
        self._rejected: list[dict[str, object]] = []
        self._bytes = 0

    def read(self, member: ArchivedMember) -> Iterator[BronzeTables]:
        """Takes in a member's rows; gives a batch whenever one is full."""
        with member.member.open() as source, gzip.open(source) as lines:
            row = 0
            for line in lines:
                if not line.strip():
                    continue
                row += 1
                self._take(line, (member.name.hour, member.name.name, row))
                if len(self._origins) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
                    yield self.flush()

    def _take(self, line: bytes, origin: tuple[object, ...]) -> None:
        self._bytes += len(line)
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            self._reject(line, origin, f"no JSON: {error}")
            return
        if not isinstance(row, dict):
            self._reject(line, origin, f"no JSON object but {type(row).__name__}")
            return
        if unknown := row.keys() - self._columns.keys():
            for key in sorted(unknown):
                self._columns[key] = self._free_name(key)
        self._lines.append(line)
        self._origins.append(origin)

    def _reject(self, line: bytes, origin: tuple[object, ...], reason: str) -> None:
        text = line.decode("utf-8", "backslashreplace").rstrip("\n")
        self._rejected.append(dict(zip(REJECTED_COLUMNS, (*origin, reason, text), strict=True)))

    def _free_name(self, key: str) -> str:
        """A column name for an unknown key; two keys may be one name to the warehouse (`Plan` and `plan`)."""
        taken = {*self._columns.values(), *ORIGIN_COLUMNS}
        stem, number = key.strip() or "blank", 1
        name = self._normalize(stem)
        while name in taken:
            number += 1
            name = self._normalize(f"{stem}_{number}")
        return name

    def flush(self) -> BronzeTables:
        """Types the rows taken in since the last batch."""
        origins = zip(*self._origins, strict=True) if self._origins else ([], [], [])
        self._duckdb.register("batch", pa.table([self._lines, *map(list, origins)], schema=BATCH_SCHEMA))
        typed = self._duckdb.execute(typing_query(self._columns)).to_arrow_table()
        is_good = typed["reason"].is_null()
        events = typed.filter(is_good).drop_columns(["reason", "line"])
        bad = typed.filter(pc.invert(is_good)).select(REJECTED_SCHEMA.names).cast(REJECTED_SCHEMA)
        rejected = pa.concat_tables([pa.Table.from_pylist(self._rejected, REJECTED_SCHEMA), bad])
        self._clear()
        return BronzeTables(events, rejected)


def typing_query(columns: dict[str, str]) -> str:
    """The SQL that types `batch(line, origin...)`; a row that does not fit has a `reason` and its line.

    Args:
        columns: each key of the export and the column that it lands in; keys not in `EXPORT_COLUMNS` are text.
    """
    types = {key: EXPORT_COLUMNS.get(key, "text") for key in columns}
    fields = struct_fields(columns)
    structure = json.dumps({key: "JSON" if types[key] == "json" else "VARCHAR" for key in fields})
    values, problems = [], []
    for key, column in columns.items():
        text = f"fields.{quoted(key)}" if key in fields else f"line ->> {literal(json_pointer(key))}"
        value_sql, bad_sql = TYPES[types[key]]
        value = value_sql.format(text=text)
        values.append(f"{value} AS {quoted(column)}")
        if key in REQUIRED_KEYS:
            problems.append(f"WHEN {text} IS NULL THEN {literal(f'{key} is missing')}")
        if bad_sql != "FALSE":
            bad = bad_sql.format(text=text, value=value)
            problems.append(f"WHEN {bad} THEN {literal(f'{key} is no {types[key]}: ')} || LEFT({text}, 100)")
    origin = ", ".join(map(quoted, ORIGIN_COLUMNS))
    return f"""
        SELECT {", ".join(values)}, {origin}, reason, IF(reason IS NULL, NULL, RTRIM(line, E'\\r\\n')) AS line
        FROM (
            SELECT *, CASE {" ".join(problems)} END AS reason
            FROM (SELECT *, FROM_JSON(line, {literal(structure)}) AS fields FROM batch)
        )
    """


def struct_fields(keys: Iterable[str]) -> list[str]:
    """The keys that one DuckDB struct can hold: of keys that differ in case only, the first."""
    return sorted({key.lower(): key for key in reversed([*keys])}.values())


def json_pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
