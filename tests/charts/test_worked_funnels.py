"""The examples of Amplitude's pages on funnels, each with the numbers that the page has."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import pytest

from amplitude_source.charts.definitions import Words
from amplitude_source.charts.types.funnel import Funnel
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, USER_COLUMNS, Vocabulary
from oracle.charts import Happening
from support.small_gold import SmallGold

APP = ("default", 1)
WORDS = Words(Vocabulary(EVENT_COLUMNS, USER_COLUMNS))
Answer = dict[tuple[Any, ...], tuple[Any, ...]]


def did(user: int, *events: tuple[str, str], **values: Any) -> list[Happening]:
    """Events of a user, each a name and a time, as `2 10:00:00.3` for the second of June."""
    return [
        Happening(
            APP, user, name, True, f"{user} {text} {name} {values}", time, time, time.date(),
            time.replace(minute=0), True, (time.date(), time), None, False,
            {"country": None, "session_id": None, "platform": None} | values,
        )
        for name, text in events
        for time in [datetime.fromisoformat(f"2026-06-{int(text.split()[0]):02} {text.split()[1]}")]
    ]  # fmt: skip


Asked = Callable[..., Answer]


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Asks a funnel of the steps named over some events, for its rows without project and app."""
    built: list[SmallGold] = []

    def ask(steps: str | Sequence[Any], events: Sequence[Happening], **spec: Any) -> Answer:
        built.append(SmallGold(date(2026, 6, 1), date(2026, 6, 30), {APP: events}))
        content = {"type": "funnel", "steps": steps.split(", ") if isinstance(steps, str) else steps, **spec}
        rows = built[-1].answer(Funnel.model_validate(content, context=WORDS), WORDS)
        return {key[2:]: row for key, row in rows.items()}

    yield ask
    for each in built:
        each.close()


def users(rows: Answer) -> list[int]:
    """The users of each row, in the rows' order."""
    return [row[1] for _, row in sorted(rows.items())]


def test_four_searches_before_a_purchase_are_one_conversion(asked: Asked) -> None:
    """funnel-analysis-how-amplitude-computes.md: search, search, search, search, add to cart."""
    events = did(1, *(("search", f"1 10:0{minute}:00") for minute in range(4)), ("add to cart", "1 10:05:00"))
    assert users(asked("search, add to cart", events)) == [1, 1]


def test_the_segment_and_the_values_are_those_of_step_1(asked: Asked) -> None:
    """The same page, Segmentation: B in Canada, then A in the United States, shows in the United States."""
    events = did(1, ("B", "1 10:00:00"), country="Canada") + did(1, ("A", "1 11:00:00"), country="United States")
    assert [*asked("A, B", events, by=["country"], order="any")] == [
        ("(all)", "United States", 1),
        ("(all)", "United States", 2),
    ]


def test_members_of_a_group_do_steps_for_each_other(asked: Asked) -> None:
    """analytics/en/account-level-reporting.md: one member sends the invoice, another one the payment."""
    events = did(1, ("invoice", "1 10:00:00"), country="clinic") + did(2, ("payment", "1 11:00:00"), country="clinic")
    assert users(asked("invoice, payment", events)) == [1, 0]
    assert users(asked("invoice, payment", events, count_by="country")) == [1, 1]


@pytest.mark.parametrize(("a", "b"), [("10:00:00.0", "10:00:00.9"), ("10:00:00.9", "10:00:00.0")])
def test_events_within_a_second_convert_in_either_order(asked: Asked, a: str, b: str) -> None:
    """funnel-analysis-how-amplitude-handles-simultaneous-events.md, its first example."""
    events = did(1, ("A", f"1 {a}"), ("B", f"1 {b}"))
    assert users(asked("A, B", events)) == users(asked("B, A", events)) == [1, 1]


def test_an_event_of_the_same_second_does_not_break_exact_order(asked: Asked) -> None:
    """The same page: an event that is not part of the funnel, fired in the same second."""
    events = did(1, ("A", "1 10:00:00"), ("X", "1 10:00:00.5"), ("B", "1 10:05:00"))
    assert users(asked("A, B", events, order="exact")) == [1, 1]
    events += did(1, ("X", "1 10:02:00"))
    assert users(asked("A, B", events, order="exact")) == [1, 0]
    assert users(asked("A, B", events, order="this")) == [1, 1]


def test_the_longest_conversion_in_exact_order_may_take_a_later_event(asked: Asked) -> None:
    """funnel-analysis-how-amplitude-computes-conversions.md: the most complete conversion counts."""
    events = did(1, ("B", "1 10:00:00"), ("A", "1 10:00:00.3"), ("B", "1 10:00:06"), ("C", "1 10:00:23"))
    assert users(asked("A, B, C", events, order="exact")) == [1, 1, 1]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["A", "A"], [1, 0]),
        (["A", "_all"], [1, 0]),
        ([{"event": "A", "where": f"platform = '{platform}'"} for platform in ("Web", "iOS")], [1, 1]),
    ],
)
def test_two_events_of_one_type_within_a_second_are_one(asked: Asked, steps: list[Any], expected: list[int]) -> None:
    """-how-amplitude-handles-simultaneous-events.md, Same events fire at once; exclusive conditions help."""
    events = did(1, ("A", "1 10:00:00"), platform="Web") + did(1, ("A", "1 10:00:00.4"), platform="iOS")
    assert users(asked(steps, events)) == expected


def test_one_type_twice_converts_with_an_event_more_than_a_second_later(asked: Asked) -> None:
    events = did(1, ("A", "1 10:00:00"), ("A", "1 10:00:00.4"), ("A", "1 10:00:05"))
    rows = asked("A, A", events)
    assert users(rows) == [1, 1]
    assert rows["(all)", 2][4] == 5


def test_a_user_counts_on_each_day_of_entry(asked: Asked) -> None:
    """FAQ: step 1 on the 1st, 5th and 20th, step 2 on the 2nd and 6th: 100%, 100% and 0%; in all 100%."""
    events = did(1, ("A", "1 10:00:00"), ("A", "5 10:00:00"), ("A", "20 10:00:00"))
    events += did(1, ("B", "2 09:00:00"), ("B", "6 09:00:00"))
    rows = asked("A, B", events, show="conversion_over_time")
    shares = {key[2].day: row[2] for key, row in rows.items() if key[1] == 2 and row[2] is not None}
    assert shares == {1: 1, 5: 1, 20: 0}
    assert users(asked("A, B", events)) == [1, 1]


@pytest.mark.parametrize(
    ("held", "second", "expected"),
    [
        ([], "1 10:20:00", {"page A": [1, 1]}),
        ([], "9 10:20:00", {"page A": [1, 0]}),
        (["session_id"], "1 10:20:00", {"page A": [1, 0], "page B": [1, 1]}),
    ],
)
def test_landing_pages_get_their_conversions(
    asked: Asked, held: list[str], second: str, expected: dict[str, list[int]]
) -> None:
    """-how-amplitude-computes-conversions.md, scenarios 1 and 2: the first page, but of each session its own."""
    events = did(1, ("view", "1 10:00:00"), country="page A", session_id=1)
    events += did(1, ("view", "1 10:10:00"), ("register", second), country="page B", session_id=2)
    rows = asked("view, register", events, by=["country"], hold_constant=held)
    assert {page: users({key: row for key, row in rows.items() if key[1] == page}) for _, page, _ in rows} == expected


def test_a_user_counts_once_for_each_value_that_is_held_constant(asked: Asked) -> None:
    """funnel-analysis-hold-properties-constant.md: ten conversions with ten values of Item_ID count ten times."""
    events = [
        event
        for item in range(10)
        for event in did(1, ("view", f"1 1{item}:00:00"), ("add", f"1 1{item}:01:00"), country=f"item {item}")
    ]
    assert users(asked("view, add", events)) == [1, 1]
    assert users(asked("view, add", events, hold_constant=["country"])) == [10, 10]


def test_a_conversion_without_the_excluded_event_is_enough(asked: Asked) -> None:
    """FAQ: users who did what is excluded convert if one of their conversions satisfies the exclusion."""
    events = did(1, ("A", "1 10:00:00"), ("X", "1 10:01:00"), ("B", "1 10:02:00"))
    assert users(asked("A, B", events, exclude=["X"])) == [1, 0]
    events += did(1, ("A", "1 10:01:30"))
    assert users(asked("A, B", events, exclude=["X"])) == [1, 1]


def test_an_excluded_event_of_the_same_second_does_no_harm(asked: Asked) -> None:
    """FAQ, exact order: this also applies to excluding events from a funnel."""
    events = did(1, ("A", "1 10:00:00"), ("X", "1 10:00:01"), ("B", "1 10:02:00"))
    for order in ("this", "any"):
        assert users(asked("A, B", events, exclude=["X"], order=order)) == [1, 1]


def test_an_exclusion_holds_between_its_two_steps_alone(asked: Asked) -> None:
    """funnel-analysis-build.md: between all steps in the funnel, or between two specific steps."""
    events = did(1, ("A", "1 10:00:00"), ("X", "1 10:01:00"), ("B", "1 10:02:00"), ("C", "1 10:03:00"))
    assert users(asked("A, B, C", events, exclude=[{"event": "X", "between": [2, 3]}])) == [1, 1, 1]
    assert users(asked("A, B, C", events, exclude=[{"event": "X", "between": [1, 2]}])) == [1, 0, 0]
    assert users(asked("A, B, C", events, exclude=[{"event": "X"}])) == [1, 0, 0]


def test_in_any_order_users_enter_with_the_first_event_wherever_it_lies(asked: Asked) -> None:
    """FAQ, Any Order: users need the first event, but not as the first in their sequence."""
    events = did(1, ("B", "1 10:00:00"), ("A", "1 11:00:00")) + did(2, ("B", "1 10:00:00"))
    assert users(asked("A, B", events, order="any")) == [1, 1]
    assert users(asked("A, B", events)) == [1, 0]


def test_the_conversion_window_is_a_day_to_the_microsecond(asked: Asked) -> None:
    """funnel-analysis-interpret.md: the default is one day, and any longer than that is not counted."""
    events = did(1, ("A", "1 10:00:00"), ("B", "2 10:00:00")) + did(2, ("A", "1 10:00:00"), ("B", "2 10:00:00.000001"))
    assert users(asked("A, B", events)) == [2, 1]
