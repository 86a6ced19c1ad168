"""The examples of Amplitude's pages, each with the numbers that the page has."""

from datetime import date, datetime, timedelta

import pytest

from support.chart_gold import Gold, at


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


@pytest.mark.parametrize("gold", [(date(2026, 6, 1), date(2026, 6, 1))], indirect=True)
def test_what_is_divided_by_nothing_is_no_number_and_no_error(gold: Gold) -> None:
    """In Snowflake it would be an error, in DuckDB infinite, which is more than anything."""
    gold.add(1, "Event A", at(6, 1))
    nothing = "(canonical_amplitude_id - canonical_amplitude_id)"
    for where in (f"1 / {nothing} > 0", f"COALESCE(5 % {nothing}, 1) = 0"):
        part = {"event": "Event A", "where": where}
        assert gold.answer("value", type="segmentation", events=[part], measure="totals") == [(0.0,)]
