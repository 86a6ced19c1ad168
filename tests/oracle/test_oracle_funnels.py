"""The oracle of funnels against cases small enough to count by hand, and against a search of all paths."""

import datetime as dt
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import Row, compute
from oracle.cases import QUIET, people, row
from oracle.funnels import (
    Doing,
    Funnel,
    FunnelUsers,
    Step,
    exhaustive_way,
    find_funnel_events,
    find_paths,
    find_users,
    reached_at,
    read_funnels,
)

MIDNIGHT = dt.datetime(2024, 3, 1)


def funnel(types: str, order: str = "this", hours: int = 24) -> Funnel:
    """Steps by types of one letter."""
    return Funnel("f", tuple(Step(letter, "") for letter in types), order, dt.timedelta(hours=hours))


def rows(history: str, platform: str | None = None) -> list[Row]:
    """Events of user 1: "A B@3600 quiet@3601.5", a type and seconds after midnight, without them ten after the last."""
    seconds, made = 0.0, []
    for entry in history.split():
        event_type, _, at = entry.partition("@")
        seconds = float(at) if at else seconds + 10
        made.append(row(f"{MIDNIGHT + dt.timedelta(seconds=seconds)}", event_type=event_type, platform=platform))
    return made


def reached(history: str, of: Funnel) -> list[tuple[str, list[float]]]:
    """For each day of entry the seconds after midnight at which its steps were reached."""
    days: dict[str, list[float]] = {}
    for path in find_paths(compute(rows(history), QUIET), [of]):
        if path.is_best:
            days.setdefault(str(path.entry_date), []).append((path.reached_at - MIDNIGHT).total_seconds())
    return sorted(days.items())


def steps(history: str, of: Funnel) -> int:
    """The steps of the only day of entry."""
    found = reached(history, of)
    return len(found[0][1]) if found else 0


def users(*of: Row, funnel_: Funnel, timezone: str = "UTC") -> list[FunnelUsers]:
    truth = compute(of, QUIET, timezone)
    paths = [*find_paths(truth, [funnel_])]
    return [each for each in find_users(truth, [funnel_], paths, ZoneInfo(timezone)) if each.breakdown == "all"]


class TestDefinitions:
    def test_a_funnel_has_its_steps_in_order(self) -> None:
        text = "funnel,step,event_type,property_filter,step_order,window_hours\nf,2,B,n=1,this,5\nf,1,A,,this,5\n"
        assert read_funnels(text) == [Funnel("f", (Step("A", ""), Step("B", "n=1")), "this", dt.timedelta(hours=5))]

    def test_a_filter_is_compared_as_text(self) -> None:
        of = Funnel("f", (Step("A", "n=1"), Step("A", "yes=true"), Step("A", "")), "this", dt.timedelta(hours=1))
        truth = compute([row(event_type="A", event_properties={"n": 1, "yes": None}), row(event_type="B")], QUIET)
        assert [event.step for event in find_funnel_events(truth, [of])] == [1, 3]

    def test_a_filter_sees_arrays_split_nested_keys_and_booleans_in_both_spellings(self) -> None:
        filters = "kind=Lamps", "kind=Lam", "item.kind=Lamps", "items.kind=Chairs", "member=True", "member=true"
        of = Funnel("f", tuple(Step("A", each) for each in filters), "any", dt.timedelta(hours=1))
        properties = {
            "kind": ["Lamps", "Chairs"],
            "item": {"kind": "Lamps"},
            "items": [{"kind": "Lamps"}, {"kind": "Chairs"}],
            "member": True,
        }
        truth = compute([row(event_type="A", event_properties=properties)], QUIET)
        assert [event.step for event in find_funnel_events(truth, [of])] == [1, 3, 4, 5, 6]


class TestThisOrder:
    def test_other_events_may_lie_between(self) -> None:
        assert reached("A X B", funnel("AB")) == [("2024-03-01", [10, 30])]

    def test_an_event_serves_once(self) -> None:
        assert reached("A A A A B", funnel("AB")) == [("2024-03-01", [10, 50])]
        assert (steps("A B", funnel("AAB")), steps("A A B", funnel("AAB"))) == (1, 3)

    def test_events_within_a_second_count_in_either_order(self) -> None:
        assert reached("B@10 A@11", funnel("AB")) == [("2024-03-01", [11, 11])]
        assert steps("B@10 A@11.000001", funnel("AB")) == 1
        assert steps("C@10 B@10.5 A@11", funnel("ABC")) == 3
        assert steps("C@10 B@10.9 A@11.8", funnel("ABC")) == 2

    def test_events_of_one_type_within_a_second_count_once(self) -> None:
        assert reached("A@0 A@0.4 A@5", funnel("AA")) == [("2024-03-01", [0, 5])]
        assert (steps("A@0 A@0.4", funnel("AA")), steps("A@0 A@1", funnel("AA"))) == (1, 1)
        assert (steps("A@0 A@1.000001", funnel("AA")), steps("A@0 A@0.8 A@1.6", funnel("AA"))) == (2, 2)
        assert (steps("A@0 B@0.3 A@0.6", funnel("ABA")), steps("A@0 A@5 B@5.4", funnel("ABA"))) == (2, 3)

    def test_a_filter_apart_tells_events_of_one_type_apart(self) -> None:
        def count(*filters: str, kinds: tuple[object, object]) -> int:
            of = Funnel("f", tuple(Step("A", each) for each in filters), "this", dt.timedelta(hours=1))
            events = rows("A@0 A@0.4")
            for event, kind in zip(events, kinds, strict=True):
                event.data["event_properties"] = {"n": kind}
            return sum(path.is_best for path in find_paths(compute(events, QUIET), [of]))

        assert (count("n=1", "n=2", kinds=(1, 2)), count("n=1", "n=2", kinds=(2, 1))) == (2, 1)
        assert (count("n=1", "", kinds=(1, 2)), count("n=1", "n=2", kinds=([1, 2], 3))) == (1, 1)

    def test_the_window_ends_with_its_last_moment(self) -> None:
        assert (steps("A@0 B@3600", funnel("AB", hours=1)), steps("A@0 B@3600.000001", funnel("AB", hours=1))) == (2, 1)

    def test_the_furthest_entry_of_a_day_counts_and_of_these_the_first(self) -> None:
        assert reached("A@0 A@7200 A@7201 B@7205", funnel("AB", hours=1)) == [("2024-03-01", [7200, 7205])]

    def test_a_user_counts_once_on_each_day_of_entry(self) -> None:
        day = 86_400
        history = f"A@0 B@{day} A@{4 * day} B@{5 * day} A@{19 * day}"
        found = reached(history, funnel("AB", hours=30 * 24))
        assert [(date, len(times)) for date, times in found] == [
            ("2024-03-01", 2),
            ("2024-03-05", 2),
            ("2024-03-20", 1),
        ]


class TestExactOrder:
    def test_no_active_event_may_lie_between(self) -> None:
        assert (steps("A B", funnel("AB", "exact")), steps("A X B", funnel("AB", "exact"))) == (2, 1)
        assert steps("A quiet B", funnel("AB", "exact")) == 2

    def test_the_same_event_again_lies_between_but_enters_anew(self) -> None:
        assert reached("A A B", funnel("AB", "exact")) == [("2024-03-01", [20, 30])]

    def test_what_is_within_a_second_of_an_event_lies_not_between(self) -> None:
        assert (steps("A@0 X@1 B@9", funnel("AB", "exact")), steps("A@0 X@1.1 B@9", funnel("AB", "exact"))) == (2, 1)
        assert (steps("A@0 X@8 B@9", funnel("AB", "exact")), steps("A@0 X@7.9 B@9", funnel("AB", "exact"))) == (2, 1)

    def test_the_longest_conversion_counts_though_its_events_are_later(self) -> None:
        assert reached("B@0 A@0.3 B@6 C@23", funnel("ABC", "exact")) == [("2024-03-01", [0.3, 6, 23])]
        assert reached("B@0 A@0.3 C@9", funnel("ABC", "exact")) == [("2024-03-01", [0.3, 0.3, 9])]

    def test_events_of_one_type_within_a_second_count_once(self) -> None:
        assert reached("A@0 A@0.4 A@5", funnel("AA", "exact")) == [("2024-03-01", [0, 5])]
        assert steps("A@0 A@0.4", funnel("AA", "exact")) == 1


class TestAnyOrder:
    def test_steps_may_come_before_the_first_which_must_be_there(self) -> None:
        assert reached("B A C", funnel("ABC", "any")) == [("2024-03-01", [20, 20, 30])]
        assert reached("B C", funnel("ABC", "any")) == []

    def test_all_are_within_one_window(self) -> None:
        assert steps("B@0 A@3000 C@3600", funnel("ABC", "any", 1)) == 3
        assert steps("B@0 A@3000 C@3601", funnel("ABC", "any", 1)) == 2

    def test_of_windows_the_one_that_goes_furthest_counts(self) -> None:
        assert reached("B@0 A@3000 C@3601 B@4000", funnel("ABC", "any", 1)) == [("2024-03-01", [3000, 4000, 4000])]


class TestUsers:
    def test_merged_users_are_one(self) -> None:
        merged = people("G - 9; G John 4")
        for each, event_type in zip(merged, "AB", strict=True):
            each.data["event_type"] = event_type
        (first, second) = users(*merged, funnel_=funnel("AB"))
        assert (first.users, second.users, second.median_seconds) == (1, 1, 60)

    def test_a_segment_is_a_filter_on_the_first_step(self) -> None:
        events = [*rows("A@0", platform="Web"), *rows("A@5 B@9", platform="iOS")]
        found = find_paths(compute(events, QUIET), [funnel("AB")])
        wins = [(path.platform, path.step, path.is_best, path.is_best_of_platform) for path in found]
        assert sorted(wins) == [
            ("Web", 1, True, True),
            ("Web", 2, True, True),
            ("iOS", 1, False, True),
            ("iOS", 2, False, True),
        ]

    def test_what_is_dated_after_the_frontier_waits(self) -> None:
        late = row("2024-03-02 00:00:05", hour="2024-03-01 09:00:00", event_type="B")
        (_, second) = users(*rows("A@86395"), late, funnel_=funnel("AB"))
        assert second.users == 0

    def test_a_day_is_complete_when_the_window_of_its_last_moment_is_over(self) -> None:
        def complete(last_hour: str) -> bool:
            return users(*rows("A@0"), row(last_hour), funnel_=funnel("AB", hours=2))[0].is_complete

        assert (complete("2024-03-02 00:00:00"), complete("2024-03-02 01:00:00")) == (False, True)


STEPS = st.lists(st.sampled_from("AABC"), min_size=1, max_size=4).map("".join)
TIMES = st.builds(lambda base, tenths: base + tenths * 0.4, st.sampled_from([0, 0, 0, 3600, 7200]), st.integers(0, 7))


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_no_choice_of_events_goes_further_or_is_sooner(data: st.DataObject) -> None:
    order = data.draw(st.sampled_from(["this", "any", "exact"]))
    types = data.draw(STEPS)
    of = funnel("".join(dict.fromkeys(types)) if order == "any" else types, order, hours=1)
    drawn = data.draw(st.lists(st.tuples(TIMES, st.sampled_from("ABC")), max_size=8))
    doings = [
        Doing(MIDNIGHT + dt.timedelta(seconds=seconds), f"{number}", frozenset(does))
        for number, (seconds, letter) in enumerate(drawn)
        if (does := {step for step, other in enumerate(of.steps) if other.event_type == letter})
    ]
    active = [MIDNIGHT + dt.timedelta(seconds=seconds) for seconds, letter in drawn if letter != "C"]
    for entry in doings:
        if 0 in entry.steps:
            assert reached_at(entry, doings, active, of) == exhaustive_way(entry, doings, active, of)
