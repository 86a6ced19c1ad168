"""The oracle of Amplitude's marks against cases small enough to count by hand."""

import datetime as dt

from oracle import Charts, Row, compute
from oracle.cases import QUIET, feed, row
from oracle.new_users import tables

MARK = {"first_event": True}
NEW_USERS = "gold.new_users_daily"


def counted(*rows: Row, merged: str = "") -> list[tuple[object, ...]]:
    """By day: new users, and of these marked ones and those known before; and marked users who are older here."""
    truth = compute(rows, QUIET, merges=feed(merged) if merged else ())
    return sorted(each[2:] for each in tables(truth, Charts())[NEW_USERS][1])


def march(day: int) -> dt.date:
    return dt.date(2024, 3, day)


def test_a_new_user_without_a_mark_was_known_before() -> None:
    found = counted(
        row("2024-03-04 10:00:00", amplitude_id=1, data=MARK),
        row("2024-03-04 11:00:00", amplitude_id=2, data={"first_event": False}),
        row("2024-03-05 11:00:00", amplitude_id=2),
        row("2024-03-06 11:00:00", amplitude_id=3, data=MARK),
    )
    assert found == [(march(4), 2, 1, 1, 0), (march(5), 0, 0, 0, 0), (march(6), 1, 1, 0, 0)]


def test_the_marked_event_may_lie_on_a_later_day_than_the_first_one() -> None:
    found = counted(
        row("2024-03-05 10:00:00", amplitude_id=1, data=MARK),
        row("2024-03-04 10:00:00", hour="2024-03-05 11:00:00", amplitude_id=1),
        row("2024-03-04 10:00:00", amplitude_id=2, data=MARK),
    )
    assert found == [(march(4), 2, 1, 0, 0), (march(5), 0, 0, 0, 1)]


def test_merged_users_are_new_once_and_known_before_if_one_of_them_is() -> None:
    rows = [
        row("2024-03-04 10:00:00", amplitude_id=1, data=MARK),
        row("2024-03-05 10:00:00", amplitude_id=2, data=MARK),
        row("2024-03-05 10:00:00", amplitude_id=3),
    ]
    assert counted(*rows, merged="1>2") == [(march(4), 1, 1, 0, 0), (march(5), 1, 0, 1, 1)]
    assert counted(*rows, merged="2>3") == [(march(4), 1, 1, 0, 0), (march(5), 1, 0, 1, 0)]


def test_rows_without_any_mark_say_nothing() -> None:
    assert counted(row("2024-03-04 10:00:00")) == [(march(4), 1, None, None, None)]
    found = counted(row("2024-03-04 10:00:00", data=MARK), row("2024-03-05 10:00:00", amplitude_id=2))
    assert found == [(march(4), 1, 1, 0, 0), (march(5), 1, None, None, None)]
