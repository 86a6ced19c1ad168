"""The examples of Amplitude's pages, each with the numbers that the page has."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from amplitude_source.charts.book import TYPES, compiled
from amplitude_source.charts.definitions import Words
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, SQL_TYPES, USER_COLUMNS, Vocabulary

WORDS = Words(Vocabulary(EVENT_COLUMNS, USER_COLUMNS))
KEYS = "'default' AS project, 1 AS app"


class Gold:
    """The tables that charts read, with a few events in UTC; weeks start on Monday.

    Args:
        first: the first day.
        last: the last day.
    """

    def __init__(self, first: date, last: date) -> None:
        self._connection = duckdb.connect()
        columns = ", ".join(f"{name} {SQL_TYPES[kind].removesuffix('NTZ')}" for name, kind in EVENT_COLUMNS.items())
        hours = f"{KEYS}, hour, hour::DATE AS date, TRUE AS is_complete"
        days = (
            f"{KEYS}, day::DATE AS date, day AS starts_at, day + INTERVAL 1 DAY AS ends_at, TRUE AS is_complete, "
            "DATE_TRUNC('week', day)::DATE AS week, DATE_TRUNC('month', day)::DATE AS month, "
            "DATE_TRUNC('quarter', day)::DATE AS quarter"
        )
        span = f"TIMESTAMP '{first}', TIMESTAMP '{last} 23:00:00'"
        for statement in (
            "CREATE SCHEMA gold; CREATE SCHEMA silver",
            f"CREATE TABLE gold.events (project TEXT, app BIGINT, is_before_export BOOLEAN, {columns})",
            f"CREATE TABLE gold.days AS SELECT {days} FROM RANGE({span}, INTERVAL 1 DAY) AS days(day)",
            f"CREATE TABLE gold.hours AS SELECT {hours} FROM GENERATE_SERIES({span}, INTERVAL 1 HOUR) AS hours(hour)",
            f"CREATE TABLE silver.apps AS SELECT {KEYS}, DATE '{first}' AS first_date, DATE '{last}' AS frontier_date",
        ):
            self._connection.execute(statement)

    def add(self, user: int, event_type: str, *times: datetime) -> None:
        """Adds a user's events of an active type."""
        for time in times:
            hour = time.replace(minute=0)
            self._connection.execute(
                "INSERT INTO gold.events BY NAME SELECT 'default' AS project, 1 AS app, FALSE AS is_before_export, "
                "TRUE AS is_active, ? AS canonical_amplitude_id, ? AS event_type, ? AS event_time, ? AS event_hour, "
                "? AS event_date",
                [user, event_type, time, hour, time.date()],
            )

    def answer(self, columns: str, **spec: Any) -> Sequence[tuple[Any, ...]]:
        """Some columns of a chart's rows, sorted."""
        chart = TYPES[spec["type"]].model_validate(spec, context=WORDS)
        sql = compiled(chart, WORDS).for_engine("duckdb")
        return self._connection.execute(f"SELECT {columns} FROM ({sql}) ORDER BY ALL").fetchall()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def gold(request: pytest.FixtureRequest) -> Iterator[Gold]:
    """Gold with the days that the test names."""
    tables = Gold(*request.param)
    yield tables
    tables.close()


def at(month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute)


@pytest.mark.parametrize("gold", [(date(2026, 6, 1), date(2026, 6, 1))], indirect=True)
def test_an_average_leaves_out_users_who_did_not_do_it(gold: Gold) -> None:
    """event-segmentation-choose-measurement.md, Average, Example: (1 + 2) / 2 users = 1.5."""
    gold.add(1, "Event A", at(6, 1))
    gold.add(2, "Event A", at(6, 1), at(6, 1, 13))
    gold.add(3, "Event B", at(6, 1))
    assert gold.answer("value", type="segmentation", events=["Event A"], measure="average") == [(1.5,)]


@pytest.mark.parametrize("gold", [(date(2026, 4, 5), date(2026, 4, 19))], indirect=True)
def test_a_cumulative_chart_of_uniques_counts_each_user_once(gold: Gold) -> None:
    """event-segmentation-interpret-2.md, Cumulative sum: four users from April 5th to April 19th."""
    for user, day in ((1, 5), (1, 11), (2, 11), (3, 19), (4, 19)):
        gold.add(user, "Complete Purchase", at(4, day))
    rows = gold.answer("period, value", type="segmentation", events=["Complete Purchase"], cumulative=True)
    assert [value for _, value in rows] == [1] * 6 + [2] * 8 + [4]


@pytest.mark.parametrize("gold", [(date(2026, 1, 1), date(2026, 2, 28))], indirect=True)
@pytest.mark.parametrize(("mode", "expected"), [("rolling_average", 2.0), ("rolling_window", 14.0)])
def test_a_rolling_point_reaches_back_before_the_charts_first_day(gold: Gold, mode: str, expected: float) -> None:
    """event-segmentation-interpret-2.md, Rolling averages: February 6th is made of January 31st to February 6th."""
    for day in range(7):  # two events a day, and many on the day before
        time = at(1, 31) + timedelta(days=day)
        gold.add(1, "Play", time, time + timedelta(hours=1))
    gold.add(1, "Play", *[at(1, 30)] * 50)
    spec = {"type": "segmentation", "events": ["Play"], "measure": "totals", "since": date(2026, 2, 1)}
    rows = dict(gold.answer("period, value", **spec, **{mode: 7}))
    assert rows[date(2026, 2, 6)] == expected
    assert min(rows) == date(2026, 2, 1)


@pytest.mark.parametrize("gold", [(date(2021, 11, 29), date(2022, 1, 31))], indirect=True)
@pytest.mark.parametrize(
    ("user", "interval", "windows", "expected"),
    [
        (1, "day", "24_hours", 1),
        (1, "day", "calendar", 1),
        (2, "week", "24_hours", 0),
        (2, "week", "calendar", 1),
        (3, "month", "24_hours", 0),
        (3, "month", "calendar", 0),
    ],
)
def test_a_return_counts_in_its_window_or_in_its_interval_of_the_calendar(
    gold: Gold, user: int, interval: str, windows: str, expected: int
) -> None:
    """retention-analysis-time.md: three users who start on December 1st or 6th."""
    start, back = {
        1: (datetime(2021, 12, 1, 17, 59), datetime(2021, 12, 2, 17, 0)),
        2: (datetime(2021, 12, 1, 12, 0), datetime(2021, 12, 6, 12, 0)),
        3: (datetime(2021, 12, 6, 12, 0), datetime(2021, 12, 12, 12, 0)),
    }[user]
    gold.add(user, "Start", start)
    gold.add(user, "Return", back)
    came = gold.answer(
        "interval_number, returned_on, cohort",
        **{"type": "retention", "start": "Start", "return": "Return", "interval": interval, "windows": windows},
    )
    assert [number for number, users, cohort in came if users and cohort != "(all)"] == [expected]


@pytest.mark.parametrize("gold", [(date(2026, 1, 1), date(2026, 1, 20))], indirect=True)
def test_a_bracket_counts_whoever_came_back_on_one_of_its_days(gold: Gold) -> None:
    """retention-analysis-interpret.md, Return On (Custom): days 0, 1 to 3, 4 to 6 and 7 to 11."""
    for user, days in ((1, (1, 3)), (2, (5,)), (3, (12,))):
        gold.add(user, "Start", at(1, 4))
        gold.add(user, "Return", *(at(1, 4) + timedelta(days=day) for day in days))
    came = gold.answer(
        "interval_number, last_interval_number, returned_on, returned_on_or_after",
        **{"type": "retention", "start": "Start", "return": "Return", "brackets": [0, "1-3", "4-6", "7-11"]},
    )
    assert sorted({*came}) == [(0, 0, 0, 3), (1, 3, 1, 3), (4, 6, 1, 2), (7, 11, 0, 1)]


@pytest.mark.parametrize("gold", [(date(2026, 3, 1), date(2026, 3, 31))], indirect=True)
def test_a_usage_interval_is_the_median_time_of_users_with_two_days_or_more(gold: Gold) -> None:
    """retention-analysis-interpret-usage.md: each user's median; only those with two different days."""
    for user, days in ((1, (1, 3, 5, 30)), (2, (1, 5, 9)), (3, (1, 8)), (4, (2,)), (5, (2, 2))):
        gold.add(user, "Purchase Song or Video", *(at(3, day, minute=number) for number, day in enumerate(days)))
    rows = gold.answer(
        "intervals, users, users_up_to, all_users", type="usage_interval", event="Purchase Song or Video"
    )
    assert rows == [(1, 0, 0, 3), (2, 1, 1, 3), (3, 0, 1, 3), (4, 1, 2, 3), (5, 0, 2, 3), (6, 0, 2, 3), (7, 1, 3, 3)]


@pytest.mark.parametrize("gold", [(date(2026, 6, 1), date(2026, 6, 1))], indirect=True)
def test_what_is_divided_by_nothing_is_no_number_and_no_error(gold: Gold) -> None:
    """In Snowflake it would be an error, in DuckDB infinite, which is more than anything."""
    gold.add(1, "Event A", at(6, 1))
    nothing = "(canonical_amplitude_id - canonical_amplitude_id)"
    for where in (f"1 / {nothing} > 0", f"COALESCE(5 % {nothing}, 1) = 0"):
        part = {"event": "Event A", "where": where}
        assert gold.answer("value", type="segmentation", events=[part], measure="totals") == [(0.0,)]
