"""What Amplitude's pages on User Composition say of a user's values."""

from datetime import date

import pytest

from support.chart_gold import Gold, at

JUNE = pytest.mark.parametrize("gold", [(date(2026, 6, 1), date(2026, 6, 30))], indirect=True)


@JUNE
def test_the_most_recent_value_is_that_of_the_latest_active_event(gold: Gold) -> None:
    """The FAQ: a later event that is not active changes nothing, and an active one without the value means (none)."""
    gold.add(1, "Play", at(6, 1), city="Bern")
    gold.add(1, "Play", at(6, 2), city="Rome")
    gold.add(1, "Push Received", at(6, 3), city="Oslo", is_active=False)
    gold.add(2, "Play", at(6, 1), city="Bern")
    gold.add(2, "Play", at(6, 2))
    gold.add(3, "Push Received", at(6, 1), city="Oslo", is_active=False)
    rows = gold.answer("city, users, share", type="composition", by=["city"])
    assert rows == [("(none)", 1, 0.5), ("Rome", 1, 0.5)]


@JUNE
@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("most_recent_value", [("Bern", 1), ("Rome", 1)]),
        ("all_values", [("Bern", 2), ("Rome", 1)]),
        ("cross_property_values", [("Bern", 1), ("Bern, Rome", 1)]),
    ],
)
def test_users_have_one_value_or_all_that_they_had(gold: Gold, measure: str, expected: list[tuple[str, int]]) -> None:
    """other-charts-user-composition.md, Measured As: users of the first and the last are in one bucket each."""
    gold.add(1, "Play", at(6, 1), at(6, 3), city="Bern")
    gold.add(2, "Play", at(6, 1), city="Bern")
    gold.add(2, "Play", at(6, 2), city="Rome")
    assert gold.answer("city, users", type="composition", by=["city"], measure=measure) == expected


@JUNE
def test_the_13_largest_values_have_rows_and_the_others_one(gold: Gold) -> None:
    """The same page."""
    for user in range(20):
        gold.add(user, "Play", at(6, 1), city=f"{min(user, 15):02}")
    rows = dict(gold.answer("city, users", type="composition", by=["city"]))
    assert rows["(other)"] == 3
    assert rows["15"] == 5
    assert len(rows) == 14
