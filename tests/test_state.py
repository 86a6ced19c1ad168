"""SQLMesh's state in PostgreSQL, with DuckDB as the warehouse."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import postgres as postgres_module
import warehouse
from conftest import COMMAND_TIMEOUT_SECONDS, Project, Result, hour_text, make_project, succeeded
from postgres import Postgres, find_binaries
from simulator.product import Product
from simulator.server import Simulator

PLANNED = "planned"
SQLMESH = ("-c", "from sqlmesh.cli.main import cli; cli()")


@pytest.fixture(scope="module")
def planned_data(tmp_path_factory: pytest.TempPathFactory, product: Product, postgres: Postgres) -> Path:
    """The data of a project that has planned the product's first two days, its state in the database PLANNED."""
    postgres.execute("postgres", f"CREATE DATABASE {PLANNED}")
    with Simulator(product) as simulator:
        project = make_project(tmp_path_factory.mktemp("planned"), simulator)
        project.env |= postgres.settings(PLANNED)
        last = product.start + timedelta(days=2, hours=-1)
        succeeded(project.load_here("--start", hour_text(product.start), "--end", hour_text(last)))
        warehouse.plan(project)
    return project.root / "data"


@pytest.fixture
def planned(project: Project, planned_data: Path, postgres: Postgres, request: pytest.FixtureRequest) -> Project:
    """A copy of that project and of its state; the product's last day is loaded, and not yet built."""
    shutil.copytree(planned_data, project.root / "data", ignore=shutil.ignore_patterns("work"))
    database = request.node.name
    postgres.execute("postgres", f"CREATE DATABASE {database} TEMPLATE {PLANNED}")
    project.env |= postgres.settings(database)
    succeeded(project.load_here())
    return project


def sqlmesh(project: Project, *arguments: str) -> Result:
    return project.run(*SQLMESH, *arguments)


def archived(project: Project) -> list[Path]:
    return sorted(project.lake.rglob("*.json.gz"))


def tables_of_state(postgres: Postgres, project: Project) -> set[object]:
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sqlmesh'"
    return {name for (name,) in postgres.execute(project.env["SQLMESH_STATE__DATABASE"], names)}


@pytest.mark.slow
def test_plan_run_and_a_development_environment(planned: Project, postgres: Postgres) -> None:
    succeeded(sqlmesh(planned, "run"))
    warehouse.assert_equals_oracle(planned, archived(planned))
    succeeded(sqlmesh(planned, "plan", "dev", "--auto-apply", "--include-unmodified", "--skip-tests"))
    assert planned.query("FROM gold__dev.daily_metrics") == planned.query("FROM gold.daily_metrics")
    assert {"_snapshots", "_environments", "_intervals"} <= tables_of_state(postgres, planned)
    in_file = planned.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'sqlmesh'")
    assert in_file == [], "none of the state lies in the warehouse"


@pytest.mark.slow
def test_of_two_runs_at_once_one_works_and_the_other_changes_nothing(planned: Project) -> None:
    """DuckDB's file lets one process in; with Snowflake the run lock has to."""
    runs = [
        subprocess.Popen(
            [sys.executable, *SQLMESH, "run"],
            cwd=planned.root,
            env=planned.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=COMMAND_TIMEOUT_SECONDS)[0] for run in runs]
    print(outputs)
    assert 0 in [run.returncode for run in runs], outputs
    warehouse.assert_equals_oracle(planned, archived(planned))


@pytest.mark.slow
def test_postgresql_away_is_one_line_and_loses_nothing(planned: Project, postgres: Postgres) -> None:
    postgres.stop()
    try:
        result = sqlmesh(planned, "run")
    finally:
        postgres.start()
    print(result.stdout, result.stderr)
    assert result.returncode == 1
    succeeded(sqlmesh(planned, "run"))
    warehouse.assert_equals_oracle(planned, archived(planned))


def test_without_postgresql_a_test_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_module, "BINARIES", str(tmp_path / "*/bin"))
    with pytest.raises(FileNotFoundError, match="apt-get install postgresql"):
        find_binaries()
