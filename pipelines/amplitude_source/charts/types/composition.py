"""User compositions: how many active users have each value of a property.

Amplitude's pages: other-charts-user-composition.md; the FAQ on user composition.
"""

from typing import ClassVar, Literal

from pydantic import Field

from ..chart import Chart
from ..definitions import Part, Words
from ..expressions import ColumnName
from ..queries import (
    LINE,
    OTHER,
    Column,
    Compiled,
    Query,
    Scan,
    compose,
    equal,
    group_name,
    line_columns,
    listed,
    literal,
    periods,
    select_events,
)

ACTIVE = Part.model_construct(event="_active", where=None)
USER = [*LINE, "canonical_amplitude_id"]


class Composition(Chart):
    """A chart of active users by the values of a property."""

    columns: ClassVar = (*LINE, "users", "share", "is_complete")

    type: Literal["composition"]
    by: list[ColumnName] = Field(min_length=1, max_length=1)
    """The column whose values are counted."""
    measure: Literal["most_recent_value", "all_values", "cross_property_values"] = "most_recent_value"
    """Which values a user has: that of the latest active event, or each value, or all of them as one."""
    top: int = Field(13, ge=1)
    """So many values, those with the most users, get rows of their own, and the rest is "(other)"."""

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return []

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"active users by {self.by[0]}"


def compile_composition(chart: Composition, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each segment and value that a user of it has.
    """
    query, own = Query(words, chart.count_by), group_name(chart.by[0])
    line, had = [*LINE, own], listed("", [*USER, own])
    shown = f"WHERE last_date >= '{chart.since}'::DATE" if chart.since else ""
    tables = {
        "periods": f"SELECT * FROM ({periods('day', chart.until)}) AS days {shown}",
        "found": " UNION ALL ".join(_found(chart, query, segment) for segment in chart.segments),
        "had": f"SELECT {had}, MAX(event_time) AS last_time FROM found GROUP BY {had}",
        "owned": _owned(chart, own),
        "kept": _kept(chart, own),
        "grouped": _grouped(own),
        "counted": f"SELECT {listed('', line)}, COUNT(*) AS users FROM grouped GROUP BY {listed('', line)}",
        "totals": _totals(),
        "results": _results(line),
    }
    return compose(query, tables, _columns(chart), line, "users")


def _columns(chart: Composition) -> list[Column]:
    rest = f", {OTHER} for all but the {chart.top} with the most users"
    return [
        *line_columns(chart.by, rest),
        Column("users", "BIGINT", "Active users with the value"),
        Column("share", "DOUBLE", "Their share of the segment's active users", "users::DOUBLE / all_users"),
        Column("is_complete", "BOOLEAN", "Whether the export has all of the chart's days"),
    ]


def _found(chart: Composition, query: Query, segment: str) -> str:
    """The active events of a segment, each with its value."""
    scan = Scan(query)
    conditions = [scan.takes(ACTIVE), scan.is_in(segment)]
    if chart.since:
        conditions.append(f"events.event_date >= '{chart.since}'::DATE")
    if chart.until:
        conditions.append(f"events.event_date <= '{chart.until}'::DATE")
    columns = [
        "events.canonical_amplitude_id",
        f"{literal(segment)} AS segment",
        f"{scan.group(chart.by[0])} AS {group_name(chart.by[0])}",
        "events.event_time",
    ]
    return select_events(scan, columns, conditions)


def _owned(chart: Composition, own: str) -> str:
    """The values that each user has, of all those had; of two at the same time, the last by the alphabet."""
    user = listed("", USER)
    if chart.measure == "all_values":
        return f"SELECT {user}, {own} FROM had"
    if chart.measure == "cross_property_values":
        return f"SELECT {user}, LISTAGG({own}, ', ') WITHIN GROUP (ORDER BY {own}) AS {own} FROM had GROUP BY {user}"
    latest = f"ROW_NUMBER() OVER (PARTITION BY {user} ORDER BY last_time DESC, {own} DESC)"
    return f"SELECT {user}, {own} FROM had QUALIFY {latest} = 1"


def _kept(chart: Composition, own: str) -> str:
    """The values that get rows of their own, by their users in all segments."""
    return f"""
        SELECT project, app, {own}
        FROM owned
        GROUP BY project, app, {own}
        QUALIFY ROW_NUMBER() OVER (PARTITION BY project, app ORDER BY COUNT(*) DESC, {own}) <= {chart.top}
    """


def _grouped(own: str) -> str:
    """Each user with the same values, but one for all those that do not get rows of their own."""
    return f"""
        SELECT DISTINCT {listed("owned", USER)}, IFF(kept.project IS NULL, '{OTHER}', owned.{own}) AS {own}
        FROM owned
        LEFT JOIN kept ON {equal("kept", "owned", ["project", "app", own])}
    """


def _totals() -> str:
    line = listed("", LINE)
    return f"SELECT {line}, COUNT(DISTINCT canonical_amplitude_id) AS all_users FROM owned GROUP BY {line}"


def _results(line: list[str]) -> str:
    return f"""
        SELECT {listed("counted", line)}, counted.users, totals.all_users, spans.is_complete
        FROM counted
        JOIN totals ON {equal("totals", "counted", LINE)}
        JOIN (
          SELECT project, app, MIN(IFF(is_complete, 1, 0)) = 1 AS is_complete
          FROM periods
          GROUP BY project, app
        ) AS spans
          ON {equal("spans", "counted", ["project", "app"])}
    """
