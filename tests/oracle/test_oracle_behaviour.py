"""The oracle of behaviour against cases small enough to count by hand."""

from oracle import Row, Truth, compute
from oracle.behaviour import EventAdoption, find_event_adoption, find_session_paths
from oracle.cases import QUIET, people, row

DAY = "2024-03-01"


def truth(*rows: Row) -> Truth:
    return compute(rows, QUIET)


def adoption(*rows: Row, breakdown: str = "all") -> dict[tuple[str | None, str], EventAdoption]:
    """By event type and segment; of one day."""
    found = [each for each in find_event_adoption(truth(*rows)) if each.breakdown == breakdown]
    return {(each.event_type, each.segment): each for each in found}


def paths(*rows: Row, breakdown: str = "all") -> list[tuple[str, str | None, str | None, int, int, int]]:
    """(day or segment, from, to, transitions, sessions, users)."""
    return sorted(
        (str(each.event_date) if breakdown == "all" else each.segment, *each[5:])
        for each in find_session_paths(truth(*rows))
        if each.breakdown == breakdown
    )


class TestAdoption:
    def test_users_count_once_and_their_share_is_of_all_active_users(self) -> None:
        found = adoption(row(), row(), row(amplitude_id=2), row(amplitude_id=3, event_type="buy"))
        assert found["click", "(all)"][-4:] == (3, 2, 3, 2 / 3)
        assert found["buy", "(all)"][-4:] == (1, 1, 3, 1 / 3)

    def test_the_share_of_an_inactive_type_may_be_more_than_one(self) -> None:
        pushed = [row(event_type="quiet", amplitude_id=user) for user in (1, 2, 3)]
        assert adoption(row(), *pushed)["quiet", "(all)"][-4:] == (3, 3, 1, 3.0)

    def test_without_active_users_there_is_no_share(self) -> None:
        assert adoption(row(event_type="quiet"))["quiet", "(all)"][-4:] == (1, 1, 0, None)

    def test_a_user_is_in_every_segment_of_their_events(self) -> None:
        found = adoption(row(platform="Web"), row(platform="iOS"), row(event_type="buy"), breakdown="platform")
        assert {key: each.users for key, each in found.items()} == {
            ("click", "Web"): 1,
            ("click", "iOS"): 1,
            ("buy", "(none)"): 1,
        }

    def test_merged_users_are_one(self) -> None:
        assert adoption(*people("G - 9; G - 9; G John 4"))["click", "(all)"][-4:] == (3, 1, 1, 1.0)

    def test_a_day_that_the_export_has_not_reached_waits(self) -> None:
        assert adoption(row("2024-03-02 10:00:00", hour="2024-03-01 10:00:00")) == {}


class TestPaths:
    def test_each_event_starts_one_edge_and_ends_one(self) -> None:
        found = paths(
            row(f"{DAY} 10:00:00", session_id=1, event_type="b", uuid="2"),
            row(f"{DAY} 10:00:00", session_id=1, event_type="a", uuid="1"),
            row(f"{DAY} 10:00:30", session_id=1, event_type="quiet"),
            row(f"{DAY} 10:01:00", session_id=1, event_type="b"),
            row(f"{DAY} 10:00:10", session_id=-1, event_type="outside"),
        )
        assert found == [
            (DAY, "(start)", "a", 1, 1, 1),
            (DAY, "a", "b", 1, 1, 1),
            (DAY, "b", "(end)", 1, 1, 1),
            (DAY, "b", "b", 1, 1, 1),
        ]

    def test_sessions_and_users_of_an_edge_count_once(self) -> None:
        found = paths(*(row(f"{DAY} 10:0{number}:00", session_id=number // 3) for number in range(6)))
        assert found == [
            (DAY, "(start)", "click", 2, 2, 1),
            (DAY, "click", "(end)", 2, 2, 1),
            (DAY, "click", "click", 4, 2, 1),
        ]

    def test_an_edge_is_of_the_day_it_starts_on(self) -> None:
        found = paths(
            row("2024-03-01 23:59:00", session_id=1, event_type="a"),
            row("2024-03-02 00:01:00", session_id=1, event_type="b"),
        )
        assert [edge[:3] for edge in found] == [
            ("2024-03-01", "(start)", "a"),
            ("2024-03-01", "a", "b"),
            ("2024-03-02", "b", "(end)"),
        ]

    def test_an_event_ahead_of_its_day_is_not_there_yet(self) -> None:
        found = paths(
            row(f"{DAY} 10:00:00", session_id=1, event_type="a"),
            row("2024-03-02 10:00:00", hour=f"{DAY} 10:00:00", session_id=1, event_type="b"),
        )
        assert [edge[1:3] for edge in found] == [("(start)", "a"), ("a", "(end)")]

    def test_a_segment_s_paths_consist_of_its_own_events(self) -> None:
        found = paths(
            row(f"{DAY} 10:00:00", session_id=1, platform="Web", event_type="a"),
            row(f"{DAY} 10:01:00", session_id=1, platform="iOS", event_type="b"),
            row(f"{DAY} 10:02:00", session_id=1, platform="Web", event_type="c"),
            breakdown="platform",
        )
        assert [edge[:3] for edge in found] == [
            ("Web", "(start)", "a"),
            ("Web", "a", "c"),
            ("Web", "c", "(end)"),
            ("iOS", "(start)", "b"),
            ("iOS", "b", "(end)"),
        ]
