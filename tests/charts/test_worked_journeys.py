"""What Amplitude's pages say of the Journeys chart, as examples."""

from datetime import date
from typing import Any

import pytest

from support.chart_gold import Gold, at

APRIL = pytest.mark.parametrize("gold", [(date(2026, 4, 1), date(2026, 4, 3))], indirect=True)
SESSION = {"session_id": 1, "is_in_session": True}


def paths(gold: Gold, **spec: Any) -> list[tuple[str, int]]:
    """The whole paths of a chart, and how many there are; the first steps are left out."""
    rows = [(path, count) for path, count in gold.answer("path, paths", type="journeys", **spec)]
    return [
        (path, count)
        for path, count in rows
        if not any(
            other != path and (other.startswith(f"{path} >") or other.endswith(f"> {path}")) for other, _ in rows
        )
    ]


@APRIL
def test_a_path_begins_with_the_first_event_and_ends_with_the_window(gold: Gold) -> None:
    """journeys-understand-visualizations.md, Differences from the legacy versions: a drop-off, and no conversion."""
    gold.add(1, "A", at(4, 1, 9), at(4, 1, 10))
    gold.add(1, "B", at(4, 2, 9, 30))
    spec = {"from": "A", "within": "1 day"}
    assert paths(gold, **spec) == [("A > A > (dropped off)", 1)]
    assert paths(gold, **spec, collapse_repeats=True) == [("A > (dropped off)", 1)]
    assert paths(gold, **spec, measure="totals") == [("A > A > (dropped off)", 1), ("A > B > (dropped off)", 1)]


@APRIL
def test_uniques_are_first_conversions_and_totals_are_all(gold: Gold) -> None:
    """journeys-understand-paths.md, Uniques versus totals."""
    for day in (1, 2):
        for user in (1, 2):
            gold.add(user, "Search", at(4, day), session_id=day, is_in_session=True)
        gold.add(1, "Buy" if day == 1 else "Leave", at(4, day, 13), session_id=day, is_in_session=True)
    assert paths(gold, **{"from": "Search"}) == [("Search > (dropped off)", 1), ("Search > Buy > (dropped off)", 1)]
    totals = paths(gold, **{"from": "Search"}, measure="totals", steps=2)
    assert totals == [("Search > (dropped off)", 2), ("Search > Buy", 1), ("Search > Leave", 1)]


@APRIL
def test_a_window_of_time_spans_sessions_and_one_of_a_session_any_time(gold: Gold) -> None:
    """journeys-understand-paths.md, How the conversion window works."""
    gold.add(1, "A", at(4, 1), **SESSION)
    gold.add(1, "B", at(4, 2, 20), **SESSION)
    gold.add(1, "C", at(4, 1, 13), session_id=2, is_in_session=True)
    assert paths(gold, **{"from": "A"}, steps=2) == [("A > B", 1)]
    assert paths(gold, **{"from": "A"}, steps=2, within="1 day") == [("A > C", 1)]
    assert paths(gold, to="C") == [("(did not perform an event) > C", 1)]
    assert paths(gold, to="C", within="2 hours") == [("(did not perform an event) > A > C", 1)]


@APRIL
def test_inactive_events_are_hidden_and_shown_if_they_are_asked_for(gold: Gold) -> None:
    """journeys-understand-paths.md, the note on inactive events."""
    gold.add(1, "A", at(4, 1, 9), **SESSION)
    gold.add(1, "Push", at(4, 1, 10), session_id=1, is_in_session=False, is_active=False)
    gold.add(1, "B", at(4, 1, 11), **SESSION)
    assert paths(gold, **{"from": "A"}, steps=2) == [("A > B", 1)]
    assert paths(gold, **{"from": "A"}, steps=2, events=["_all"]) == [("A > Push", 1)]
    assert paths(gold, **{"from": "Push"}, steps=2) == [("Push > B", 1)]
    assert paths(gold, **{"from": "A"}, steps=2, exclude=["B"]) == [("A > (dropped off)", 1)]


@APRIL
def test_shares_are_those_of_all_users_and_rare_events_are_one(gold: Gold) -> None:
    """journeys-understand-visualizations.md, Read a path across both charts."""
    for user, event in enumerate(["B", "B", "C", "C", "D > E"]):
        gold.add(user, "A", at(4, 1), **SESSION)
        gold.add(user, event, at(4, 1, 13), **SESSION)
        gold.add(user, "F", at(4, 1, 14), **SESSION)
    columns = "path, from_event, to_event, paths, share"
    rows = gold.answer(columns, type="journeys", **{"from": "A"}, steps=3, top=1)
    assert [row for row in rows if "B" in row[0]] == [("A > B", "A", "B", 2, 0.4), ("A > B > F", "B", "F", 2, 0.4)]
    assert [row[3:] for row in rows if "(other)" in row[0]] == [(3, 0.6)] * 2
    assert paths(gold, to="F")[-1] == ("(did not perform an event) > A > D >> E > F", 1)


@APRIL
def test_an_event_is_no_repeat_after_the_window_or_if_it_alone_begins_a_path(gold: Gold) -> None:
    """journeys-understand-paths.md names repeated events; these would take away the beginning of a path."""
    gold.add(1, "A", at(4, 1), at(4, 2), country="France")
    gold.add(1, "A", at(4, 2, 12, 10), at(4, 2, 12, 20), country="Spain")
    gold.add(1, "B", at(4, 2, 12, 30))
    spec = {"within": "1 hour", "measure": "totals", "collapse_repeats": True, "steps": 3}
    assert paths(gold, **spec, **{"from": "A"}) == [("A > (dropped off)", 1), ("A > B > (dropped off)", 1)]
    part = {"event": "A", "where": "country = 'Spain'"}
    assert paths(gold, **spec, **{"from": part}) == [("A > B > (dropped off)", 1)]
    assert paths(gold, **spec, to=part) == [("(did not perform an event) > A > A", 1)]
