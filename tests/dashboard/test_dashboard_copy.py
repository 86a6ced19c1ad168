"""The copy of gold that pages read: all of one state, never in the way of a load or a run."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from amplitude_source.bronze.duckdb_file import mark_of
from board import copying
from board.errors import BusyError, MissingError
from board.local import DuckDBWarehouse
from support.dashboard import Dashboard
from support.project import REPOSITORY, Project

GOLD = """
    CREATE SCHEMA GOLD; CREATE SCHEMA SILVER; CREATE SCHEMA bronze;
    CREATE TABLE SILVER.NUMBERS AS SELECT range AS n FROM range({count});
    CREATE VIEW GOLD.DAILY_METRICS AS SELECT COUNT(*) AS n FROM amplitude.SILVER.NUMBERS;
    CREATE VIEW GOLD.EVENTS AS SELECT * FROM amplitude.SILVER.NUMBERS;
    CREATE TABLE SILVER.APPS AS SELECT 'default' AS PROJECT;
    CREATE TABLE bronze.rejected_rows AS SELECT 'no JSON' AS reason, 'x' AS line;
"""
SECONDS = 30


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A warehouse with a view of three rows."""
    path = tmp_path / "amplitude.duckdb"
    write(path, GOLD.format(count=3))
    return path


def write(path: Path, sql: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(sql)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Another process that has the file for writing."""
    holder = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    command = [sys.executable, "-c", holder, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield
        process.kill()


def copied(warehouse: DuckDBWarehouse) -> None:
    """Waits until the copy is as new as the warehouse."""
    end = time.monotonic() + SECONDS
    while copying_ := warehouse.refresh():
        assert not copying_.problem() or copying_.was_busy, copying_.problem()
        assert time.monotonic() < end, "no copy is made"
        time.sleep(0.05)


def rows(warehouse: DuckDBWarehouse) -> int:
    return int(warehouse.answer("SELECT n FROM gold.daily_metrics", live=False).iloc[0]["n"])


def test_the_copy_has_what_pages_read_and_no_single_events(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dashboard/amplitude.duckdb"
    assert list(copying.copy_gold(file, target))[-1] == "3 of 3: silver.apps"
    with duckdb.connect(target, read_only=True) as connection:
        tables = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY 1"
        ).fetchall()
        assert tables == [
            *(("bronze.rejected_rows",), ("gold.daily_metrics",)),
            *(("main.copied",), ("main.failed",), ("silver.apps",)),
        ]
        assert connection.execute("SELECT * FROM bronze.rejected_rows").fetchall() == [("no JSON",)]


def test_pages_show_the_last_copy_while_the_file_is_written(file: Path) -> None:
    warehouse = DuckDBWarehouse(file)
    copied(warehouse)
    write(file, "INSERT INTO SILVER.NUMBERS VALUES (4)")
    with written(file):
        assert rows(warehouse) == 3
        with pytest.raises(BusyError, match="Look again"):
            warehouse.answer("SELECT * FROM gold.events", live=True)
    copied(warehouse)
    assert rows(warehouse) == 4
    assert len(warehouse.answer("SELECT * FROM gold.events", live=True)) == 4


@pytest.mark.parametrize("trouble", ["held", "wanted"])
def test_a_copy_gives_way_and_leaves_nothing_behind(file: Path, tmp_path: Path, trouble: str) -> None:
    target = tmp_path / "dashboard/amplitude.duckdb"
    if trouble == "held":
        with written(file):
            assert copying.main(str(file), str(target)) == copying.BUSY_EXIT
    else:
        parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        mark_of(file).write_text(str(parent.pid))
        assert copying.main(str(file), str(target)) == copying.BUSY_EXIT
        parent.kill()
        parent.wait()
    assert list(target.parent.iterdir()) == []


def test_a_warehouse_that_changes_meanwhile_is_copied_anew(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dashboard/amplitude.duckdb"
    progress = copying.copy_gold(file, target)
    next(progress)
    write(file, "INSERT INTO SILVER.NUMBERS VALUES (4)")
    with pytest.raises(duckdb.InterruptException, match="changed"):
        list(progress)
    assert list(target.parent.iterdir()) == []


def test_a_view_that_fails_is_named_and_the_others_show(file: Path) -> None:
    write(file, "CREATE VIEW GOLD.BROKEN AS SELECT error('no such luck') AS n")
    warehouse = DuckDBWarehouse(file)
    copied(warehouse)
    assert rows(warehouse) == 3
    assert warehouse.problems() == ["gold.broken cannot be read: Invalid Input Error: no such luck"]


def test_a_file_that_cannot_be_copied_is_named_once_and_not_tried_again(file: Path) -> None:
    file.write_bytes(b"text" * 1000)
    warehouse = DuckDBWarehouse(file)
    first = warehouse.refresh()
    assert first
    first.reader.join(SECONDS)
    assert warehouse.refresh() is first
    assert "not a valid DuckDB database file" in first.problem()


def test_a_missing_warehouse_or_table_is_a_sentence_with_the_command(tmp_path: Path, file: Path) -> None:
    with pytest.raises(MissingError, match=r"Load something first: `.*amplitude.py`"):
        DuckDBWarehouse(tmp_path / "no/amplitude.duckdb").answer("SELECT 1 AS one", live=False)
    warehouse = DuckDBWarehouse(file)
    with pytest.raises(MissingError, match="plan --auto-apply"):
        warehouse.answer("SELECT 1 AS one", live=False)
    copied(warehouse)
    with pytest.raises(MissingError, match="plan --auto-apply"):
        warehouse.answer("SELECT nothing FROM gold.daily_metrics", live=False)


def test_the_copy_is_private(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dashboard/amplitude.duckdb"
    command = [sys.executable, "-m", "board.copying", str(file), str(target)]
    subprocess.run(command, cwd=REPOSITORY / "dashboard", check=True, capture_output=True)
    assert target.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_server_begins_a_copy_before_anybody_looks(project: Project) -> None:
    project.database.parent.mkdir(exist_ok=True)
    write(project.database, GOLD.format(count=3))
    with Dashboard(project):
        end = time.monotonic() + SECONDS
        while not (project.database.parent / "dashboard/amplitude.duckdb").exists():
            assert time.monotonic() < end, "no copy is made"
            time.sleep(0.05)
