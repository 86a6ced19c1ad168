"""Which days have their hours looked at again, because Amplitude has more events, and which are asked about by type."""

from datetime import date, datetime, timedelta

from amplitude_source.bronze.proof import HOURS_AFTER, MOST_DOUBTFUL, ProofDay, doubtful_days, looks_at

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ASKED = datetime(2026, 6, 10, 12)
MIDNIGHT = datetime(2026, 6, 5, 7)  # of Los Angeles


def proof(
    number: int = 5, verdict: str = "differs", cause: str | None = "late rows", asked_at: datetime = ASKED
) -> ProofDay:
    start = MIDNIGHT + (number - 5) * DAY
    return ProofDay("shop", date(2026, 6, number), verdict, cause, 9, 10, None, asked_at, start, start + DAY)


def test_a_day_with_fewer_events_is_looked_at_from_its_beginning_to_some_hours_after_its_end() -> None:
    looks = looks_at([proof()], {}, 100)
    assert sorted(looks.hours) == [MIDNIGHT + number * HOUR for number in range(24 + HOURS_AFTER[0])]
    assert looks.state == {"2026-06-05": {"times": 1, "asked_at": ASKED.isoformat()}}


def test_a_day_is_looked_at_once_for_each_answer_and_each_time_further() -> None:
    state = looks_at([proof()], {}, 100).state
    for number, after in enumerate(HOURS_AFTER[1:], 2):
        assert state is not None
        assert looks_at([proof(asked_at=ASKED + (number - 2) * DAY)], state, 100).hours == set(), "the same answer"
        looks = looks_at([proof(asked_at=ASKED + (number - 1) * DAY)], state, 100)
        assert len(looks.hours) == 24 + after
        state = looks.state
    assert state is not None
    assert looks_at([proof(asked_at=ASKED + 9 * DAY)], state, 100).hours == set(), "as often as it may"


def test_days_that_are_equal_open_or_explained_are_not_looked_at() -> None:
    others = [proof(5, "equal", None), proof(6, "open", None), proof(7, cause="zone"), proof(8, cause="deleted types")]
    assert looks_at(others, {}, 1000).hours == set()


def test_the_budget_of_hours_is_never_exceeded_and_what_it_left_out_comes_later() -> None:
    days = [proof(5), proof(9)]
    first = looks_at(days, {}, 40)
    assert len(first.hours) == 24 + HOURS_AFTER[0]
    assert first.state is not None
    second = looks_at(days, first.state, 40)
    assert len(second.hours) == 24 + HOURS_AFTER[0]
    assert not first.hours & second.hours
    assert looks_at(days, {}, 0).hours == set()


def test_days_that_nobody_asks_about_any_more_are_forgotten() -> None:
    old = {"2026-01-01": {"times": 3, "asked_at": ASKED.isoformat()}}
    assert looks_at([proof()], old, 100).state == {"2026-06-05": {"times": 1, "asked_at": ASKED.isoformat()}}


def test_few_days_are_asked_about_by_event_type_and_none_that_is_explained() -> None:
    days = [proof(number) for number in range(1, 9)] + [proof(9, cause="zone"), proof(10, "equal", None)]
    assert doubtful_days(days, "shop") == [date(2026, 6, number) for number in (6, 7, 8)]
    assert len(doubtful_days(days, "shop")) == MOST_DOUBTFUL
    assert doubtful_days(days, "blog") == []
