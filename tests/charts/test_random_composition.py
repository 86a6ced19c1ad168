"""User compositions: random ones over a shop's month are equal to the oracle, row for row."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oracle import chart_composition
from support.chart_world import COUNTED, DATES, EXAMPLES, SEGMENTS, World, assert_equals


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A chart as its file would have it."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "measure": st.sampled_from(["most_recent_value", "all_values", "cross_property_values"]),
        "top": st.integers(1, 4),
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "count_by": COUNTED,
        "since": DATES,
        "until": DATES,
    }
    by = draw(st.sampled_from(["country", "platform", "plan", "size", "visits", "is_regular", "company"]))
    return {"type": "composition", "by": [by]} | {
        name: draw(values) for name, values in optional.items() if draw(st.booleans())
    }


@settings(max_examples=EXAMPLES, deadline=None)
@given(spec=specs())
def test_a_composition_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    assume("since" not in spec or "until" not in spec or spec["since"] <= spec["until"])
    assert_equals(world, spec, chart_composition.composition(spec, world.counted(spec), world.days, world.spoken))
