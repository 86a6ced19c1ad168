"""Revenue charts: random ones over a shop's month are equal to the oracle, row for row."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oracle import chart_revenue
from support.chart_world import COUNTED, DATES, EVENTS, EXAMPLES, SEGMENTS, World, assert_equals


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A chart as its file would have it."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "event": EVENTS,
        "of": st.sampled_from(["revenue", "total", "price", "visits"]),
        "interval": st.sampled_from(["day", "week", "month"]),
        "by": st.lists(st.sampled_from(["country", "platform", "plan", "size"]), max_size=2, unique=True),
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "count_by": COUNTED,
        "since": DATES,
        "until": DATES,
    }
    return {"type": "revenue"} | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@settings(max_examples=EXAMPLES, deadline=None)
@given(spec=specs())
def test_a_revenue_chart_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    assume("since" not in spec or "until" not in spec or spec["since"] <= spec["until"])
    assert_equals(world, spec, chart_revenue.revenue(spec, world.counted(spec), world.days, world.spoken))
