"""Usage interval charts: how long users go between two days on which they do an event.

Amplitude's pages: retention-analysis-usage-interval.md, retention-analysis-interpret-usage.md.
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

UNIT_DAYS = {"day": 1, "week": 7, "month": 30}
"""As long as the 24-hour windows of retention: retention-analysis-time.md. The pages of this chart give no lengths."""


class UsageInterval(OneEventChart):
    """A chart of users by their median time from one day with an event to the next."""

    columns: ClassVar = (*LINE, "intervals", "users", "users_up_to", "all_users", "share_up_to", "is_complete")

    type: Literal["usage_interval"]
    interval: Literal["day", "week", "month"] = "day"
    """In which the time is given; a week has 7 days, and a month 30."""

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"share of users of {self.event.event} who do it again within so many {self.interval}s"


def compile_usage_interval(chart: UsageInterval, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line and number of days, weeks or months, up to the longest median of the line.
    """
    line, query = [*LINE, *map(group_name, chart.by)], Query(words, chart.count_by)
    keys = listed("", [*line, "intervals"])
    tables = {
        "periods": periods(chart.interval, chart.until),
        "spans": _spans(chart),
        "user_days": " UNION ALL ".join(_user_days(chart, query, segment) for segment in chart.segments),
        "medians": _medians(chart, line),
        "counted": f"SELECT {keys}, COUNT(*) AS users FROM medians GROUP BY {keys}",
        "lines": lines(line, chart.segments, "counted"),
        "grid": _grid(line),
        "results": _results(line),
    }
    return compose(query, tables, _columns(chart), [*line, "intervals"], "share_up_to")


def _columns(chart: UsageInterval) -> list[Column]:
    unit = chart.interval
    return [
        *line_columns(chart.by),
        Column("intervals", "BIGINT", f"A number of {unit}s"),
        Column("users", "BIGINT", f"Users whose median time lies above one {unit} less, and not above this"),
        Column("users_up_to", "BIGINT", "Users whose median time is not longer"),
        Column("all_users", "BIGINT", "Users who did the event on two days or more"),
        Column(
            "share_up_to",
            "DOUBLE",
            "Share of them whose median time is not longer",
            "users_up_to::DOUBLE / NULLIF(all_users, 0)",
            is_share=True,
        ),
        Column("is_complete", "BOOLEAN", "Whether the export has all of the chart's days"),
    ]


def _shown_days(chart: UsageInterval) -> str:
    """Return the join of gold.days with the intervals that the chart shows."""
    period = f"periods.period = days.{day_column(chart.interval)}"
    since = f"AND periods.last_date >= '{chart.since}'::DATE" if chart.since else ""
    return f"JOIN periods ON {equal('periods', 'days', ['project', 'app'])} AND {period} {since}"


def _spans(chart: UsageInterval) -> str:
    """Whether the export has all days of the chart."""
    return f"""
        SELECT days.project, days.app, MIN(IFF(days.is_complete, 1, 0)) = 1 AS is_complete
        FROM gold.days AS days
        {_shown_days(chart)}
        GROUP BY days.project, days.app
    """


def _user_days(chart: UsageInterval, query: Query, segment: str) -> str:
    """Each user of a segment on each day with the event."""
    scan = Scan(query, chart.interval)
    conditions = [scan.takes(chart.event), scan.is_in(segment)]
    groups = [f"{scan.group(name)} AS {group_name(name)}" for name in chart.by]
    columns = ["events.canonical_amplitude_id", f"{literal(segment)} AS segment", *groups, "events.event_date"]
    return select_events(scan, columns, conditions, joins=_shown_days(chart), distinct=True)


def _medians(chart: UsageInterval, line: list[str]) -> str:
    """Each user with two days or more, by their median time in whole intervals: a part of one counts as one."""
    user = listed("", [*line, "canonical_amplitude_id"])
    previous = f"LAG(event_date) OVER (PARTITION BY {user} ORDER BY event_date)"
    return f"""
        SELECT {user}, CEIL(MEDIAN(days) / {UNIT_DAYS[chart.interval]})::BIGINT AS intervals
        FROM (SELECT {user}, DATEDIFF(DAY, {previous}, event_date) AS days FROM user_days) AS gaps
        WHERE NOT days IS NULL
        GROUP BY {user}
    """


def _grid(line: list[str]) -> str:
    """Each line with each number up to the largest that it has, and with 1 if it has none."""
    return f"""
        SELECT {listed("lines", line)}, numbers.number AS intervals, spans.is_complete
        FROM lines
        JOIN spans ON {equal("spans", "lines", ["project", "app"])}
        LEFT JOIN (SELECT {listed("", line)}, MAX(intervals) AS longest FROM counted GROUP BY {listed("", line)}) AS own
          ON {equal("own", "lines", line)}
        JOIN (
          SELECT project, app, ROW_NUMBER() OVER (PARTITION BY project, app ORDER BY date) AS number FROM gold.days
        ) AS numbers
          ON {equal("numbers", "lines", ["project", "app"])} AND numbers.number <= COALESCE(own.longest, 1)
    """


def _results(line: list[str]) -> str:
    """How many users there are for each number, for it and less, and in all."""
    of_line = f"PARTITION BY {listed('grid', line)}"
    users = "COALESCE(counted.users, 0)"
    return f"""
        SELECT {listed("grid", line)}, grid.intervals, grid.is_complete, {users} AS users,
          SUM({users}) OVER ({of_line} ORDER BY grid.intervals ROWS UNBOUNDED PRECEDING) AS users_up_to,
          SUM({users}) OVER ({of_line}) AS all_users
        FROM grid
        LEFT JOIN counted ON {equal("counted", "grid", [*line, "intervals"])}
    """
