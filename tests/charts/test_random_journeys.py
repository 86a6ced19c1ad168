"""Charts of journeys: random ones over a shop's month are equal to the oracle, row for row."""

from typing import Any

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from amplitude_source.charts.types.journeys import Journeys
from oracle.chart_journeys import journeys
from support.chart_world import COUNTED, DATES, EVENTS, EXAMPLES, SEGMENTS, World, assert_equals

BROKEN_DOWN = ("country", "platform", "plan", "size")


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A chart as its file would have it; some mean nothing."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "steps": st.integers(2, 7),
        "within": st.sampled_from(["session", "1 second", "90 seconds", "1 hour", "3 days"]),
        "measure": st.sampled_from(["uniques", "totals"]),
        "events": st.lists(EVENTS, min_size=1, max_size=3),
        "exclude": st.lists(EVENTS, max_size=2),
        "collapse_repeats": st.booleans(),
        "top": st.integers(1, 6),
        "by": st.lists(st.sampled_from(BROKEN_DOWN), max_size=2, unique=True),
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "count_by": COUNTED,
        "since": DATES,
        "until": DATES,
    }
    spec = {"type": "journeys", draw(st.sampled_from(["from", "to"])): draw(EVENTS)}
    return spec | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(spec=specs())
@example(spec={"type": "journeys", "to": {"event": "Order Completed"}, "by": ["country"], "count_by": "size"})
def test_a_chart_of_journeys_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    try:
        Journeys.model_validate(spec, context=world.words)
    except ValidationError:
        assume(False)
    assert_equals(world, spec, journeys(spec, world.counted(spec), world.days, world.spoken))
