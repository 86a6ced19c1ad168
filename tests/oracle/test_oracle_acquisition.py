"""The oracle of acquisition against cases small enough to count by hand."""

from oracle import Charts, Row, compute
from oracle.acquisition import Acquisition, find_acquisition
from oracle.cases import QUIET, people, row


def acquisition(*rows: Row, days: int = 30) -> list[Acquisition]:
    return [*find_acquisition(compute(rows, QUIET), Charts(attribution_window_days=days))]


def counts(
    *rows: Row, touch: str, segment: str = "(all)", days: int = 30
) -> dict[tuple[str, str], tuple[int, int, int]]:
    """By day and source: new users, active users, sessions."""
    return {
        (str(each.metric_date)[5:], each.source): (each.new_users, each.active_users, each.sessions)
        for each in acquisition(*rows, days=days)
        if (each.touch, each.segment) == (touch, segment) and (segment != "(none)" or each.breakdown == "platform")
    }


def visit(time: str, source: str | None = None, platform: str | None = None) -> Row:
    """A session of one event that starts in March 2024."""
    number = int(time[:2] + time[3:5])
    properties = {} if source is None else {"utm_source": source}
    return row(f"2024-03-{time}:00", session_id=number, user_properties=properties, platform=platform)


class TestLastTouch:
    def test_a_session_is_credited_to_the_latest_one_from_anywhere(self) -> None:
        visits = visit("01 10:00", "ads"), visit("01 11:00"), visit("02 10:00", "mail"), visit("03 10:00")
        assert counts(*visits[:2], touch="last") == {("03-01", "ads"): (1, 1, 2)}
        assert counts(*visits, touch="last")["03-03", "mail"] == (0, 1, 1)

    def test_a_touch_is_known_for_so_many_days(self) -> None:
        visits = visit("01 10:00", "ads"), visit("03 10:00"), visit("04 10:00")
        assert counts(*visits, touch="last", days=2) == {
            ("03-01", "ads"): (1, 1, 1),
            ("03-03", "ads"): (0, 1, 1),
            ("03-04", "(none)"): (0, 1, 1),
        }

    def test_a_new_user_goes_by_the_first_session_of_the_first_day(self) -> None:
        server = row("2024-03-01 09:00:00")
        assert counts(server, visit("01 10:00", "ads"), visit("01 11:00", "mail"), touch="last") == {
            ("03-01", "ads"): (1, 1, 1),
            ("03-01", "mail"): (0, 1, 1),
        }
        assert counts(server, visit("02 10:00", "ads"), touch="last") == {
            ("03-01", "(none)"): (1, 0, 0),
            ("03-02", "ads"): (0, 1, 1),
        }

    def test_a_session_came_from_the_first_values_that_are_not_missing(self) -> None:
        rows = [
            row("2024-03-01 10:00:00", session_id=7, event_type="session_start"),
            row("2024-03-01 10:00:01", session_id=7, user_properties={"utm_source": "google", "utm_medium": "EMPTY"}),
            row("2024-03-01 10:00:02", session_id=7, user_properties={"utm_source": "mail", "utm_medium": "cpc"}),
        ]
        found = {(each.touch, each.source, each.medium) for each in acquisition(*rows)}
        assert found == {("first", "google", "cpc"), ("last", "google", "cpc")}

    def test_a_session_of_more_than_a_day_is_a_touch_but_does_not_count(self) -> None:
        long = visit("01 10:00", "ads"), row("2024-03-03 10:00:00", session_id=110)
        assert counts(*long, visit("04 10:00"), touch="last") == {
            ("03-01", "ads"): (1, 0, 0),
            ("03-04", "ads"): (0, 1, 1),
        }


class TestFirstTouch:
    def test_amplitude_s_own_goes_before_that_of_the_first_session(self) -> None:
        own = row("2024-03-02 10:00:00", user_properties={"initial_utm_source": "EMPTY"})
        assert counts(visit("01 10:00", "ads"), own, touch="first") == {("03-01", "(none)"): (1, 1, 1)}

    def test_a_first_event_outside_of_sessions_shows_it_by_itself(self) -> None:
        server = row("2024-03-01 09:00:00", user_properties={"utm_source": "server"})
        assert counts(server, visit("01 10:00", "ads"), touch="first") == {("03-01", "server"): (1, 1, 1)}

    def test_it_is_that_of_the_user_seen_first_among_those_who_merged(self) -> None:
        came = [{"utm_source": "first"}, {"utm_source": "login"}, {"utm_source": "later"}]
        logins = people("G - 9; G John 4; H John 4")
        rows = [
            Row(
                each.project,
                each.hour,
                each.member,
                each.position,
                each.data | {"session_id": 7, "user_properties": own},
            )
            for each, own in zip(logins, came, strict=True)
        ]
        assert counts(*rows, touch="first") == {("03-01", "first"): (1, 1, 1)}

    def test_all_sessions_of_a_user_have_it(self) -> None:
        visits = visit("01 10:00"), visit("02 10:00", "ads")
        assert counts(*visits, touch="first") == {("03-01", "(none)"): (1, 1, 1), ("03-02", "(none)"): (0, 1, 1)}


class TestSegments:
    def test_sessions_are_where_they_have_events_and_new_users_in_all_of_their_first_day(self) -> None:
        rows = (
            visit("01 10:00", "ads", platform="iOS"),
            row("2024-03-01 10:05:00", session_id=110, platform="Web"),
            row("2024-03-01 12:00:00"),
        )
        for touch in ("first", "last"):
            assert counts(*rows, touch=touch, segment="iOS") == {("03-01", "ads"): (1, 1, 1)}
            assert counts(*rows, touch=touch, segment="Web") == {("03-01", "ads"): (1, 1, 1)}
            assert counts(*rows, touch=touch, segment="(none)") == {("03-01", "ads"): (1, 0, 0)}

    def test_what_is_dated_after_the_frontier_waits(self) -> None:
        assert not acquisition(row("2024-03-09 10:00:00", hour="2024-03-02 10:00:00", session_id=1))
