"""The oracle against cases small enough to count by hand."""

import datetime as dt
import gzip
import itertools
import json
import random
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import DailyMetrics, Merge, Row, Session, Truth, UserDay, UserSummary, compute, member_hour, read_members
from oracle.cases import BLOG, QUIET, SHOP, feed, moment, people, row


def canonical(truth: Truth) -> dict[int, int]:
    return {alias.amplitude_id: alias.canonical_amplitude_id for alias in truth.user_aliases}


def daily(truth: Truth, day: str, app: int = 1) -> DailyMetrics:
    (metrics,) = [row for row in truth.daily_metrics if (row.app, row.date) == (app, dt.date.fromisoformat(day))]
    return metrics


def winners(*rows: Row) -> list[str | None]:
    return [event.uuid for event in compute(rows, {}).events]


class TestUniqueEvents:
    def test_a_repeat_in_the_same_hour_loses_to_the_earlier_upload(self) -> None:
        late = row(uuid="a", insert_id="i", server_upload_time="2024-03-01 10:00:02.000001")
        early = row(uuid="b", insert_id="i", server_upload_time="2024-03-01 10:00:02.000000")
        assert winners(late, early) == ["b"]

    def test_a_repeat_in_a_later_hour_loses_whatever_its_upload_time(self) -> None:
        late = row(uuid="a", insert_id="i", hour="2024-03-01 12:00:00", server_upload_time="2024-03-01 10:00:00")
        early = row(uuid="b", insert_id="i", hour="2024-03-01 11:00:00", server_upload_time="2024-03-01 11:00:00")
        assert winners(late, early) == ["b"]

    def test_a_copy_60_days_later_is_no_event(self) -> None:
        first = row("2024-03-01 10:00:00", uuid="b", insert_id="i")
        again = row("2024-03-01 10:00:00", uuid="a", insert_id="i", hour="2024-04-30 10:00:00")
        (event,) = compute([again, first], {}).events
        assert event.uuid == "b"

    @pytest.mark.parametrize(("days", "events"), [(7, 1), (10, 2)])
    def test_other_contents_under_the_same_ids_are_an_event_after_7_days(self, days: int, events: int) -> None:
        ordered = row("2024-06-03 10:00:00", insert_id="order-77", event_type="Order Completed")
        refunded = row(f"2024-06-{3 + days:02} 10:00:00", insert_id="order-77", event_type="Order Refunded")
        assert len(compute([ordered, refunded], {}).events) == events

    def test_then_uuid_then_member_then_position_decide(self) -> None:
        hour = moment("2024-03-01 10:00:00")
        data = row(insert_id="i", uuid="b", event_type="first").data
        rows = [
            Row(SHOP, hour, "m#2", 0, data),
            Row(SHOP, hour, "m#10", 2, data),
            Row(SHOP, hour, "m#10", 1, data),
            Row(SHOP, hour, "m#0", 0, data | {"uuid": "c"}),
            Row(SHOP, hour, "m#0", 0, data | {"uuid": None}),
        ]
        (event,) = compute(rows, {}).events
        assert (event.uuid, event.member, event.position) == ("b", "m#10", 1)

    def test_a_row_without_upload_time_comes_last_in_its_hour(self) -> None:
        without = row(uuid="a", insert_id="i", server_upload_time=None)
        assert winners(without, row(uuid="b", insert_id="i")) == ["b"]

    @pytest.mark.parametrize("absent", [{"insert_id": None}, {"insert_id": ""}, {"device_id": None}, {"device_id": ""}])
    def test_without_insert_id_or_device_the_uuid_decides(self, absent: dict[str, str | None]) -> None:
        one: dict[str, str | None] = {"insert_id": "i", "uuid": "a", **absent}
        other: dict[str, str | None] = {"insert_id": "i", "uuid": "b", **absent}
        later = row(hour="2024-05-01 10:00:00", **one)
        truth = compute([later, row(**one), row(**other)], {})
        assert [(event.uuid, event.export_hour) for event in truth.events] == [
            ("a", moment("2024-03-01 10:00:00")),
            ("b", moment("2024-03-01 10:00:00")),
        ]

    def test_a_missing_key_is_absent(self) -> None:
        rows = [row(insert_id="i"), row(insert_id="i")]
        for each in rows:
            del each.data["$insert_id"]
        assert len(winners(*rows)) == 2

    def test_an_insert_id_repeats_only_on_its_device_in_its_app_and_project(self) -> None:
        rows = [
            row(insert_id="i"),
            row(insert_id="i", device_id="E"),
            row(insert_id="i", app=2),
            row(insert_id="i", project=BLOG),
        ]
        assert len(winners(*rows)) == 4

    def test_a_uuid_repeats_only_in_its_app_and_project(self) -> None:
        assert winners(*[row(uuid="a"), row(uuid="a"), row(uuid="a", app=2), row(uuid="a", project=BLOG)]) == ["a"] * 3

    def test_a_row_that_nothing_tells_from_others_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no uuid"):
            compute([row(uuid=None)], {})


class TestUserAliases:
    @pytest.mark.parametrize(
        ("case", "users"),
        [
            ("A - 1; B - 2; B - 2; C - 3; A - 1; C - 3", 3),
            ("G - 4; G - 4; G John 4", 1),
            ("K Zack 5; L Zack 5", 1),
            ("R Jane 6; R - 6; R Mary 7; R - 7; R - 7", 2),
            ("Y David 8; Z - 9; Z David 8; Z - 8", 1),
        ],
    )
    def test_worked_cases(self, case: str, users: int) -> None:
        truth = compute(people(case), {})
        assert len(set(canonical(truth).values())) == users
        metrics = daily(truth, "2024-03-01")
        assert (metrics.active_users, metrics.new_users) == (users, users)
        assert (metrics.weekly_active_users, metrics.monthly_active_users) == (users, users)

    @pytest.mark.parametrize(
        ("case", "expected"),
        [
            pytest.param("Y David 8; Z - 9; Z David 8", {8: 8, 9: 8}, id="merges into the login on its device"),
            pytest.param("D Ann 1; D Bob 2; D Ann 1", {1: 1, 2: 2}, id="two that carried a user_id never merge"),
            pytest.param("D - 3; D Bob 2; D Ann 1", {1: 1, 2: 2, 3: 2}, id="the first login of a device"),
            pytest.param("D - 1; D Bob 2; E - 1; E Ann 3", {1: 2, 2: 2, 3: 3}, id="the first login over its devices"),
            pytest.param("E Ann 3; D - 1; D Bob 2; E - 1", {1: 3, 2: 2, 3: 3}, id="not the one of its first device"),
            pytest.param("D - 2; D Ann 3; D Bob 2; D - 1", {1: 3, 2: 2, 3: 3}, id="a login begins with its user_id"),
            pytest.param("D - 1; D - 2; E Ann 2", {1: 1, 2: 2}, id="a user_id on another device is no login here"),
            pytest.param("D - 1; D - 2", {1: 1, 2: 2}, id="nobody to merge into"),
        ],
    )
    def test_canonical(self, case: str, expected: dict[int, int]) -> None:
        assert canonical(compute(people(case), {})) == expected

    @pytest.mark.parametrize(
        ("case", "merges", "expected"),
        [
            pytest.param("A - 1; B - 2; C - 3", "1>2 2>3", {1: 3, 2: 3, 3: 3}, id="a chain"),
            pytest.param("A - 1; C - 3", "1>2 2>3", {1: 3, 3: 3}, id="through a user who was never seen"),
            pytest.param("A - 1; B - 2; C - 3", "1>2 1>3", {1: 3, 2: 2, 3: 3}, id="the latest merge"),
            pytest.param("A - 1; B - 2; C - 3", "1>2 2>3 3>2", {1: 2, 2: 2, 3: 2}, id="a circle"),
            pytest.param("A - 1; B - 2", "1>2 2>3", {1: 1, 2: 2}, id="a chain whose end was never seen waits"),
            pytest.param("A - 1; A Ann 2; B Bob 3", "1>3", {1: 3, 2: 2, 3: 3}, id="before a login on the device"),
            pytest.param("A Ann 1; B Bob 2", "1>2", {1: 2, 2: 2}, id="two that carried a user_id"),
            pytest.param("A - 1; B - 2; B Bob 3", "1>2", {1: 3, 2: 3, 3: 3}, id="the end goes by its device"),
            pytest.param("A - 1; A Ann 4; B - 2", "1>2", {1: 2, 2: 2, 4: 4}, id="not by that of who is merged into it"),
            pytest.param(
                "A Ann 1; B - 2; B Bob 3", "1>2", {1: 2, 2: 2, 3: 3}, id="unless one of the chain has logged in"
            ),
            pytest.param(
                "A - 1; A Ann 2; B - 3", "2>3", {1: 3, 2: 3, 3: 3}, id="a login that is merged takes others along"
            ),
            pytest.param("A - 1; A Ann 2", "2>1", {1: 1, 2: 1}, id="a login into the anonymous user of its device"),
        ],
    )
    def test_canonical_by_amplitudes_merges(self, case: str, merges: str, expected: dict[int, int]) -> None:
        assert canonical(compute(people(case), {}, merges=feed(merges))) == expected

    def test_merges_at_one_time_go_by_the_events_time_then_to_the_smallest_id(self) -> None:
        early, late = moment("2024-03-05 10:00:00"), moment("2024-03-05 11:00:00")
        merges = [Merge(SHOP, 1, 2, early, late), Merge(SHOP, 1, 4, late, late), Merge(SHOP, 1, 3, late, late)]
        for order in itertools.permutations(merges):
            assert canonical(compute(people("A - 1; B - 2; C - 3; D - 4"), {}, merges=order))[1] == 3

    def test_merges_of_another_project_do_not_count(self) -> None:
        truth = compute(people("A - 1; B - 2"), {}, merges=[merge._replace(project=BLOG) for merge in feed("1>2")])
        assert canonical(truth) == {1: 1, 2: 2}

    def test_upload_time_and_event_time_of_a_login_are_each_the_least_of_its_first_hour(self) -> None:
        hour = "2024-03-01 11:00:00"
        rows = [
            row("2024-03-01 09:00:00", hour, server_upload_time="2024-03-01 11:30:00", amplitude_id=2, user_id="Bob"),
            row("2024-03-01 10:45:00", hour, server_upload_time="2024-03-01 11:10:00", amplitude_id=2, user_id="Bob"),
            row("2024-03-01 10:00:00", hour, server_upload_time="2024-03-01 11:10:00", amplitude_id=1, user_id="Ann"),
            row(amplitude_id=3),
        ]
        assert canonical(compute(rows, {}))[3] == 2

    def test_what_a_login_brings_in_later_hours_does_not_change_its_rank(self) -> None:
        rows = [
            row("2024-03-01 10:30:00", amplitude_id=2, user_id="Bob"),
            row("2024-03-01 10:00:00", amplitude_id=1, user_id="Ann"),
            row(amplitude_id=3),
        ]
        late = row("2024-03-01 09:00:00", "2024-03-01 12:00:00", amplitude_id=2, user_id="Bob")
        assert canonical(compute(rows, {}))[3] == canonical(compute([*rows, late], {}))[3] == 1

    def test_export_hour_ranks_before_upload_time_before_event_time(self) -> None:
        def logins(*ranks: tuple[str, str, str]) -> int:
            """The canonical user of 9, with users 1, 2... logged in at (export hour, upload minute, event time)."""
            rows = [
                row(f"2024-03-01 {event}", f"2024-03-01 {hour}:00", server_upload_time=f"2024-03-01 10:{upload}")
                for hour, upload, event in ranks
            ]
            for amplitude_id, each in enumerate(rows, start=1):
                each.data.update(amplitude_id=amplitude_id, user_id=f"user {amplitude_id}")
            return canonical(compute([*rows, row(amplitude_id=9)], {}))[9]

        assert logins(("12:00", "01", "09:00:00"), ("11:00", "02", "10:00:00")) == 2
        assert logins(("11:00", "03", "09:00:00"), ("11:00", "02", "10:00:00")) == 2
        assert logins(("11:00", "02", "09:00:01"), ("11:00", "02", "09:00:00")) == 2
        assert logins(("11:00", "02", "09:00:00"), ("11:00", "02", "09:00:00")) == 1

    def test_a_user_id_on_a_dropped_repeat_identifies_nobody(self) -> None:
        first = row(insert_id="i", amplitude_id=1)
        again = row(insert_id="i", amplitude_id=1, user_id="Ann", hour="2024-03-01 11:00:00")
        assert canonical(compute([first, again, row(amplitude_id=2)], {})) == {1: 1, 2: 2}

    def test_a_user_id_without_device_identifies_but_is_no_login(self) -> None:
        rows = [row(amplitude_id=1, user_id="Ann", device_id=None), row(amplitude_id=1), row(amplitude_id=2)]
        rows += [row("2024-03-02 10:00:00", amplitude_id=3, user_id="Bob")]
        assert canonical(compute(rows, {})) == {1: 1, 2: 3, 3: 3}

    def test_events_without_device_do_not_share_one(self) -> None:
        rows = [row(amplitude_id=1, user_id="Ann", device_id=None), row(amplitude_id=2, device_id=None)]
        assert canonical(compute(rows, {})) == {1: 1, 2: 2}

    @pytest.mark.parametrize(("app", "other"), [(1, 2), (2, 1)])
    def test_apps_share_neither_devices_nor_users(self, app: int, other: int) -> None:
        login = row(app=app, amplitude_id=1, user_id="Ann")
        rows = [login, row(app=other, amplitude_id=2), row(app=other, amplitude_id=1)]
        assert compute(rows, {}).user_aliases == sorted([(SHOP, app, 1, 1), (SHOP, other, 1, 1), (SHOP, other, 2, 2)])

    def test_projects_share_neither_devices_nor_users(self) -> None:
        login = row(amplitude_id=1, user_id="Ann")
        rows = [login, row(project=BLOG, amplitude_id=2), row(project=BLOG, amplitude_id=1)]
        assert compute(rows, {}).user_aliases == [(BLOG, 1, 1, 1), (BLOG, 1, 2, 2), (SHOP, 1, 1, 1)]

    def test_an_event_without_amplitude_id_is_nobodys(self) -> None:
        truth = compute([row(amplitude_id=None, user_id="Ann", session_id=7)], {})
        assert (truth.user_aliases, truth.sessions, truth.user_days, truth.users) == ([], [], [], [])
        metrics = daily(truth, "2024-03-01")
        assert (metrics.active_users, metrics.new_users, metrics.sessions, metrics.events) == (0, 0, 0, 1)


class TestSessions:
    def test_across_midnight_it_belongs_to_its_start(self) -> None:
        rows = [row("2024-03-01 23:59:30", session_id=7), row("2024-03-02 00:10:00.500000", session_id=7)]
        truth = compute(rows, {})
        started, ended = moment("2024-03-01 23:59:30"), moment("2024-03-02 00:10:00.500000")
        assert truth.sessions == [Session(SHOP, 1, 1, 7, started, ended, dt.date(2024, 3, 1), 630.5, 2, False)]
        assert (daily(truth, "2024-03-01").sessions, daily(truth, "2024-03-01").average_session_seconds) == (1, 630.5)
        assert (daily(truth, "2024-03-02").sessions, daily(truth, "2024-03-02").average_session_seconds) == (0, None)

    @pytest.mark.parametrize(("session_id", "sessions"), [(-1, 0), (None, 0), ("", 0), (0, 1), (7, 1)])
    def test_minus_one_is_no_session(self, session_id: object, sessions: int) -> None:
        assert len(compute([row(session_id=session_id)], {}).sessions) == sessions

    def test_inactive_events_neither_make_nor_stretch_it(self) -> None:
        rows = [
            row("2024-03-01 09:00:00", session_id=7, event_type="quiet"),
            row("2024-03-01 10:00:00", session_id=7),
            row("2024-03-01 11:00:00", session_id=8, event_type="quiet"),
        ]
        (session,) = compute(rows, QUIET).sessions
        assert (session.session_id, session.session_seconds, session.events) == (7, 0.0, 1)

    def test_deleted_types_are_in_no_session_but_make_their_users_active(self) -> None:
        rows = [row("2024-03-01 10:00:00", session_id=7), row("2024-03-01 10:01:00", session_id=7, event_type="gone")]
        truth = compute([*rows, row(session_id=8, amplitude_id=2, event_type="gone")], {}, deleted=["gone"])
        assert [(each.session_id, each.session_seconds) for each in truth.sessions] == [(7, 0.0)]
        assert daily(truth, "2024-03-01").active_users == 2

    def test_more_than_a_day_is_kept_and_marked_and_no_chart_counts_it(self) -> None:
        rows = [
            row("2024-03-01 10:00:00", session_id=7),
            row("2024-03-01 10:01:00", session_id=7),
            row("2024-03-01 11:00:00", session_id=8),
            row("2024-03-04 10:00:00", session_id=8),
            row("2024-03-02 11:00:00", session_id=9),
            row("2024-03-03 11:00:00", session_id=9),
        ]
        truth = compute(rows, {})
        assert [each.is_longer_than_a_day for each in truth.sessions] == [False, True, False]
        first, second = daily(truth, "2024-03-01"), daily(truth, "2024-03-02")
        assert (first.sessions, first.average_session_seconds) == (1, 60.0)
        assert (second.sessions, second.average_session_seconds) == (1, 86400.0)
        assert first.average_capped_session_seconds == (60 + 86_400) / 2
        assert first.average_uncapped_session_seconds == (60 + 71 * 3600) / 2

    def test_one_session_id_under_two_users_is_two_and_under_two_aliases_one(self) -> None:
        rows = [
            row("2024-03-01 10:00:00", session_id=7, amplitude_id=1),
            row("2024-03-01 10:00:09", session_id=7, amplitude_id=2, user_id="Ann"),
            row("2024-03-01 10:00:10", session_id=7, amplitude_id=3, user_id="Bob"),
        ]
        sessions = compute(rows, {}).sessions
        assert [(each.amplitude_id, each.session_seconds) for each in sessions] == [(2, 9.0), (3, 0.0)]

    def test_one_session_id_of_one_user_in_two_projects_is_two(self) -> None:
        rows = [row("2024-03-01 10:00:00", session_id=7), row("2024-03-01 10:00:09", session_id=7, project=BLOG)]
        sessions = compute(rows, {}).sessions
        assert [(each.project, each.session_seconds) for each in sessions] == [(BLOG, 0.0), (SHOP, 0.0)]

    def test_client_event_time_counts_and_event_time_stands_in(self) -> None:
        rows = [
            row("2024-03-02 10:00:00", session_id=7, client_event_time="2024-03-01 10:00:00"),
            row("2024-03-01 10:01:00", session_id=7, client_event_time=None),
            row(None, session_id=7),
        ]
        (session,) = compute(rows, {}).sessions
        assert (session.session_seconds, session.session_date, session.events) == (60.0, dt.date(2024, 3, 1), 3)

    def test_without_any_time_it_has_no_date(self) -> None:
        truth = compute([row(None, session_id=7), row()], {})
        assert truth.sessions == [Session(SHOP, 1, 1, 7, None, None, None, None, 1, False)]
        assert daily(truth, "2024-03-01").sessions == 0

    def test_the_average_is_that_of_the_sessions(self) -> None:
        rows = [
            *[row(f"2024-03-01 10:00:0{second}", session_id=7) for second in range(4)],
            row("2024-03-01 11:00:00", session_id=8),
        ]
        assert daily(compute(rows, {}), "2024-03-01").average_session_seconds == 1.5


class TestUsersAndDays:
    def test_a_user_day_counts_all_and_active_events(self) -> None:
        rows = [row(), row(event_type="quiet"), row("2024-03-02 10:00:00", event_type="quiet"), row(None)]
        assert compute(rows, QUIET).user_days == [
            UserDay(SHOP, 1, 1, dt.date(2024, 3, 1), 2, 1),
            UserDay(SHOP, 1, 1, dt.date(2024, 3, 2), 1, 0),
        ]

    def test_user_days_and_users_are_of_the_raw_user(self) -> None:
        truth = compute(people("Y David 8; Z - 9; Z David 8; Z - 8"), {})
        assert [(day.amplitude_id, day.events) for day in truth.user_days] == [(8, 3), (9, 1)]
        assert [(user.amplitude_id, user.canonical_amplitude_id) for user in truth.users] == [(8, 8), (9, 8)]

    def test_a_user(self) -> None:
        rows = [
            row("2024-03-03 10:00:00", event_type="quiet"),
            row("2024-03-02 10:00:00", user_id="new"),
            row("2024-03-01 11:00:00", user_id="old", hour="2024-03-05 11:00:00"),
            row("2024-03-01 10:00:00", user_id=""),
        ]
        first, last = moment("2024-03-01 10:00:00"), moment("2024-03-03 10:00:00")
        assert compute(rows, QUIET).users == [UserSummary(SHOP, 1, 1, 1, first, last, 4, 2, "new")]

    def test_events_of_one_time_take_the_user_id_of_the_greatest_uuid(self) -> None:
        rows = [row(uuid="b", user_id="Ann"), row(uuid="a", user_id="Bob"), row(None, uuid="c", user_id="Zoe")]
        assert compute(rows, {}).users[0].user_id == "Ann"


class TestDailyMetrics:
    def test_inactive_types_never_counted_as_active(self) -> None:
        rows = [row("2024-03-01 10:00:00", event_type="quiet"), row("2024-03-03 10:00:00")]
        truth = compute(rows, QUIET)
        assert truth.daily_metrics == [
            (SHOP, 1, dt.date(2024, 3, 1), 0, 1, 0, 0, 0, None, None, None, 1),
            (SHOP, 1, dt.date(2024, 3, 2), 0, 0, 0, 0, 0, None, None, None, 0),
            (SHOP, 1, dt.date(2024, 3, 3), 1, 0, 1, 1, 0, None, None, None, 1),
        ]
        assert daily(compute(rows, {}), "2024-03-01").active_users == 1

    def test_a_type_is_inactive_in_its_own_project_only(self) -> None:
        truth = compute([row(event_type="quiet", project=project) for project in (SHOP, BLOG)], QUIET)
        active = [(metrics.project, metrics.active_users) for metrics in truth.daily_metrics]
        assert active == [(BLOG, 1), (SHOP, 0)]

    def test_an_event_without_type_is_active(self) -> None:
        assert daily(compute([row(event_type=None)], QUIET), "2024-03-01").active_users == 1

    def test_days_without_events_are_there(self) -> None:
        rows = [row("2024-02-27 10:00:00"), row("2024-02-28 10:00:00", hour="2024-03-01 05:00:00")]
        assert [(metrics.date.isoformat(), metrics.events) for metrics in compute(rows, {}).daily_metrics] == [
            ("2024-02-27", 1),
            ("2024-02-28", 1),
            ("2024-02-29", 0),
            ("2024-03-01", 0),
        ]

    def test_windows_of_7_and_30_dates_end_with_the_date(self) -> None:
        rows = [row("2024-01-01 10:00:00", amplitude_id=2), row("2024-02-10 10:00:00")]
        truth = compute(rows, {})
        counts = {
            metrics.date.isoformat(): (metrics.active_users, metrics.weekly_active_users, metrics.monthly_active_users)
            for metrics in truth.daily_metrics
        }
        assert counts["2024-01-01"] == (1, 1, 1)
        assert counts["2024-01-02"] == (0, 1, 1)
        assert counts["2024-01-07"] == (0, 1, 1)
        assert counts["2024-01-08"] == (0, 0, 1)
        assert counts["2024-01-30"] == (0, 0, 1)
        assert counts["2024-01-31"] == (0, 0, 0)
        assert counts["2024-02-10"] == (1, 1, 1)

    def test_windows_count_a_user_once_over_its_aliases(self) -> None:
        rows = [row("2024-03-01 10:00:00", amplitude_id=9), row("2024-03-02 10:00:00", amplitude_id=8, user_id="David")]
        truth = compute(rows, {})
        assert [metrics.weekly_active_users for metrics in truth.daily_metrics] == [1, 1]
        assert [metrics.new_users for metrics in truth.daily_metrics] == [1, 0]

    def test_a_zone_shifts_dates_sessions_and_frontier(self) -> None:
        rows = [row("2024-03-02 03:30:00", session_id=7), row("2024-03-02 05:30:00", session_id=7)]
        truth = compute(rows, {}, timezone="America/New_York")
        assert [(day.event_date.isoformat(), day.events) for day in truth.user_days] == [
            ("2024-03-01", 1),
            ("2024-03-02", 1),
        ]
        assert truth.sessions[0].session_date == dt.date(2024, 3, 1)
        assert [(metrics.events, metrics.sessions) for metrics in truth.daily_metrics] == [(1, 1), (1, 0)]
        assert [metrics.new_users for metrics in truth.daily_metrics] == [1, 0]
        assert truth.users[0].first_seen_at == moment("2024-03-02 03:30:00")
        (before,) = compute(rows[:1], {}, timezone="America/New_York").daily_metrics
        assert before.date == dt.date(2024, 3, 1)
        assert [metrics.events for metrics in compute(rows, {}).daily_metrics] == [2]

    def test_a_zone_shifts_with_daylight_saving(self) -> None:
        winter, summer = row("2024-03-09 04:30:00"), row("2024-03-12 04:30:00")
        days = compute([winter, summer], {}, timezone="America/New_York").user_days
        assert [day.event_date.isoformat() for day in days] == ["2024-03-08", "2024-03-12"]

    def test_a_future_event_waits_for_the_frontier(self) -> None:
        today = row("2024-03-01 10:00:00")
        future = row("2024-03-03 10:00:00", hour="2024-03-01 23:00:00", amplitude_id=2, session_id=7)
        truth = compute([today, future], {})
        assert truth.daily_metrics == [(SHOP, 1, dt.date(2024, 3, 1), 1, 1, 1, 1, 0, None, None, None, 1)]
        assert len(truth.user_days) == 2
        assert len(truth.sessions) == 1
        later = row("2024-03-01 12:00:00", hour="2024-03-03 00:00:00")
        arrived = daily(compute([today, future, later], {}), "2024-03-03")
        assert arrived == (SHOP, 1, dt.date(2024, 3, 3), 1, 1, 2, 2, 1, 0.0, 0.0, 0.0, 1)

    def test_nothing_but_future_events_is_no_day(self) -> None:
        assert compute([row("2024-03-03 10:00:00", hour="2024-03-01 23:00:00")], {}).daily_metrics == []

    def test_a_repeat_does_not_move_the_frontier_and_an_event_without_time_does(self) -> None:
        first, again = row(insert_id="i"), row(insert_id="i", hour="2024-03-03 10:00:00")
        assert len(compute([first, again], {}).daily_metrics) == 1
        assert len(compute([first, row(None, hour="2024-03-03 10:00:00")], {}).daily_metrics) == 3

    def test_a_session_is_dated_by_corrected_time_and_measured_by_its_own(self) -> None:
        rows = [
            row("2024-03-01 10:00:00", session_id=7, client_event_time="2024-02-01 10:00:00"),
            row("2024-03-01 10:00:09", session_id=7, client_event_time="2024-02-01 10:00:05"),
        ]
        truth = compute(rows, {})
        assert [(each.session_date, each.session_seconds) for each in truth.sessions] == [(dt.date(2024, 3, 1), 5.0)]
        assert [(metrics.date.isoformat(), metrics.sessions) for metrics in truth.daily_metrics] == [("2024-03-01", 1)]

    def test_days_are_those_of_the_export_be_they_without_events(self) -> None:
        rows = [row("2024-06-01 10:00:00"), row("2024-06-02 10:00:00")]
        exported = {SHOP: (moment("2024-06-01 00:00:00"), moment("2024-06-08 12:00:00"))}
        days = compute(rows, {}, exported=exported).daily_metrics
        assert [day.active_users for day in days] == [1, 1, 0, 0, 0, 0, 0, 0]

    def test_days_before_the_first_export_hour_are_not_shown(self) -> None:
        rows = [
            row(f"{day} 10:00:00", hour="2024-06-01 10:00:00") for day in ("1970-01-01", "2024-05-31", "2024-06-01")
        ]
        exported = {SHOP: (moment("2024-06-01 00:00:00"), moment("2024-06-01 12:00:00"))}
        (day,) = compute(rows, {}, exported=exported).daily_metrics
        assert (str(day.date), day.active_users, day.new_users) == ("2024-06-01", 1, 0)

    def test_each_app_has_days_and_a_frontier_of_its_own(self) -> None:
        rows = [row("2024-03-02 10:00:00", app=2), row("2024-03-01 10:00:00"), row("2024-03-01 10:00:00", app=2)]
        days = [(metrics.app, metrics.date.day, metrics.active_users) for metrics in compute(rows, {}).daily_metrics]
        assert days == [(1, 1, 1), (2, 1, 1), (2, 2, 1)]

    def test_no_rows_no_truth(self) -> None:
        assert compute([], {}) == Truth([], [], [], [], [], [], {}, {}, {}, {})


class TestReadMembers:
    def test_rows_come_with_hour_member_and_position(self, tmp_path: Path) -> None:
        late, early = tmp_path / "1_2024-03-01_13#627.json.gz", tmp_path / "1_2024-03-01_4#0.json.gz"
        late.write_bytes(gzip.compress(b'{"app": 1, "uuid": "a"}\n{"app": 1, "uuid": "\xc3\xa9"}\n'))
        early.write_bytes(gzip.compress(json.dumps(row().data).encode()))
        rows = list(read_members(SHOP, [late, early]))
        assert rows[:2] == [
            Row(SHOP, moment("2024-03-01 13:00:00"), late.name, 0, {"app": 1, "uuid": "a"}),
            Row(SHOP, moment("2024-03-01 13:00:00"), late.name, 1, {"app": 1, "uuid": "é"}),
        ]
        assert rows[2].hour == moment("2024-03-01 04:00:00")
        assert len(compute(rows, {}).events) == 3

    def test_a_strange_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not the name"):
            member_hour("1_2024-03-01_13.json.gz")


def some_row(
    day: int, delay: int, amplitude_id: int | None, device_id: str | None, user_id: str | None, session_id: int
) -> Row:
    time = moment("2024-03-01 22:00:00") + dt.timedelta(days=day)
    ids = {"amplitude_id": amplitude_id, "device_id": device_id, "user_id": user_id, "session_id": session_id}
    repeats = {"insert_id": f"{day} {session_id}", "event_type": "quiet" if day == 2 else "click"}
    return row(str(time), hour=str(time + dt.timedelta(hours=delay)), **ids, **repeats)


ROWS = st.lists(
    st.builds(
        some_row,
        day=st.integers(0, 8),
        delay=st.integers(-30, 30),
        amplitude_id=st.sampled_from([None, 1, 2, 3]),
        device_id=st.sampled_from([None, "D", "E"]),
        user_id=st.sampled_from([None, None, "Ann", "Bob"]),
        session_id=st.sampled_from([-1, 7, 8]),
    ),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, seed=st.integers())
def test_neither_order_of_reading_nor_repeats_change_the_truth(rows: list[Row], seed: int) -> None:
    repeats = [replace(each, hour=each.hour + dt.timedelta(days=60), member="repeat") for each in rows]
    shuffled = rows + repeats
    random.Random(seed).shuffle(shuffled)
    assert compute(shuffled, QUIET) == compute(rows, QUIET)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, others=ROWS)
def test_a_project_s_truth_is_the_same_beside_another(rows: list[Row], others: list[Row]) -> None:
    of_blog = [replace(each, project=BLOG) for each in others]
    both, alone, beside = compute(rows + of_blog, QUIET), compute(rows, QUIET), compute(of_blog, QUIET)
    for table in fields(Truth):
        blog, shop = getattr(beside, table.name), getattr(alone, table.name)
        assert getattr(both, table.name) == (blog | shop if isinstance(blog, dict) else blog + shop)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_tables_agree_with_each_other(rows: list[Row]) -> None:
    truth = compute(rows, QUIET)
    aliases = canonical(truth)
    assert all(aliases[user] == user for user in aliases.values())
    assert sorted(aliases) == [user.amplitude_id for user in truth.users]
    assert sum(user.events for user in truth.users) == sum(event.amplitude_id is not None for event in truth.events)
    assert sum(day.events for day in truth.user_days) == sum(user.events for user in truth.users)
    assert sum(metrics.new_users for metrics in truth.daily_metrics) <= len(set(aliases.values()))
    for metrics in truth.daily_metrics:
        assert metrics.active_users <= metrics.weekly_active_users <= metrics.monthly_active_users <= len(aliases)
