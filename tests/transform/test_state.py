"""SQLMesh's state in PostgreSQL, with DuckDB as the warehouse."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import click
import pytest

from amplitude_source.transform import state_lock
from amplitude_source.transform.state_database import StateDatabase
from simulator.product import Product
from simulator.server import Simulator
from support import postgres as postgres_module
from support import warehouse
from support.members import export_row, gzip_lines, hour_text
from support.postgres import Postgres, find_binaries
from support.project import COMMAND_TIMEOUT_SECONDS, SQLMESH, Project, Result, make_project, succeeded
from support.shared import built_once

PLANNED = "planned"
STATE = "state.sql"
OUTPUT = "output.txt"
PLAN = ("plan", "--auto-apply", "--no-prompts", "--skip-tests")

# Models that no other one here is made of. The state notes each model in the same way, so fewer show the same.
LEFT_OUT = (
    *("gold.acquisition", "gold.lifecycle_daily", "gold.lifecycle_weekly", "gold.lifecycle_monthly"),
    *("gold.retention_24h", "gold.retention_calendar", "gold.stickiness_weekly", "gold.stickiness_monthly"),
    *("gold.days", "gold.hours", "gold.events", "gold.event_values", "gold.payments", "gold.users"),
    *("gold.experiment_exposures", "gold.new_users_daily", "gold.property_catalogue"),
    *("gold.proven_days", "gold.reconciliation_daily"),
    *("silver.amplitude_numbers", "silver.own_numbers", "silver.zone_matches"),
    *("silver.annotations", "silver.experiments"),
    *("silver.event_types", "silver.property_values", "silver.group_states"),
)


@pytest.fixture(scope="module")
def planned_data(tmp_path_factory: pytest.TempPathFactory, product: Product, postgres: Postgres) -> Path:
    """The data of a project that has planned the product's first two days, its state in the database PLANNED."""

    def build(folder: Path) -> Path:
        database = f"{PLANNED}_first"
        postgres.execute("postgres", f"CREATE DATABASE {database}")
        with Simulator(product) as simulator:
            project = make_project(folder, simulator)
            warehouse.leave_out(project, LEFT_OUT)
            project.env |= postgres.settings(database)
            last = product.start + timedelta(days=2, hours=-1)
            succeeded(project.load_here("--start", hour_text(product.start), "--end", hour_text(last)))
            # As a process of its own: what other tests imported here, SQLMesh would note as imports of the macros.
            succeeded(sqlmesh(project, *PLAN))
        data = project.root / "data"
        (data / STATE).write_text(postgres.dump(database))
        return data

    data = built_once(tmp_path_factory, PLANNED, build)
    postgres.execute("postgres", f"CREATE DATABASE {PLANNED}")
    postgres.restore(PLANNED, (data / STATE).read_text())
    return data


@pytest.fixture
def planned(project: Project, planned_data: Path, postgres: Postgres, request: pytest.FixtureRequest) -> Project:
    """A copy of that project and of its state; the product's last day is loaded, and not yet built."""
    warehouse.leave_out(project, LEFT_OUT)
    shutil.copytree(planned_data, project.root / "data", ignore=shutil.ignore_patterns("work", STATE))
    database = re.sub(r"\W", "_", request.node.name)
    postgres.execute("postgres", f"CREATE DATABASE {database} TEMPLATE {PLANNED}")
    project.env |= postgres.settings(database)
    succeeded(project.load_here())
    return project


def sqlmesh(project: Project, *arguments: str) -> Result:
    return project.run(*SQLMESH, *arguments)


def archived(project: Project) -> list[Path]:
    return sorted(project.lake.rglob("*.json.gz"))


def of_state(project: Project, postgres: Postgres, sql: str) -> list[tuple[object, ...]]:
    return postgres.execute(project.env["SQLMESH_STATE_DATABASE"], sql)


@pytest.mark.slow
def test_plan_run_and_a_development_environment(planned: Project, postgres: Postgres) -> None:
    """The plan changes audits alone, and audits what is built; a run that starts beside it says who is at work."""
    add_audits(planned)
    with running(planned, postgres, PLAN) as plan:
        refused = sqlmesh(planned, "run")
        assert plan.wait(COMMAND_TIMEOUT_SECONDS) == 0, errors_of(plan)
    assert "SILVER.USER_DAYS" in (planned.root / OUTPUT).read_text()
    assert refused.returncode == 4
    assert re.fullmatch(
        rf"Error: sqlmesh plan, process {plan.pid} on \S+ has been at work since .+ UTC: wait until it has ended, then "
        r"start again\.\n",
        refused.stdout + refused.stderr,
    )
    warehouse.run(planned)
    warehouse.assert_equals_oracle(planned, archived(planned), without=LEFT_OUT)
    succeeded(sqlmesh(planned, "plan", "dev", "--auto-apply", "--include-unmodified", "--skip-tests"))
    in_dev, in_production = (planned.query(f"FROM {name}.daily_metrics") for name in ("gold__dev", "gold"))
    warehouse.assert_same_rows("daily_metrics", in_dev, in_production)
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sqlmesh'"
    assert {("_snapshots",), ("_environments",), ("_intervals",)} <= {*of_state(planned, postgres, tables)}
    assert planned.query(tables) == [], "none of the state lies in the warehouse"


def add_audits(project: Project) -> None:
    for name in ("silver/export/events.sql", "silver/activity/user_days.sql"):
        model = project.root / "sqlmesh/models" / name
        head, audits, rest = model.read_text().partition("  audits (\n")
        model.write_text(f"{head}{audits}    not_null(columns := (project)),\n{rest}")


@pytest.mark.slow
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_run_whose_models_failed_says_if_postgresql_is_gone(
    is_gone: bool, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    state = StateDatabase("127.0.0.1", postgres.port, "postgres", "u", "p", "disable")
    connection = postgres.connect("postgres")
    if is_gone:
        postgres.execute("postgres", f"SELECT pg_terminate_backend({connection.info.backend_pid})")
    with suppress(click.ClickException), click.Context(click.Command("run")) as command:
        command.call_on_close(partial(state_lock.tell_if_gone, connection, state))
        raise click.ClickException("Run failed.")
    assert ("where SQLMesh keeps its state, cannot be reached" in capsys.readouterr().err) is is_gone


def assert_postgresql_is_gone(postgres: Postgres, exit_code: int, errors: str) -> None:
    assert exit_code == 1
    assert re.fullmatch(
        rf"Error: PostgreSQL on 127.0.0.1:{postgres.port}, where SQLMesh keeps its state, cannot be reached: .+ "
        r"Nothing is lost; the next run goes on\.\n(Error: Run failed\.\n)?",  # the latter where models failed of it
        errors,
    ), errors


@contextmanager
def running(
    project: Project, postgres: Postgres, command: Sequence[str] = ("run",)
) -> "Iterator[subprocess.Popen[str]]":
    """A command of SQLMesh that has the lock; it prints into the file OUTPUT."""
    with (
        (project.root / OUTPUT).open("w") as output,
        subprocess.Popen(
            [sys.executable, *SQLMESH, *command],
            cwd=project.root,
            env=project.env,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process,
    ):
        lock = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        wait_for(process, lambda: bool(of_state(project, postgres, lock)))
        yield process


def await_progress(process: "subprocess.Popen[str]", project: Project, postgres: Postgres, *, models: int = 1) -> None:
    """Waits until a command has built at least so many of the models, and not all."""

    ((before,),) = of_state(project, postgres, "SELECT MAX(created_ts) FROM sqlmesh._intervals")
    # A command begins by merging the notes that are there: those are no progress.
    noted = f"SELECT 1 FROM sqlmesh._intervals WHERE NOT is_removed AND NOT is_compacted AND created_ts > {before}"
    wait_for(process, lambda: len(of_state(project, postgres, noted)) >= models)


def await_removal(process: "subprocess.Popen[str]", project: Project, postgres: Postgres) -> None:
    """Waits until a restatement has noted in the state what it will build again."""
    removed = "SELECT 1 FROM sqlmesh._intervals WHERE is_removed"
    wait_for(process, lambda: bool(of_state(project, postgres, removed)))


def changed_hour(project: Project, folder: Path) -> list[str]:
    """Loads a day's largest hour with other rows; gives the arguments of the restatement that is printed."""
    largest = max(
        (path for path in archived(project) if "date=2026-06-01" in str(path)), key=lambda p: p.stat().st_size
    )
    folder.mkdir()
    (folder / largest.name).write_bytes(gzip_lines(export_row(user_id="somebody else")))
    printed = re.search(
        r"sqlmesh (plan) (--restate-model) (\S+) (--start) '(.+?)' (--end) '(.+?)'",
        succeeded(project.load_here("--replay", str(folder))).stdout,
    )
    assert printed, "no restatement is printed"
    return [*printed.groups(), "--auto-apply", "--no-prompts"]


@pytest.mark.slow
@pytest.mark.parametrize("models", [pytest.param(0, marks=pytest.mark.nightly), 4])
def test_a_killed_restatement_and_postgresql_away_lose_nothing(
    planned: Project, postgres: Postgres, tmp_path: Path, models: int
) -> None:
    """The next run begins with the rest of the restatement; PostgreSQL goes away while it is at work."""
    command = changed_hour(planned, tmp_path / "exports")
    with running(planned, postgres, command) as killed:
        await_removal(killed, planned, postgres)
        if models:
            await_progress(killed, planned, postgres, models=models)
        killed.kill()
    status = planned.load_here("status")
    assert (status.returncode, "changed after silver took them in" in status.stdout) == (6, True)
    with running(planned, postgres) as cut_off:  # the lock went with the process that was killed
        await_progress(cut_off, planned, postgres)
        postgres.stop()
        try:
            away = sqlmesh(planned, "run")
            assert_postgresql_is_gone(postgres, cut_off.wait(COMMAND_TIMEOUT_SECONDS), errors_of(cut_off))
        finally:
            postgres.start()
    assert_postgresql_is_gone(postgres, away.returncode, away.stdout + away.stderr)
    warehouse.run(planned)
    warehouse.assert_equals_oracle(planned, archived(planned), without=LEFT_OUT)
    assert "\nSilver and gold hold the hours " in succeeded(planned.load_here("status")).stdout


@pytest.mark.slow
def test_a_warehouse_restored_without_its_state_is_refused_and_mended(planned: Project, simulator: Simulator) -> None:
    copy = planned.database.read_bytes()
    warehouse.run(planned)
    planned.database.write_bytes(copy)
    assert "if that finds nothing to do" in planned.load_here("status").stdout
    planned.set_clock(simulator.product.end + timedelta(days=2), simulator)
    succeeded(planned.load_here())
    refused = sqlmesh(planned, "run")
    assert refused.returncode == 1
    printed = re.findall(
        r"sqlmesh (plan) (--restate-model) (\S+) (--start) '(2.+?)'",
        " ".join((refused.stdout + refused.stderr).split()),
    )
    assert printed, refused.stdout + refused.stderr
    succeeded(sqlmesh(planned, *printed[0], "--auto-apply", "--no-prompts"))
    warehouse.run(planned)
    warehouse.assert_equals_oracle(planned, archived(planned), without=LEFT_OUT)


def errors_of(process: "subprocess.Popen[str]") -> str:
    assert process.stderr
    return process.stderr.read()


def wait_for(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    """Waits until something has happened that a process does before it ends."""
    end = time.monotonic() + COMMAND_TIMEOUT_SECONDS
    while not happened():
        assert process.poll() is None, f"the process has ended before, with exit code {process.returncode}"
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.2)


def test_without_postgresql_a_test_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_module, "BINARIES", str(tmp_path / "*/bin"))
    with pytest.raises(FileNotFoundError, match="apt-get install postgresql"):
        find_binaries()
