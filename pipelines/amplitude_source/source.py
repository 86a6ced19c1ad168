"""The dlt source of the export, hour by hour.

One read of an hour feeds four tables, so `export` reads and a transformer for each takes its part of a batch:
`events`, `rejected_rows`, the ledger `export_hours`, and `schema_changes`.

Rows are only ever appended, those of the ledger too. An hour's rows count that came with the newest load which has the
hour in the ledger and is finished: dlt lists a load in `_dlt_loads` once all its tables are in place. What an
interrupted load or an earlier content of an hour left behind never counts; `remove_superseded` takes it away. (A merge
through dlt's staging tables would do, at more than twice the cost: see docs/decisions/0001-append-loads.md.)
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.schema.typing import TSchemaContractDict
from dlt.common.typing import TDataItem
from dlt.extract import DltResource

from .bronze.ledger import Ledger, LedgerRow, ledger_row, ledger_table, rejecting_hours
from .bronze.proof import Looks, ProofDay, looks_at
from .errors import AmplitudeError
from .lake.archive import ExportHour
from .lake.privacy import Effects
from .plan import Cursors, Work
from .rows.lines import Block, LineReader
from .rows.parquet import ROWS_PER_FILE, EventsFile, EventsWriter
from .rows.typer import RowTyper
from .settings import AmplitudeSettings
from .tables import (
    EVENTS_COLUMNS,
    LEDGER_COLUMNS,
    REJECTED_COLUMNS,
    SCHEMA_CHANGES_COLUMNS,
    TABLES,
    arrow_schema,
    column_hints,
    types_of,
)

# A load is cut after the hour that brings it to this many rows, so that a long backfill commits as it goes.
ROWS_PER_LOAD = 10 * ROWS_PER_FILE
TABLES_OF_HOURS = ("events", "export_hours")  # which a load of hours brings
TABLES_OF_ARROW = ("merge_ids", "cohort_members", "pipeline_runs")


EVOLVE: TSchemaContractDict = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}


@dataclass
class Progress:
    """What a run has done so far; the command shows it."""

    hours: Counter[str] = field(default_factory=Counter)
    """Hours by their status."""
    loaded_rows: int = 0
    rejected_rows: int = 0
    rejecting: list[datetime] = field(default_factory=list)
    """Hours of which too many rows were rejected."""
    bytes: int = 0
    lines: int = 0
    text_bytes: int = 0
    """Of the lines."""
    longest_line: int = 0
    """In bytes."""
    revised: list[datetime] = field(default_factory=list)
    """Hours that were known before, with other content."""
    kept: list[datetime] = field(default_factory=list)
    """Hours for which Amplitude has no data any more: what was loaded before stays."""
    new_columns: list[str] = field(default_factory=list)
    """Keys that became columns of `bronze.events`."""
    effects: Effects | None = None
    """Of the privacy rules, on the rows that passed them."""
    is_done: bool = False
    """Whether the last hour was read, or an error ended the reading."""
    error: AmplitudeError | None = None


@dataclass
class Batch:
    """What one step of the export brings for each table."""

    files: list[EventsFile] = field(default_factory=list)
    rejected: pa.Table | None = None
    ledger: pa.Table | None = None
    schema_changes: pa.Table | None = None


@dlt.source(name="amplitude")
def amplitude(
    settings: AmplitudeSettings, work: Work, ledger: Ledger, progress: Progress, folder: Path
) -> list[DltResource]:
    """Amplitude's export as bronze tables.

    Args:
        settings: of the project; the ledger's rows bear its name and present.
        work: the hours to load, and the cursors to move; a load takes as many hours as it has room for.
        ledger: the project's ledger before this load.
        progress: is brought up to date hour by hour.
        folder: for files on their way to dlt, which links to them; they must last until all is extracted.
    """
    export = dlt.resource(export_batches(settings, work, ledger, progress, folder), name="export", selected=False)
    return [
        export,
        export | dlt.transformer(events, columns=column_hints(EVENTS_COLUMNS), schema_contract=EVOLVE),
        export | dlt.transformer(rejected_rows, columns=column_hints(REJECTED_COLUMNS)),
        export | dlt.transformer(export_hours, columns=column_hints(LEDGER_COLUMNS)),
        (export | dlt.transformer(schema_changes, columns=column_hints(SCHEMA_CHANGES_COLUMNS))).apply_hints(
            primary_key=("table_name", "column_name"),  # once, even if the load that brought it was interrupted
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        ),
    ]


@dlt.source(name="amplitude")
def ledger_mark(row: LedgerRow) -> DltResource:
    """One row of the ledger that no load of hours brings: the mark of a retired project."""
    return dlt.resource([ledger_table([row])], name="export_hours", columns=column_hints(LEDGER_COLUMNS))


@dlt.source(name="amplitude")
def empty_tables(known: Collection[str]) -> list[DltResource]:
    """The tables that silver reads and that loads of hours do not bring, without rows, unless they are known."""
    return [
        dlt.resource([_empty(name)], name=name, columns=column_hints(columns))
        for name, columns in TABLES.items()
        if name not in known and name not in TABLES_OF_HOURS
    ]


def _empty(name: str) -> TDataItem:
    """Return what makes a table of no rows: Arrow's schema where its rows come as Arrow's, because dlt keeps to one."""
    if name in TABLES_OF_ARROW:
        return arrow_schema(types_of(TABLES[name])).empty_table()
    return dlt.mark.materialize_table_schema()


def events(batch: Batch) -> Iterator[TDataItem]:
    """Rows of the export: files as they are; the schema comes with each, for a key may have become a column."""
    for file in batch.files:
        yield dlt.mark.with_file_import(str(file.path), "parquet", file.rows, file.schema.empty_table())


def rejected_rows(batch: Batch) -> pa.Table | None:
    """Lines that could not be read."""
    return batch.rejected


def export_hours(batch: Batch) -> pa.Table | None:
    """The ledger."""
    return batch.ledger


def schema_changes(batch: Batch) -> pa.Table | None:
    """Keys that became columns."""
    return batch.schema_changes


def export_batches(
    settings: AmplitudeSettings, work: Work, ledger: Ledger, progress: Progress, folder: Path
) -> Iterator[Batch]:
    """Reads hours into batches until they end or the load is full; the last batch has the ledger's rows."""
    project, now = settings.project, settings.present
    load_id = dlt.current.load_package_state()["load_id"]
    read: list[ExportHour] = []
    lines: Counter[datetime] = Counter()
    rejected: Counter[datetime] = Counter()
    new_columns: list[dict[str, object]] = []
    writer = EventsWriter(folder)
    for rows in row_typer(load_id).type_all(counted(blocks(project, work.hours, ledger, progress, read), progress)):
        for table in rows.events:
            writer.write(table)
        lines.update(rows.hours)
        rejected.update(rows.rejected["_export_hour"].to_pylist())
        if rows.rejected.num_rows:
            yield Batch(rejected=rows.rejected)
        new_columns += [{"table_name": "events", "changed_at": now} | column for column in rows.new_columns]
    files = writer.close()
    check_clock(load_id, [row for hour in read if (row := ledger.get(hour.hour))])
    loaded = lines - rejected
    of_ledger = [ledger_row(project, hour, loaded, rejected, ledger.get(hour.hour), now) for hour in read]
    work.archive.sync()  # before the ledger says that it is there
    if read:
        changes = pa.Table.from_pylist(new_columns, arrow_schema(types_of(SCHEMA_CHANGES_COLUMNS)))
        # without rows, too: the tables are to be there
        no_rows = arrow_schema(types_of(REJECTED_COLUMNS)).empty_table()
        yield Batch(files, no_rows, ledger_table(of_ledger), changes if new_columns or not ledger else None)
    progress.new_columns += [str(column["column_name"]) for column in new_columns]
    take_stock(progress, of_ledger, ledger)
    progress.rejecting += rejecting_hours(of_ledger, settings)
    if work.cursors:
        before, after = work.cursors
        state = dlt.current.resource_state().setdefault(project, {})
        is_whole = progress.is_done and not progress.error
        (after if is_whole else before).write(state)
        if is_whole and work.looks.state is not None:
            state["looks"] = work.looks.state
        state["asked_from"] = work.first.isoformat()


def check_clock(load_id: str, known: list[LedgerRow]) -> None:
    """Refuses a load that would not count: of an hour's loads the newest does, and dlt names them by the clock.

    Raises:
        AmplitudeError: the load is older than those that brought these hours.
    """
    if newest := max((row.load_id for row in known if row.load_id >= load_id), default=None):
        seconds = float(newest) - float(load_id)
        raise AmplitudeError(
            f"This machine's clock is {seconds:,.0f} s behind that of the machine that loaded these hours before: set "
            "it right and run again; nothing of them was loaded."
        )


def row_typer(load_id: str) -> RowTyper:
    """For the load under way."""
    schema = dlt.current.source_schema()
    known = schema.get_table_columns("events") if "events" in schema.tables else {}
    return RowTyper(schema.naming.normalize_identifier, known, load_id)


def blocks(
    project: str, hours: Iterator[ExportHour], ledger: Ledger, progress: Progress, read: list[ExportHour]
) -> Iterator[Block]:
    """The lines of the hours that the load has room for; `read` tells which hours those are.

    An error that the user can mend ends the reading before its hour: what came before is loaded.
    """
    reader, lines = LineReader(project), 0
    try:
        for hour in hours:
            if is_lost(hour, ledger):
                progress.kept.append(hour.hour)
                continue
            for member in hour.members:
                for block in reader.read(member):
                    lines += block.lines.num_rows
                    yield block
            read.append(hour)
            progress.bytes += sum(member.size for member in hour.members)
            for effects in (member.effects for member in hour.members if member.effects):
                progress.effects = progress.effects + effects if progress.effects else effects
            if lines >= ROWS_PER_LOAD:
                break
        else:
            progress.is_done = True
    except AmplitudeError as error:
        progress.is_done, progress.error = True, error
    yield reader.block()


def counted(blocks: Iterable[Block], progress: Progress) -> Iterator[Block]:
    """Pass blocks on, and note how long their lines are."""
    for block in blocks:
        progress.lines += block.lines.num_rows
        progress.text_bytes += block.bytes
        progress.longest_line = max(progress.longest_line, block.longest)
        yield block


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


def cursors(pipeline: dlt.Pipeline, settings: AmplitudeSettings, ledger: Ledger) -> Cursors:
    """How far a project's hours were looked at again."""
    return Cursors.read(_export_state(pipeline, settings), settings, ledger)


def due_looks(pipeline: dlt.Pipeline, settings: AmplitudeSettings, days: Iterable[ProofDay]) -> Looks:
    """The hours to look at once more, because Amplitude has more events of their days."""
    own = [day for day in days if day.project == settings.project]
    return looks_at(own, _export_state(pipeline, settings).get("looks", {}), settings.look_again_hours)


def _export_state(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> dict[str, Any]:
    resources = pipeline.state.get("sources", {}).get("amplitude", {}).get("resources", {})
    return dict(resources.get("export", {}).get(settings.project, {}))
