"""Bronze as Parquet files in the lake: what counts of them is what bronze in a warehouse holds."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from amplitude_source.bronze import files
from amplitude_source.lake.storage import LocalLake
from amplitude_source.settings import HOUR, hours_between
from simulator.archive import Archive, Member
from simulator.server import Simulator
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text, member_name
from support.project import REPOSITORY, Project, succeeded
from support.s3 import S3Server

START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
MEMBERS = list(SMALL_PRODUCT.members())
VIEWS = REPOSITORY / "docs/guides/bronze_files.sql"
AS_FILES = ("--destination", "filesystem")
BUSY_HOUR = max(MEMBERS, key=lambda member: member.rows).hour


def hours(first: datetime, last: datetime) -> tuple[str, ...]:
    return ("--start", hour_text(first), "--end", hour_text(last), *AS_FILES)


@contextmanager
def views(bronze: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The views of `docs/guides/bronze_files.sql` over a folder."""
    with duckdb.connect() as connection:
        connection.execute("SET VARIABLE bronze = $1", [str(bronze)])
        connection.execute(VIEWS.read_text())
        yield connection


def lines_that_count(bronze: Path) -> Counter[tuple[Any, ...]]:
    """Hour, file, number and uuid of each event."""
    with views(bronze) as connection:
        origin = "_export_hour, _archive_file, _archive_row, uuid"
        return Counter(connection.execute(f"SELECT {origin} FROM events").fetchall())


def lines_in_tables(loaded_data: Path) -> Counter[tuple[Any, ...]]:
    query = "SELECT _export_hour, _archive_file, _archive_row, uuid FROM bronze.events"
    return Counter(Project(loaded_data.parent).query(query))


def ledger_of(bronze: Path) -> dict[datetime, tuple[Any, ...]]:
    columns = "export_hour, status, files, bytes, loaded_rows, rejected_rows, sha256"
    with views(bronze) as connection:
        rows = connection.execute(f"SELECT {columns} FROM export_hours").fetchall()
    assert len(rows) == len({row[0] for row in rows}), "an hour has one row in the ledger"
    return {row[0]: row[1:] for row in rows}


def test_what_counts_of_files_is_what_one_load_brings_into_tables(project: Project, loaded_data: Path) -> None:
    """With hours that were loaded twice, and a key that came up between two loads."""
    bronze = project.lake / "bronze"
    succeeded(project.load_here("--end", hour_text(START + 30 * HOUR), *AS_FILES))
    succeeded(project.load_here(*hours(START + 20 * HOUR, START + 40 * HOUR)))
    succeeded(project.load_here(*AS_FILES))
    assert lines_that_count(bronze) == lines_in_tables(loaded_data)
    columns = "export_hour, status, files, bytes, loaded_rows, rejected_rows, sha256"
    tables = Project(loaded_data.parent).query(f"SELECT {columns} FROM bronze.export_hours")
    assert ledger_of(bronze) == {row[0]: row[1:] for row in tables}
    files = [path for table in bronze.glob("[a-z]*/") for path in table.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".parquet"}


def test_an_hour_that_changed_counts_as_it_was_loaded_last(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here(*hours(BUSY_HOUR, BUSY_HOUR)))
    row = export_row()
    data = gzip_lines(row, b"no json")
    name = member_name(BUSY_HOUR)
    simulator.archive = Archive([Member(f"{SMALL_PRODUCT.app}/{name}", BUSY_HOUR, data, Counter())])
    result = project.load_here(*hours(BUSY_HOUR, BUSY_HOUR))
    assert result.returncode == 5, "half of its rows are rejected"
    assert lines_that_count(project.lake / "bronze") == Counter([(BUSY_HOUR, name, 1, row["uuid"])])
    with views(project.lake / "bronze") as connection:
        assert connection.execute("SELECT _archive_row, line FROM rejected_rows").fetchall() == [(2, "no json")]


def test_a_load_without_its_last_file_does_not_count_and_is_removed(
    project: Project, loaded_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last file is that of `_dlt_loads`. Before it one may be half written, and no reader gets past such a file."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    bronze = project.lake / "bronze"
    succeeded(project.load_here("--end", hour_text(START + 30 * HOUR), *AS_FILES))
    before = lines_that_count(bronze)
    with monkeypatch.context() as patched:
        patched.setattr(FilesystemClient, "_store_load", killed)
        assert project.load_here(*AS_FILES).returncode == 130
    assert lines_that_count(bronze) == before
    left = max((bronze / "events").iterdir())
    left.write_bytes(left.read_bytes()[:-100])
    succeeded(project.load_here(*AS_FILES))
    assert not left.exists()
    assert lines_that_count(bronze) == lines_in_tables(loaded_data)


def test_a_new_machine_goes_on_where_the_files_end(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here("--end", hour_text(START + 5 * HOUR), *AS_FILES))
    shutil.rmtree(project.work)
    simulator.requests.clear()
    succeeded(project.load_here("--end", hour_text(START + 9 * HOUR), *AS_FILES))
    asked = {request.query["start"] for request in simulator.requests if request.path.endswith("/export")}
    assert asked == {f"{START + 6 * HOUR:%Y%m%dT%H}"}


@pytest.mark.slow
def test_many_files_of_the_ledger_become_one_that_says_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.lake / "bronze/export_hours"
    for hour in hours_between(START, START + 2 * HOUR):
        succeeded(project.load_here("--end", hour_text(hour), *AS_FILES))
    before, status = ledger_of(folder.parent), project.load_here("status", *AS_FILES).stdout
    assert len(list(folder.iterdir())) == 3
    monkeypatch.setattr(files, "LEDGER_FILES", 3)
    for removed in (1, 0, 2):  # kills after so many files of three, of three, and of the three and what they became
        kill_when_removing(project, monkeypatch, removed)
        assert (ledger_of(folder.parent), project.load_here("status", *AS_FILES).stdout) == (before, status)
    assert len(list(folder.iterdir())) == 1


def kill_when_removing(project: Project, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A run that has nothing to load but the ledger to put in order, and ends when it has removed so many files."""
    remove, left = LocalLake.remove, iter(range(after))

    def killed(lake: LocalLake, path: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        remove(lake, path)

    with monkeypatch.context() as patched:
        patched.setattr(LocalLake, "remove", killed)
        assert project.load_here("--gaps", *AS_FILES).returncode in (0, 130)


def test_merges_of_users_need_a_warehouse(project: Project) -> None:
    file = project.root / "merges.json"
    file.touch()
    result = project.load_here("load-merges", str(file), *AS_FILES)
    assert (result.returncode, "take another --destination" in result.stderr) == (2, True)


@pytest.mark.slow
def test_what_counts_of_the_files_on_s3_is_the_same(
    project: Project, s3: S3Server, loaded_data: Path, tmp_path: Path
) -> None:
    bucket = s3.new_bucket()
    project.env |= s3.env(bucket)
    succeeded(project.load_here("--end", hour_text(START + 30 * HOUR), *AS_FILES))
    succeeded(project.load_here(*AS_FILES))
    assert "missing" not in succeeded(project.load_here("status", *AS_FILES)).stdout
    for key, data in s3.files(bucket, "amplitude/bronze/").items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert lines_that_count(tmp_path / "amplitude/bronze") == lines_in_tables(loaded_data)
