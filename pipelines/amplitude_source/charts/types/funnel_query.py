"""The query of a funnel chart: how many of its users' best ways reach each step, and when."""

from dataclasses import replace

from ..definitions import Words
from ..durations import seconds_of
from ..queries import (
    LINE,
    Column,
    Compiled,
    Query,
    compose,
    equal,
    line_columns,
    lines,
    listed,
    literal,
    periods,
)
from .funnel import Funnel
from .funnel_events import SECOND, Events, more
from .funnel_paths import latest, tables_of_paths

ENTRIES = 1_000_000_000_000_000
"""More than there are entries."""
DIGITS = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
STATISTICS = (
    "median_seconds",
    "average_seconds",
    "median_seconds_from_start",
    "average_seconds_from_start",
)


def compile_funnel(chart: Funnel, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line and step, for each of these and interval, or for each line and bucket.
    """
    return _Writer(chart, words).compiled()


class _Writer:
    """Writes the tables of a chart.

    A user's longest way (`paths`) counts, then the one that begins first, then the one that is over first. It counts
    once in each segment (`best`), and in conversion over time once in each interval.
    """

    def __init__(self, chart: Funnel, words: Words) -> None:
        self._chart, self._query = chart, Query(words, chart.count_by)
        self._events = Events(chart, self._query)
        self._steps = range(1, len(chart.steps) + 1)
        self._line = [*LINE, *self._events.by]
        self._period = ["period"] if chart.show == "conversion_over_time" else []

    def compiled(self) -> Compiled:
        tables = {
            "periods": periods(self._chart.interval, self._chart.until),
            "spans": self._spans(),
            **self._events.tables(),
            **tables_of_paths(self._chart, self._events, self._query.words),
            "ways": self._ways(),
            "best": " UNION ALL ".join(map(self._best, self._chart.segments, self._events.segments)),
        }
        if self._chart.show == "time_to_convert":
            tables |= {"counted": self._counted(), "results": self._buckets()}
            keys, value = ["from_step", "to_step", "bucket_seconds"], "share"
        else:
            tables |= {
                "sums": self._sums(),
                "lines": lines(self._line, self._chart.segments, "sums"),
                "results": " UNION ALL ".join(map(self._step, self._steps)),
            }
            keys, value = ["step", *self._period], "conversion_from_start"
        query = compose(self._query, tables, self._columns(), [*LINE, *self._events.by, *keys], value)
        return replace(query, place_name="event") if keys[-1] == "step" else query

    def _columns(self) -> list[Column]:
        whole = "Whether the export has all of the time in which users may convert"
        line = line_columns(self._chart.by)
        if self._chart.show == "time_to_convert":
            return [
                *line,
                Column("from_step", "BIGINT", "Number of a step"),
                Column("to_step", "BIGINT", "Number of a later one: the next, or the last for the whole funnel"),
                Column(
                    "bucket_seconds", "BIGINT", "Seconds from the one to the other: so many or more, up to the next"
                ),
                Column("users", "BIGINT", "Users who took so long"),
                Column("share", "DOUBLE", "Their share of all who reached the later step", is_share=True),
                Column("is_complete", "BOOLEAN", whole),
            ]
        unit = self._chart.interval
        period = Column("period", "DATE", f"First day of the {unit} in which users entered with step 1")
        return [
            *line,
            Column("step", "BIGINT", "Number of the step"),
            *([period] if self._period else []),
            Column("event", "VARCHAR", "The event that does it"),
            Column("users", "BIGINT", "Users who reached the step"),
            Column("conversion_from_start", "DOUBLE", "Their share of those who entered", is_share=True),
            Column("conversion_from_previous", "DOUBLE", "Their share of those who reached the step before"),
            Column("median_seconds", "DOUBLE", "Median of their seconds from the step before"),
            Column("average_seconds", "DOUBLE", "Average of the same"),
            Column("median_seconds_from_start", "DOUBLE", "Median of their seconds from step 1"),
            Column("average_seconds_from_start", "DOUBLE", "Average of the same"),
            Column("is_complete", "BOOLEAN", whole),
        ]

    def _spans(self) -> str:
        """The intervals in which users may enter, and whether the conversion window of all who do so is over."""
        since = f"WHERE periods.last_date >= '{self._chart.since}'::DATE" if self._chart.since else ""
        window = f"DATEADD(SECOND, {seconds_of(self._chart.within)}, days.ends_at)"
        return f"""
            SELECT periods.project, periods.app, periods.period,
              periods.is_complete AND {window} <= DATEADD(HOUR, 1, apps.reached_hour) AS is_complete
            FROM periods
            JOIN gold.days AS days
              ON {equal("days", "periods", ["project", "app"])} AND days.date = periods.last_date
            JOIN silver.apps AS apps ON {equal("apps", "periods", ["project", "app"])}
            {since}
        """

    def _whole_spans(self) -> str:
        """All intervals as one, but in conversion over time, and whether they are complete."""
        keys = listed("", ["project", "app", *self._period])
        return f"SELECT {keys}, MIN(IFF(is_complete, 1, 0)) = 1 AS is_complete FROM spans GROUP BY {keys}"

    def _ways(self) -> str:
        """Each way with its entry, and a number by which the longest comes first, then the one that begins first."""
        entry = ["project", "app", *self._events.segments, *self._events.by, "period"]
        return f"""
            SELECT paths.*, {listed("entries", entry)},
              ({self._steps[-1]} - paths.depth) * {ENTRIES} + paths.entry AS standing
            FROM paths
            JOIN entries ON entries.entry = paths.entry
        """

    def _best(self, segment: str, is_in: str) -> str:
        """The way of each user that counts in a segment."""
        counted = ["person", *self._period]
        keys = listed("", counted)
        columns = ["project", "app", *self._events.by, "period", "depth", *(f"m_{step}" for step in self._steps)]
        return f"""
            SELECT {literal(segment)} AS segment, {listed("", columns)}
            FROM (
              SELECT {listed("ways", columns)},
                ROW_NUMBER() OVER (PARTITION BY ways.standing ORDER BY {latest("m", self._steps[-1])}) AS place
              FROM ways
              JOIN (
                SELECT {keys}, MIN(standing) AS standing FROM ways WHERE {is_in} GROUP BY {keys}
              ) AS firsts ON {equal("firsts", "ways", [*counted, "standing"])}
            ) AS ranked
            WHERE place = 1
        """

    # --- conversion

    def _sums(self) -> str:
        """The users of each line, and interval, who reached each step, and how long they took."""
        keys = listed("", [*self._line, *self._period])
        columns = [f"COUNT_IF(depth >= {step}) AS users_{step}" for step in self._steps]
        for step in self._steps[1:]:
            for earlier, name in ((step - 1, "seconds"), (1, "seconds_from_start")):
                took = f"(m_{step} - m_{earlier})"
                columns += [
                    f"MEDIAN({took})::DOUBLE / {SECOND} AS median_{name}_{step}",
                    f"SUM({took})::DOUBLE / NULLIF(COUNT({took}), 0) / {SECOND} AS average_{name}_{step}",
                ]
        return f"SELECT {keys}, {', '.join(columns)} FROM best GROUP BY {keys}"

    def _step(self, step: int) -> str:
        """A step of each line, in each interval."""
        own = self._chart.steps[step - 1]
        same_period = ["sums.period = spans.period"] if self._period else []
        before = f"NULLIF(sums.users_{step - 1}, 0)" if step > 1 else "NULL"
        statistics = ", ".join(f"{f'sums.{name}_{step}' if step > 1 else 'NULL'} AS {name}" for name in STATISTICS)
        return f"""
            SELECT {listed("lines", self._line)}{more("spans", self._period)}, {step} AS step,
              {literal(own.name or own.event)} AS event,
              COALESCE(sums.users_{step}, 0) AS users,
              sums.users_{step}::DOUBLE / sums.users_1 AS conversion_from_start,
              sums.users_{step}::DOUBLE / {before} AS conversion_from_previous, {statistics}, spans.is_complete
            FROM lines
            JOIN ({self._whole_spans()}) AS spans ON {equal("spans", "lines", ["project", "app"])}
            LEFT JOIN sums ON {" AND ".join([equal("sums", "lines", self._line), *same_period])}
        """

    # --- time to convert

    def _counted(self) -> str:
        """The users of each line by how long they took from one step to the next, and from the first to the last."""
        last, size = self._steps[-1], self._chart.bucket_seconds * SECOND
        pairs = dict.fromkeys([*((step - 1, step) for step in self._steps[1:]), (1, last)])
        buckets = " UNION ALL ".join(
            # Whole numbers alone, because Snowflake rounds what it divides to six digits.
            f"""
            SELECT {listed("", self._line)}, {earlier} AS from_step, {later} AS to_step,
              ((m_{later} - m_{earlier}) - MOD(m_{later} - m_{earlier}, {size})) / {size} AS bucket
            FROM best
            WHERE depth >= {later}
            """
            for earlier, later in pairs
        )
        keys = listed("", [*self._line, "from_step", "to_step", "bucket"])
        return f"SELECT {keys}, COUNT(*) AS users FROM ({buckets}) AS buckets GROUP BY {keys}"

    def _buckets(self) -> str:
        """Each line with all buckets up to the last one that anybody is in."""
        line, size = [*self._line, "from_step", "to_step"], self._chart.bucket_seconds
        users = "COALESCE(counted.users, 0)"
        return f"""
            SELECT {listed("lines", line)}, numbers.n * {size} AS bucket_seconds,
              {users} AS users, {users}::DOUBLE / lines.users AS share, spans.is_complete
            FROM (
              SELECT {listed("", line)}, SUM(users) AS users FROM counted GROUP BY {listed("", line)}
            ) AS lines
            JOIN (SELECT project, app, MAX(bucket) AS bucket FROM counted GROUP BY project, app) AS ends
              ON {equal("ends", "lines", ["project", "app"])}
            JOIN (
              SELECT hundreds.n * 100 + tens.n * 10 + ones.n AS n
              FROM ({DIGITS}) AS hundreds CROSS JOIN ({DIGITS}) AS tens CROSS JOIN ({DIGITS}) AS ones
            ) AS numbers ON numbers.n <= ends.bucket
            JOIN ({self._whole_spans()}) AS spans ON {equal("spans", "lines", ["project", "app"])}
            LEFT JOIN counted
              ON {equal("counted", "lines", line)} AND counted.bucket = numbers.n
        """
