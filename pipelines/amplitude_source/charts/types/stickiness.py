"""Stickiness charts: on how many days of a week or month users do an event.

Amplitude's pages: stickiness-identify-features.md, stickiness-interpret.md.
"""

from typing import ClassVar, Literal

from ..chart import OneEventChart
from ..definitions import Words
from ..queries import (
    LINE,
    Column,
    Compiled,
    Query,
    Scan,
    compose,
    equal,
    group_name,
    line_columns,
    lines,
    listed,
    literal,
    periods,
    select_events,
)

LONGEST_DAYS = 31
NUMBERS = " UNION ALL ".join(f"SELECT {number} AS n" for number in range(1, LONGEST_DAYS + 1))


class Stickiness(OneEventChart):
    """A chart of users by the number of days on which they did an event."""

    takes_lists: ClassVar = True
    columns: ClassVar = (
        *LINE,
        "period",
        "active_days",
        "users",
        "users_or_more",
        "active_users",
        "share",
        "share_or_more",
        "is_complete",
    )

    type: Literal["stickiness"]
    interval: Literal["week", "month"] = "week"
    """Whose days are counted."""

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"share of users with {self.event.event} on so many days of the {self.interval} or more"


def compile_stickiness(chart: Stickiness, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line, interval and number of days that it has.
    """
    line, query = [*LINE, *map(group_name, chart.by)], Query(words, chart.count_by)
    users = listed("user_days", [*line, "period", "canonical_amplitude_id"])
    reached = f"user_days JOIN periods ON {equal('periods', 'user_days', ['project', 'app', 'period'])}"
    keys = listed("", [*line, "period", "active_days"])
    tables = {
        "periods": periods(chart.interval, chart.until),
        "user_days": " UNION ALL ".join(_user_days(chart, query, segment) for segment in chart.segments),
        "users": f"SELECT {users}, COUNT(*) AS active_days FROM {reached} GROUP BY {users}",
        "counted": f"SELECT {keys}, COUNT(*) AS users FROM users GROUP BY {keys}",
        "lines": lines(line, chart.segments, "counted"),
        "grid": _grid(chart, line),
        "results": _results(line),
    }
    return compose(query, tables, _columns(chart), [*line, "period", "active_days"], "share_or_more")


def _columns(chart: Stickiness) -> list[Column]:
    unit = chart.interval
    return [
        *line_columns(chart.by),
        Column("period", "DATE", f"First day of the {unit}"),
        Column("active_days", "BIGINT", f"A number of days, from 1 to as many as the {unit} has"),
        Column("users", "BIGINT", "Users who did the event on exactly so many days"),
        Column("users_or_more", "BIGINT", "Users who did it on so many days or more"),
        Column("active_users", "BIGINT", f"Users who did it in the {unit}"),
        Column("share", "DOUBLE", "Share of them on exactly so many days", "users::DOUBLE / NULLIF(active_users, 0)"),
        Column(
            "share_or_more",
            "DOUBLE",
            "Share of them on so many days or more",
            "users_or_more::DOUBLE / NULLIF(active_users, 0)",
            is_share=True,
        ),
        Column("is_complete", "BOOLEAN", f"Whether the export has all of the {unit}"),
    ]


def _user_days(chart: Stickiness, query: Query, segment: str) -> str:
    """Each user of a segment on each day with the event."""
    scan = Scan(query, chart.interval)
    conditions = [scan.takes(chart.event), scan.is_in(segment)]
    groups = [f"{scan.group(name)} AS {group_name(name)}" for name in chart.by]
    columns = ["events.canonical_amplitude_id", f"{literal(segment)} AS segment", *groups]
    days = [f"days.{chart.interval} AS period", "events.event_date"]
    return select_events(scan, [*columns, *days], conditions, distinct=True)


def _grid(chart: Stickiness, line: list[str]) -> str:
    """Each line in each interval that the chart shows, with each number of days."""
    return f"""
        SELECT {listed("lines", line)}, periods.period, periods.is_complete, numbers.n AS active_days
        FROM lines
        JOIN periods ON {equal("periods", "lines", ["project", "app"])}
        JOIN ({NUMBERS}) AS numbers
          ON numbers.n <= DATEDIFF(DAY, periods.period, DATEADD({chart.interval}, 1, periods.period)::DATE)
        {f"WHERE periods.last_date >= '{chart.since}'::DATE" if chart.since else ""}
    """


def _results(line: list[str]) -> str:
    """How many users there are for each number of days, for it and more, and in all."""
    of_period = f"PARTITION BY {listed('grid', [*line, 'period'])}"
    users = "COALESCE(counted.users, 0)"
    return f"""
        SELECT {listed("grid", line)}, grid.period, grid.active_days, grid.is_complete, {users} AS users,
          SUM({users}) OVER ({of_period} ORDER BY grid.active_days DESC ROWS UNBOUNDED PRECEDING) AS users_or_more,
          SUM({users}) OVER ({of_period}) AS active_users
        FROM grid
        LEFT JOIN counted ON {equal("counted", "grid", [*line, "period", "active_days"])}
    """
