"""What a page shows instead of a traceback, where there is no file, no table, no event, or an older schema."""

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from board import warehouse
from screens import PAGES

SCRIPT = """
from board.frame import draw
from screens import PAGES

title, page = PAGES[{section!r}][{path!r}]
draw(title, page)
"""
ALL = [(section, path) for section, pages in PAGES.items() for path in pages]
APPS = "CREATE SCHEMA SILVER; CREATE TABLE SILVER.APPS (project TEXT, app BIGINT, first_date DATE, frontier_date DATE);"
ONE_APP = "INSERT INTO SILVER.APPS VALUES ('default', 1, '2026-06-01', '2026-06-30');"
SECONDS = 60


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the settings say that the DuckDB file is; nothing is there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warehouse, "ROOT", tmp_path)
    for name, value in {
        "SOURCES__AMPLITUDE__API_KEY": "key",
        "SOURCES__AMPLITUDE__SECRET_KEY": "secret",
        "SOURCES__AMPLITUDE__START_HOUR": "2026-06-01T00",
        "SOURCES__AMPLITUDE__NOW": "2026-07-01T00:00",
        "DESTINATION__DUCKDB__CREDENTIALS": "amplitude.duckdb",
    }.items():
        monkeypatch.setenv(name, value)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path / "amplitude.duckdb"
    st.cache_resource.clear()
    st.cache_data.clear()


def shown(section: str, path: str, **address: str) -> list[str]:
    """The sentences of a page, once its copy of gold is there; a traceback fails the test."""
    page = AppTest.from_string(SCRIPT.format(section=section, path=path), default_timeout=SECONDS)
    for name, value in address.items():
        page.query_params[name] = value
    end = time.monotonic() + SECONDS
    while True:
        page.run()
        assert not page.exception, page.exception[0].value
        sentences = [each.value for each in (*page.info, *page.warning, *page.error)]
        if not any("is copied for the dashboard" in each for each in sentences):
            return sentences
        assert time.monotonic() < end, "the copy is never made"
        time.sleep(0.1)


def test_without_a_file_the_page_says_how_to_load(file: Path) -> None:
    assert not file.exists()
    (sentence,) = shown("Product", "")
    assert "Load something first" in sentence


def test_before_the_first_plan_the_page_says_how_to_plan(file: Path) -> None:
    duckdb.connect(file).close()
    (sentence,) = shown("Product", "")
    assert "plan --auto-apply" in sentence


def test_without_events_the_page_says_that_there_are_none_yet(file: Path) -> None:
    with duckdb.connect(file) as connection:
        connection.execute(APPS)
    assert shown("Product", "") == ["There are no events yet. Numbers come with the first hour that has some."]


@pytest.mark.parametrize(("section", "path"), ALL)
def test_a_page_over_an_older_schema_says_how_to_plan(file: Path, section: str, path: str) -> None:
    with duckdb.connect(file) as connection:
        connection.execute(APPS + ONE_APP)
    sentences = shown(section, path)
    assert any("plan --auto-apply" in each for each in sentences), sentences


def test_a_setting_that_is_wrong_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMPLITUDE_DESTINATION", "duckbd")
    assert file.parent.is_dir()
    (sentence,) = shown("Product", "")
    assert "write duckdb, not 'duckbd'" in sentence
