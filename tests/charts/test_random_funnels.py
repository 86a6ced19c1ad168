"""Random funnels over a shop's month are equal to the oracle, row for row."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from amplitude_source.charts.types.funnel import Funnel
from oracle.chart_funnels import funnel
from support.chart_world import CONDITIONS, COUNTED, DATES, EXAMPLES, SEGMENTS, World

STEPS = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            ["Product Viewed", "Product Added", "Checkout Started", "Order Completed", "Interest", "Search Performed"]
        )
    },
    optional={"where": st.sampled_from([*CONDITIONS]), "name": st.sampled_from(["a step", "it's"])},
)
BROAD = st.fixed_dictionaries({"event": st.sampled_from(["_active", "_new", "_all", "Push Received"])})


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A funnel as its file would have it; some mean nothing."""
    steps = draw(st.lists(STEPS, min_size=2, max_size=3))
    if draw(st.booleans()):
        steps[draw(st.integers(0, len(steps) - 1))] = draw(BROAD)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "order": st.sampled_from(["this", "any", "exact"]),
        "within": st.sampled_from(["5 minutes", "12 hours", "7 days", "3 weeks"]),
        "exclude": st.lists(STEPS.filter(lambda step: "name" not in step), min_size=1, max_size=1),
        "hold_constant": st.sampled_from([["company"], ["plan"], ["visits", "platform"], ["is_regular"]]),
        "show": st.sampled_from(["conversion_over_time", "time_to_convert"]),
        "interval": st.sampled_from(["day", "week", "month"]),
        "bucket": st.sampled_from(["1 minute", "1 day"]),
        "by": st.lists(st.sampled_from(["country", "platform", "plan", "size"]), max_size=2, unique=True),
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "count_by": COUNTED,
        "since": DATES,
        "until": DATES,
    }
    spec = {"type": "funnel", "steps": steps}
    return spec | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(spec=specs())
def test_a_funnel_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    try:
        chart = Funnel.model_validate(spec, context=world.words)
    except ValidationError:
        assume(False)
    got = world.answer(chart)
    expected = funnel(spec, world.counted(spec), world.days, world.spoken)
    assert got.keys() == expected.keys(), spec
    assert {key: (got[key], row) for key, row in expected.items() if got[key] != pytest.approx(row)} == {}, spec
