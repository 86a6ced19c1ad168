"""Engagement matrices: which events many users do, and which they do often.

Amplitude's pages: engagement-matrix-discover.md, engagement-matrix-interpret.md.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ..chart import Chart
from ..definitions import Part, Words
from ..queries import (
    LINE,
    Column,
    Compiled,
    Query,
    Scan,
    compose,
    day_column,
    earliest,
    equal,
    group_name,
    line_columns,
    lines,
    listed,
    literal,
    periods,
    select_events,
)
from .segmentation import AnySeries, check_names, named

MOST_EVENTS = 20
ACTIVE = Part.model_construct(event="_active", where=None)


class EngagementMatrix(Chart):
    """A chart of events by how many of the active users do them, and how often."""

    columns: ClassVar = (*LINE, "event", "times", "active_share", "average_times", "average_days", "is_complete")

    type: Literal["engagement_matrix"]
    events: list[AnySeries] = Field(default_factory=list, min_length=1, max_length=MOST_EVENTS)
    """Event types, each with a filter if need be. Default: all active ones."""
    interval: Literal["day", "week", "month"] = "day"
    """Of which shares and averages are taken: those of daily, weekly or monthly active users."""

    @model_validator(mode="after")
    def _check_events(self) -> "EngagementMatrix":
        check_names(self.events)
        return self

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [*self.events]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"share of a {self.interval}'s active users who do an event"


def compile_engagement(chart: EngagementMatrix, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line and event.
    """
    line, query = [*LINE, *map(group_name, chart.by)], Query(words, chart.count_by)
    day = listed("", [*line, "event", "period", "canonical_amplitude_id", "event_date"])
    shown = f"WHERE last_date >= '{chart.since}'::DATE" if chart.since else ""
    scans = [scan for segment in chart.segments for scan in _scans(chart, query, segment)]
    actives = [_scan(chart, query, segment, ACTIVE) for segment in chart.segments]
    tables = {
        "periods": f"SELECT * FROM ({periods(chart.interval, chart.until)}) AS periods {shown}",
        "user_days": f"SELECT {day}, COUNT(*) AS times FROM ({' UNION ALL '.join(scans)}) AS done GROUP BY {day}",
        "counted": _counted(line),
        "actives": _actives(" UNION ALL ".join(actives)),
        "pairs": _pairs(chart, line),
        "results": _results(line),
    }
    return compose(query, tables, _columns(chart), [*line, "event"], "active_share")


def _columns(chart: EngagementMatrix) -> list[Column]:
    unit = chart.interval
    return [
        *line_columns(chart.by),
        Column("event", "VARCHAR", "The event"),
        Column("times", "BIGINT", "How often it was done"),
        Column(
            "active_share",
            "DOUBLE",
            f"Share of a {unit}'s active users who did it, as the mean of all {unit}s",
            is_share=True,
        ),
        Column("average_times", "DOUBLE", f"Times for each user who did it in a {unit}, as the mean of these {unit}s"),
        Column("average_days", "DOUBLE", f"Days for each user who did it in a {unit}, as the mean of these {unit}s"),
        Column("is_complete", "BOOLEAN", f"Whether the export has all of the {unit}s"),
    ]


def _scans(chart: EngagementMatrix, query: Query, segment: str) -> list[str]:
    """The events of a segment, each with its name."""
    if not chart.events:
        return [_scan(chart, query, segment, ACTIVE, "events.event_type")]
    return [_scan(chart, query, segment, part, literal(name)) for name, part in named(chart.events)]


def _scan(chart: EngagementMatrix, query: Query, segment: str, part: Part, event: str = "") -> str:
    """The events of a part with the SQL of their name; without one, the users of each interval alone."""
    scan = Scan(query, chart.interval)
    conditions = [scan.takes(part), scan.is_in(segment)]
    if chart.since:
        conditions.append(f"events.event_date >= '{earliest(chart.since, chart.interval, 1)}'::DATE")
    columns = ["events.canonical_amplitude_id", f"{literal(segment)} AS segment"]
    columns.append(f"days.{day_column(chart.interval)} AS period")
    if event:
        columns += [f"{scan.group(name)} AS {group_name(name)}" for name in chart.by]
        columns += [f"{event} AS event", "events.event_date"]
    return select_events(scan, columns, conditions, distinct=not event)


def _counted(line: list[str]) -> str:
    """How often, by how many and on how many days of theirs each event was done in each interval."""
    keys = listed("user_days", [*line, "event", "period"])
    return f"""
        SELECT {keys}, SUM(user_days.times) AS times, COUNT(*) AS days,
          COUNT(DISTINCT user_days.canonical_amplitude_id) AS users
        FROM user_days
        JOIN periods ON {equal("periods", "user_days", ["project", "app", "period"])}
        GROUP BY {keys}
    """


def _actives(scans: str) -> str:
    keys = listed("", [*LINE, "period"])
    return f"SELECT {keys}, COUNT(*) AS users FROM ({scans}) AS active GROUP BY {keys}"


def _pairs(chart: EngagementMatrix, line: list[str]) -> str:
    """What there is a row of: each event of each line, but of lines by values those that were done."""
    if chart.by:
        return f"SELECT DISTINCT {listed('', [*line, 'event'])} FROM counted"
    events = " UNION ALL ".join(f"SELECT {literal(name)} AS event" for name, _ in named(chart.events))
    if events:
        source, on = events, ""
    else:
        source, on = "SELECT DISTINCT project, app, event FROM counted", equal("events", "lines", ["project", "app"])
    return f"""
        SELECT {listed("lines", line)}, events.event
        FROM ({lines(line, chart.segments, "counted")}) AS lines
        {"JOIN" if on else "CROSS JOIN"} ({source}) AS events {f"ON {on}" if on else ""}
    """


def _results(line: list[str]) -> str:
    """The means over all intervals, those without the event too; of averages, over those with it."""
    keys = listed("pairs", [*line, "event"])
    return f"""
        SELECT {keys},
          COALESCE(SUM(counted.times), 0) AS times,
          AVG(COALESCE(counted.users, 0)::DOUBLE / actives.users) AS active_share,
          AVG(counted.times::DOUBLE / counted.users) AS average_times,
          AVG(counted.days::DOUBLE / counted.users) AS average_days,
          MIN(IFF(periods.is_complete, 1, 0)) = 1 AS is_complete
        FROM pairs
        JOIN periods ON {equal("periods", "pairs", ["project", "app"])}
        LEFT JOIN counted ON {equal("counted", "pairs", [*line, "event"])} AND counted.period = periods.period
        LEFT JOIN actives ON {equal("actives", "pairs", LINE)} AND actives.period = periods.period
        GROUP BY {keys}
    """
