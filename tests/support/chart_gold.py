"""The tables that charts read, with the few events of an example."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import duckdb
import pandas as pd

from amplitude_source.charts.book import TYPES, compiled
from amplitude_source.charts.definitions import Words
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, SQL_TYPES, USER_COLUMNS, Vocabulary

WORDS = Words(Vocabulary(EVENT_COLUMNS, USER_COLUMNS))
KEYS = "'default' AS project, 1 AS app"


class Gold:
    """The tables that charts read, with a few events in UTC; weeks start on Monday.

    Args:
        first: the first day.
        last: the last day.
    """

    def __init__(self, first: date, last: date) -> None:
        self._connection, self._first = duckdb.connect(), first
        self.words = WORDS
        columns = ", ".join(f"{name} {SQL_TYPES[kind].removesuffix('NTZ')}" for name, kind in EVENT_COLUMNS.items())
        hours = f"{KEYS}, hour, hour::DATE AS date, TRUE AS is_complete"
        days = (
            f"{KEYS}, day::DATE AS date, day AS starts_at, day + INTERVAL 1 DAY AS ends_at, TRUE AS is_complete, "
            "DATE_TRUNC('week', day)::DATE AS week, DATE_TRUNC('month', day)::DATE AS month, "
            "DATE_TRUNC('quarter', day)::DATE AS quarter"
        )
        span = f"TIMESTAMP '{first}', TIMESTAMP '{last} 23:00:00'"
        for statement in (
            "CREATE SCHEMA gold; CREATE SCHEMA silver",
            f"CREATE TABLE gold.events (project TEXT, app BIGINT, uuid TEXT, is_before_export BOOLEAN, {columns})",
            f"CREATE TABLE gold.days AS SELECT {days} FROM RANGE({span}, INTERVAL 1 DAY) AS days(day)",
            f"CREATE TABLE gold.hours AS SELECT {hours} FROM GENERATE_SERIES({span}, INTERVAL 1 HOUR) AS hours(hour)",
            f"CREATE TABLE silver.apps AS SELECT {KEYS}, DATE '{first}' AS first_date, DATE '{last}' AS frontier_date, "
            f"TIMESTAMP '{last} 23:00:00' AS reached_hour",
        ):
            self._connection.execute(statement)

    def add(self, user: int, event_type: str, *times: datetime, **values: Any) -> None:
        """Adds a user's events, of an active type unless the values of further columns say otherwise."""
        for time in times:
            row = {
                "is_before_export": time.date() < self._first,
                "is_active": True,
                "canonical_amplitude_id": user,
                "event_type": event_type,
                "event_time": time,
                "event_hour": time.replace(minute=0),
                "event_date": time.date(),
                **values,
            }
            columns = ", ".join(f"? AS {name}" for name in row)
            insert = f"INSERT INTO gold.events BY NAME SELECT {KEYS}, {columns}"
            self._connection.execute(insert, [*row.values()])

    def answer(self, columns: str, **spec: Any) -> Sequence[tuple[Any, ...]]:
        """Some columns of a chart's rows, sorted."""
        chart = TYPES[spec["type"]].model_validate(spec, context=self.words)
        sql = compiled(chart, self.words).for_engine("duckdb")
        return self._connection.execute(f"SELECT {columns} FROM ({sql}) ORDER BY ALL").fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        """The rows of a query in DuckDB's SQL."""
        return self._connection.execute(sql).df()

    def close(self) -> None:
        self._connection.close()


def at(month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute)
