"""The oracle of people against cases small enough to count by hand."""

import datetime as dt
from dataclasses import replace

from oracle import Row, Truth, compute
from oracle.cases import QUIET, people, row
from oracle.people import (
    SessionDetails,
    UserDetails,
    find_event_properties,
    find_events_from_future,
    find_session_details,
    find_user_details,
    find_user_property_changes,
)


def truth(*rows: Row) -> Truth:
    return compute(rows, QUIET)


def sessions(*rows: Row) -> list[SessionDetails]:
    return sorted(find_session_details(truth(*rows)), key=lambda session: session.session_number)


def user(*rows: Row) -> UserDetails:
    (found,) = find_user_details(truth(*rows))
    return found


def spans(*rows: Row) -> list[tuple[str, str | None, str, str | None]]:
    """(property, value, first day, day of the end or None)."""
    return [
        (each.property, each.value_text, day(each.valid_from), day(each.valid_to) if each.valid_to else None)
        for each in find_user_property_changes(truth(*rows))
    ]


def day(time: dt.datetime) -> str:
    return str(time.date())


class TestSessions:
    def test_sessions_are_numbered_by_their_start_then_by_session_id(self) -> None:
        late, first, second = (
            row("2024-03-02 10:00:00", session_id=1),
            row("2024-03-01 10:00:00", session_id=2),
            row("2024-03-01 10:00:00", session_id=3),
        )
        assert [session.session_id for session in sessions(late, second, first)] == [2, 3, 1]

    def test_sessions_of_a_merged_user_are_numbered_together(self) -> None:
        login = people("G - 9; G - 9; G John 4")
        rows = [replace(each, data=each.data | {"session_id": number}) for number, each in enumerate(login)]
        assert [(each.amplitude_id, each.session_number) for each in sessions(*rows)] == [(4, 1), (4, 2), (4, 3)]

    def test_entry_and_exit_are_of_active_events_and_the_uuid_decides(self) -> None:
        (session,) = sessions(
            row("2024-03-01 09:00:00", session_id=1, event_type="quiet", country="Japan"),
            row("2024-03-01 10:00:00", session_id=1, uuid="b", event_type="second", country="France"),
            row("2024-03-01 10:00:00", session_id=1, uuid="a", event_type="first", country="Spain"),
            row("2024-03-01 11:00:00", session_id=1, event_type="quiet"),
        )
        assert (session.entry_event_type, session.exit_event_type, session.country) == ("first", "second", "Spain")

    def test_pages_are_those_that_events_name(self) -> None:
        (session,) = sessions(
            row("2024-03-01 10:00:00", session_id=1),
            row("2024-03-01 10:01:00", session_id=1, event_properties={"[Amplitude] Page Path": "/a"}),
            row("2024-03-01 10:02:00", session_id=1, event_properties={"[Amplitude] Page Path": "/b"}),
            row("2024-03-01 10:03:00", session_id=1, event_properties={"[Amplitude] Page Path": None}),
        )
        assert (session.entry_page, session.exit_page) == ("/a", "/b")

    def test_a_touch_that_is_empty_is_none(self) -> None:
        (session,) = sessions(row(session_id=1, user_properties={"utm_source": "EMPTY", "utm_medium": ""}))
        assert (session.source, session.medium, session.campaign) == (None, None, None)


class TestUsers:
    def test_the_initial_touch_of_the_latest_event_that_has_one_counts_as_a_whole(self) -> None:
        found = user(
            row("2024-03-01 10:00:00", user_properties={"utm_source": "a", "initial_utm_source": "b"}),
            row("2024-03-02 10:00:00", user_properties={"initial_utm_source": "EMPTY", "initial_utm_medium": "email"}),
            row("2024-03-03 10:00:00", user_properties={"initial_utm_id": "c"}),
        )
        assert (found.first_source, found.first_medium) == (None, "email")

    def test_without_an_initial_touch_that_of_the_first_event_counts(self) -> None:
        found = user(
            row("2024-03-02 10:00:00", user_properties={"utm_source": "later"}, platform="iOS"),
            row("2024-03-01 10:00:00", user_properties={"utm_source": "first"}, platform="Web"),
        )
        assert (found.first_source, found.first_platform, found.latest_platform) == ("first", "Web", "iOS")

    def test_the_properties_are_the_latest_that_are_not_empty(self) -> None:
        found = user(
            row("2024-03-01 10:00:00", user_properties={"a": 1, "b": [None]}),
            row("2024-03-02 10:00:00", user_properties={}),
        )
        assert found.user_properties == '{"a":1,"b":[null]}'


class TestSpans:
    def test_a_value_lasts_until_another_is_shown(self) -> None:
        assert spans(
            row("2024-03-01 10:00:00", user_properties={"a": "x"}),
            row("2024-03-02 10:00:00", user_properties={}),
            row("2024-03-03 10:00:00", user_properties={"a": "x"}),
            row("2024-03-04 10:00:00", user_properties={"a": None}),
        ) == [("a", "x", "2024-03-01", "2024-03-04"), ("a", None, "2024-03-04", None)]

    def test_of_two_values_at_once_the_last_uuid_counts(self) -> None:
        assert spans(
            row("2024-03-01 10:00:00", uuid="b", user_properties={"a": "x"}),
            row("2024-03-01 10:00:00", uuid="a", user_properties={"a": "y"}),
        ) == [("a", "x", "2024-03-01", None)]


def test_properties_of_events_have_the_type_and_the_text_of_their_value() -> None:
    values = {"t": "1", "n": 1.5e-7, "b": True, "o": {"a": [1]}, "l": [], "z": None}
    found = find_event_properties(truth(row(event_properties=values)))
    assert [(each.value_type, each.value_text, each.value_number, each.value_boolean) for each in found] == [
        ("text", "1", None, None),
        ("number", "1.5e-7", 1.5e-7, None),
        ("boolean", "true", None, True),
        ("object", '{"a":[1]}', None, None),
        ("array", "[]", None, None),
        ("null", None, None, None),
    ]


def test_an_event_is_from_the_future_from_the_end_of_its_hour_on() -> None:
    hour = "2024-03-01 10:00:00"
    found = find_events_from_future(
        truth(
            row("2024-03-01 10:59:59.999999", hour=hour, uuid="a"),
            row("2024-03-01 11:00:00", hour=hour, uuid="b"),
        )
    )
    assert [each[-2:] for each in found] == [("a", False), ("b", True)]
