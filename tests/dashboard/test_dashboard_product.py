"""The product pages have the numbers of gold and of its charts, on the demo's month."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb
import pandas as pd
import pytest

from amplitude_source.charts.book import TYPES, compiled
from amplitude_source.charts.definitions import read_words
from board.markup import markdown
from board.numbers import amount, count
from board.sql import for_engine
from board.view import View
from screens import behaviour, growth, retention, revenue
from support.pages import Pages, figures, sentences
from support.project import Project

pytestmark = pytest.mark.slow
FIRST, LAST = date(2026, 6, 1), date(2026, 6, 30)
ALL = ("all", ("(all)",))
PLATFORMS = ("platform", ("Web", "iOS", "(none)"))


def ask(shop: Project, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(shop.database), read_only=True) as connection:
        return connection.execute(for_engine(sql, "duckdb")).df().rename(columns=str.lower)


def view_of(
    shop: Project, breakdown: tuple[str, tuple[str, ...]] = ALL, since: date = FIRST, until: date = LAST
) -> View:
    ((project, app),) = shop.query("SELECT project, app FROM silver.apps")
    return View(project, app, since, until, *breakdown, FIRST, LAST)


def chart(shop: Project, spec: Mapping[str, Any]) -> pd.DataFrame:
    words = read_words(shop.root)
    return ask(shop, compiled(TYPES[spec["type"]].model_validate(spec, context=words), words).sql)


def by_key(rows: pd.DataFrame, keys: list[str], *values: str) -> dict[tuple[Any, ...], tuple[float, ...]]:
    found = {
        tuple(row[: len(keys)]): tuple(row[len(keys) :])
        for row in rows[[*keys, *values]].itertuples(index=False, name=None)
    }
    assert found
    assert len(found) == len(rows)
    return found


def test_the_engagement_matrix_is_that_of_the_chart(shop: Project) -> None:
    since, until = date(2026, 6, 3), date(2026, 6, 17)
    rows = ask(shop, behaviour.engagement_of(view_of(shop, since=since, until=until), ""))
    active = rows[rows["is_active"]]
    assert len(active) < len(rows), "inactive types have to be left out"
    columns = ["active_share", "average_times"]
    expected = chart(shop, {"type": "engagement_matrix", "since": since, "until": until}).rename(
        columns={"event": "event_type"}
    )
    assert by_key(active, ["event_type"], *columns) == {
        key: pytest.approx(value) for key, value in by_key(expected, ["event_type"], *columns).items()
    }
    assert dict(zip(active["event_type"], active["events"], strict=True)) == dict(
        zip(expected["event_type"], expected["times"], strict=True)
    )


def test_a_search_finds_event_types_by_a_part_of_their_name(shop: Project) -> None:
    rows = ask(shop, behaviour.engagement_of(view_of(shop), "oRDER"))
    assert sorted(rows["event_type"]) == ["Order Completed", "Order Paid"]
    assert ask(shop, behaviour.engagement_of(view_of(shop), "%")).empty


def test_days_without_an_event_type_are_zero(shop: Project) -> None:
    days = ask(shop, behaviour.adoption_of(view_of(shop), "users", ["Delivery Scheduled", "Product Viewed"]))
    gold = shop.query("""
        SELECT event_type, event_date, users FROM gold.event_adoption_daily
        WHERE breakdown = 'all' AND event_type IN ('Delivery Scheduled', 'Product Viewed')
    """)
    drawn = {(name, day.date()): users for name, day, users in days[["event_type", "day", "users"]].values}
    assert len(drawn) == 2 * 30
    assert {key: users for key, users in drawn.items() if users} == {(name, day): users for name, day, users in gold}


@pytest.mark.parametrize("windows", retention.WINDOWS)
@pytest.mark.parametrize("unit", ["day", "week", "month"])
@pytest.mark.parametrize("counted", retention.COUNTED)
def test_the_curve_of_all_days_is_the_cohort_all_of_gold(shop: Project, windows: str, unit: str, counted: str) -> None:
    view = view_of(shop, PLATFORMS)
    curve = retention.curve(ask(shop, retention.cells_of(view, unit, windows, counted)))
    gold = ask(
        shop,
        f"SELECT segment, interval_number, cohort_users, {retention.COUNTED[counted]} AS returned "
        f"FROM gold.{retention.WINDOWS[windows]} WHERE {view.of_segments} AND cohort = '(all)' "
        f"AND interval_unit = '{unit}'",
    )
    keys, values = ["segment", "interval_number"], ["cohort_users", "returned"]
    if gold.empty:
        assert curve.empty
    else:
        assert by_key(curve, keys, *values) == by_key(gold, keys, *values)


@pytest.mark.parametrize("touch", growth.TOUCHES)
@pytest.mark.parametrize("attribute", growth.ATTRIBUTES)
def test_channels_add_up_to_the_new_users_of_whole_weeks(shop: Project, attribute: str, touch: str) -> None:
    view = view_of(shop, since=date(2026, 6, 10), until=date(2026, 6, 16))
    rows = ask(shop, growth.acquisition_of(view, "week", attribute, touch))
    gold = shop.query("""
        SELECT week, SUM(new_users)::BIGINT FROM gold.daily_metrics JOIN gold.days ON date = metric_date
        WHERE breakdown = 'all' AND week IN ('2026-06-08', '2026-06-15') GROUP BY week
    """)
    sums = growth.with_rest(rows, ["google"]).groupby("start_date")["new_users"].sum()
    assert {day.date(): users for day, users in sums.items()} == dict(gold)
    assert rows["is_complete"].all()


def test_the_first_step_of_journeys_is_counted_and_later_ones_go_on_as_often(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behaviour, "ask", lambda sql: ask(shop, sql))
    rows = behaviour.journeys(view_of(shop), "Product Viewed", 4, 3)
    first = rows[rows["step"] == 1]
    gold = dict(
        shop.query("""
            SELECT to_event_type, SUM(transitions) FROM gold.session_paths
            WHERE breakdown = 'all' AND from_event_type = 'Product Viewed' GROUP BY 1
        """)
    )
    counted = dict(zip(first["to_event"], first["times"], strict=True))
    assert {name: times for name, times in counted.items() if name != "(other)"} == {
        name: gold[name] for name in counted if name != "(other)"
    }
    assert sum(counted.values()) == sum(gold.values())
    for step in (2, 3, 4):
        gone_on = rows[(rows["step"] == step - 1) & ~rows["to_event"].isin(["(end)", "(other)"])]["times"].sum()
        assert rows[rows["step"] == step]["times"].sum() == pytest.approx(gone_on)


def test_journeys_begin_with_what_sessions_begin_with(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "ask", lambda sql: ask(shop, sql))
    rows = behaviour.journeys(view_of(shop, ("platform", ("iOS",))), behaviour.START, 1, 50)
    gold = shop.query("""
        SELECT to_event_type, SUM(transitions) FROM gold.session_paths
        WHERE breakdown = 'platform' AND segment = 'iOS' AND from_event_type = '(start)' GROUP BY 1
    """)
    assert dict(zip(rows["to_event"], rows["times"], strict=True)) == dict(gold)


@pytest.mark.parametrize("unit", ["day", "week", "month"])
def test_revenue_and_payers_are_those_of_segmentation_charts(shop: Project, unit: str) -> None:
    view = view_of(shop, since=date(2026, 6, 9), until=date(2026, 6, 18))
    rows = ask(shop, revenue.paid_of(view, unit))
    days = {"interval": unit, "since": view.since, "until": view.until}
    paid = {"type": "segmentation", "events": [{"event": "_all", "where": "NOT revenue IS NULL"}], **days}
    sums = chart(shop, {**paid, "measure": "property_sum", "of": "revenue"})
    payers = chart(shop, {**paid, "measure": "uniques"})
    values = dict(zip(sums["period"], sums["value"], strict=True))
    assert sum(values.values()) > 0
    assert dict(zip(rows["start_date"], rows["revenue"], strict=True)) == pytest.approx(
        {day: value for day, value in values.items() if value}
    )
    assert dict(zip(rows["start_date"], rows["payers"], strict=True)) == {
        day: value for day, value in zip(payers["period"], payers["value"], strict=True) if value
    }


def test_revenue_by_platform_adds_up(shop: Project) -> None:
    whole = ask(shop, revenue.paid_of(view_of(shop), "month"))
    parts = ask(shop, revenue.paid_of(view_of(shop, PLATFORMS), "month"))
    assert len(parts) >= 1
    assert parts["revenue"].sum() == pytest.approx(whole["revenue"].sum())


def test_a_funnel_of_the_project_is_drawn_as_gold_has_it(shop: Project, pages: Pages) -> None:
    gold = shop.query("SELECT platform, step, conversion_from_start FROM gold.chart_purchase ORDER BY 1, 2")
    page = pages("funnels", "funnel=purchase")
    (bars,) = figures(page)
    drawn = {(line["name"], int(str(x)[0])): y for line in bars for x, y in zip(line["x"], line["y"], strict=True)}
    assert drawn == pytest.approx({(platform, step): share for platform, step, share in gold})
    assert "From product to order within a week" in [each.value for each in page.text]


def test_a_funnel_of_own_steps_is_what_the_chart_counts(shop: Project, pages: Pages) -> None:
    steps = ["Product Viewed", "Product Added", "Order Completed"]
    spec = {"type": "funnel", "steps": steps, "within": "7 days", "since": date(2026, 6, 8), "until": date(2026, 6, 14)}
    shares = chart(shop, spec).sort_values("step")["conversion_from_start"].tolist()
    over_time = chart(shop, {**spec, "show": "conversion_over_time"})
    address = "&".join(["within=7&days=2026-06-08&days=2026-06-14", *(f"step={step}" for step in steps)])
    (drawn,), (over,), times = figures(pages("funnels", f"funnel=(steps of your own)&{address}"))
    assert drawn["y"] == pytest.approx(shares)
    last = over_time[over_time["step"] == 3]
    assert [str(day)[:10] for day in over["x"]] == [f"{day:%Y-%m-%d}" for day in sorted(last["period"])]
    assert over["y"] == pytest.approx(last.sort_values("period")["conversion_from_start"].tolist())
    assert sum(share for line in times for share in line["y"]) == pytest.approx(1)


def test_lifecycle_has_dormant_users_below_zero(shop: Project, pages: Pages) -> None:
    gold = shop.query("""
        SELECT new_users, current_users, resurrected_users, -dormant_users FROM gold.lifecycle_weekly
        WHERE breakdown = 'platform' AND segment = 'iOS' ORDER BY start_date
    """)
    bars, *_ = figures(pages("growth", "interval=week&by=platform&of=iOS&days=2026-06-01&days=2026-06-30"))
    assert [line["name"] for line in bars] == ["new", "current", "resurrected", "dormant"]
    assert [tuple(row) for row in zip(*(line["y"] for line in bars), strict=True)] == gold


def test_the_tiles_of_revenue_are_counted_from_the_same_events(shop: Project, pages: Pages) -> None:
    days = "event_date BETWEEN DATE '2026-06-10' AND DATE '2026-06-19'"
    ((revenue, payers, active_days),) = shop.query(f"""
        SELECT SUM(revenue), COUNT(DISTINCT IF(revenue IS NULL, NULL, canonical_amplitude_id)),
          COUNT(DISTINCT IF(is_active, (event_date, canonical_amplitude_id), NULL))
        FROM gold.events WHERE {days}
    """)
    page = pages("revenue", "days=2026-06-10&days=2026-06-19")
    assert {each.label: each.value for each in page.metric} == {
        "Revenue": amount(revenue),
        "Paying users": count(payers),
        "Per paying user": amount(revenue / payers),
        "Per daily active user": amount(revenue / active_days),
    }


def test_lifetimes_are_counted_where_a_reader_wants_them(shop: Project, pages: Pages) -> None:
    days = {"since": date(2026, 6, 8), "until": date(2026, 6, 21)}
    rows = chart(shop, {"type": "revenue", "interval": "week", **days})
    expected = rows[rows["cohort"] == "(all)"].set_index("interval_number")["arpu"].to_dict()
    page = pages("revenue", "show=Lifetime&interval=week&days=2026-06-08&days=2026-06-21")
    per_new_user, _ = figures(page)
    drawn = {x: y for line in per_new_user for x, y in zip(line["x"], line["y"], strict=True) if y is not None}
    assert drawn == pytest.approx(expected)
    assert any("Counted from single events" in each.value for each in page.caption)
    assert not any("Counted from single events" in each.value for each in pages("revenue").caption)


def test_a_product_without_revenue_hears_what_counts(pages: Pages) -> None:
    page = pages("revenue", "by=country&segment=Germany")
    assert any("The segments shown have 0.0 % of the revenue." in each.value for each in page.text)


@pytest.mark.parametrize("address", ["days=2026-06-16", "days=2026-06-16&days=2026-06-16"])
def test_an_address_with_one_day_shows_that_day_alone(shop: Project, pages: Pages, address: str) -> None:
    sql = "SELECT new_users FROM gold.daily_metrics WHERE breakdown = 'all' AND metric_date = DATE '2026-06-16'"
    ((new_users,),) = shop.query(sql)
    assert {each.label: each.value for each in pages("", address).metric}["New users"] == count(new_users)


@pytest.mark.parametrize(
    ("path", "address", "said"),
    [
        (
            "",
            "by=platfrom&project=defalt&days=nonsense&segment=None",
            [
                "The address asks for by 'platfrom', which there is not. Did you mean 'platform'?",
                "The address asks for project 'defalt', which there is not. Did you mean 'default'?",
                "The address asks for the day 'nonsense'. default has 2026-06-01 to 2026-07-01.",
            ],
        ),
        (
            "funnels",
            "funnel=purchas",
            ["The address asks for funnel 'purchas', which there is not. Did you mean 'purchase'?"],
        ),
        (
            "funnels",
            "funnel=(steps of your own)&step=Prodct Viewed&within=999",
            [
                "The address asks for step 'Prodct Viewed', which there is not. Did you mean 'Product Viewed'?",
                "The address asks for within '999', which there is not. Did you mean '99'?",
            ],
        ),
        (
            "behaviour",
            "from=Product Vewed&search=<b>",
            ["The address asks for from 'Product Vewed', which there is not. Did you mean 'Product Viewed'?"],
        ),
    ],
)
def test_words_of_an_address_that_nothing_has_are_named(pages: Pages, path: str, address: str, said: list[str]) -> None:
    page = pages(path, address)
    assert {markdown(each) for each in said} <= {each.value for each in page.warning}
    assert not page.exception


def test_a_choice_of_too_little_is_a_sentence(pages: Pages) -> None:
    assert any(
        "Choose 2 to 20 event types" in each for each in sentences(pages("funnels", "funnel=(steps of your own)"))
    )
    said = sentences(pages("behaviour", "search=<b>"))
    assert "No event type of these days has that in its name." in said
