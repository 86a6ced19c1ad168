"""The tables that charts read, in memory, with small histories of many apps."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from amplitude_source.charts.book import Chart, compiled
from amplitude_source.charts.definitions import Words
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, SQL_TYPES
from oracle import App
from oracle.charts import Days, Happening

TIMES = {"event_time": "time", "event_date": "date", "event_hour": "hour"}
FIELDS = {**TIMES, "event_type": "type", "is_active": "is_active", "canonical_amplitude_id": "user", "uuid": "uuid"}
"""Columns of gold.events by the fields of Happening that they hold."""


class SmallGold:
    """Gold with a few events of each app; all apps have the same days, in UTC, and weeks start on Monday.

    Args:
        first: the first day.
        last: the last day, of which the export has all.
        events: of each app, each with the same values.
    """

    def __init__(self, first: date, last: date, events: Mapping[App, Sequence[Happening]]) -> None:
        end = datetime(last.year, last.month, last.day, 23)
        days = Days(ZoneInfo("UTC"), 0, first, last, (datetime(first.year, first.month, first.day), end))
        self.events, self.days = events, dict.fromkeys(events, days)
        self._connection = duckdb.connect()
        columns = ", ".join(f"{name} {SQL_TYPES[kind].removesuffix('NTZ')}" for name, kind in EVENT_COLUMNS.items())
        apps = f"(VALUES {', '.join(f'({project!r}, {app})' for project, app in events)}) AS apps(project, app)"
        self._connection.execute(f"""
            CREATE SCHEMA gold; CREATE SCHEMA silver;
            CREATE TABLE gold.events (project TEXT, app BIGINT, uuid TEXT, is_before_export BOOLEAN, {columns});
            CREATE TABLE silver.apps AS
              SELECT *, DATE '{first}' AS first_date, DATE '{last}' AS frontier_date, TIMESTAMP '{end}' AS reached_hour
              FROM {apps};
            CREATE TABLE gold.days AS
              SELECT project, app, day::DATE AS date, day AS starts_at, day + INTERVAL 1 DAY AS ends_at,
                TRUE AS is_complete, DATE_TRUNC('week', day)::DATE AS week, DATE_TRUNC('month', day)::DATE AS month,
                DATE_TRUNC('quarter', day)::DATE AS quarter
              FROM {apps} CROSS JOIN GENERATE_SERIES(TIMESTAMP '{first}', TIMESTAMP '{last}', INTERVAL 1 DAY) AS d(day);
        """)
        for app, own in events.items():
            for event in own:
                self._add(app, event)

    def _add(self, app: App, event: Happening) -> None:
        values = {name: getattr(event, field) for name, field in FIELDS.items()} | dict(event.values)
        self._connection.execute(
            f"INSERT INTO gold.events (project, app, is_before_export, {', '.join(values)}) "
            f"VALUES (?, ?, FALSE{', ?' * len(values)})",
            [*app, *values.values()],
        )

    def answer(self, chart: Chart, words: Words) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The chart's rows by their keys."""
        query = compiled(chart, words)
        rows = self._connection.execute(query.for_engine("duckdb")).fetchall()
        answer = {row[: len(query.keys)]: row[len(query.keys) :] for row in rows}
        assert len(answer) == len(rows), f"{query.keys} are no key"
        return answer

    def close(self) -> None:
        self._connection.close()
