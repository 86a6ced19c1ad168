"""The oracle of active users against cases small enough to count by hand."""

import datetime as dt

import pytest

from oracle import Row, Truth, compute
from oracle.activity import (
    Calendar,
    Lifecycle,
    SegmentMetrics,
    find_lifecycle,
    find_metrics,
    find_segments,
    find_stickiness,
)
from oracle.cases import QUIET, row

WEEKS = Calendar("week", "monday")


def truth(*rows: Row) -> Truth:
    return compute(rows, QUIET)


def lifecycle(calendar: Calendar, *rows: Row) -> list[Lifecycle]:
    """That of all users."""
    found = truth(*rows)
    return [each for each in find_lifecycle(found, find_segments(found), calendar) if each.breakdown == "all"]


def metrics(breakdown: str, *rows: Row) -> list[SegmentMetrics]:
    found = truth(*rows)
    return [each for each in find_metrics(found, find_segments(found)) if each.breakdown == breakdown]


def march(day: int) -> dt.date:
    return dt.date(2024, 3, day)


@pytest.mark.parametrize(
    ("unit", "week_start", "start", "after"),
    [
        ("day", "monday", march(6), march(7)),
        ("week", "monday", march(4), march(11)),
        ("week", "sunday", march(3), march(10)),
        ("month", "monday", march(1), dt.date(2024, 4, 1)),
    ],
)
def test_wednesday_the_sixth_of_march_2024(unit: str, week_start: str, start: dt.date, after: dt.date) -> None:
    calendar = Calendar(unit, week_start)
    assert calendar.start(march(6)) == start
    assert calendar.after(start) == after


def test_who_stays_away_for_a_week_is_dormant_once_and_then_resurrected() -> None:
    found = lifecycle(
        WEEKS,
        row("2024-03-04 10:00:00", amplitude_id=1),
        row("2024-03-11 10:00:00", amplitude_id=1),
        row("2024-03-12 10:00:00", amplitude_id=2),
        row("2024-04-01 10:00:00", amplitude_id=1),
    )
    assert [(each.start_date.day, *each[6:10], each.is_complete) for each in found] == [
        (4, 1, 0, 0, 0, True),
        (11, 1, 1, 0, 0, True),
        (18, 0, 0, 0, 2, True),
        (1, 0, 0, 1, 0, False),
    ]


def test_pulse_is_new_and_resurrected_users_for_each_dormant_one() -> None:
    found = lifecycle(
        Calendar("day", "monday"),
        row("2024-03-01 10:00:00", amplitude_id=1),
        row("2024-03-02 10:00:00", amplitude_id=2),
        row("2024-03-03 10:00:00", amplitude_id=1),
        row("2024-03-03 10:00:00", amplitude_id=3),
    )
    assert [each.pulse for each in found] == [None, 1.0, 2.0]


def test_who_was_seen_by_an_inactive_event_first_is_never_new_among_the_active() -> None:
    (found, _) = lifecycle(
        Calendar("day", "monday"),
        row("2024-03-01 10:00:00", event_type="quiet"),
        row("2024-03-02 10:00:00"),
        row("2024-03-03 10:00:00", event_type="quiet"),
    )
    assert (found.start_date, found.new_users, found.resurrected_users) == (march(2), 0, 1)


def test_a_user_is_in_every_segment_of_the_day_and_new_in_those_of_his_first() -> None:
    found = metrics(
        "platform",
        row("2024-03-01 10:00:00", platform="iOS"),
        row("2024-03-02 10:00:00", platform="iOS", session_id=1),
        row("2024-03-02 10:00:01", platform=None, session_id=1),
    )
    assert [
        (each.segment, each.metric_date.day, each.active_users, each.new_users, each.sessions) for each in found
    ] == [
        ("iOS", 1, 1, 1, 0),
        ("iOS", 2, 1, 0, 1),
        ("(none)", 2, 1, 0, 1),
    ]


def test_a_segment_has_the_sessions_that_its_own_events_make_up() -> None:
    where = [("10:00:00", "Spain"), ("10:01:00", "Spain"), ("10:01:40", "Chile"), ("10:06:40", "Chile")]
    rows = [row(f"2024-03-01 {time}", country=country, session_id=7) for time, country in where]
    found = {each.segment: (each.sessions, each.average_session_seconds) for each in metrics("country", *rows)}
    assert found == {"Spain": (1, 60.0), "Chile": (1, 300.0)}
    (of_all,) = metrics("all", *rows)
    assert (of_all.sessions, of_all.average_session_seconds) == (1, 400.0)


def test_a_session_of_days_counts_in_the_segments_where_it_lasts_less() -> None:
    rows = [
        row("2024-03-01 10:00:00", country="Spain", session_id=7),
        row("2024-03-01 10:01:00", country="Spain", session_id=7),
        row("2024-03-03 10:01:00", country="Chile", session_id=7),
    ]
    found = {(each.segment, each.metric_date.day): each.sessions for each in metrics("country", *rows)}
    assert (found["Spain", 1], found["Chile", 3]) == (1, 1)
    assert [each.sessions for each in metrics("all", *rows)] == [0, 0, 0]


def test_stickiness_counts_users_by_their_active_days() -> None:
    found = truth(
        row("2024-03-04 10:00:00", amplitude_id=1),
        row("2024-03-04 11:00:00", amplitude_id=1),
        row("2024-03-05 10:00:00", amplitude_id=1),
        row("2024-03-06 10:00:00", amplitude_id=1, event_type="quiet"),
        row("2024-03-10 10:00:00", amplitude_id=2),
    )
    days = [each for each in find_stickiness(found, find_segments(found), WEEKS) if each.breakdown == "all"]
    assert [(each.active_days, each.users, each.users_or_more, each.share) for each in days[:3]] == [
        (1, 1, 2, 0.5),
        (2, 1, 1, 0.5),
        (3, 0, 0, 0.0),
    ]
    assert [each.active_days for each in days] == [*range(1, 8)]
