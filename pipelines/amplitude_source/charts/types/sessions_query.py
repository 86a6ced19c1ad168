"""The query of a chart of sessions, written table by table."""

from ..definitions import Part, Words
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
from .sessions import LONGEST_SECONDS, Sessions

MICROSECONDS = "DATEDIFF(MICROSECOND, MIN(events.client_event_time), MAX(events.client_event_time))"


def compile_sessions(chart: Sessions, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line and interval; of a distribution, for each bucket, too.
    """
    line, query = [*LINE, *map(group_name, chart.by)], Query(words, chart.count_by)
    tables = {
        "periods": periods(chart.interval, chart.until),
        "sessions": " UNION ALL ".join(_sessions(chart, query, segment) for segment in chart.segments),
        "points": _points(chart, line),
        "lines": lines(line, chart.segments, "points"),
        "grid": _grid(chart, line),
    }
    if chart.metric.is_per_user:
        tables["active_users"] = _active_users(chart, query, line)
    tables["results"] = _results(chart, line)
    return compose(query, tables, _columns(chart), [*line, "period", *_bucket(chart)], "value")


def _bucket(chart: Sessions) -> list[str]:
    """The column of a distribution's buckets."""
    return ["bucket"] * bool(chart.starts)


def _columns(chart: Sessions) -> list[Column]:
    unit = chart.interval
    names = {"hour": "Time (UTC) at which the hour begins", "day": "Day in the reporting time zone"}
    kind = "TIMESTAMPNTZ" if unit == "hour" else "DATE"
    what = "Number of events" if chart.event else "Seconds"
    bucket = f"{what} with which the bucket begins; it ends where the next one begins, the last one never"
    return [
        *line_columns(chart.by),
        Column("period", kind, f"{names.get(unit, f'First day of the {unit}')}, in which the sessions began"),
        *[Column(name, "BIGINT", bucket) for name in _bucket(chart)],
        Column("value", "DOUBLE", f"{chart.metric.comment}, NULL where it is not defined"),
        Column("is_complete", "BOOLEAN", f"Whether the export has all of the {unit}"),
    ]


def _sessions(chart: Sessions, query: Query, segment: str) -> str:
    """Each session of a segment: its events that are in the segment, with the same values of `by`.

    Events of before the first export hour date a session, too, so that one that began there is not shown.
    """
    scan = Scan(query, chart.interval)
    groups = {group_name(name): scan.group(name) for name in chart.by}
    own = listed("events", dict.fromkeys([*USER, query.own_id, "session_id"]))
    conditions = [f"{MICROSECONDS} <= {LONGEST_SECONDS * 1_000_000}"]
    if chart.contains:
        conditions.append(f"{_times(scan, chart.contains)} > 0")
    if chart.min_seconds is not None:
        conditions.append(f"{MICROSECONDS} >= {chart.min_seconds * 1_000_000:.0f}")
    columns = [
        "events.project, events.app",
        f"{literal(segment)} AS segment",
        *(f"{sql} AS {name}" for name, sql in groups.items()),
        f"MIN({'events.event_hour' if chart.interval == 'hour' else 'events.event_date'}) AS started",
        f"{MICROSECONDS}::DOUBLE / 1000000 AS seconds",
        *([f"{_times(scan, chart.event)} AS times"] if chart.event else []),
    ]
    is_in = scan.is_in(segment)
    return f"""
        SELECT {", ".join(columns)}
        FROM {scan.source()}
        LEFT JOIN gold.days AS days
          ON {equal("days", "events", ["project", "app"])} AND days.date = events.event_date
        WHERE events.is_in_session AND {is_in}
        GROUP BY {", ".join([own, *groups.values()])}
        HAVING {" AND ".join(conditions)}
    """


def _times(scan: Scan, part: Part) -> str:
    """How often a session has an event; DuckDB's COUNT_IF would give NULL where no condition is known."""
    return f"COUNT_IF(COALESCE({scan.takes(part)}, FALSE))"


def _points(chart: Sessions, line: list[str]) -> str:
    """The measure of each interval in which sessions began."""
    period, days = "sessions.started", ""
    if chart.interval not in ("hour", "day"):
        period = f"days.{day_column(chart.interval)}"
        on = f"{equal('days', 'sessions', ['project', 'app'])} AND days.date = sessions.started"
        days = f"JOIN gold.days AS days ON {on}"
    keys = [*(f"sessions.{name}" for name in line), "periods.period"]
    buckets = [_bucket_of(chart)] if chart.starts else []
    return f"""
        SELECT {", ".join([*keys, *(f"{sql} AS bucket" for sql in buckets)])}, {chart.metric.sql} AS value
        FROM sessions
        {days}
        JOIN periods
          ON {equal("periods", "sessions", ["project", "app"])} AND periods.period = {period}
        GROUP BY {", ".join([*keys, *buckets])}
    """


def _bucket_of(chart: Sessions) -> str:
    """The start of a session's bucket, NULL before the first one."""
    amount = "sessions.times" if chart.event else "sessions.seconds"
    cases = " ".join(f"WHEN {amount} >= {start} THEN {start}" for start in reversed(chart.starts))
    return f"CASE {cases} END"


def _grid(chart: Sessions, line: list[str]) -> str:
    """Each line in each interval that the chart shows, with each bucket that it has."""
    buckets = " UNION ALL ".join(f"SELECT {start} AS bucket" for start in chart.starts)
    return f"""
        SELECT {listed("lines", line)}, periods.period, periods.is_complete{", buckets.bucket" if buckets else ""}
        FROM lines
        JOIN periods ON {equal("periods", "lines", ["project", "app"])}
        {f"CROSS JOIN ({buckets}) AS buckets" if buckets else ""}
        {f"WHERE periods.last_date >= '{chart.since}'::DATE" if chart.since else ""}
    """


def _active_users(chart: Sessions, query: Query, line: list[str]) -> str:
    """The active users of each line and interval, in sessions or not."""
    scans = " UNION ALL ".join(_active(chart, query, segment) for segment in chart.segments)
    keys = listed("", [*line, "period"])
    return f"SELECT {keys}, COUNT(*) AS users FROM ({scans}) AS actives GROUP BY {keys}"


def _active(chart: Sessions, query: Query, segment: str) -> str:
    scan = Scan(query, chart.interval)
    groups = [f"{scan.group(name)} AS {group_name(name)}" for name in chart.by]
    period = "events.event_hour" if chart.interval == "hour" else f"days.{day_column(chart.interval)}"
    columns = ["events.canonical_amplitude_id", f"{literal(segment)} AS segment", *groups, f"{period} AS period"]
    return select_events(scan, columns, ["events.is_active", scan.is_in(segment)], distinct=True)


def _results(chart: Sessions, line: list[str]) -> str:
    """The measure at each place of the grid."""
    keys = [*line, "period", *_bucket(chart)]
    value = "COALESCE(points.value, 0)" if chart.metric.is_zero_for_nothing else "points.value"
    users = ""
    if chart.metric.is_per_user:
        value = f"{value}::DOUBLE / active_users.users"
        users = f"LEFT JOIN active_users ON {equal('active_users', 'grid', [*line, 'period'])}"
    return f"""
        SELECT {listed("grid", [*keys, "is_complete"])}, {value} AS value
        FROM grid
        LEFT JOIN points ON {equal("points", "grid", keys)}
        {users}
    """
