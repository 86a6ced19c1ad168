"""The DuckDB file in another process's hands: commands wait some seconds, then say who holds it, and change nothing."""

import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from amplitude_source.bronze import duckdb_file
from amplitude_source.errors import AmplitudeError
from amplitude_source.lock import BUSY_EXIT, BusyError
from support.members import hour_text
from support.project import SQLMESH, Project, succeeded

READER = "import duckdb, sys; held = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'ro'); print(); input()"


@contextlib.contextmanager
def held(path: Path, mode: str = "ro") -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the file open, for reading only or for writing (`rw`)."""
    command = [sys.executable, "-c", READER, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_file, "PATIENCE_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "arguments", [("--end", "2026-06-01T00"), ("load-merges", "merges.json"), ("--replay",)], ids=" ".join
)
def test_a_command_that_writes_names_the_process_that_reads_the_file(
    loaded: Project, arguments: tuple[str, ...]
) -> None:
    (loaded.root / "merges.json").write_text("")
    before = loaded.query("FROM bronze.export_hours ORDER BY ALL")
    with held(loaded.database) as reader:
        result = loaded.load_here(*arguments)
    assert result.returncode == BUSY_EXIT, result.stderr
    assert f"amplitude.duckdb is in use by process {reader.pid} ({Path(sys.executable).name} -c " in result.stderr
    assert result.stderr.count("\n") == 1
    assert loaded.query("FROM bronze.export_hours ORDER BY ALL") == before


def test_a_load_waits_for_a_reader_that_leaves_within_seconds(project: Project) -> None:
    hour = hour_text(project.first_hour)
    succeeded(project.load_here("--end", hour))
    with held(project.database) as reader:
        threading.Timer(1, reader.kill).start()
        succeeded(project.load_here("--start", hour, "--end", hour))


def test_status_reads_beside_another_reader(loaded: Project) -> None:
    with held(loaded.database):
        succeeded(loaded.load_here("status"))


@pytest.mark.usefixtures("impatient")
def test_status_says_who_writes_the_file(loaded: Project) -> None:
    with held(loaded.database, "rw") as writer:
        result = loaded.load_here("status")
    assert result.returncode == BUSY_EXIT
    assert f"in use by process {writer.pid}" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "command"), [("ro", "plan"), ("rw", "run")])
def test_sqlmesh_never_goes_on_in_memory_beside_another_process(loaded: Project, mode: str, command: str) -> None:
    with held(loaded.database, mode) as other:
        result = loaded.run(*SQLMESH, command)
    assert result.returncode == BUSY_EXIT
    assert f"amplitude.duckdb is in use by process {other.pid}" in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
def test_sqlmesh_before_the_first_load_says_so_and_makes_no_file(project: Project) -> None:
    result = project.run(*SQLMESH, "plan", "--auto-apply")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: There is no folder ")
    assert not project.database.exists()


@pytest.mark.slow
def test_unit_tests_of_models_need_no_file_and_leave_it_alone(project: Project) -> None:
    succeeded(project.run(*SQLMESH, "test", "-k", "test_silver_apps"))
    assert not project.database.exists()


def test_who_holds_a_file_is_told_without_a_system_that_lists_processes() -> None:
    error = duckdb.IOException(
        'IO Error: Could not set lock on file "/a.duckdb": Conflicting lock is held in /usr/bin/duckdb (PID 4194305).'
    )
    assert duckdb_file.holder(error) == "process 4194305 (duckdb)"
    assert duckdb_file.holder(duckdb.IOException("IO Error: Could not set lock on file")) == "another process"


@pytest.mark.usefixtures("impatient")
def test_a_file_that_is_no_database_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "amplitude.duckdb"
    path.write_text("text" * 1000)
    with pytest.raises(AmplitudeError, match=r"cannot open .*not a valid DuckDB database file") as raised:
        duckdb_file.patiently(lambda: duckdb.connect(path), path)
    assert not isinstance(raised.value, BusyError)
    shutil.rmtree(tmp_path)
    with pytest.raises(AmplitudeError, match="There is no folder"):
        duckdb_file.patiently(lambda: duckdb.connect(path), path)


SLOW = "SELECT COUNT(*) FROM range(100_000_000_000) AS one"
LOOKER = f"""
import duckdb, pathlib, sys
from amplitude_source.bronze.duckdb_file import giving_way
path = pathlib.Path(sys.argv[1])
with duckdb.connect(path, read_only=True) as connection:
    print(flush=True)
    try:
        with giving_way(connection, path):
            connection.execute("{SLOW}")
    except duckdb.InterruptException:
        print("gave way", flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "amplitude.duckdb"
    duckdb.connect(path).close()
    return path


def test_who_only_looks_gives_way_to_who_waits_for_the_file(file: Path) -> None:
    command = [sys.executable, "-c", LOOKER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as looker:
        assert looker.stdout
        looker.stdout.readline()
        duckdb_file.patiently(lambda: duckdb.connect(file), file).close()
        assert looker.stdout.readline() == "gave way\n"
    assert not duckdb_file.mark_of(file).exists(), "the mark stays, and readers would give way for nobody"


def test_a_mark_of_a_killed_process_stops_no_reader(file: Path) -> None:
    with held(file) as gone:
        pass
    duckdb_file.mark_of(file).write_text(str(gone.pid))
    with duckdb.connect(file, read_only=True) as connection, duckdb_file.giving_way(connection, file):
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
