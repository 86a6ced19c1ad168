"""What leaves DuckLake: persons, from tables, files and the catalogue; and small files."""

import gzip
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from amplitude_source.bronze import upkeep
from amplitude_source.bronze.destinations import make_pipeline
from amplitude_source.bronze.ducklake import BUILDERS_LOCK, NAME, lake_credentials, locked
from amplitude_source.settings import load_projects
from support import warehouse
from support.ducklake import DuckLakeProject
from support.members import SMALL_PRODUCT, hour_text
from support.persons import merged_person, others_of
from support.postgres import Postgres
from support.project import succeeded

pytestmark = pytest.mark.slow

ROWS = [row for _, rows in SMALL_PRODUCT.rows() for row in rows]
USER = Counter(str(row["user_id"]) for row in ROWS if row["user_id"]).most_common(1)[0][0]
AMPLITUDE_IDS = {row["amplitude_id"] for row in ROWS if row["user_id"] == USER}
OTHERS = {row["uuid"] for row in ROWS if row["amplitude_id"] not in AMPLITUDE_IDS}


@pytest.mark.nightly
def test_a_person_leaves_the_tables_the_files_and_the_catalogue(
    ducklake_project: DuckLakeProject, postgres: Postgres
) -> None:
    """After `archive prune`, so that rows of hours without files are deleted from the tables themselves."""
    project = ducklake_project
    project.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"] = "a-secret-that-nobody-may-see"
    project.env["SOURCES__AMPLITUDE__LAKE__RETENTION_DAYS"] = "2"
    succeeded(project.load_here())
    assert "hours (2026-06-01T00 to 2026-06-02T11) were removed" in project.load_here("archive", "prune").stdout
    assert USER in texts_of(project)
    result = succeeded(project.load_here("erase", "--user-id", USER))
    assert "killed load" in result.stderr
    assert {uuid for (uuid,) in project.query("SELECT uuid FROM bronze.events")} == OTHERS
    assert USER not in texts_of(project)
    assert USER not in postgres.dump(project.database)


@pytest.mark.nightly
def test_silver_and_gold_are_those_of_a_history_without_the_person(
    ducklake_project: DuckLakeProject, postgres: Postgres, tmp_path: Path
) -> None:
    project = ducklake_project
    project.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"] = "a-secret-that-nobody-may-see"
    succeeded(project.load_here())
    warehouse.plan(project)
    user, ids = merged_person(project)
    succeeded(project.load("erase", "--user-id", user))
    for id_ in (user, *map(str, ids)):
        assert id_ not in texts_of(project), "in a file"
        assert id_ not in postgres.dump(project.database), "in the catalogue"
    with project.opened():
        warehouse.assert_equals_oracle(project, others_of(SMALL_PRODUCT, tmp_path, user, ids))


def texts_of(project: DuckLakeProject) -> str:
    """All that the files of the bucket hold, as text."""
    files, texts = project.s3.files(project.bucket), []
    for key, data in files.items():
        if key.endswith(".parquet"):
            path = project.root.parent / "read.parquet"
            path.write_bytes(data)
            texts.append(str(duckdb.sql("FROM read_parquet($path)", params={"path": str(path)}).fetchall()))
        else:
            texts.append((gzip.decompress(data) if key.endswith(".gz") else data).decode())
    return "".join(texts)


@pytest.mark.nightly
def test_a_run_joins_small_files_and_leaves_every_row(
    ducklake_project: DuckLakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except while somebody builds silver and gold."""
    project = ducklake_project
    for hours in (0, 2, 4):
        hour = hour_text(project.first_hour.replace(hour=hours))
        succeeded(project.load_here("--start", hour, "--end", hour))
    small, before = project.query(upkeep.SMALL_FILES), project.query("FROM bronze.events ORDER BY ALL")
    with project.entered():
        pipeline = make_pipeline("ducklake", load_projects()[0], project.root / "pipelines")
        catalog = lake_credentials(load_projects()[0].lake).catalog
        pipeline.sync_destination()
        monkeypatch.setattr(upkeep, "MANY_SMALL_FILES", 1)
        with locked(catalog, BUILDERS_LOCK):
            upkeep.put_in_order(pipeline)
        assert project.query(upkeep.SMALL_FILES) == small
        upkeep.put_in_order(pipeline)
    assert project.query(upkeep.SMALL_FILES) < small
    assert project.query("FROM bronze.events ORDER BY ALL") == before
    assert project.query(f"SELECT COUNT(*) > 1 FROM ducklake_snapshots('{NAME}')") == [(True,)], "too young to go"
