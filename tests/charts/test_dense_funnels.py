"""Funnels over many small histories whose events lie within seconds of each other: equal to the oracle, row for row."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from amplitude_source.charts.definitions import Part, Segment, Words
from amplitude_source.charts.types.funnel import Funnel
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, USER_COLUMNS, Vocabulary
from oracle import App
from oracle import charts as oracle_charts
from oracle.chart_funnels import funnel
from oracle.charts import Happening
from support.chart_world import EXAMPLES
from support.small_gold import SmallGold

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 4)
APPS = 80
CONDITIONS = {
    "platform = 'Web'": lambda row: row["platform"] == "Web",
    "platform IN ('iOS', 'Android')": lambda row: row["platform"] == "iOS",
    "platform = 'iOS' AND session_id > 1": lambda row: row["platform"] == "iOS" and row["session_id"] == 2,
    "session_id = 1": lambda row: row["session_id"] == 1,
}
EXCLUSIVE = [
    ("platform = 'Web'", "platform IN ('iOS', 'Android')"),
    ("platform = 'Web'", "platform = 'iOS' AND session_id > 1"),
]
OWN = [{"event": "A", "where": "platform = 'Web'"}, {"event": "B"}]
WORDS = Words(Vocabulary(EVENT_COLUMNS, USER_COLUMNS))
WORDS = Words(
    WORDS.vocabulary,
    {"Own": [Part.model_validate(part, context=WORDS) for part in OWN]},
    {"web": Segment.model_validate({"where": "platform = 'Web'"}, context=WORDS)},
)
SPOKEN = oracle_charts.Words(
    CONDITIONS, {"Own": OWN}, {"web": lambda event, _: bool(event.values["platform"] == "Web")}
)


def history(app: App, chance: random.Random) -> Iterator[Happening]:
    """A few events of two users: bursts, ties, seconds to the microsecond, and pauses of minutes and days."""
    for user in (1, 2):
        time, first = datetime(2026, 6, 1, 10), None
        for _ in range(chance.randint(2, 9)):
            steps = [0, 0.000001, 0.3, 0.7, 1, 1, 1.000001, 2, 2.5, 6, 30, 300, 90_000]
            time += timedelta(seconds=chance.choice(steps))
            if time.date() > LAST:
                break
            name = chance.choice("AABBC") if chance.random() < 0.85 else "Inactive"
            hour = time.replace(minute=0, second=0, microsecond=0)
            values = {
                "platform": chance.choice(["Web", "iOS", None]),
                "country": chance.choice(["Chile", "Spain"]),
                "session_id": chance.choice([1, 1, 2, None]),
            }
            uuid = f"{chance.random()}"
            first = first or (time.date(), hour)
            is_first_day = time.date() == first[0]
            yield Happening(
                app, user, name, name != "Inactive", uuid, time, time, time.date(), hour, is_first_day, first, None,
                False, values,
            )  # fmt: skip


@pytest.fixture(scope="module")
def gold() -> Iterator[SmallGold]:
    """Many apps, each with a history."""
    chance = random.Random(7)
    apps = [("p", number) for number in range(APPS)]
    built = SmallGold(FIRST, LAST, {app: [*history(app, chance)] for app in apps})
    yield built
    built.close()


PARTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["A", "B", "C", "A", "B", "C", "Own", "_active", "_all", "_new", "Inactive"])},
    optional={"where": st.sampled_from([*CONDITIONS])},
)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A funnel as its file would have it; some mean nothing."""
    steps = draw(st.lists(PARTS, min_size=2, max_size=4))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "order": st.sampled_from(["this", "any", "exact", "exact"]),
        "within": st.sampled_from(["1 second", "2 seconds", "7 seconds", "1 minute", "1 hour", "3 days"]),
        "exclude": st.lists(exclusions(len(steps)), min_size=1, max_size=2),
        "hold_constant": st.sampled_from([["session_id"], ["country"], ["session_id", "platform"]]),
        "show": st.sampled_from(["conversion_over_time", "time_to_convert"]),
        "by": st.sampled_from([["platform"], ["platform", "country"]]),
        "segments": st.sampled_from([["web"], ["(all)", "web"]]),
        "since": st.dates(FIRST, LAST),
        "until": st.dates(FIRST, LAST),
    }
    spec = {"type": "funnel", "steps": steps}
    return spec | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@st.composite
def exclusions(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    between = {"between": draw(st.lists(st.integers(1, steps), min_size=2, max_size=2, unique=True).map(sorted))}
    return {"event": draw(st.sampled_from(["A", "B", "C", "Inactive"]))} | (between if draw(st.booleans()) else {})


RULES: list[dict[str, Any]] = [
    {"order": "exact"},
    {"exclude": [{"event": "A", "between": [2, 3]}]},
    {"exclude": [{"event": "A", "between": [1, 2]}, {"event": "B", "between": [2, 3]}]},
    {},
]
APART = ["platform = 'Web'", "platform IN ('iOS', 'Android')"]
STEPS: list[list[dict[str, str]]] = [
    *([{"event": event} for event in events] for events in ("ABC", "ABAC", "AAB")),
    *([{"event": "A"}, {"event": event}, {"event": "B"}] for event in ("_active", "Inactive")),
    [*({"event": "A", "where": where} for where in APART), {"event": "B"}],
]
HARD: list[dict[str, Any]] = [
    {"type": "funnel", "steps": steps, "within": within, **rules}
    for rules in RULES
    for steps in STEPS
    for within in ("7 seconds", "1 hour")
] + [
    {"type": "funnel", "steps": [{"event": event} for event in "BAC"], "order": "any", "within": within, **rules}
    for rules in ({"exclude": [{"event": "Inactive"}]}, {"hold_constant": ["session_id"]})
    for within in ("2 seconds", "1 hour")
]


@pytest.mark.parametrize("spec", HARD)
def test_a_funnel_over_dense_histories_equals_the_oracle(gold: SmallGold, spec: dict[str, Any]) -> None:
    assert_equals(gold, spec)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(spec=specs())
def test_a_random_funnel_over_dense_histories_equals_the_oracle(gold: SmallGold, spec: dict[str, Any]) -> None:
    assert_equals(gold, spec)


def assert_equals(gold: SmallGold, spec: dict[str, Any]) -> None:
    try:
        chart = Funnel.model_validate(spec, context=WORDS)
    except ValidationError:
        assume(False)
    expected = funnel(spec, gold.events, gold.days, SPOKEN, EXCLUSIVE)
    got = gold.answer(chart, WORDS)
    assert got.keys() == expected.keys(), spec
    assert {key: (got[key], row) for key, row in expected.items() if got[key] != pytest.approx(row)} == {}, spec
