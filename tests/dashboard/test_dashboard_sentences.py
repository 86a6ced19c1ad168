"""What a page shows instead of a traceback, where there is no file, no table, no event, or an older schema."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from support.pages import PATHS, opened, sentences, settings_of

SETTINGS = {
    "SOURCES__AMPLITUDE__API_KEY": "key",
    "SOURCES__AMPLITUDE__SECRET_KEY": "secret",
    "SOURCES__AMPLITUDE__START_HOUR": "2026-06-01T00",
    "SOURCES__AMPLITUDE__NOW": "2026-07-01T00:00",
    "DESTINATION__DUCKDB__CREDENTIALS": "amplitude.duckdb",
}
APPS = "CREATE SCHEMA SILVER; CREATE TABLE SILVER.APPS (project TEXT, app BIGINT, first_date DATE, frontier_date DATE);"
ONE_APP = "INSERT INTO SILVER.APPS VALUES ('default', 1, '2026-06-01', '2026-06-30');"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Where the settings say that the DuckDB file is; nothing is there yet."""
    with settings_of(tmp_path, SETTINGS):
        yield tmp_path / "amplitude.duckdb"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The settings name a file that has silver.apps alone."""
    folder = tmp_path_factory.mktemp("older")
    with settings_of(folder, SETTINGS):
        with duckdb.connect(folder / "amplitude.duckdb") as connection:
            connection.execute(APPS + ONE_APP)
        yield


def shown(path: str) -> list[str]:
    """The sentences of a page; a traceback fails the test."""
    page = opened(path)
    assert not page.exception, page.exception[0].value
    return sentences(page)


def test_without_a_file_the_page_says_how_to_load(file: Path) -> None:
    assert not file.exists()
    (sentence,) = shown("")
    assert "Load something first" in sentence


def test_before_the_first_plan_the_page_says_how_to_plan(file: Path) -> None:
    duckdb.connect(file).close()
    (sentence,) = shown("")
    assert "plan --auto-apply" in sentence


def test_without_events_the_page_says_that_there_are_none_yet(file: Path) -> None:
    with duckdb.connect(file) as connection:
        connection.execute(APPS)
    assert shown("") == ["There are no events yet. Numbers come with the first hour that has some."]


def test_a_setting_that_is_wrong_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMPLITUDE_DESTINATION", "duckbd")
    assert file.parent.is_dir()
    (sentence,) = shown("")
    assert "write duckdb, not 'duckbd'" in sentence


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize("path", PATHS)
def test_a_page_over_an_older_schema_says_how_to_plan(path: str) -> None:
    said = shown(path)
    assert any("plan --auto-apply" in each for each in said), said
