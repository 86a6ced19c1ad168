"""Snowflake's own answers, and the session that Streamlit has inside Snowflake.

Nothing here needs the packages of the pipeline, which are not there.
"""

from datetime import date
from decimal import Decimal
from typing import Protocol

import pandas as pd

from board.errors import MissingError, UnansweredError

NOT_FOUND = (2003, 904)  # a table or a column that is not there, or that the role may not see
MICROSECONDS = "datetime64[us]"  # as DuckDB has times, so that figures of both write them alike


class Snowflake:
    """Any way to ask Snowflake. There is no copy, because many may read while one writes."""

    engine = "snowflake"

    def version(self) -> str:
        """Return nothing: answers are kept for a time instead."""
        return ""

    def refresh(self) -> None:
        """Copy nothing."""

    def problems(self) -> list[str]:
        """Return nothing, because nothing is copied."""
        return []


class Session(Protocol):
    """Of Snowpark."""

    def sql(self, query: str) -> "Question":
        """Return a question."""


class Question(Protocol):
    """Of Snowpark."""

    def to_pandas(self) -> pd.DataFrame:
        """Ask."""


class SnowflakeSession(Snowflake):
    """The session of Streamlit in Snowflake, with the role that owns the app.

    Args:
        session: of Snowpark.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def answer(self, sql: str, *, live: bool) -> pd.DataFrame:  # noqa: ARG002 - there is no copy
        from snowflake.snowpark.exceptions import SnowparkSQLException

        try:
            return tidy(self._session.sql(sql).to_pandas())
        except SnowparkSQLException as error:
            raise unanswered(error) from error


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with names in small letters, and with the numbers and days that figures can be drawn of."""
    rows = rows.rename(columns=str.lower)
    for name in rows:
        if any(isinstance(value, Decimal) for value in rows[name]):
            rows[name] = rows[name].astype(float)
        elif any(isinstance(value, date) for value in rows[name]):
            rows[name] = pd.to_datetime(rows[name]).astype(MICROSECONDS)
    return rows


def unanswered(error: Exception) -> UnansweredError:
    """Return what Snowflake's refusal means to the reader."""
    sentence = " ".join(str(getattr(error, "raw_msg", None) or error).split())
    if (getattr(error, "errno", None) or getattr(error, "sql_error_code", None)) in NOT_FOUND:
        return MissingError(
            "Snowflake lacks what this page shows, or the dashboard's role may not read it: bronze is not for "
            f"analysts, and a table comes with `sqlmesh plan`.\n\n{sentence}"
        )
    return UnansweredError(f"Snowflake did not answer. {sentence}")
