"""Lifecycle charts: who is new, stays, comes back or falls asleep.

Amplitude's pages: lifecycle-track-growth.md, lifecycle-interpret.md.
"""

from typing import ClassVar, Literal

from ..chart import OneEventChart
from ..definitions import Words
from ..queries import (
    LINE,
    USER,
    Column,
    Compiled,
    Query,
    Scan,
    compose,
    day_column,
    equal,
    group_name,
    line_columns,
    lines,
    listed,
    literal,
    periods,
    select_events,
)

STATES = ("new", "current", "resurrected", "dormant")


class Lifecycle(OneEventChart):
    """A chart of the users who did an event, by what they did in the interval before."""

    takes_lists: ClassVar = True
    columns: ClassVar = (
        *LINE,
        "period",
        "active_users",
        *(f"{state}_users" for state in STATES),
        "pulse",
        "is_complete",
    )

    type: Literal["lifecycle"]
    interval: Literal["day", "week", "month"] = "day"
    """How often they are expected to do it."""

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"users of {self.event.event} by {self.interval}"


def compile_lifecycle(chart: Lifecycle, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line and interval.
    """
    line, query = [*LINE, *map(group_name, chart.by)], Query(words, chart.count_by)
    query.firsts()
    tables = {
        "periods": periods(chart.interval, chart.until),
        "users": " UNION ALL ".join(_users(chart, query, segment) for segment in chart.segments),
        "states": _states(line),
        "counted": _counted(line),
        "lines": lines(line, chart.segments, "counted"),
        "results": _results(chart, line),
    }
    return compose(query, tables, _columns(chart), [*line, "period"], "active_users")


def _columns(chart: Lifecycle) -> list[Column]:
    unit = chart.interval
    active = "new_users + current_users + resurrected_users"
    return [
        *line_columns(chart.by),
        Column("period", "DATE", "Day in the reporting time zone" if unit == "day" else f"First day of the {unit}"),
        Column("active_users", "BIGINT", f"Users who did the event in the {unit}", active),
        Column("new_users", "BIGINT", f"Those whose first event of whatever type is of the {unit}"),
        Column("current_users", "BIGINT", f"Those who did it in the {unit} before, too"),
        Column("resurrected_users", "BIGINT", "The others: they are back"),
        Column("dormant_users", "BIGINT", f"Users who did it in the {unit} before, and not in this one"),
        Column(
            "pulse",
            "DOUBLE",
            "New and resurrected users for each dormant one; NULL where nobody is",
            "(new_users + resurrected_users)::DOUBLE / NULLIF(dormant_users, 0)",
        ),
        Column("is_complete", "BOOLEAN", f"Whether the export has all of the {unit}"),
    ]


def _users(chart: Lifecycle, query: Query, segment: str) -> str:
    """Each user of a segment in each interval, with whether they are new to the project in it."""
    scan, start = Scan(query, chart.interval), f"days.{day_column(chart.interval)}"
    conditions = [scan.takes(chart.event), scan.is_in(segment)]
    groups = [f"{scan.group(name)} AS {group_name(name)}" for name in chart.by]
    columns = [
        "events.canonical_amplitude_id",
        f"{literal(segment)} AS segment",
        *groups,
        f"{start} AS period",
        f"own_firsts.first_date >= {start} AS is_new",
    ]
    firsts = f"JOIN firsts AS own_firsts ON {equal('own_firsts', 'events', USER)}"
    return select_events(scan, columns, conditions, joins=firsts, distinct=True)


def _states(line: list[str]) -> str:
    """Each user's state in the intervals in which they did the event, and in those after the last of a row."""
    of_user = f"PARTITION BY {listed('users', [*line, 'canonical_amplitude_id'])} ORDER BY periods.number"
    return f"""
        SELECT {listed("", line)}, number,
          CASE WHEN is_new THEN 'new' WHEN previous = number - 1 THEN 'current' ELSE 'resurrected' END AS state
        FROM (
          SELECT {listed("users", line)}, users.is_new, periods.number, LAG(periods.number) OVER ({of_user}) AS previous
          FROM users
          JOIN periods ON {equal("periods", "users", ["project", "app", "period"])}
        ) AS did
        UNION ALL
        SELECT {listed("", line)}, number + 1 AS number, 'dormant' AS state
        FROM (
          SELECT {listed("users", line)}, periods.number, LEAD(periods.number) OVER ({of_user}) AS next
          FROM users
          JOIN periods ON {equal("periods", "users", ["project", "app", "period"])}
        ) AS did
        WHERE next IS NULL OR next > number + 1
    """


def _counted(line: list[str]) -> str:
    states = ", ".join(f"COUNT_IF(state = '{state}') AS {state}_users" for state in STATES)
    return f"SELECT {listed('', [*line, 'number'])}, {states} FROM states GROUP BY {listed('', [*line, 'number'])}"


def _results(chart: Lifecycle, line: list[str]) -> str:
    """Each line in each interval that the chart shows."""
    states = ", ".join(f"COALESCE(counted.{state}_users, 0) AS {state}_users" for state in STATES)
    return f"""
        SELECT {listed("lines", line)}, periods.period, periods.is_complete, {states}
        FROM lines
        JOIN periods ON {equal("periods", "lines", ["project", "app"])}
        LEFT JOIN counted ON {equal("counted", "lines", line)} AND counted.number = periods.number
        {f"WHERE periods.last_date >= '{chart.since}'::DATE" if chart.since else ""}
    """
