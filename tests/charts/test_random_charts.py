"""Charts of each type: random ones over a shop's month are equal to the oracle, row for row."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from amplitude_source.charts.book import TYPES
from amplitude_source.charts.types.retention import Retention
from amplitude_source.charts.types.segmentation import Segmentation
from oracle import chart_retention
from oracle import charts as oracle_charts
from oracle.charts import Rows
from support.chart_world import COUNTED, DATES, EVENTS, EXAMPLES, SEGMENTS, World, assert_equals

LISTS = ("tags", "category", "levels")
OF = {
    "property_sum", "property_average", "property_median", "property_min", "property_max", "property_distinct",
    "property_distinct_per_user", "PERCENTILE(A, 0.9) - PROPAVG(A)",
}  # fmt: skip


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A chart as its file would have it; some mean nothing."""
    parts = draw(st.lists(EVENTS, min_size=1, max_size=2, unique_by=lambda part: part["event"]))
    spec: dict[str, Any] = {"type": "segmentation", "events": parts}
    if len(parts) == 2 and draw(st.booleans()):
        spec["formula"] = asked = draw(st.sampled_from([*oracle_charts.FORMULAS]))
    else:
        spec["measure"] = asked = draw(st.sampled_from([*oracle_charts.MEASURES, "frequency"]))
    if asked in OF:
        spec["of"] = draw(st.sampled_from(["total", "price", "visits"]))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "interval": st.sampled_from(["hour", "day", "week", "month", "quarter"]),
        "by": st.lists(
            st.sampled_from(["country", "platform", "plan", "size", "is_regular", "visits", "is_tagged", *LISTS]),
            max_size=2,
            unique=True,
        ),
        "top": st.integers(1, 3),
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "count_by": COUNTED,
        "since": DATES,
        "until": DATES,
    }
    mode = draw(st.sampled_from([None, None, "rolling_window", "rolling_average", "cumulative"]))
    if mode:
        spec[mode] = True if mode == "cumulative" else draw(st.integers(2, 5))
    for name, values in optional.items():
        if draw(st.booleans()):
            spec[name] = draw(values)
    return spec


def assert_same(got: dict[tuple[Any, ...], tuple[Any, ...]], expected: Rows, spec: dict[str, Any]) -> None:
    assert got.keys() == expected.keys(), spec
    for key, (value, is_complete) in expected.items():
        assert got[key][1] == is_complete, (spec, key)
        assert got[key][0] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)), (spec, key)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(spec=specs())
def test_a_segmentation_chart_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    try:
        chart = Segmentation.model_validate(spec, context=world.words)
    except ValidationError:
        assume(False)
    assert_same(
        world.answer(chart), oracle_charts.segmentation(spec, world.counted(spec), world.days, world.spoken), spec
    )


@st.composite
def retention_specs(draw: st.DrawFn) -> dict[str, Any]:
    """A retention chart as its file would have it."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "start": EVENTS,
        "return": EVENTS,
        "interval": st.sampled_from(["day", "week", "month"]),
        "windows": st.sampled_from(["24_hours", "calendar"]),
        "brackets": st.sampled_from([[0, "1-3", "4-6", "7-11"], ["1 - 2", 5], ["0-40"]]),
        "by": st.lists(st.sampled_from(["country", "platform", "plan", "size"]), max_size=2, unique=True),
        "count_by": COUNTED,
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "since": DATES,
        "until": DATES,
    }
    return {"type": "retention"} | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(spec=retention_specs())
def test_a_retention_chart_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    try:
        chart = Retention.model_validate(spec, context=world.words)
    except ValidationError:
        assume(False)
    counts = slice(1, 4) if chart.brackets else slice(0, 3)
    got = {key: (*row[counts], row[-1]) for key, row in world.answer(chart).items()}
    expected = chart_retention.retention(spec, world.counted(spec), world.days, world.spoken)
    assert got.keys() == expected.keys(), spec
    assert {key: (got[key], cell) for key, cell in expected.items() if got[key] != cell} == {}, spec


@st.composite
def specs_of_one_event(draw: st.DrawFn, type_: str, *intervals: str) -> dict[str, Any]:
    """A chart of a type with one event."""
    by = ["country", "platform", "plan", "size", *(LISTS if TYPES[type_].takes_lists else [])]
    optional: dict[str, st.SearchStrategy[Any]] = {
        "event": EVENTS,
        "interval": st.sampled_from(intervals),
        "by": st.lists(st.sampled_from(by), max_size=2, unique=True),
        "count_by": COUNTED,
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "since": DATES,
        "until": DATES,
    }
    return {"type": type_} | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(spec=specs_of_one_event("lifecycle", "day", "week", "month"))
def test_a_lifecycle_chart_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    assume("since" not in spec or "until" not in spec or spec["since"] <= spec["until"])
    assert_equals(world, spec, oracle_charts.lifecycle(spec, world.counted(spec), world.days, world.spoken))


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(spec=specs_of_one_event("stickiness", "week", "month"))
def test_a_stickiness_chart_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    assume("since" not in spec or "until" not in spec or spec["since"] <= spec["until"])
    assert_equals(world, spec, oracle_charts.stickiness(spec, world.counted(spec), world.days, world.spoken))


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(spec=specs_of_one_event("usage_interval", "day", "week", "month"))
def test_a_usage_interval_chart_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    assume("since" not in spec or "until" not in spec or spec["since"] <= spec["until"])
    assert_equals(world, spec, chart_retention.usage_interval(spec, world.counted(spec), world.days, world.spoken))
