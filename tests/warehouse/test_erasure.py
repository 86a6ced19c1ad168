"""`erase` in silver and gold: as if the person had never been there, whatever environments there were."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from amplitude_source.cli import erasure
from amplitude_source.transform.environments import forget_environments
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.persons import merged_person, others_of, traces
from support.project import Project, succeeded
from support.week import WEEK, copy_week

KEY = {"SOURCES__AMPLITUDE__PRIVACY__HASH_KEY": "a-secret-that-nobody-may-see"}
OF_DEV = """
MODEL (name custom.names, kind FULL, grain user_id, owner data);

SELECT
  user_id::VARCHAR AS user_id /* The user */
FROM silver.users
"""


@pytest.fixture
def product() -> Product:
    return WEEK


def remove_first_files(project: Project, ids: list[int]) -> None:
    """Have retention remove files, so that some hours of a person have none and others still have theirs."""
    ((newest,),) = project.query(
        "SELECT MAX(_export_hour) FROM bronze.events WHERE list_contains(?, amplitude_id)", [ids]
    )
    a_day_later = f"{newest + timedelta(days=1)}"
    settings = {"SOURCES__AMPLITUDE__NOW": a_day_later, "SOURCES__AMPLITUDE__LAKE__RETENTION_DAYS": "1"}
    succeeded(project.load_here("archive", "prune", **settings))


@pytest.mark.slow
@pytest.mark.parametrize("is_here", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["here", "processes"])
def test_silver_and_gold_are_those_of_a_history_without_the_person(
    project: Project,
    simulator: Simulator,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    is_here: bool,
) -> None:
    copy_week(project, simulator, tmp_path_factory)
    project.env |= KEY
    user, ids = merged_person(project)
    (project.root / "sqlmesh/models/custom/names.sql").write_text(OF_DEV)
    warehouse.plan(project, environment="dev", models=["custom.names"])
    assert project.query("SELECT 1 FROM custom__dev.names WHERE user_id = ?", [user]) == [(1,)]
    remove_first_files(project, ids)
    copy = project.root / "data/dashboard/gold.duckdb"
    copy.parent.mkdir()
    copy.write_text(user)

    def in_this_process(*command: str) -> None:
        """The programs of SQLMesh take seconds to start."""
        if "plan" in command:
            warehouse.plan(project, restate=["silver.events"], start=command[command.index("--start") + 1])
            return
        with warehouse.opened(project):
            assert forget_environments(project.root) == ["dev"]

    if is_here:
        monkeypatch.setattr(erasure, "run_program", in_this_process)
    succeeded((project.load_here if is_here else project.load)("erase", "--user-id", user))
    assert traces(project, [user, *map(str, ids)]) == []
    (certificate,) = [json.loads(path.read_bytes()) for path in project.lake.rglob("erased/2*.json")]
    assert certificate["hours_without_files"]
    assert certificate["files"]
    folder = tmp_path / "others"
    folder.mkdir()
    warehouse.assert_equals_oracle(project, others_of(WEEK, folder, user, ids))
