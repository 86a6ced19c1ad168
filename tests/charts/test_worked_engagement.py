"""What Amplitude's page on the Engagement Matrix says of its numbers: engagement-matrix-discover.md."""

from datetime import date, timedelta

import pytest

from support.chart_gold import Gold, at

TWO_DAYS = pytest.mark.parametrize("gold", [(date(2026, 6, 1), date(2026, 6, 2))], indirect=True)


@TWO_DAYS
def test_times_are_an_average_of_the_averages_of_days_that_had_users(gold: Gold) -> None:
    """Average Times Performed."""
    gold.add(1, "Play", *[at(6, 1)] * 5)
    gold.add(2, "Play", at(6, 1))
    gold.add(3, "Look", at(6, 1), at(6, 2))
    columns = "event, times, active_share, average_times"
    assert gold.answer(columns, type="engagement_matrix") == [("Look", 2, (1 / 3 + 1) / 2, 1), ("Play", 6, 1 / 3, 3)]


@pytest.mark.parametrize("gold", [(date(2026, 6, 1), date(2026, 6, 14))], indirect=True)
def test_days_are_counted_within_the_interval(gold: Gold) -> None:
    """Average Days Performed: in one week three days and one, in the other nobody did it."""
    gold.add(1, "Play", *(at(6, 1) + number * timedelta(days=1) for number in range(3)))
    gold.add(2, "Play", *[at(6, 7)] * 4)
    gold.add(2, "Look", at(6, 8))
    spec = {"type": "engagement_matrix", "interval": "week", "events": ["Play", "Never"]}
    columns = "event, active_share, average_times, average_days"
    assert gold.answer(columns, **spec) == [("Never", 0, None, None), ("Play", 0.5, 3.5, 2)]


@TWO_DAYS
def test_more_users_than_there_are_active_ones_may_do_an_inactive_event(gold: Gold) -> None:
    """The note on inactive events."""
    gold.add(1, "Play", at(6, 1))
    for user in (1, 2, 3):
        gold.add(user, "Push Received", at(6, 1), is_active=False)
    assert gold.answer("active_share", type="engagement_matrix", events=["Push Received"]) == [(3,)]
    assert gold.answer("event", type="engagement_matrix") == [("Play",)]
