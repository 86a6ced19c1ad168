"""The one place where the dashboard asks the warehouse: DuckDB, DuckLake or Snowflake, for reading alone.

Each question has a connection of its own, which is closed with the answer. On DuckDB the pages read a copy of gold, so
that no load and no run ever waits for a viewer. Only what needs single events asks the warehouse itself.
"""

import os
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

import pandas as pd
import streamlit as st

from board.errors import UnansweredError
from board.inside import Session, SnowflakeSession

ROOT = Path(__file__).resolve().parents[2]
KEPT_SECONDS = 600  # an answer, where the engine cannot say whether it still holds
MOST_ANSWERS = 1000


class Warehouse(Protocol):
    """Where the answers come from."""

    engine: str
    """`duckdb` or `snowflake`."""

    def version(self) -> str:
        """Return what changes whenever the copied tables do; an answer of the same version holds."""

    def refresh(self) -> "Refreshing | None":
        """See to it that the copy becomes as new as the warehouse; None where it is, or where there is none to make."""

    def problems(self) -> list[str]:
        """Return a sentence for each table that could not be copied."""

    def answer(self, sql: str, *, live: bool) -> pd.DataFrame:
        """Ask.

        Args:
            sql: in Snowflake's dialect.
            live: whether the warehouse itself is asked, and not the copy.

        Raises:
            UnansweredError: there is no answer now.
        """


class Refreshing(Protocol):
    """A copy that is being made."""

    has_older: bool
    """Whether there is an older copy to show meanwhile."""

    def progress(self) -> str:
        """Return how far it is; empty once it has ended."""

    def problem(self) -> str:
        """Return why it failed; empty while it has not."""


@st.cache_resource(show_spinner=False)
def warehouse() -> Warehouse:
    """Return the warehouse of the settings, or that of the session inside Snowflake.

    Raises:
        UnansweredError: a setting is missing or wrong.
    """
    if session := session_inside_snowflake():
        return SnowflakeSession(session)
    from amplitude_source.errors import AmplitudeError

    try:
        return of_the_settings()
    except AmplitudeError as error:
        raise UnansweredError(str(error)) from error


def of_the_settings() -> Warehouse:
    """Return the warehouse that the settings name.

    Raises:
        AmplitudeError: one is missing or wrong.
    """
    from amplitude_source.settings import destination, duckdb_path, settle_settings

    os.chdir(ROOT)  # which relative paths of the settings mean
    settle_settings(ROOT)
    if destination() == "snowflake":
        from board.snowflake import SnowflakeWarehouse

        return SnowflakeWarehouse()
    if destination() == "ducklake":
        from board.ducklake import DuckLakeWarehouse

        return DuckLakeWarehouse()
    from board.local import DuckDBWarehouse

    return DuckDBWarehouse(duckdb_path(ROOT))


def session_inside_snowflake() -> Session | None:
    """Return the session of Streamlit in Snowflake; None outside, which is where the project's package is."""
    if has_package():
        return None
    from snowflake.snowpark.context import get_active_session

    return cast(Session, get_active_session())


def has_package() -> bool:
    """Whether the project's package is there, which checks and writes charts; inside Snowflake it is not."""
    return find_spec("amplitude_source") is not None


def ask(sql: str) -> pd.DataFrame:
    """Ask the copy of gold, or Snowflake; an answer is kept as long as it holds.

    Args:
        sql: in Snowflake's dialect.

    Returns:
        the rows; their columns have small letters.

    Raises:
        UnansweredError: there is no answer now.
    """
    return _kept(warehouse().version(), sql)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=MOST_ANSWERS, show_spinner=False)
def _kept(version: str, sql: str) -> pd.DataFrame:  # noqa: ARG001 - it is part of the cache's key
    return warehouse().answer(sql, live=False)


def count_live(sql: str) -> tuple[pd.DataFrame, float]:
    """Ask the warehouse itself what takes its time; the answer is kept as long as one of the copy.

    Returns:
        the rows, and how many seconds they took.

    Raises:
        UnansweredError: a load or a run has the file, or came while the answer was on its way.
    """
    with st.spinner("Single events are counted", show_time=True):
        return _counted(warehouse().version(), sql)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=MOST_ANSWERS, show_spinner=False)
def _counted(version: str, sql: str) -> tuple[pd.DataFrame, float]:  # noqa: ARG001 - it is part of the cache's key
    began = time.monotonic()
    return warehouse().answer(sql, live=True), time.monotonic() - began


def present() -> datetime:
    """Return the time (UTC) by which hours are late: that of the settings, as the demo has one of its own."""
    if session_inside_snowflake():
        return datetime.now(UTC).replace(tzinfo=None)
    from amplitude_source.settings import load_projects

    return load_projects()[0].present.replace(tzinfo=None)
