"""The runs of loads, `bronze.pipeline_runs`: a row from the begin of a run on, which gets its end with the end.

dlt makes the table, and statements of SQL keep its rows, because a load package for each would take seconds.
"""

import io
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..tables import LOAD_ID, PIPELINE_RUNS_COLUMNS, arrow_schema, types_of
from .destinations import kept_open
from .files import BronzeFiles

RUNS_TABLE = "pipeline_runs"
DONE, FAILED, STOPPED = "done", "failed", "stopped"
NO_LOAD = "-"
"""No load of dlt's brings these rows, and dlt's column must not be null."""


@dataclass
class Run:
    """A run of a load for one project; `PIPELINE_RUNS_COLUMNS` describes the fields."""

    project: str
    run_id: str
    command: str
    version: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    problem: str | None = None
    hours: int = 0
    loaded_rows: int = 0
    rejected_rows: int = 0
    bytes: int = 0
    retries: int = 0
    new_columns: int = 0

    def __str__(self) -> str:
        """Say in a sentence how it ended."""
        begun = f"The last `{self.command}`, begun at {self.started_at:%Y-%m-%d %H:%M} UTC,"
        if self.outcome is None:
            return f"{begun} has no end: it is at work, or was killed."
        return f"{begun} is {self.outcome}." if self.problem is None else f"{begun} is {self.outcome}: {self.problem}"


def note(pipeline: dlt.Pipeline, run: Run, *, is_new: bool) -> bool:
    """Write a run's row, or bring it up to date.

    Args:
        pipeline: of the destination.
        run: as it stands.
        is_new: whether the run has no row yet.

    Returns:
        False where there is no table yet, because no load has made it.
    """
    if _is_files(pipeline):
        return _note_in_file(BronzeFiles(pipeline), run)
    row = asdict(run)
    try:
        with kept_open(pipeline), pipeline.sql_client() as client:
            table = client.make_qualified_table_name(RUNS_TABLE)
            if is_new:
                row |= {LOAD_ID: NO_LOAD}
                places = ", ".join(["%s"] * len(row))
                client.execute_sql(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())
            else:
                changes = ", ".join(f"{name} = %s" for name in row)
                client.execute_sql(f"UPDATE {table} SET {changes} WHERE run_id = %s", *row.values(), run.run_id)
    except DatabaseUndefinedRelation:
        return False
    return True


def _note_in_file(files: BronzeFiles, run: Run) -> bool:
    if not files.finished_loads():  # dlt makes the folder, and fails if it is there
        return False
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(run)], arrow_schema(types_of(PIPELINE_RUNS_COLUMNS))), file)
    files.write_run(run.project, run.run_id, file.getvalue())
    return True


def newest_runs(pipeline: dlt.Pipeline) -> list[Run]:
    """Return the newest run of each project, ordered by the projects' names."""
    if _is_files(pipeline):
        found = [pq.read_table(io.BytesIO(file)).to_pylist()[0] for file in BronzeFiles(pipeline).newest_runs()]
        return [Run(**row) for row in found]
    names = ", ".join(field.name for field in fields(Run))
    rows = _query(
        pipeline,
        f"SELECT {names} FROM {RUNS_TABLE} "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY project ORDER BY started_at DESC, run_id DESC) = 1 ORDER BY project",
    )
    return [Run(*row) for row in rows]


def _query(pipeline: dlt.Pipeline, sql: str) -> list[tuple[Any, ...]]:
    if not pipeline.default_schema_name:
        return []
    try:
        with pipeline.sql_client() as client, client.execute_query(sql) as cursor:
            return [*cursor.fetchall()]
    except DatabaseUndefinedRelation:
        return []


def _is_files(pipeline: dlt.Pipeline) -> bool:
    return pipeline.destination.destination_name == "filesystem"
