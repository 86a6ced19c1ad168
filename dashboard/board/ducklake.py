"""DuckLake, asked by a DuckDB in this process. Nobody holds it, so there is no copy."""

import duckdb
import pandas as pd

from amplitude_source.bronze.ducklake import connect, lake_credentials
from amplitude_source.errors import AmplitudeError
from amplitude_source.settings import load_projects
from board.copying import SESSION
from board.errors import UnansweredError
from board.local import rows_of
from board.sql import for_engine


class DuckLakeWarehouse:
    """DuckLake of the settings. A connection for each question, closed with the answer."""

    engine = "duckdb"

    def __init__(self) -> None:
        self._credentials = lake_credentials(load_projects()[0].lake)

    def version(self) -> str:
        """Return nothing: answers are kept for a time instead."""
        return ""

    def refresh(self) -> None:
        """Copy nothing."""

    def problems(self) -> list[str]:
        """Return nothing, because nothing is copied."""
        return []

    def answer(self, sql: str, *, live: bool) -> pd.DataFrame:  # noqa: ARG002 - there is no copy
        try:
            with connect(self._credentials) as connection:
                connection.execute(SESSION)
                return rows_of(connection, for_engine(sql, self.engine))
        except AmplitudeError as error:
            raise UnansweredError(str(error)) from error
        except duckdb.Error as error:
            raise UnansweredError(f"DuckLake did not answer. {' '.join(str(error).split())}") from error
