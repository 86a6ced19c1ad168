"""Charts that a page writes for the reader: what `sqlmesh/charts/` may hold, asked of single events at once."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from board.errors import UnansweredError
from board.sql import one_of
from board.view import View
from board.warehouse import count_live, session_inside_snowflake


def count_chart(chart: Mapping[str, Any], view: View) -> tuple[pd.DataFrame, float]:
    """Answer a chart for the project, the days and the break-down that the reader has chosen.

    Args:
        chart: what its file would hold, without `since`, `until` and `by`.
        view: the reader's choice.

    Returns:
        the rows of the view's segments, with the value of the break-down as `segment`; and the seconds that they took.

    Raises:
        UnansweredError: the chart has a fault, or there is no answer now.
    """
    by = [] if view.breakdown == "all" else [view.breakdown]
    sql, keys = written({**chart, "since": view.since.isoformat(), "until": view.until.isoformat(), "by": by})
    rows, seconds = count_live(f"""
        SELECT * FROM ({sql}) AS chart
        WHERE {view.of_app} AND {one_of(by[0] if by else "segment", view.segments)}
        ORDER BY {", ".join(keys)}
    """)
    if by:
        rows = rows.drop(columns="segment").rename(columns={by[0]: "segment"})
        order = {segment: place for place, segment in enumerate(view.segments)}
        rows = rows.sort_values("segment", key=lambda each: each.map(order), kind="stable")
    return rows, seconds


def written(chart: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a chart's query and the keys of its rows.

    Raises:
        UnansweredError: the chart has a fault, or the dashboard runs inside Snowflake.
    """
    if session_inside_snowflake():
        raise UnansweredError(
            "Inside Snowflake the dashboard shows what gold holds, and writes no charts of its own. Put this one into "
            "sqlmesh/charts/, or start the dashboard outside: `make dashboard`"
        )
    from amplitude_source.charts.book import compiled
    from asking.question import checked, words_of_files

    words = words_of_files()
    query = compiled(checked(chart, words), words)
    return query.sql, [*query.keys]
