"""A life of a warehouse on Snowflake, against the stand-in: the rows that DuckDB gives, and what is sent for them."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from amplitude_source.charts import expressions
from amplitude_source.charts.book import compiled, read_charts
from amplitude_source.charts.definitions import read_words
from simulator.faults import Fault, FaultPlan, OtherRows
from simulator.product import Product
from simulator.server import Simulator
from support import grammar, statements, warehouse
from support.charts import write_charts
from support.members import export_row, gzip_lines, hour_text
from support.pages import PATHS, assert_pages_show_the_same_on_both
from support.project import Project, make_project, succeeded
from support.snowflake_standin import SnowflakeProject
from support.witnesses import assert_take_what_was_sent
from verify_snowflake import Checkout, Report, check_rows, expect_same_rows
from verify_snowflake import query as send

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
DEMO = Product(exposures=True)
# A week of its 30 days, in which a new key comes up; all of them take three minutes more, and give the same answer.
START, END = (DEMO.start + timedelta(days=days) for days in (10, 17))
CHANGED = START + 19 * HOUR
PROPERTIES = """\
total: {from: event, type: number}
is_gift: {from: event, type: boolean}
due_at: {from: event, type: timestamp}
plan: {from: user}
company: {from: group, group_type: company}
seats: {from: group, group_type: company, property: seats, type: number}
tags: {from: user, type: list}
category: {from: event, type: list}
"""
DEFINITIONS = """\
columns:
  size: {type: text, sql: "CASE WHEN total >= 100 THEN 'big' WHEN total < 100 THEN 'small' END"}
events:
  Interest: [Search Performed, {event: Product Added, where: platform = 'Web'}]
segments:
  it's Germany: {where: country = 'Germany'}
  busy: {where: now.events > 30}
  buyers: {did: {event: Order Completed, at_least: 2, within_days: 5}}
  others: {none: [it's Germany, buyers]}
  customers: {cohort: Customers}
"""
LISTS = ("annotations", "cohorts", "cohort_members", "experiments")
# A chart of each type, and a page: what is compared before a change lands. Each night, all are.
OF_EACH_TYPE = (
    *("orders", "comeback", "lifecycle", "stickiness", "monetization", "features", "plans", "usage", "funnel"),
    *("sessions", "ways", "customers", "lists"),
)
PAGE = ("",)  # the overview
# Charts that are views of gold, and so are built again and again; the others are asked once, because that is faster.
VIEWS = ("orders", "comeback")
CHARTS = {
    "orders": "{type: segmentation, events: [Order Completed], measure: totals, interval: week, by: [country], top: 2}",
    "spread": (
        "{type: segmentation, events: [Order Completed, _active], of: total, segments: [busy, others, (all)], "
        "interval: month, formula: 'PERCENTILE(A, 0.9) - PROPAVG(A) + ACTIVE(A) / UNIQUES(B)'}"
    ),
    "distinct": (
        "{type: segmentation, events: [Order Completed], of: total, "
        "measure: property_distinct_per_user, interval: quarter}"
    ),
    "frequency": "{type: segmentation, events: [Interest], measure: frequency, by: [size], rolling_window: 2}",
    "hourly": "{type: segmentation, events: [_new], measure: sessions, interval: hour, rolling_average: 3}",
    "comeback": "{type: retention, by: [platform], segments: [(all), buyers]}",
    "rebuyers": (
        "{type: retention, start: Order Completed, return: {event: Order Completed, where: total > 20}, "
        "interval: week, windows: calendar}"
    ),
    "lifecycle": "{type: lifecycle, event: Interest, interval: week, by: [size], until: 2026-06-16}",
    "stickiness": "{type: stickiness, event: {event: _new, where: plan IS NULL}, segments: [(all), it's Germany]}",
    "monetization": "{type: revenue, by: [platform], segments: [(all), buyers]}",
    "late_revenue": "{type: revenue, event: {event: Order Completed, where: total > 20}, of: total, interval: week}",
    "features": "{type: engagement_matrix, by: [platform], since: 2026-06-13}",
    "interests": "{type: engagement_matrix, events: [Interest, _new], interval: week, segments: [busy, (all)]}",
    "plans": "{type: composition, by: [plan], segments: [buyers, (all)], top: 1}",
    "countries": "{type: composition, by: [country], measure: cross_property_values, since: 2026-06-13}",
    "windows": "{type: retention, interval: week, since: 2026-06-12}",
    "brackets": "{type: retention, brackets: [0, 1-2, 4], windows: calendar}",
    "usage": "{type: usage_interval, event: Interest, by: [size], since: 2026-06-12}",
    "funnel": (
        "{type: funnel, steps: [Interest, Product Added, {event: Order Completed, where: total > 20}], within: 7 days, "
        "by: [platform], segments: [(all), buyers]}"
    ),
    "funnel_exact": (
        "{type: funnel, steps: [Product Viewed, _active, _active], order: exact, within: 2 hours, "
        "exclude: [{event: Search Performed, between: [2, 3]}], hold_constant: [session_id], "
        "show: conversion_over_time, interval: week}"
    ),
    "funnel_any": (
        "{type: funnel, steps: [Order Completed, Product Viewed], order: any, exclude: [Push Received], "
        "show: time_to_convert, since: 2026-06-12}"
    ),
    "sessions": "{type: sessions, measure: time_spent_per_user, by: [size], segments: [(all), busy], interval: week}",
    "lengths": "{type: sessions, measure: length_distribution, contains: Interest, min_seconds: 9, since: 2026-06-12}",
    "medians": "{type: sessions, measure: median_length, contains: {event: _new, where: plan IS NULL}, interval: hour}",
    "doings": "{type: sessions, measure: event_distribution, event: Interest, interval: month, buckets: [0, 1, 5]}",
    "ways": "{type: journeys, to: Order Completed, steps: 4, collapse_repeats: true, segments: [busy], by: [plan]}",
    "paths": "{type: journeys, from: Interest, within: 1 hour, measure: totals, top: 2, exclude: [_new], steps: 3}",
    "lists": (
        "{type: segmentation, events: [{event: _all, where: \"category IN ('Lamps', 'Küche') OR tags <> 'a'\"}], "
        "measure: totals, by: [category]}"
    ),
    "funnel_of_companies": "{type: funnel, steps: [_view, Order Completed], count_by: company, within: 3 days}",
    "customers": "{type: segmentation, events: [_active], segments: [customers], count_by: plan, since: 2026-06-13}",
    "companies": "{type: segmentation, events: [_all], cumulative: true, count_by: company, since: 2026-06-13}",
}
# A condition with each function that charts take, and how many events it takes.
FUNCTIONS = {
    "ABS": "ABS(total - 100) < 50",
    "CASE": "CASE WHEN plan = 'pro' THEN TRUE ELSE FALSE END",
    "CEIL": "CEIL(total) > 150",
    "COALESCE": "COALESCE(plan, 'none') = 'none'",
    "CONTAINS": "CONTAINS(city, 'r')",
    "DATEDIFF": "DATEDIFF(DAY, user_first_seen_at, event_time) > 2",
    "ENDSWITH": "ENDSWITH(country, 'y')",
    "FLOOR": "FLOOR(total / 10) = 15",
    "GREATEST": "GREATEST(total, 100) > 100",
    "IFF": "IFF(plan = 'pro', country, city) = 'Germany'",
    "LEAST": "LEAST(total, 100) = 100",
    "LENGTH": "LENGTH(country) = 7",
    "LOWER": "LOWER(country) LIKE '%an%'",
    "NULLIF": "NULLIF(country, 'Germany') IS NULL",
    "REGEXP_LIKE": "REGEXP_LIKE(country, 'G.*y')",
    "SPLIT_PART": "SPLIT_PART(version_name, '.', 1) = '3'",
    "STARTSWITH": "STARTSWITH(country, 'G')",
    "TRY_CAST": "TRY_CAST(SPLIT_PART(version_name, '.', 2) AS INTEGER) >= 1",
    "UPPER": "UPPER(platform) ILIKE 'w%' OR platform || country = 'iOSSpain'",
    "%": "session_number % 3 = 1 AND NOT (event_date BETWEEN '2026-06-12' AND '2026-06-13')",
}


@pytest.fixture
def product() -> Product:
    """The demo's, with late and repeated rows."""
    return DEMO


@pytest.mark.parametrize(
    "is_whole", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["of each kind one", "the whole"]
)
def test_a_warehouse_on_snowflake_ends_with_the_rows_of_one_on_duckdb(
    tmp_path: Path,
    snowflake_project: SnowflakeProject,
    simulator: Simulator,
    is_whole: bool,
) -> None:
    """Load and plan; an hour that changed, on which an audit fails; a restatement. DuckDB builds it all at once.

    Properties of each type are columns, and lists of the REST APIs are loaded. All that was sent for it keeps to the
    rules, is that of the snapshots, and is taken by the analyser. The whole has every chart and page, and a new column,
    in development and then promoted; and sqlfluff parses every statement.
    """
    snowflake, local = snowflake_project, make_project(tmp_path / "local", simulator)
    both = (snowflake, local)
    day_before_last = END - 25 * HOUR
    simulator.cohort_polls = 0
    for project in both:
        project.env |= {
            "SOURCES__AMPLITUDE__REST_RESOURCES": json.dumps([*LISTS, "event_types", "daily_numbers"]),
            "SOURCES__AMPLITUDE__COHORTS": '["Customers"]',
            "SOURCES__AMPLITUDE__EXPERIMENT_KEY": simulator.management_key,
            "SOURCES__AMPLITUDE__EXPERIMENT_URL": simulator.base_url,
        }
        views = {name: CHARTS[name] for name in VIEWS}
        write_charts(project.root, views, properties=PROPERTIES, definitions=DEFINITIONS)
        project.env["SOURCES__AMPLITUDE__START_HOUR"] = hour_text(START)
        project.set_clock(day_before_last + 10 * HOUR, simulator)
        succeeded(project.load_here("--end", hour_text(day_before_last)))
    warehouse.plan(snowflake)

    rows = (export_row(app=DEMO.app, amplitude_id=user, device_id=f"{user}", new_key=1) for user in (1, 2))
    simulator.faults = FaultPlan(Fault(OtherRows(gzip_lines(*rows)), hour=CHANGED))
    for project in both:
        project.set_clock(END + 2 * HOUR, simulator)
        succeeded(project.load_here("load-merges", str(merges_of_two_users(local, tmp_path / "feed.json"))))
        succeeded(project.load_here("--start", hour_text(CHANGED), "--end", hour_text(CHANGED)))
        succeeded(project.load_here())
    with pytest.raises(AssertionError, match=r"EXPORT_RECONCILIATION.*Audits failed"):  # the old hour is in silver
        warehouse.run(snowflake)
    warehouse.plan(snowflake, restate=["silver.events"], start=str(CHANGED))
    warehouse.run(snowflake)
    warehouse.plan(local)
    asked = assert_charts_are_the_same_on_both(
        snowflake, local, {name: CHARTS[name] for name in (CHARTS if is_whole else OF_EACH_TYPE)}
    )
    expected = (*warehouse.BUILT_TABLES, *(f"silver.{name}" for name in LISTS))
    assert [table for table in expected if not local.query(f"SELECT 1 FROM {table} LIMIT 1")] == []

    if is_whole:
        assert_a_column_comes_by_a_development_environment(snowflake)
    assert_same_rows_on_both(snowflake, local)

    assert {login["TIMEZONE"] for login in snowflake.snowflake.logins()} == {"UTC"}, "a session follows its account"
    sent = [statement.sql for statement in snowflake.snowflake.statements()]
    statements.assert_keep_to_the_rules(sent)
    statements.assert_are_those_of_the_snapshots(sent, are_all=is_whole)
    assert_pages_show_the_same_on_both(snowflake, local, PATHS if is_whole else PAGE)
    parsed = grammar.different if is_whole else grammar.one_of_each_kind
    assert_take_what_was_sent(snowflake, after=asked, parsed=parsed)


def assert_a_column_comes_by_a_development_environment(snowflake: SnowflakeProject) -> None:
    warehouse.add_column(snowflake)
    warehouse.plan(snowflake, environment="dev")
    assert "NEWEST_EXPORT_HOUR" in columns_of(snowflake, "SILVER__DEV", "APPS")
    assert "NEWEST_EXPORT_HOUR" not in columns_of(snowflake, "SILVER", "APPS")
    warehouse.plan(snowflake)
    assert snowflake.query("SELECT DISTINCT newest_export_hour = last_export_hour FROM silver.apps") == [(True,)]


def assert_charts_are_the_same_on_both(
    snowflake: SnowflakeProject, local: Project, asked: Mapping[str, str]
) -> list[str]:
    """Charts, and each function of conditions, of which there are no others; all count something.

    Returns:
        The queries that Snowflake was asked.
    """
    series = [{"event": "_all", "name": name, "where": where} for name, where in FUNCTIONS.items()]
    functions = {"type": "segmentation", "events": series, "measure": "totals", "interval": "quarter"}
    folder = local.root.parent / "asked"
    charts = {**asked, "functions": json.dumps(functions)}
    write_charts(folder, charts, properties=PROPERTIES, definitions=DEFINITIONS)
    words = read_words(folder)
    queries = {name: compiled(chart, words) for name, chart in read_charts(folder, words).items()}
    rows = {}
    with snowflake.snowflake.connected() as connection:
        for name, query in queries.items():
            rows[name] = local.query(query.for_engine("duckdb"))
            expect_same_rows(send(connection, query.for_engine("snowflake")), rows[name])
            place = [each.name for each in query.columns].index(query.value)
            assert max(row[place] or 0 for row in rows[name]) > 0, name
    sent = [query.for_engine("snowflake") for query in queries.values()]
    statements.assert_keep_to_the_rules(sent)
    places = {each.name: place for place, each in enumerate(queries["functions"].columns)}
    counted = {row[places["series"]]: row[places["value"]] for row in rows["functions"]}
    assert [name for name, value in counted.items() if not value] == [], "the conditions take no event"
    assert counted.keys() - {"%"} == {*expressions.FUNCTIONS.split(", ")}
    return sent


def merges_of_two_users(project: Project, path: Path) -> Path:
    """A file of Amplitude's merge feed, which merges the last user into the first."""
    ((first, last),) = project.query("SELECT MIN(amplitude_id), MAX(amplitude_id) FROM bronze.events")
    merge = {"amplitude_id": last, "merged_amplitude_id": first, "merge_event_time": 0, "merge_server_time": 0}
    path.write_text(json.dumps(merge))
    return path


def assert_same_rows_on_both(snowflake: SnowflakeProject, local: Project) -> None:
    """Every column of every table of silver and gold, as the check of a real account compares them."""
    report = Report()
    with snowflake.snowflake.connected() as connection:
        for layer in ("silver", "gold"):
            check_rows(report, connection, layer, Checkout(local.root, {}))
    assert report.failed == []


def columns_of(project: SnowflakeProject, schema: str, table: str) -> list[str]:
    rows = project.query(
        f"SELECT column_name FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = '{schema}' AND table_name = '{table}'"
    )
    return [name for (name,) in rows]
