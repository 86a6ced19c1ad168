"""The examples of Amplitude's pages on the Revenue LTV chart; the pages name days and hours, and no amounts."""

from datetime import date, timedelta

import pytest

from support.chart_gold import Gold, at

HOUR = timedelta(hours=1)
DECEMBER = pytest.mark.parametrize("gold", [(date(2026, 12, 5), date(2026, 12, 20))], indirect=True)


@DECEMBER
def test_day_1_has_the_revenue_by_the_48th_hour_and_day_5_that_by_the_144th(gold: Gold) -> None:
    """revenue-ltv-interpret.md."""
    gold.add(1, "Start", start := at(12, 5))
    for hour, amount in ((0, 1), (47, 10), (48, 100), (143, 1000), (144, 10000)):
        gold.add(1, "Order Paid", start + hour * HOUR, revenue=amount)
    gold.add(1, "Order Paid", start + HOUR)  # without revenue it is no revenue event
    rows = gold.answer("interval_number, revenue, cohort", type="revenue")
    revenue = {number: amount for number, amount, cohort in rows if cohort == "(all)"}
    assert [revenue[day] for day in (0, 1, 2, 5, 6)] == [1, 11, 111, 1111, 11111]
    assert max(revenue) == 15


@DECEMBER
def test_a_user_who_pays_on_the_fifth_day_is_a_paying_user_before(gold: Gold) -> None:
    """revenue-ltv-track-new-user-monetization.md, ARPPU; New Paying Users counts them on the day itself."""
    for user in (1, 2):
        gold.add(user, "Start", at(12, 5))
    gold.add(1, "Order Paid", at(12, 5, 13), revenue=6)
    gold.add(2, "Order Paid", at(12, 10), revenue=4)
    columns = "interval_number, paying_users, new_paying_users, arpu, arppu"
    rows = gold.answer(columns, type="revenue", until=date(2026, 12, 5))
    assert sorted({*rows})[:6] == [
        (0, 2, 1, 3, 3),
        *((day, 2, 0, 3, 3) for day in range(1, 5)),
        (5, 2, 1, 5, 5),
    ]


@DECEMBER
def test_users_who_started_less_than_ten_days_ago_are_not_in_day_10(gold: Gold) -> None:
    """revenue-ltv-interpret.md: this can lead to drops in ARPU near the end."""
    gold.add(1, "Start", at(12, 10))
    gold.add(2, "Start", at(12, 11))
    gold.add(2, "Order Paid", at(12, 11), revenue=8)
    rows = gold.answer("interval_number, users, arpu, is_complete, cohort", type="revenue")
    of_all = [row[:-1] for row in rows if row[-1] == "(all)"]
    assert of_all[7:] == [(7, 2, 4, True), (8, 2, 4, False), (9, 2, 4, False), (10, 1, 0, False)]


@DECEMBER
def test_hours_are_rounded_down_and_a_segment_goes_by_the_first_of_them(gold: Gold) -> None:
    """retention-analysis-time.md, Daily and Retention types, because the pages on revenue do not say."""
    gold.add(1, "Start", at(12, 5, 17, 59), platform="Web")
    gold.add(1, "Order Paid", at(12, 6, 17), revenue=5, platform="iOS")
    rows = gold.answer("platform, interval_number, new_paying_users", type="revenue", by=["platform"])
    assert [row for row in rows if row[2]] == [("Web", 1, 1)] * 2
