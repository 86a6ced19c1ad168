"""The query of a retention chart, written table by table."""

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
    listed,
    literal,
    select_events,
)
from .retention import Retention

WINDOW_DAYS = {"day": 1, "week": 7, "month": 30}
"""Amplitude's lengths of 24-hour windows: retention-analysis-time.md."""
# The numbers that an interval may have: one more than there are days, because some have 25 hours.
NUMBERS = """
  SELECT DISTINCT days.project, days.app, DATEDIFF(DAY, apps.first_date, days.date) + more.n AS n,
    DATEDIFF(DAY, apps.first_date, days.date) + more.n AS last_n
  FROM gold.days AS days
  JOIN silver.apps AS apps
    ON apps.project = days.project AND apps.app = days.app
  CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 AS n) AS more
"""


def compile_retention(chart: Retention, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line, cohort and interval that has begun, and for all cohorts together.
    """
    return _Writer(chart, words).compiled()


class _Writer:
    """Writes the tables of a chart.

    A user is once in the cohort of each interval with a start (`starts`). A return counts in the interval, from a
    start of the cohort on, that it lies in (`numbers_of_users`).
    """

    def __init__(self, chart: Retention, words: Words) -> None:
        self._chart, self._query = chart, Query(words, chart.count_by)
        self._by = [group_name(name) for name in chart.by]
        self._line = [*LINE, *self._by]
        self._is_hourly = chart.windows == "24_hours" and chart.interval == "day"
        self._period = day_column(chart.interval)

    def compiled(self) -> Compiled:
        tables = {
            "starts": self._starts(),
            "comings": self._comings(),
            "numbers_of_users": self._numbers_of_users(),
            "returned": self._returned(),
            "last_returned": self._last_returned(),
            "cohorts": self._cohorts(),
            "numbers": self._numbers(),
            "cells": self._cells(),
            "results": self._results(),
        }
        keys = [*self._line, "cohort", "interval_number"]
        return compose(self._query, tables, self._columns(), keys, "returned_on_rate")

    def _columns(self) -> list[Column]:
        unit = self._chart.interval
        window = "this bracket" if self._chart.brackets else f"this {unit}"
        day = "Day of the start event" if unit == "day" else f"First day of the {unit} of the start event"
        return [
            *line_columns(self._chart.by),
            Column("cohort", "VARCHAR", f"{day}; (all) sums up the complete cells of all cohorts"),
            Column("interval_number", "BIGINT", f"Number of the {unit}: 0 for the one of the start, 1 for the next"),
            *self._bracket_columns(),
            Column("users", "BIGINT", "Users of the cohort"),
            Column("returned_on", "BIGINT", f"Those who came back in {window}"),
            Column("returned_on_or_after", "BIGINT", f"Those who came back in {window} or later"),
            Column("returned_on_rate", "DOUBLE", "Their share", "returned_on::DOUBLE / users", is_share=True),
            Column("returned_on_or_after_rate", "DOUBLE", "Their share", "returned_on_or_after::DOUBLE / users"),
            Column("is_complete", "BOOLEAN", f"Whether {window} is over for all of the cohort"),
        ]

    def _bracket_columns(self) -> list[Column]:
        comment = f"Number of the last {self._chart.interval} of the bracket, which begins with interval_number"
        return [Column("last_interval_number", "BIGINT", comment)] if self._chart.brackets else []

    # --- events

    def _starts(self) -> str:
        """Each start: its line, its user, its moment, and the first day of its interval, the cohort."""
        return " UNION ALL ".join(self._start_scan(segment) for segment in self._chart.segments)

    def _start_scan(self, segment: str) -> str:
        chart, scan = self._chart, Scan(self._query)
        is_new = chart.start.event == "_new"
        event = Part.model_construct(event="_all", where=chart.start.where) if is_new else chart.start
        conditions = [scan.takes(event), scan.is_in(segment)]
        moment, firsts = self._moment("events"), ""
        if is_new:
            # A new user is in the segments of the whole interval of the calendar, or of the first hour or day.
            self._query.firsts()
            first = "firsts.first_hour" if self._is_hourly else "firsts.first_date"
            firsts = f"""
                JOIN firsts ON {equal("firsts", "events", USER)}
                JOIN gold.days AS first_days
                  ON {equal("first_days", "firsts", ["project", "app"])} AND first_days.date = firsts.first_date
            """
            same = f"first_days.{self._period} = days.{self._period}"
            conditions.append(same if chart.windows == "calendar" else f"{first} = {moment}")
            moment = first
        if chart.since:
            conditions.append(f"{self._end('days')} > '{chart.since}'::DATE")
        if chart.until:
            conditions.append(f"days.{self._period} <= '{chart.until}'::DATE")
        groups = [f"{scan.group(name)} AS {own}" for name, own in zip(chart.by, self._by, strict=True)]
        columns = [
            "events.canonical_amplitude_id",
            f"{literal(segment)} AS segment",
            *groups,
            f"days.{self._period} AS cohort_date",
            f"{moment} AS moment",
        ]
        return select_events(scan, columns, conditions, joins=firsts, distinct=True)

    def _comings(self) -> str:
        """Each moment at which a user did the return event."""
        scan = Scan(self._query)
        condition = scan.takes(self._chart.return_)
        columns = ["events.canonical_amplitude_id", f"{self._moment('events')} AS moment"]
        return select_events(scan, columns, [condition], distinct=True)

    def _moment(self, table: str) -> str:
        return f"{table}.event_hour" if self._is_hourly else f"{table}.event_date"

    def _end(self, table: str) -> str:
        """Return the first day of the interval after that of a row of gold.days."""
        return f"DATEADD({self._chart.interval}, 1, {table}.{self._period})::DATE"

    # --- numbers of intervals

    def _numbers_of_users(self) -> str:
        """The intervals in which each user of a cohort came back."""
        start = "MIN(starts.moment)" if self._chart.windows == "calendar" else "starts.moment"
        keys = listed("starts", [*self._line, "cohort_date", "canonical_amplitude_id"])
        grouped = f"GROUP BY {keys}" if self._chart.windows == "calendar" else ""
        line = listed("starts", [*self._line, "cohort_date", "canonical_amplitude_id"])
        return f"""
            SELECT DISTINCT {line}, {self._number()} AS interval_number
            FROM (SELECT {keys}, {start} AS moment FROM starts {grouped}) AS starts
            JOIN comings
              ON {equal("comings", "starts", USER)}
              AND comings.moment >= starts.moment
            {self._days_of_comings()}
        """

    def _days_of_comings(self) -> str:
        if self._chart.windows != "calendar":
            return ""
        return f"""
            JOIN gold.days AS days
              ON {equal("days", "comings", ["project", "app"])} AND days.date = comings.moment
        """

    def _number(self) -> str:
        """Return the number of the interval that a return lies in."""
        if self._chart.windows == "calendar":
            return self._steps("starts.cohort_date", f"days.{self._period}")
        if self._is_hourly:
            return "FLOOR(DATEDIFF(MINUTE, starts.moment, comings.moment) / 1440)::BIGINT"
        return f"FLOOR(DATEDIFF(DAY, starts.moment, comings.moment) / {WINDOW_DAYS[self._chart.interval]})::BIGINT"

    def _steps(self, first: str, later: str) -> str:
        """Return how many intervals of the calendar lie between the first days of two."""
        unit = self._chart.interval
        days = f"DATEDIFF({'MONTH' if unit == 'month' else 'DAY'}, {first}, {later})"
        return f"FLOOR({days} / 7)::BIGINT" if unit == "week" else days

    def _returned(self) -> str:
        """The users of a cohort who came back in each interval, or in each bracket of them."""
        keys = listed("", [*self._line, "cohort_date", "interval_number"])
        if not self._chart.brackets:
            return f"SELECT {keys}, COUNT(*) AS users FROM numbers_of_users GROUP BY {keys}"
        cases = " ".join(
            f"WHEN interval_number BETWEEN {first} AND {last} THEN {first}" for first, last in self._chart.bounds
        )
        user = listed("", [*self._line, "cohort_date", "canonical_amplitude_id"])
        return f"""
            SELECT {keys}, COUNT(*) AS users
            FROM (SELECT DISTINCT {user}, CASE {cases} END AS interval_number FROM numbers_of_users) AS in_brackets
            GROUP BY {keys}
        """

    def _last_returned(self) -> str:
        """The users of a cohort by the last interval in which they came back, or by the bracket up to which."""
        user = listed("", [*self._line, "cohort_date", "canonical_amplitude_id"])
        keys = listed("", [*self._line, "cohort_date", "interval_number"])
        firsts = " ".join(f"WHEN MAX(interval_number) >= {first} THEN {first}" for first, _ in self._chart.bounds[::-1])
        last = f"CASE {firsts} END" if firsts else "MAX(interval_number)"
        return f"""
            SELECT {keys}, COUNT(*) AS users
            FROM (SELECT {user}, {last} AS interval_number FROM numbers_of_users GROUP BY {user}) AS lasts
            GROUP BY {keys}
        """

    def _cohorts(self) -> str:
        keys = listed("", [*self._line, "cohort_date"])
        return f"""
            SELECT {keys}, COUNT(DISTINCT canonical_amplitude_id) AS users, MIN(moment) AS first_moment
            FROM starts
            GROUP BY {keys}
        """

    # --- cells

    def _numbers(self) -> str:
        """The first and the last interval of each bracket; without brackets each alone."""
        if not self._chart.brackets:
            return NUMBERS
        bounds = " UNION ALL ".join(f"SELECT {first} AS n, {last} AS last_n" for first, last in self._chart.bounds)
        return f"SELECT apps.project, apps.app, n, last_n FROM silver.apps AS apps CROSS JOIN ({bounds}) AS bounds"

    def _cells(self) -> str:
        """Each interval of each cohort that has begun by the export's last day, and whether it is over for all."""
        line = [*self._line, "cohort_date"]
        joins = " ".join(
            f"LEFT JOIN {table} ON {equal(table, 'cohorts', line)} AND {table}.interval_number = numbers.n"
            for table in ("returned", "last_returned")
        )
        return f"""
            SELECT {listed("cohorts", line)}, numbers.n AS interval_number, numbers.last_n AS last_interval_number,
              cohorts.users,
              COALESCE(returned.users, 0) AS returned_on,
              SUM(COALESCE(last_returned.users, 0)) OVER (
                PARTITION BY {listed("cohorts", line)} ORDER BY numbers.n DESC ROWS UNBOUNDED PRECEDING
              ) AS returned_on_or_after,
              {self._is_over()} AS is_complete
            FROM cohorts
            JOIN silver.apps AS apps ON {equal("apps", "cohorts", ["project", "app"])}
            JOIN gold.days AS frontiers
              ON {equal("frontiers", "cohorts", ["project", "app"])} AND frontiers.date = apps.frontier_date
            JOIN numbers ON {equal("numbers", "cohorts", ["project", "app"])} AND {self._has_begun()}
            LEFT JOIN gold.days AS own
              ON {equal("own", "cohorts", ["project", "app"])} AND own.date = cohorts.cohort_date
            {joins}
        """

    def _has_begun(self) -> str:
        if self._chart.windows == "calendar":
            return f"numbers.n <= {self._steps('cohorts.cohort_date', f'frontiers.{self._period}')}"
        if self._is_hourly:
            return "DATEADD(HOUR, 24 * numbers.n, cohorts.first_moment) < frontiers.ends_at"
        days = WINDOW_DAYS[self._chart.interval]
        return f"DATEADD(DAY, {days} * numbers.n, cohorts.first_moment)::DATE <= frontiers.date"

    def _is_over(self) -> str:
        if self._chart.windows == "calendar":
            return f"numbers.last_n < {self._steps('cohorts.cohort_date', f'frontiers.{self._period}')}"
        if self._is_hourly:  # for a start in the last hour of the cohort's day
            return "DATEADD(HOUR, 24 * (numbers.last_n + 1) - 2, own.ends_at) < frontiers.starts_at"
        unit, days = self._chart.interval, WINDOW_DAYS[self._chart.interval]
        last_day = f"DATEADD(DAY, -1, DATEADD({unit}, 1, cohorts.cohort_date))"
        return f"DATEADD(DAY, {days} * (numbers.last_n + 1), {last_day})::DATE <= frontiers.date"

    def _results(self) -> str:
        """The cells, and for all cohorts together the sums of those that are complete."""
        sums = "SUM(users) AS users, SUM(returned_on) AS returned_on, SUM(returned_on_or_after) AS returned_on_or_after"
        keys = listed("", self._line)
        return f"""
            SELECT {keys}, TO_CHAR(cohort_date::DATE, 'yyyy-mm-DD') AS cohort, interval_number,
              last_interval_number, users, returned_on, returned_on_or_after, is_complete
            FROM cells
            UNION ALL
            SELECT {keys}, '(all)' AS cohort, interval_number, last_interval_number, {sums}, TRUE AS is_complete
            FROM cells
            WHERE is_complete
            GROUP BY {keys}, interval_number, last_interval_number
        """
