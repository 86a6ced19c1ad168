"""The dlt sources: `amplitude`, the export hour by hour, and `amplitude_rest`, the small REST endpoints.

One read of an hour feeds three tables, so `export` reads and three transformers take their part of each batch:
`events`, `rejected_rows` and the ledger `export_hours`.

Rows are only ever appended. What makes a row count is the ledger: it names, for each hour, the load that brought its
rows (`_dlt_load_id`), and dlt lists a load in `_dlt_loads` once all its tables are in place. What an interrupted load
or an earlier content of an hour left behind never counts; `remove_superseded` takes it away. (A merge through dlt's
staging tables would do, at more than twice the cost: see ARCHITECTURE.md.)
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import dlt
import pyarrow as pa
from dlt.common.schema.typing import TSchemaContractDict
from dlt.extract import DltResource

from .archive import ExportHour
from .arrow import BronzeTables, RowReader, arrow_schema
from .ledger import Ledger, LedgerRow, ledger_row, ledger_table
from .rest import amplitude_rest, no_rest
from .settings import (
    EXPORT_COLUMNS,
    HOUR,
    LEDGER_COLUMNS,
    ORIGIN_COLUMNS,
    REJECTED_COLUMNS,
    AmplitudeError,
    column_hints,
)

__all__ = ["Progress", "amplitude", "amplitude_rest", "cursor", "no_rest", "remove_superseded"]

# A load is cut after the hour that brings it to this many rows, so that a long backfill commits as it goes.
ROWS_PER_LOAD = 1_000_000
ROWS_PER_BATCH = 16_000

NO_ROWS = arrow_schema(ORIGIN_COLUMNS).empty_table()
EVOLVE: TSchemaContractDict = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}


@dataclass
class Progress:
    """What a run has done so far; the command shows it."""

    hours: Counter[str] = field(default_factory=Counter)
    """Hours by their status."""
    last_hour: datetime | None = None
    loaded_rows: int = 0
    rejected_rows: int = 0
    bytes: int = 0
    revised: list[datetime] = field(default_factory=list)
    """Hours that were known before, with another content."""
    kept: list[datetime] = field(default_factory=list)
    """Hours for which Amplitude has no data any more: what was loaded before stays."""
    is_done: bool = False
    """Whether the last hour was read, or an error ended the reading."""
    error: AmplitudeError | None = None


@dataclass
class Batch:
    """What one step of the export brings for each table."""

    events: pa.Table | None = None
    rejected: pa.Table | None = None
    ledger: pa.Table | None = None


@dlt.source(name="amplitude")
def amplitude(
    hours: Iterator[ExportHour],
    ledger: Ledger,
    now: datetime,
    progress: Progress,
    *,
    moves_cursor: bool = True,
) -> list[DltResource]:
    """Amplitude's export as bronze tables.

    Args:
        hours: the hours to load, in order, from the API or from the archive; a load takes as many as it has room for.
        ledger: the ledger before this load.
        now: naive UTC; stamped on the ledger's rows.
        progress: is brought up to date hour by hour.
        moves_cursor: whether the next run continues after these hours.
    """
    export = dlt.resource(
        export_batches(hours, ledger, now, progress, moves_cursor=moves_cursor), name="export", selected=False
    )

    def table(name: str, part: Callable[[Batch], pa.Table], columns: dict[str, str]) -> DltResource:
        resource: DltResource = export | dlt.transformer(part, name=name, columns=column_hints(columns))
        return resource

    return [
        export,
        table("events", lambda batch: batch.events, EXPORT_COLUMNS | ORIGIN_COLUMNS).apply_hints(
            schema_contract=EVOLVE
        ),
        table("rejected_rows", lambda batch: batch.rejected, REJECTED_COLUMNS),
        table("export_hours", lambda batch: batch.ledger, LEDGER_COLUMNS).apply_hints(
            primary_key="export_hour", write_disposition={"disposition": "merge", "strategy": "delete-insert"}
        ),
    ]


def export_batches(
    hours: Iterator[ExportHour], ledger: Ledger, now: datetime, progress: Progress, *, moves_cursor: bool
) -> Iterator[Batch]:
    """Reads hours into batches until they end or the load is full; the last batch has the ledger's rows."""
    read: list[ExportHour] = []
    counts = RowCounts()
    for events, rejected in in_bulk(read_rows(hours, ledger, progress, read, counts)):
        yield Batch(events, rejected if rejected.num_rows else None)
    if not read:
        return
    rows = [ledger_row(hour, counts.loaded, counts.rejected, ledger.get(hour.hour), now) for hour in read]
    yield Batch(NO_ROWS, NO_ROWS, ledger_table(rows))  # tables are there even where no hour has a row for them
    take_stock(progress, rows, ledger)
    if moves_cursor:
        dlt.current.resource_state()["next_hour"] = next_hour(rows, ledger).isoformat()


def read_rows(
    hours: Iterator[ExportHour], ledger: Ledger, progress: Progress, read: list[ExportHour], counts: "RowCounts"
) -> Iterator[BronzeTables]:
    """The rows of the hours that the load has room for; `read` and `counts` tell what was read.

    An error that the user can mend ends the reading before its hour: what came before is loaded.
    """
    reader = RowReader(dlt.current.source_schema().naming.normalize_identifier)
    try:
        for hour in hours:
            if is_lost(hour, ledger):
                progress.kept.append(hour.hour)
                continue
            for member in hour.members:
                yield from map(counts.add, reader.read(member))
            read.append(hour)
            progress.last_hour = hour.hour
            progress.bytes += sum(member.size for member in hour.members)
            if counts.loaded.total() >= ROWS_PER_LOAD:
                break
        else:
            progress.is_done = True
    except AmplitudeError as error:
        progress.is_done, progress.error = True, error
    yield from map(counts.add, reader.finish())


def in_bulk(batches: Iterator[BronzeTables]) -> Iterator[BronzeTables]:
    """Puts batches together, since dlt looks at its schema for each; a column that came up later is NULL before."""
    waiting: list[BronzeTables] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.events.num_rows for each in waiting) >= ROWS_PER_BATCH:
            yield put_together(waiting)
            waiting = []
    if waiting:
        yield put_together(waiting)


def put_together(batches: list[BronzeTables]) -> BronzeTables:
    events, rejected = zip(*batches, strict=True)
    return BronzeTables(pa.concat_tables(events, promote_options="default"), pa.concat_tables(rejected))


@dataclass
class RowCounts:
    """Rows of a load by export hour."""

    loaded: Counter[datetime] = field(default_factory=Counter)
    rejected: Counter[datetime] = field(default_factory=Counter)

    def add(self, rows: BronzeTables) -> BronzeTables:
        for table, counter in ((rows.events, self.loaded), (rows.rejected, self.rejected)):
            for group in table["_export_hour"].value_counts().to_pylist():
                counter[group["values"]] += group["counts"]
        return rows


def is_lost(hour: ExportHour, ledger: Ledger) -> bool:
    """Whether Amplitude no longer has an hour that was loaded before (its retention may be shorter than the lake's)."""
    known = ledger.get(hour.hour)
    return not hour.members and known is not None and known.status == "loaded"


def take_stock(progress: Progress, rows: list[LedgerRow], ledger: Ledger) -> None:
    progress.hours.update(row.status for row in rows)
    progress.loaded_rows += sum(row.loaded_rows for row in rows)
    progress.rejected_rows += sum(row.rejected_rows for row in rows)
    progress.revised += [
        row.export_hour for row in rows if row.export_hour in ledger and row.revision > ledger[row.export_hour].revision
    ]


def next_hour(rows: list[LedgerRow], ledger: Ledger) -> datetime:
    """The first hour that may still bring data, else the hour after the last of these rows."""
    known = {**ledger, **{row.export_hour: row for row in rows}}
    pending = [hour for hour, row in known.items() if not row.is_final]
    return min([*pending, rows[-1].export_hour + HOUR])


def remove_superseded(pipeline: dlt.Pipeline, ledger: Ledger) -> None:
    """Deletes the rows of the newest load's hours that another load brought: earlier contents, unfinished loads.

    Called after each load, and once more before the first, for a run may end between a load and this. Bounded by the
    load's hours, so that its cost does not grow with history. Files (the filesystem destination) stay as they are.
    """
    newest = max((row.load_id for row in ledger.values()), default=None)
    if newest is None or pipeline.destination.destination_name == "filesystem":
        return
    hours = [hour for hour, row in ledger.items() if row.load_id == newest]
    with pipeline.sql_client() as client:
        for table in ("events", "rejected_rows"):
            client.execute_sql(
                f"DELETE FROM {client.make_qualified_table_name(table)} AS superseded "
                f"WHERE _export_hour BETWEEN TIMESTAMP '{min(hours)}' AND TIMESTAMP '{max(hours)}' "
                f"AND _dlt_load_id <> '{newest}' AND EXISTS ("
                f"SELECT 1 FROM {client.make_qualified_table_name('export_hours')} AS hours "
                f"WHERE hours.export_hour = superseded._export_hour AND hours._dlt_load_id = '{newest}')"
            )


def cursor(pipeline: dlt.Pipeline) -> datetime | None:
    """The hour with which the next run begins; None where nothing was ever loaded."""
    resources = pipeline.state.get("sources", {}).get("amplitude", {}).get("resources", {})
    text = resources.get("export", {}).get("next_hour")
    return datetime.fromisoformat(text) if text else None
