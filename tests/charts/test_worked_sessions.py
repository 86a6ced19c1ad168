"""What Amplitude's pages say of the User Sessions chart, as examples; those pages have no numbers of their own."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from support.chart_gold import Gold, at

MAY = pytest.mark.parametrize("gold", [(date(2026, 5, 16), date(2026, 5, 19))], indirect=True)
SECOND = timedelta(seconds=1)


def add(gold: Gold, session: int, event_type: str, *times: datetime, user: int = 1, **values: Any) -> None:
    """Adds events of a session; the client's clock is right."""
    for time in times:
        own = {"session_id": session, "is_in_session": True, "client_event_time": time}
        gold.add(user, event_type, time, **{**own, **values})


@MAY
def test_a_session_counts_on_the_day_on_which_it_began(gold: Gold) -> None:
    """instrument-track-sessions.md, Session count: from May 17th, 8:00 PM, to May 18th, 1:30 AM."""
    add(gold, 1, "Open", at(5, 17, 20), at(5, 18, 1, 30))
    assert gold.answer("period, value", type="sessions", since=date(2026, 5, 17)) == [
        (date(2026, 5, 17), 1),
        (date(2026, 5, 18), 0),
        (date(2026, 5, 19), 0),
    ]
    lengths = gold.answer("period, value", type="sessions", measure="time_spent", until=date(2026, 5, 17))
    assert lengths == [(date(2026, 5, 16), 0), (date(2026, 5, 17), 5.5 * 3600)]


@MAY
def test_a_session_that_began_before_the_first_day_is_not_shown(gold: Gold) -> None:
    """instrument-track-sessions.md: "The start time must fall within a chart's selected date range"."""
    add(gold, 1, "Open", at(5, 15, 23, 50), at(5, 16, 0, 10))
    assert gold.answer("SUM(value)", type="sessions") == [(0,)]


@MAY
def test_a_session_ends_with_its_last_active_event(gold: Gold) -> None:
    """session-length.md: of Event A to Event D, where C and D are inactive or deleted."""
    for number, (event, is_in_session) in enumerate(zip("ABCD", (True, True, False, False), strict=True)):
        add(gold, 1, f"Event {event}", at(5, 17, 12, 10 * number), is_in_session=is_in_session)
    rows = gold.answer("value", type="sessions", measure="average_length", interval="week", since=date(2026, 5, 17))
    assert rows == [(600,), (None,)]


@MAY
def test_a_bucket_has_its_least_length_and_not_its_greatest(gold: Gold) -> None:
    """user-sessions-track-engagement-frequency.md, Length Distribution; its buckets are of 5 minutes."""
    for session, minutes in enumerate([0, 1, 5, 6, 30]):
        add(gold, session, "Open", at(5, 17), at(5, 17) + timedelta(minutes=minutes))
    spec = {"type": "sessions", "measure": "length_distribution", "interval": "month"}
    starts = [60 * minutes for minutes in (1, 6, 11, 16, 21, 26, 31)]
    rows = gold.answer("bucket, value", **spec, buckets=starts)
    assert rows == [*zip(starts, [2, 1, 0, 0, 0, 1, 0], strict=True)]


@MAY
def test_sessions_of_more_than_a_day_and_those_without_an_id_do_not_count(gold: Gold) -> None:
    """user-sessions-track-engagement-frequency.md: the last note, and Total Sessions."""
    add(gold, 1, "Open", at(5, 17), at(5, 18))
    add(gold, 2, "Open", at(5, 17), at(5, 18) + SECOND)
    add(gold, 3, "Open", at(5, 17), session_id=None, is_in_session=False)
    rows = gold.answer("value", type="sessions", interval="month")
    assert rows == [(1,)]


@MAY
def test_averages_per_user_are_for_all_active_users(gold: Gold) -> None:
    """user-sessions-track-engagement-frequency.md: Avg Per User, Time Spent per User."""
    add(gold, 1, "Open", at(5, 17), at(5, 17, 13))
    add(gold, 2, "Open", at(5, 17, 14), user=1)
    add(gold, 0, "Order", at(5, 17), session_id=None, is_in_session=False, user=2)
    spec = {"type": "sessions", "interval": "month"}
    assert gold.answer("value", **spec, measure="average_per_user") == [(1,)]
    assert gold.answer("value", **spec, measure="time_spent_per_user") == [(1800,)]


@MAY
def test_properties_are_filtered_before_sessions(gold: Gold) -> None:
    """user-sessions-interpret.md, How filtering works: the length is that of the events which the filter has left."""
    add(gold, 1, "Open", at(5, 17), country="France")
    add(gold, 1, "Open", at(5, 17, 13), at(5, 17, 13, 20), country="Spain")
    add(gold, 1, "Add to Cart", at(5, 17, 13, 30), country="Spain")
    spec = {"type": "sessions", "interval": "month", "by": ["country"]}
    assert gold.answer("country, value", **spec, measure="time_spent") == [("France", 0), ("Spain", 1800)]
    rows = gold.answer("country, value", **spec, contains="Add to Cart", measure="time_spent")
    assert rows == [("Spain", 1800)]
    rows = gold.answer("country, value", **spec, event="Open", measure="average_events")
    assert rows == [("France", 1), ("Spain", 2)]
    part = {"event": "Open", "where": "platform = 'Web'"}  # which no event has
    rows = gold.answer("country, value", **spec, event=part, measure="average_events")
    assert rows == [("France", 0), ("Spain", 0)]
