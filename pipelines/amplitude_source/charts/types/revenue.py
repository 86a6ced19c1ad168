"""Revenue charts: how much new users bring in, so many days, weeks or months after they came.

Amplitude's pages: revenue-ltv-track-new-user-monetization.md, revenue-ltv-interpret.md; retention-analysis-time.md for
where a window begins.
"""

from typing import ClassVar, Literal

from ..chart import Chart
from ..definitions import AnyPart, Part, Words
from ..expressions import NumberName
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
from .retention_query import NUMBERS, WINDOW_DAYS

# The last day of each app.
FRONTIERS = """
  SELECT days.project, days.app, days.date, days.starts_at, days.ends_at
  FROM silver.apps AS apps
  JOIN gold.days AS days
    ON days.project = apps.project AND days.app = apps.app AND days.date = apps.frontier_date
"""


class Revenue(Chart):
    """A chart of the revenue from new users."""

    columns: ClassVar = (
        *LINE,
        "cohort",
        "interval_number",
        "users",
        "paying_users",
        "new_paying_users",
        "revenue",
        "arpu",
        "arppu",
        "is_complete",
    )

    type: Literal["revenue"]
    event: AnyPart = Part.model_construct(event="_all", where=None)
    """The revenue event, in whatever segment. Default: any with a value in the column of `of`."""
    of: NumberName = "revenue"
    """The column with the revenue."""
    interval: Literal["day", "week", "month"] = "day"
    """What is counted: windows of 24 hours, 7 or 30 days after a user's first event."""

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [self.event]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"{self.of} per new user, by {self.interval}"


def compile_revenue(chart: Revenue, words: Words) -> Compiled:
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

    Each new user (`members`) counts from their first interval to the last one that has begun for them. Those of a
    cohort who share that last one are a group (`groups`), with what it has paid (`paid`) in each interval (`cells`).
    """

    def __init__(self, chart: Revenue, words: Words) -> None:
        self._chart, self._query = chart, Query(words, chart.count_by)
        self._query.firsts()
        self._line = [*LINE, *map(group_name, chart.by)]
        self._group = [*self._line, "cohort_date", "last_number"]
        self._is_hourly = chart.interval == "day"
        self._period = day_column(chart.interval)

    def compiled(self) -> Compiled:
        tables = {
            "frontiers": FRONTIERS,
            "newcomers": " UNION ALL ".join(self._newcomers(segment) for segment in self._chart.segments),
            "members": self._members(),
            "amounts": self._amounts(),
            "payments": self._payments(),
            "paid": self._paid(),
            "groups": self._groups(),
            "numbers": NUMBERS,
            "cells": self._cells(),
            "results": self._results(),
        }
        return compose(self._query, tables, self._columns(), [*self._line, "cohort", "interval_number"], "arpu")

    def _columns(self) -> list[Column]:
        unit = self._chart.interval
        day = "Day of the first event" if unit == "day" else f"First day of the {unit} of the first event"
        return [
            *line_columns(self._chart.by),
            Column("cohort", "VARCHAR", f"{day}; (all) for all cohorts together"),
            Column(
                "interval_number", "BIGINT", f"Number of the {unit}: 0 for the one that begins with the first event"
            ),
            Column("users", "BIGINT", f"New users for whom the {unit} has begun"),
            Column("paying_users", "BIGINT", "Those with a revenue event, at whatever time"),
            Column("new_paying_users", "BIGINT", f"Those whose first revenue event is of this {unit}"),
            Column("revenue", "DOUBLE", f"What they brought in up to the end of the {unit}"),
            Column("arpu", "DOUBLE", "Revenue per user", "revenue::DOUBLE / users"),
            Column(
                "arppu",
                "DOUBLE",
                "Revenue per paying user; NULL where nobody pays",
                "revenue::DOUBLE / NULLIF(paying_users, 0)",
            ),
            Column("is_complete", "BOOLEAN", f"Whether the {unit} is over for all of the cohort"),
        ]

    # --- users

    def _newcomers(self, segment: str) -> str:
        """Each new user of a segment, with the moment of the first event: an hour, or a day.

        They are in the segments of the events of that hour or day, and have the values of these: the page on retention.
        """
        chart, scan = self._chart, Scan(self._query)
        first = f"firsts.first_{self._moment}"
        conditions = [scan.is_in(segment), f"events.event_{self._moment} = {first}"]
        if chart.since:
            conditions.append(f"DATEADD({chart.interval}, 1, days.{self._period})::DATE > '{chart.since}'::DATE")
        if chart.until:
            conditions.append(f"days.{self._period} <= '{chart.until}'::DATE")
        columns = [
            "events.canonical_amplitude_id",
            f"{literal(segment)} AS segment",
            *(f"{scan.group(name)} AS {group_name(name)}" for name in chart.by),
            f"days.{self._period} AS cohort_date",
            f"{first} AS moment",
        ]
        firsts = f"JOIN firsts ON {equal('firsts', 'events', USER)}"
        return select_events(scan, columns, conditions, joins=firsts, distinct=True)

    @property
    def _moment(self) -> str:
        return "hour" if self._is_hourly else "date"

    def _members(self) -> str:
        """The new users, with the number of the last interval that has begun for them."""
        end = "DATEADD(MINUTE, -1, frontiers.ends_at)" if self._is_hourly else "frontiers.date"
        return f"""
            SELECT newcomers.*, {self._number("newcomers.moment", end)} AS last_number
            FROM newcomers
            JOIN frontiers ON {equal("frontiers", "newcomers", ["project", "app"])}
        """

    def _number(self, first: str, later: str) -> str:
        """Return the number of the interval, from a first moment on, that a later one lies in."""
        unit, length = ("MINUTE", 24 * 60) if self._is_hourly else ("DAY", WINDOW_DAYS[self._chart.interval])
        return f"FLOOR(DATEDIFF({unit}, {first}, {later}) / {length})::BIGINT"

    # --- revenue

    def _amounts(self) -> str:
        """Each amount that a user paid, with the number of the interval."""
        scan = Scan(self._query, self._chart.interval)
        amount, first = scan.value(self._chart.of), f"paying.first_{self._moment}"
        conditions = [scan.takes(self._chart.event), f"NOT {amount} IS NULL"]
        number = self._number(first, f"events.event_{self._moment}")
        columns = ["events.canonical_amplitude_id", f"{number} AS number", f"{amount} AS amount"]
        firsts = f"JOIN firsts AS paying ON {equal('paying', 'events', USER)}"
        return select_events(scan, columns, conditions, joins=firsts)

    def _payments(self) -> str:
        """What each user paid in each interval, and whether it was the first."""
        keys = listed("", [*USER, "number"])
        return f"""
            SELECT *, number = MIN(number) OVER (PARTITION BY {listed("", USER)}) AS is_first
            FROM (SELECT {keys}, SUM(amount) AS amount FROM amounts GROUP BY {keys}) AS paying
        """

    def _paid(self) -> str:
        """What each group paid in each interval, and how many did so for the first time."""
        keys = f"{listed('members', self._group)}, payments.number"
        return f"""
            SELECT {keys}, SUM(payments.amount) AS amount, COUNT_IF(payments.is_first) AS payers
            FROM members
            JOIN payments ON {equal("payments", "members", USER)}
            GROUP BY {keys}
        """

    def _groups(self) -> str:
        keys = listed("", self._group)
        return f"SELECT {keys}, COUNT(*) AS users, MAX(moment) AS last_moment FROM members GROUP BY {keys}"

    # --- cells

    def _cells(self) -> str:
        """Each interval of each group, with what it has paid up to then."""
        group = f"PARTITION BY {listed('groups', self._group)}"
        cohort = f"PARTITION BY {listed('groups', [*self._line, 'cohort_date'])}"
        return f"""
            SELECT {listed("groups", [*self._line, "cohort_date"])}, numbers.n AS interval_number, groups.users,
              SUM(COALESCE(paid.payers, 0)) OVER ({group}) AS paying_users,
              COALESCE(paid.payers, 0) AS new_paying_users,
              SUM(COALESCE(paid.amount, 0)) OVER ({group} ORDER BY numbers.n ROWS UNBOUNDED PRECEDING) AS revenue,
              {self._is_over(f"MAX(groups.last_moment) OVER ({cohort})")} AS is_complete
            FROM groups
            JOIN numbers
              ON {equal("numbers", "groups", ["project", "app"])} AND numbers.n <= groups.last_number
            JOIN frontiers ON {equal("frontiers", "groups", ["project", "app"])}
            LEFT JOIN paid ON {equal("paid", "groups", self._group)} AND paid.number = numbers.n
        """

    def _is_over(self, last_moment: str) -> str:
        if self._is_hourly:
            return f"DATEADD(HOUR, 24 * (numbers.n + 1), {last_moment}) <= frontiers.starts_at"
        length = WINDOW_DAYS[self._chart.interval]
        return f"DATEADD(DAY, {length} * (numbers.n + 1), {last_moment})::DATE <= frontiers.date"

    def _results(self) -> str:
        """The cells of each cohort, and of all users for whom the interval has begun."""
        sums = ", ".join(f"SUM({name}) AS {name}" for name in ("users", "paying_users", "new_paying_users", "revenue"))
        sums = f"{sums}, MIN(IFF(is_complete, 1, 0)) = 1 AS is_complete"
        keys = listed("", self._line)
        return f"""
            SELECT {keys}, TO_CHAR(cohort_date::DATE, 'yyyy-mm-DD') AS cohort, interval_number, {sums}
            FROM cells
            GROUP BY {keys}, cohort_date, interval_number
            UNION ALL
            SELECT {keys}, '(all)' AS cohort, interval_number, {sums}
            FROM cells
            GROUP BY {keys}, interval_number
        """
