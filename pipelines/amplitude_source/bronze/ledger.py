"""The ledger `bronze.export_hours`: a row for each hour that was asked for; and what that says of the others."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

import dlt
import pyarrow as pa

from ..errors import AmplitudeError
from ..lake.archive import ExportHour
from ..settings import HOUR, AmplitudeSettings, hours_between
from ..tables import LEDGER_COLUMNS, arrow_schema, types_of
from .files import BronzeFiles

Status = Literal["loaded", "empty", "pending", "retired"]


@dataclass(frozen=True)
class LedgerRow:
    """What is known of one hour of a project.

    `revision` counts the contents that a final hour has had, from 1, the last since `revised_at`; `sha256` covers its
    members' names and bytes; `exported_at` is when Amplitude was asked for it.
    """

    project: str
    export_hour: datetime
    status: Status
    files: int
    bytes: int
    loaded_rows: int
    rejected_rows: int
    sha256: str | None
    revision: int
    revised_at: datetime | None
    exported_at: datetime
    loaded_at: datetime
    erased_rows: int = 0
    load_id: str = ""
    """dlt's load that brought the hour's rows; dlt itself writes it."""

    @property
    def is_final(self) -> bool:
        return self.status in ("loaded", "empty")


Ledger = Mapping[datetime, LedgerRow]


def read_ledgers(pipeline: dlt.Pipeline) -> dict[str, Ledger]:
    """The hours of finished loads, by project; of an hour in several (files, which are not merged), the newest.

    A load that was interrupted may have its ledger in place before its events: its hours were not loaded.
    """
    is_files = pipeline.destination.destination_name == "filesystem"
    rows, finished = _from_files(BronzeFiles(pipeline)) if is_files else _from_tables(pipeline)
    entries = [entry for row in rows if (entry := LedgerRow(**row)).load_id in finished]
    ledgers: dict[str, dict[datetime, LedgerRow]] = {}
    for entry in sorted(entries, key=lambda e: (e.project, e.export_hour, e.load_id)):
        ledgers.setdefault(entry.project, {})[entry.export_hour] = entry
    return {**ledgers}


def retired_from(ledger: Ledger) -> datetime | None:
    """Return the first hour that a retired project no longer has, by its mark; None for a project that goes on."""
    return max((hour for hour, row in ledger.items() if row.status == "retired"), default=None)


def first_open(hour: datetime, ledger: Ledger) -> datetime:
    """Return the first hour from this one on that is not final."""
    while hour in ledger and ledger[hour].is_final:
        hour += HOUR
    return hour


def _from_tables(pipeline: dlt.Pipeline) -> tuple[list[dict[str, Any]], set[str]]:
    """The ledger's rows, and the loads that are finished."""
    dataset = pipeline.dataset()
    try:
        known = dataset.schema.get_table_columns("export_hours")  # an older warehouse lacks erased_rows
        names = [name for name in LEDGER_COLUMNS if name in known]
        rows = dataset["export_hours"].select(*names, "_dlt_load_id").fetchall()
        loads = dataset["_dlt_loads"].select("load_id", "status").fetchall()
    except (KeyError, ValueError):  # nothing was ever loaded
        return [], set()
    return [named(names, row) for row in rows], {load_id for load_id, status in loads if status == 0}


def _from_files(files: BronzeFiles) -> tuple[list[dict[str, Any]], set[str]]:
    rows = files.ledger().to_pylist()
    names = [name for name in LEDGER_COLUMNS if rows and name in rows[0]]
    return [named(names, [row[name] for name in (*names, "_dlt_load_id")]) for row in rows], files.finished_loads()


def named(names: list[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of a row: some columns of the ledger, then its load."""
    fields = dict(zip([*names, "load_id"], values, strict=True))
    return fields | {"erased_rows": fields.get("erased_rows") or 0}  # none in what was loaded before there were any


def ledger_row(
    project: str,
    hour: ExportHour,
    loaded: Counter[datetime],
    rejected: Counter[datetime],
    known: LedgerRow | None,
    now: datetime,
) -> LedgerRow:
    """The ledger's new row for an hour just read; its revision goes up when a final hour's content has changed."""
    is_final = hour.is_final or (known is not None and known.is_final)  # an hour declared empty stays so
    status: Status = "loaded" if hour.members else "empty" if is_final else "pending"
    # The same file may give other rows: an earlier version of this code rejected more of them.
    content = (status, hour.sha256, loaded[hour.hour])
    changed = known is not None and known.is_final and (known.status, known.sha256, known.loaded_rows) != content
    return LedgerRow(
        project=project,
        export_hour=hour.hour,
        status=status,
        files=len(hour.members),
        bytes=sum(member.size for member in hour.members),
        loaded_rows=loaded[hour.hour],
        rejected_rows=rejected[hour.hour],
        sha256=hour.sha256,
        revision=(known.revision if known else 1) + changed,
        revised_at=now if changed else known.revised_at if known else None,
        exported_at=hour.exported_at,
        loaded_at=now,
        erased_rows=hour.erased_rows,
    )


def ledger_table(rows: Iterable[LedgerRow]) -> pa.Table:
    return pa.Table.from_pylist([vars(row) for row in rows], arrow_schema(types_of(LEDGER_COLUMNS)))


@dataclass(frozen=True)
class Coverage:
    """A run of neighbouring hours with one status; `missing`: never asked for, though later ones were."""

    status: Status | Literal["missing"]
    first: datetime
    last: datetime
    files: int
    bytes: int
    loaded_rows: int
    rejected_rows: int

    @property
    def hours(self) -> int:
        return (self.last - self.first) // HOUR + 1


def coverage(ledger: Ledger, first: datetime, newest: datetime) -> list[Coverage]:
    """The ledger from `first` to `newest`, or its own last hour if that is later, as runs of one status."""
    hours = hours_between(first, max([newest, *ledger]))
    last_asked = max(ledger, default=first - HOUR)

    def status_of(hour: datetime) -> Status | Literal["missing"]:
        if hour in ledger:
            return ledger[hour].status
        return "missing" if hour < last_asked else "pending"

    return [_sum(status, list(run), ledger) for status, run in groupby(hours, key=status_of)]


def _sum(status: Status | Literal["missing"], hours: list[datetime], ledger: Ledger) -> Coverage:
    rows = [ledger[hour] for hour in hours if hour in ledger]
    return Coverage(
        status,
        hours[0],
        hours[-1],
        sum(row.files for row in rows),
        sum(row.bytes for row in rows),
        sum(row.loaded_rows for row in rows),
        sum(row.rejected_rows for row in rows),
    )


def rejecting_hours(rows: Iterable[LedgerRow], settings: AmplitudeSettings) -> list[datetime]:
    """Return the hours of which a larger share of the rows was rejected than the settings allow.

    Raises:
        AmplitudeError: the share is not one.
    """
    share = settings.max_rejected_share
    if not 0 <= share <= 1:
        raise AmplitudeError(f"SOURCES__AMPLITUDE__MAX_REJECTED_SHARE is {share:g}; write a number from 0 to 1.")
    return [row.export_hour for row in rows if row.rejected_rows > share * (row.rejected_rows + row.loaded_rows)]
