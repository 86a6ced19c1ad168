"""Bronze as Parquet files in the lake, for those without a warehouse (`--destination filesystem`).

dlt adds files, named after their load, and never changes one. `docs/guides/bronze_files.sql` shows which of their rows
count. Only the ledger's files are put together when there are many, because each run reads them all.
"""

import io
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dlt.common.storages import FilesystemConfiguration

from ..lake.erased import Erased
from ..lake.open import open_lake
from ..lake.storage import Lake
from ..tables import IDS_OF_PERSONS

DATASET = "bronze"
LAYOUT = "{table_name}/{load_id}.{file_id}.{ext}"
RUNS = f"{DATASET}/pipeline_runs"
LEDGER_FILES = 100
"""So many of the ledger become one."""


class BronzeFiles:
    """What dlt's filesystem destination has written."""

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        with pipeline.destination_client() as client:
            if not isinstance(client.config, FilesystemConfiguration):
                raise TypeError(f"{pipeline.destination.destination_name} has no files")
            self._lake: Lake = open_lake(client.config)

    def finished_loads(self) -> set[str]:
        """The loads whose files are all in place; dlt adds a file for each, `<schema>__<load>.jsonl`, at its end."""
        paths = self._lake.paths(f"{DATASET}/_dlt_loads")
        return {PurePosixPath(path).stem.rpartition("__")[2] for path in paths}

    def ledger(self) -> pa.Table:
        """The ledger's rows of finished loads; without columns where there is none."""
        return self._read(self._ledger_paths())

    def join_ledger(self) -> None:
        """Puts the ledger's files together if there are many. A row keeps the load that brought it."""
        paths = self._ledger_paths()
        if len(paths) < LEDGER_FILES:
            return
        target, rows = f"{DATASET}/export_hours/{max(map(load_of, paths))}.joined.parquet", io.BytesIO()
        pq.write_table(self._read(paths), rows)
        self._lake.write(target, rows.getvalue())
        for path in paths:  # until they are gone, rows are there twice, saying the same
            if path != target:
                self._lake.remove(path)

    def forget(self, loads: Iterable[str]) -> None:
        """Removes the files of interrupted loads, of which the last may be half a file."""
        interrupted = set(loads) - self.finished_loads()
        for path in self._lake.paths(DATASET):
            if path.endswith(".parquet") and load_of(path) in interrupted:
                self._lake.remove(path)

    def forget_states(self) -> None:
        """Removes the state that an interrupted load has left, `<pipeline>__<load>__<hash>.jsonl`.

        dlt writes it before the load is finished and would go on from it, past the hours that did not come. A load that
        another machine is about to finish can spare it: a cursor that stays behind passes over final hours by itself.
        """
        finished = self.finished_loads()
        for path in self._lake.paths(f"{DATASET}/_dlt_pipeline_state"):
            if PurePosixPath(path).name.split("__")[1] not in finished:
                self._lake.remove(path)

    def write_run(self, project: str, run_id: str, data: bytes) -> None:
        """Write the file of a run in the place of the one that it has."""
        self._lake.write(f"{RUNS}/project={project}/{run_id}.parquet", data)

    def newest_runs(self) -> list[bytes]:
        """Return the file of each project's newest run, ordered by the projects' names; ids begin with the time."""
        paths = [path for path in self._lake.paths(RUNS) if PurePosixPath(path).match("project=*/*.parquet")]
        newest = {PurePosixPath(path).parent: path for path in sorted(paths)}
        return [self._lake.read(path) for path in newest.values()]

    def erase(self, persons: Erased, rewritten: Collection[str]) -> None:
        """Write files anew without the rows of persons, also of rows that do not count.

        Args:
            persons: who they are.
            rewritten: names of the archive's files that lost lines: an example from them may be a person's.
        """
        for path in self._lake.paths(DATASET):
            if path.endswith(".parquet"):
                before = pq.read_table(io.BytesIO(self._lake.read(path)))
                after = without_persons(before, path.split("/")[1], persons, rewritten)
                if not after.equals(before):
                    rows = io.BytesIO()
                    pq.write_table(after, rows)
                    self._lake.write(path, rows.getvalue())
        self._lake.sync()

    def _ledger_paths(self) -> list[str]:
        finished = self.finished_loads()
        return [path for path in self._lake.paths(f"{DATASET}/export_hours") if load_of(path) in finished]

    def _read(self, paths: list[str]) -> pa.Table:
        """The rows of files, each once."""
        tables = [pq.read_table(io.BytesIO(self._lake.read(path))) for path in paths]
        if not tables:
            return pa.table({})
        rows = pa.concat_tables(tables, promote_options="default").unify_dictionaries()  # of the loads' names
        return rows.group_by(rows.column_names).aggregate([])


def without_persons(rows: pa.Table, table: str, persons: Erased, rewritten: Collection[str]) -> pa.Table:
    """Return the rows of a table that are not of some persons."""
    rows = persons.others(rows, IDS_OF_PERSONS.get(table, ()))
    if table == "rejected_rows":
        is_kept = [not persons.owns((line or "").encode()) for line in rows["line"].to_pylist()]
        rows = rows.filter(pa.array(is_kept, pa.bool_()))
    if table == "schema_changes":
        is_rewritten = pc.is_in(rows["_archive_file"], pa.array([*rewritten], pa.string()))
        for name in {"example", "_archive_row"} & set(rows.column_names):
            place = rows.column_names.index(name)
            rows = rows.set_column(place, rows.schema.field(name), pc.if_else(is_rewritten, None, rows[name]))
    return rows


def load_of(path: str) -> str:
    """The load that a file is of, by its name (`LAYOUT`): `1795688335.7016945.fff439c039.parquet`."""
    return ".".join(PurePosixPath(path).name.split(".")[:2])
