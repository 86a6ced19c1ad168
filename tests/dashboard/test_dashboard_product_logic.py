"""What the product pages make of the rows of gold, without a browser or a warehouse."""

from datetime import date

import pandas as pd
import plotly.graph_objects as go
import pytest

from board import figures
from board.errors import UnansweredError
from board.sql import for_engine
from board.view import View
from screens import behaviour, funnels, growth, retention, revenue

DAYS = (date(2026, 6, 1), date(2026, 6, 30))
VIEW = View("it's", 7, *DAYS, "platform", ("iOS", "it's <b>"), *DAYS)
MARKUP = "a <b>bold</b> & plain"


def texts_of(figure: go.Figure) -> str:
    return str(figure.to_json())


@pytest.mark.parametrize(
    "figure",
    [
        figures.bars(pd.DataFrame({"x": [MARKUP], "y": [1], "by": [MARKUP]}), "x", "y", "by"),
        figures.lines(pd.DataFrame({"x": [1, 2], "y": [1, 2], "by": [MARKUP] * 2}), "x", "y", "by"),
        figures.flows(
            pd.DataFrame({"step": [1], "a": [MARKUP], "b": [MARKUP], "n": [1]}), "a", "b", "n", rest=["(end)"]
        ),
        figures.points(pd.DataFrame({"x": [0.5], "y": [2.0], "name": [MARKUP]}), "x", "y", "name", ("x", "y")),
        figures.heat(
            pd.DataFrame({0: [0.5]}, index=[MARKUP]), "x", "%{z}", 1, pd.DataFrame({0: [True]}, index=[MARKUP])
        ),
    ],
    ids=["bars", "lines", "flows", "points", "heat"],
)
def test_markup_in_a_name_is_drawn_as_it_is(figure: object) -> None:
    assert "<b>" not in texts_of(figure).replace("\\u003c", "<")
    assert "&lt;b" in texts_of(figure) or "\\u0026lt;b" in texts_of(figure)


def test_bars_of_incomplete_intervals_are_hatched() -> None:
    rows = pd.DataFrame({"x": [1, 2], "y": [3, 4], "is_complete": [True, False]})
    (bar,) = figures.bars(rows, "x", "y").data
    assert list(bar.marker.pattern.shape) == ["", "/"]


def test_a_heat_map_marks_the_cells_that_are_not_over() -> None:
    shares = pd.DataFrame({0: [1.0, 1.0], 1: [0.25, None]}, index=["June", "July"])
    is_whole = pd.DataFrame({0: [True, False], 1: [True, False]}, index=["June", "July"])
    whole, rest = figures.heat(shares, "month", "%{z}", 0.25, is_whole).data
    assert [list(row) for row in whole.text] == [["100", "25"], ["", ""]]
    assert [list(row) for row in rest.text] == [["", ""], ["100*", ""]]


def test_few_days_are_named_on_the_axis_and_many_are_not() -> None:
    few = pd.DataFrame({"x": pd.to_datetime(["2026-06-01"]), "y": [1]})
    assert len(figures.lines(few, "x", "y").layout.xaxis.tickvals) == 1
    many = pd.DataFrame({"x": pd.date_range("2026-06-01", periods=30), "y": range(30)})
    assert figures.lines(many, "x", "y").layout.xaxis.tickvals is None


def test_names_of_points_do_not_cover_each_other() -> None:
    x, y = pd.Series([1.0, 0.9, 0.9, 0.1]), pd.Series([1.0, 1.0, 0.5, 1.0])
    assert figures.has_room(x, y) == [True, False, True, True]


def test_rare_channels_are_one_and_no_user_is_lost() -> None:
    rows = pd.DataFrame(
        {
            "start_date": ["a", "a", "a", "b"],
            "channel": ["rare", "google", "odd", "google"],
            "new_users": [1, 5, 2, 4],
            "sessions": [1, 5, 0, 4],
            "is_complete": [True, True, True, False],
        }
    )
    channels = growth.largest(rows)
    assert list(channels["channel"]) == ["google", "odd", "rare"]
    assert list(channels["share"]) == pytest.approx([9 / 12, 2 / 12, 1 / 12])
    kept = growth.with_rest(rows, ["google"])
    assert kept[["channel", "start_date", "new_users"]].values.tolist() == [
        ["google", "a", 5], ["google", "b", 4], ["(other)", "a", 3],
    ]  # fmt: skip


def test_a_curve_leaves_out_cells_that_are_not_over() -> None:
    cells = pd.DataFrame(
        {
            "segment": ["(all)"] * 3,
            "interval_number": [0, 1, 1],
            "cohort_users": [10, 10, 30],
            "returned": [10, 4, 30],
            "is_complete": [True, True, False],
        }
    )
    assert retention.curve(cells).values.tolist() == [["(all)", 0, 10, 10, 1.0], ["(all)", 1, 10, 4, 0.4]]


def test_many_buckets_become_few_and_no_user_is_lost() -> None:
    rows = pd.DataFrame(
        {"segment": "(all)", "bucket_seconds": range(0, 6000, 60), "users": 1, "share": 0.01, "is_complete": True}
    )
    wider = funnels.doubled(rows)
    assert list(wider["bucket_seconds"]) == [0, 60, 120, 240, 480, 960, 1920, 3840]
    assert list(wider["users"]) == [1, 1, 2, 4, 8, 16, 32, 36]
    assert list(funnels.doubled(rows.head(10))["users"]) == [1] * 10


def test_lines_of_a_chart_are_named_by_segment_and_break_downs() -> None:
    rows = pd.DataFrame(
        {
            "project": ["p"] * 2,
            "app": [1] * 2,
            "segment": ["(all)", "busy"],
            "now_plan": ["pro", "free"],
            "users": [1, 2],
        }
    )
    assert list(funnels.with_lines(rows, ["now.plan"])["segment"]) == ["(all) · pro", "busy · free"]
    assert list(funnels.with_lines(rows.head(1), ["now.plan"])["segment"]) == ["pro"]
    assert list(funnels.with_lines(rows, [])["segment"]) == ["(all)", "busy"]


def test_rare_events_of_a_step_are_one_and_none_is_lost() -> None:
    rows = pd.DataFrame(
        {
            "from_event": ["a", "a", "a", "b", "b"],
            "to_event": ["x", "y", "(end)", "x", "z"],
            "times": [5.0, 1.0, 2.0, 1.0, 0.5],
        }
    )
    flows, kept = behaviour.grouped(rows, 1)
    assert kept == {"x": 6.0}
    assert {(row.from_event, row.to_event): row.times for row in flows.itertuples()} == {
        ("a", "x"): 5, ("a", "(other)"): 1, ("a", "(end)"): 2, ("b", "x"): 1, ("b", "(other)"): 0.5,
    }  # fmt: skip


def test_revenue_is_zero_where_nobody_paid_and_has_no_average() -> None:
    active = pd.DataFrame({"start_date": ["a", "b"], "segment": "(all)", "active_users": [4, 2], "is_complete": True})
    paid = pd.DataFrame({"start_date": ["a"], "segment": ["(all)"], "revenue": [10.0], "payers": [2], "payments": [3]})
    rows = revenue.per_user(active, paid)
    assert list(rows["revenue"]) == [10, 0]
    assert rows["per_payer"].fillna(-1).tolist() == [5, -1]
    assert rows["per_active_user"].tolist() == [2.5, 0]


def test_names_of_the_last_two_steps_do_not_stand_against_each_other() -> None:
    ways = pd.DataFrame(
        [(1, "(start)", "view", 9), (2, "view", "view", 5), (2, "view", "buy", 3), (2, "view", "(end)", 1)],
        columns=["step", "a", "b", "n"],
    )
    (flow,) = figures.flows(ways, "a", "b", "n", rest=["(start)", "(end)"]).data
    assert [*flow.node.label] == ["(start)", "view", "", "buy", "(end)"]
    assert [*flow.node.customdata] == ["(start)", "view", "view", "buy", "(end)"]
    assert flow.node.color[1] == flow.node.color[2]


@pytest.mark.parametrize(
    "sql",
    [
        growth.lifecycle_of(VIEW, "week"),
        growth.acquisition_of(VIEW, "month", "medium", "last"),
        retention.cells_of(VIEW, "day", "calendar", "on or after"),
        funnels.types_of(VIEW),
        behaviour.engagement_of(VIEW, "it's"),
        behaviour.adoption_of(VIEW, "users", ["it's"]),
        behaviour.beginnings_of(VIEW),
        behaviour.transitions_of(VIEW, ["it's"]),
        behaviour.stickiness_of(VIEW, "month"),
        revenue.paid_of(VIEW, "week"),
        revenue.active_of(VIEW, "day"),
        revenue.totals_of(VIEW),
    ],
)
def test_a_quote_in_a_name_stays_within_its_text(sql: str) -> None:
    assert "it''s" in for_engine(sql, "duckdb")


def test_a_chart_that_cannot_be_is_a_sentence() -> None:
    from board.charts import written

    with pytest.raises(UnansweredError, match="one event may do steps 1 and 2"):
        written({"type": "funnel", "steps": ["_active", "Order Completed"], "order": "any"})
