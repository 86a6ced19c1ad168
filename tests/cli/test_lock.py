"""One loading command at a time in a work folder: who else holds it is told, and a crash releases it."""

import contextlib
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dlt
import pytest

from amplitude_source.lock import LOCK_FILE, locked
from amplitude_source.settings import HOUR
from simulator.faults import Fault, FaultPlan, Reply
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.assertions import assert_bronze_holds
from support.loads import stalled_load, zips
from support.members import hour_text
from support.project import Project, Result, make_project, sentence, succeeded

BUSY_EXIT = 4
SINCE = datetime(2026, 6, 4, 11, 59)
HOLDER = f"on {socket.gethostname()}, since 2026-06-04 11:59 UTC: python pipelines/amplitude.py --gaps"


def refused(result: Result) -> str:
    """The sentence with which a command left because another one is at work."""
    assert result.returncode == BUSY_EXIT, f"{result.stdout}\n{result.stderr}"
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    with locked(folder, SINCE, "python pipelines/amplitude.py --gaps"):
        yield


@pytest.mark.slow
def test_a_second_load_says_who_is_at_work_and_a_kill_of_that_lets_the_next_one_in(
    project: Project, simulator: Simulator
) -> None:
    with stalled_load(project, simulator) as first:
        left = zips(project)
        message = refused(project.load_here())
        assert f"{project.work} is in use by process {first.pid} on {socket.gethostname()}" in message
        assert f"since {simulator.now:%Y-%m-%d %H:%M} UTC" in message
        assert "pipelines/amplitude.py --start 2026-06-01T00 --end 2026-06-01T23." in message
        assert zips(project) == left, "the download of the first is left alone"
        first.kill()
        first.wait()
        succeeded(project.load_here())
    assert_bronze_holds(project, [*simulator.product.members()], newest_hour(project))


def newest_hour(project: Project) -> datetime:
    ((hour,),) = project.query("SELECT MAX(export_hour) FROM bronze.export_hours")
    assert isinstance(hour, datetime)
    return hour


@pytest.mark.parametrize(
    "arguments",
    [
        ("--end", "2026-06-01T05"),
        ("--gaps",),
        ("--replay",),
        ("declare-empty", "--start", "2026-06-01T00", "--end", "2026-06-01T01"),
        ("load-merges", "merges.json"),
    ],
    ids=" ".join,
)
def test_every_command_that_writes_leaves_at_once(
    project: Project, simulator: Simulator, arguments: tuple[str, ...]
) -> None:
    (project.root / "merges.json").write_text("")
    with held(project.work):
        assert HOLDER in refused(project.load_here(*arguments))
    assert simulator.requests == []
    assert not project.database.exists()


@pytest.mark.parametrize("arguments", [("status",), ("restate", "--since", "2026-06-01")], ids=lambda names: names[0])
def test_a_command_that_only_reads_leaves_a_load_under_way_alone(
    loaded: Project, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    first = hour_text(loaded.first_hour + 9 * HOUR)
    with monkeypatch.context() as patch:
        patch.setattr("dlt.Pipeline.load", stopped)
        sentence(loaded.load_here("--start", first, "--end", first))
    left = files(loaded)
    assert any("normalized" in path.parts for path in left), "a load is under way"
    with held(loaded.work):
        succeeded(loaded.load_here(*arguments))
    assert files(loaded) == left


def stopped(_pipeline: dlt.Pipeline) -> None:
    raise OSError("stopped before anything is loaded")


def files(project: Project) -> list[Path]:
    return sorted(path for path in project.work.rglob("*") if path.is_file())


def test_a_load_with_a_work_folder_of_its_own_runs_beside_another(project: Project) -> None:
    with held(project.work):
        hour = hour_text(project.first_hour)
        beside = {"SOURCES__AMPLITUDE__WORK_DIR": "data/work-2", "AMPLITUDE_DESTINATION": "filesystem"}
        succeeded(project.load_here("--start", hour, "--end", hour, **beside))


def test_each_of_several_projects_has_its_work_folder_locked(tmp_path: Path, simulator: Simulator) -> None:
    project = make_project(tmp_path, simulator)
    for name, key in zip(("API_KEY", "SECRET_KEY"), DEMO_CREDENTIALS, strict=True):
        del project.env[f"SOURCES__AMPLITUDE__{name}"]
        for other in ("WEB", "IOS"):
            project.env[f"SOURCES__AMPLITUDE__PROJECTS__{other}__{name}"] = key
    project.env["SOURCES__AMPLITUDE__PROJECTS__IOS__WORK_DIR"] = "data/ios"
    with held(project.root / "data/ios"):
        assert HOLDER in refused(project.load_here())
        succeeded(project.load_here("--project", "web", "--end", hour_text(project.first_hour)))


def test_the_lock_is_free_after_a_run_that_failed(project: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(401), times=1))
    sentence(project.load_here())
    assert (project.work / LOCK_FILE).read_text() == "", "nobody is named any more"
    succeeded(project.load_here("--end", hour_text(project.first_hour)))


def test_what_a_killed_run_left_in_the_file_holds_nobody_back(project: Project) -> None:
    project.work.mkdir(parents=True)
    (project.work / LOCK_FILE).write_text("process 1 on another, since 2020-01-01 00:00 UTC: long dead")
    succeeded(project.load_here("--end", hour_text(project.first_hour)))


def test_a_folder_that_cannot_be_locked_is_one_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    message = sentence(project.load_here())
    assert "cannot be locked (No locks available)" in message
    assert "SOURCES__AMPLITUDE__WORK_DIR" in message
