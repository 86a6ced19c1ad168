"""DuckLake's connection: what is refused in one sentence, and what is done again."""

import threading

import duckdb
import pytest

from amplitude_source.bronze import ducklake
from amplitude_source.errors import AmplitudeError
from amplitude_source.settings import CATALOGUE_VARIABLE, load_projects
from support.ducklake import DuckLakeProject
from support.project import Project, sentence

SECRET = "a-secret-that-nobody-may-see"


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("", f"{CATALOGUE_VARIABLE} is missing: write it like postgresql://"),
        (f"mysql://lake:{SECRET}@127.0.0.1/lake", "is no address of PostgreSQL"),
        (f"postgresql://lake:{SECRET}@127.0.0.1", "has no database"),
        (f"postgresql://127.0.0.1/{SECRET}", "has no username"),
        (SECRET, "is no address of PostgreSQL"),
        (
            f"postgresql://lake:{SECRET}@127.0.0.1:1/lake",
            "PostgreSQL on 127.0.0.1:1, cannot be used: Connection refused",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_is_refused_by_both_tools(project: Project, address: str, part: str) -> None:
    project.env |= {"AMPLITUDE_DESTINATION": "ducklake", CATALOGUE_VARIABLE: address}
    told = sentence(project.load_here("status"))
    assert part in told
    assert CATALOGUE_VARIABLE in told
    with project.entered():
        from amplitude_source.transform.sqlmesh_config import ducklake as connection

        with pytest.raises((AmplitudeError, SystemExit)):
            connection().create_engine_adapter().cursor.execute("SELECT 1")
    assert SECRET not in told


def test_sqlmesh_never_uses_another_lake_that_the_process_has_used(project: Project) -> None:
    adapters = []
    project.env |= {"AMPLITUDE_DESTINATION": "ducklake"}
    with project.entered():
        from amplitude_source.transform.sqlmesh_config import ducklake as connection

    for database in ("one", "another"):
        with project.entered({CATALOGUE_VARIABLE: f"postgresql://lake@127.0.0.1:1/{database}"}):
            adapters.append(connection().create_engine_adapter())
    assert adapters[0] is not adapters[1]


def test_a_misspelt_setting_of_the_catalogue_is_named(project: Project) -> None:
    project.env |= {"AMPLITUDE_DESTINATION": "ducklake", "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOGUE": SECRET}
    told = sentence(project.load_here("status"))
    assert f"Did you mean {CATALOGUE_VARIABLE}?" in told
    assert SECRET not in told


@pytest.mark.slow
def test_a_wrong_password_and_another_lake_are_named(ducklake_project: DuckLakeProject) -> None:
    project = ducklake_project
    project.query("SELECT 1")  # which makes the catalogue
    password = project.env[CATALOGUE_VARIABLE].partition("@")[0].rpartition(":")[2]
    wrong = project.with_settings(**{CATALOGUE_VARIABLE: project.env[CATALOGUE_VARIABLE].replace(password, SECRET)})
    told = sentence(wrong.load_here("status"))
    assert "password authentication failed" in told
    assert SECRET not in told

    moved = project.with_settings(SOURCES__AMPLITUDE__LAKE__BUCKET_URL=f"s3://{project.bucket}/elsewhere")
    told = sentence(moved.load_here("status"))
    assert f"knows its files at another place than s3://{project.bucket}/elsewhere/ducklake" in told
    assert password not in told


def test_extensions_of_another_duckdb_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "__version__", "0.0.1")
    with pytest.raises(AmplitudeError, match=r"another version than 0\.0\.1: run .*pip install"):
        ducklake.extension_file("ducklake")


def test_loads_write_one_after_the_other_and_readers_do_not_wait(ducklake_project: DuckLakeProject) -> None:
    project = ducklake_project
    with project.entered():
        lake = load_projects()[0].lake
        writer, reader = (ducklake.lake_credentials(lake, read_only=each) for each in (False, True))
        done = list[str]()

        def write() -> None:
            with ducklake.locked(writer.catalog, ducklake.LOADERS_LOCK):
                done.append("another")

        with ducklake.shared(writer):
            thread = threading.Thread(target=write)
            thread.start()
            with ducklake.locked(writer.catalog, ducklake.LOADERS_LOCK, waits=False) as is_held:
                assert not is_held
            with ducklake.connect(reader) as connection:
                connection.execute("SELECT 1")
            done.append("first")
        thread.join()
        assert done == ["first", "another"]
