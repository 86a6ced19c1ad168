"""Parquet files of events, on their way to dlt."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# A file costs the warehouse a statement, and several are loaded at once. Two of DuckDB's row groups to the row: what is
# left of one would be written anew when DuckDB closes its file.
ROWS_PER_FILE = 2 * 122_880
# Each group of rows takes time for every column, to write and to load (with 5,000 rows each a tenth more); until it is
# full it is held in memory, at 1.3 KB a row. Rows with large properties are fewer to a group.
ROWS_PER_GROUP = 16_384
LARGE_ROW_BYTES = 2_048
BYTES_OF_LARGE_ROWS = 8 << 20
WIDENING_THREADS = 2


@dataclass
class EventsFile:
    """A Parquet file with rows for `bronze.events`."""

    path: Path
    schema: pa.Schema
    rows: int = 0


class GroupWriter:
    """Writes tables to a Parquet file, several to a group of rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._parquet = pq.ParquetWriter(path, schema)
        self._group: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._group.append(table)
        rows = sum(part.num_rows for part in self._group)
        size = sum(part.nbytes for part in self._group)
        if rows >= ROWS_PER_GROUP or size >= max(BYTES_OF_LARGE_ROWS, rows * LARGE_ROW_BYTES):
            self._write_group()

    def close(self) -> None:
        self._write_group()
        self._parquet.close()

    def _write_group(self) -> None:
        if self._group:
            self._parquet.write_table(pa.concat_tables(self._group))
        self._group = []


class EventsWriter:
    """Writes tables of events to files, at least one; a table with more columns than those before begins a new file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[EventsFile] = []
        self._open: tuple[EventsFile, GroupWriter] | None = None

    def write(self, events: pa.Table) -> None:
        while events.num_rows or not self._files:
            file, writer = self._file_with_room(events.schema)
            part = events.slice(0, ROWS_PER_FILE - file.rows)
            writer.write(part)
            file.rows += part.num_rows
            events = events.slice(part.num_rows)

    def _file_with_room(self, schema: pa.Schema) -> tuple[EventsFile, GroupWriter]:
        if not self._open or self._open[0].schema != schema or self._open[0].rows == ROWS_PER_FILE:
            self._close_file()
            file = EventsFile(self._folder / f"{len(self._files)}.parquet", schema)
            self._files.append(file)
            self._open = file, GroupWriter(file.path, schema)
        return self._open

    def close(self) -> list[EventsFile]:
        """Completes the files; all have the columns of the last one, as the table will."""
        self._close_file()
        with ThreadPoolExecutor(WIDENING_THREADS) as threads:
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
