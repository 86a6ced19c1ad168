"""Charts of sessions: random ones over a shop's month are equal to the oracle, and to silver and gold."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from amplitude_source.charts.book import TYPES
from amplitude_source.charts.types.sessions import METRICS
from oracle.chart_sessions import DEFAULT_BUCKETS, sessions
from support.chart_world import COUNTED, DATES, EVENTS, EXAMPLES, SEGMENTS, World, assert_equals

BROKEN_DOWN = ("country", "platform", "plan", "size", "is_regular", "visits")


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A chart as its file would have it."""
    measure = draw(st.sampled_from([*METRICS]))
    spec: dict[str, Any] = {"type": "sessions", "measure": measure}
    if "event" in measure:
        spec["event"] = draw(EVENTS)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "contains": EVENTS,
        "min_seconds": st.sampled_from([0, 0.5, 10, 90.25]),
        "interval": st.sampled_from(["hour", "day", "week", "month", "quarter"]),
        "by": st.lists(st.sampled_from(BROKEN_DOWN), max_size=2, unique=True),
        "segments": st.lists(st.sampled_from(["(all)", *SEGMENTS]), min_size=1, max_size=2, unique=True),
        "count_by": COUNTED,
        "since": DATES,
        "until": DATES,
    }
    if measure in DEFAULT_BUCKETS:
        optional["buckets"] = st.lists(st.integers(0, 900), min_size=1, max_size=4, unique=True).map(sorted)
    return spec | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(spec=specs())
def test_a_chart_of_sessions_equals_the_oracle(world: World, spec: dict[str, Any]) -> None:
    assume("since" not in spec or "until" not in spec or spec["since"] <= spec["until"])
    expected = sessions(spec, world.counted(spec), world.counted_before(spec), world.days, world.spoken)
    assert_equals(world, spec, expected)


@pytest.mark.parametrize(
    ("measure", "sql"),
    [
        ("total_sessions", "sessions"),
        ("average_length", "average_session_seconds"),
        ("average_per_user", "sessions / NULLIF(active_users, 0)"),
    ],
)
@pytest.mark.parametrize("breakdown", ["all", "platform", "country"])
def test_sessions_have_the_figures_of_daily_metrics(world: World, measure: str, sql: str, breakdown: str) -> None:
    by = [] if breakdown == "all" else [breakdown]
    rows = world.query(f"SELECT project, app, segment, metric_date, {sql} FROM gold.daily_metrics WHERE {breakdown=}")
    assert_figures(world, {"type": "sessions", "measure": measure, "by": by}, rows)


@pytest.mark.parametrize(
    ("measure", "sql"), [("time_spent", "SUM(session_seconds)"), ("median_length", "MEDIAN(session_seconds)")]
)
def test_sessions_last_as_long_as_those_of_silver(world: World, measure: str, sql: str) -> None:
    rows = world.query(
        f"SELECT project, app, '(all)', session_date, {sql} FROM silver.sessions JOIN silver.apps USING (project, app) "
        "WHERE NOT is_longer_than_a_day AND session_date BETWEEN first_date AND frontier_date GROUP BY ALL"
    )
    assert_figures(world, {"type": "sessions", "measure": measure}, rows)


def assert_figures(world: World, spec: dict[str, Any], rows: list[tuple[Any, ...]]) -> None:
    """Whether a chart by day has the figures of rows; where one has no row, the other has nothing to show."""
    chart = TYPES["sessions"].model_validate(spec, context=world.words)
    got = {(*key[:2], *key[-2:]): row[0] for key, row in world.answer(chart).items() if row[0]}
    assert len(got) > 25
    assert got == pytest.approx({tuple(key): value for *key, value in rows if value})
