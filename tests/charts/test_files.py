"""The files of charts: what is wrong in one is said in a sentence, with the line and the nearest word."""

import json
import re
from pathlib import Path

import pytest

from amplitude_source.charts import vocabulary
from amplitude_source.charts.book import changed, read_charts, unseen_events
from amplitude_source.charts.compared import compared_charts
from amplitude_source.charts.definitions import read_words
from amplitude_source.errors import AmplitudeError
from amplitude_source.settings import MORE_CHARTS_VARIABLE
from support import warehouse
from support.charts import write_charts
from support.project import Project

PROPERTIES = """\
price: {from: event, type: number}
plan: {from: user}
value: {from: event}
sent_at: {from: event, type: timestamp}
tags: {from: event, type: list}
"""
DEFINITIONS = """\
events:
  Bought: [Order Completed, Subscription Started]
segments:
  payers: {did: {event: Bought}}
"""
CHART = """\
type: segmentation
events: [Order Completed]
"""
FUNNEL = """\
type: funnel
steps: [a, b]
"""


def refusal(root: Path) -> str:
    with pytest.raises(AmplitudeError) as raised:
        read_charts(root)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("type: segmentation\n", 1, "events is missing."),
        ("type: segmentation\nevents: []\n", 2, "events is []: list should have at least 1 item"),
        ("type: segmentatoin\nevents: [a]\n", 1, "type is 'segmentatoin'; did you mean segmentation?"),
        ("events: [a]\n", 1, "type is missing."),
        (CHART + "mesure: totals\n", 3, "mesure means nothing here; did you mean measure?"),
        (CHART + "measure: total\n", 3, "measure is 'total'; did you mean totals?"),
        (CHART + "interval: daily\n", 3, "interval is 'daily'; did you mean day?"),
        (CHART + "measure: property_sum\n", 3, "PROPSUM needs `of`, the column whose values count."),
        (CHART + "measure: property_median\nof: plan\n", 4, "of: plan is a text; declare it with `type: number`"),
        (CHART + "of: price\n", 3, "no measure of the chart counts a property's values."),
        (CHART + "measure: property_sum\nof: prize\n", 4, "there is no column prize; did you mean price?"),
        (CHART + "by: [contry]\n", 3, "there is no column contry; did you mean country?"),
        (CHART + "by:\n  - country\n  - country\n", 5, "country stands there twice."),
        (CHART + "by: [value]\n", 3, "value is the name of another column of the chart"),
        (CHART + "by: [sent_at]\n", 3, "sent_at is a time, and has too many values to break down by."),
        ("type: retention\nby:\n  - tags\n", 3, "tags is a list, by which charts of this type do not break down."),
        (CHART + "count_by: tags\n", 3, "tags is a list; this takes a column with one value."),
        (FUNNEL + "hold_constant: [tags]\n", 3, "tags is a list; this takes a column with one value."),
        (CHART + "by: [now.plann]\n", 3, "there is no column now.plann; did you mean now.plan?"),
        (CHART + "segments: [payrs]\n", 3, "there is no segment payrs; did you mean payers?"),
        (CHART + "rolling_window: 1\n", 3, "rolling_window is 1: input should be greater than or equal to 2."),
        (CHART + "rolling_window: 91\n", 3, "90 days are the most."),
        (CHART + "rolling_window: 7\ncumulative: true\n", 4, "a chart has one of rolling_window and cumulative."),
        (
            CHART + "measure: average\ncumulative: true\n",
            4,
            "AVG has no running total; TOTALS, UNIQUES",
        ),
        (
            CHART + "measure: frequency\ncumulative: true\n",
            3,
            "the frequency of users has no running total",
        ),
        (CHART + "since: 2026-06-02\nuntil: 2026-06-01\n", 4, "until lies before since."),
        (CHART + "since: yesterday\n", 3, "since is 'yesterday': input should be a valid date."),
        (CHART + "top: 0\n", 3, "top is 0: input should be greater than or equal to 1."),
        (CHART + "formula: UNIQUES(B)\n", 3, "names event B; the chart's are A."),
        (CHART + "formula: UNIQES(A)\n", 3, "has UNIQES, which is no metric; did you mean UNIQUES?"),
        (CHART + "formula: UNIQUES(A\n", 3, "is no formula"),
        (CHART + "formula: 1 + 1\n", 3, "names no event; write as UNIQUES(A) / UNIQUES(B)."),
        (CHART + "formula: PERCENTILE(A, 90)\n", 3, "write PERCENTILE(A, 0.9)"),
        (CHART + "formula: UNIQUES(A)\nmeasure: totals\n", 3, "a chart has a measure or a formula, not both."),
        (
            "type: segmentation\nevents:\n  - a\n  - event: a\n    where: price > 1\n",
            4,
            "two events are called a",
        ),
        ("type: segmentation\nevents: [_actve]\n", 2, "_actve is none of _new, _active, _all; did you mean _active?"),
        ("type: segmentation\nevents:\n  - evnt: a\n", 3, "events.0.evnt means nothing here; did you mean event?"),
        ("type: segmentation\nevents: [5]\n", 2, "events.0 is 5: write keys and their values below it."),
        ("type: segmentation\nevents: [a]\nby: country\n", 3, "by is 'country': input should be a valid list."),
        ("type: [segmentation\n", 2, "texts with brackets, colons or % need quotes."),
        ("", 1, "type is missing."),
        ("type: retention\nstrat: a\n", 2, "strat means nothing here; did you mean start?"),
        ("type: retention\ntop: 3\n", 2, "top means nothing here"),
        ("type: retention\nwindows: 24_hour\n", 2, "windows is '24_hour'; did you mean 24_hours?"),
        ("type: retention\nreturn: {event: a, where: prize > 1}\n", 2, "there is no column prize; did you mean price?"),
        ("type: retention\nby: [cohort]\n", 2, "there is no column cohort"),
        ("type: retention\nbrackets: [0, 1..3]\n", 2, "1..3 is no bracket: write a number, as 0, or two, as 1-3."),
        ("type: retention\nbrackets: [0-3, 3]\n", 2, "3 begins before the bracket before it is over."),
        ("type: retention\nbrackets: [5-4]\n", 2, "5-4 ends before it begins."),
        ("type: retention\nbrackets: [-1]\n", 2, "-1 is no bracket"),
        ("type: retention\nbrackets: []\n", 2, "brackets is []: list should have at least 1 item"),
        ("type: usage_interval\ninterval: hour\n", 2, "interval is 'hour'"),
        ("type: funnel\nsteps: [a]\n", 2, "steps is ['a']: list should have at least 2 items"),
        (f"type: funnel\nsteps: [{', '.join('a' * 21)}]\n", 2, "list should have at most 20 items"),
        (FUNNEL + "within: 0 days\n", 3, "0 days is not between 1 second and 366 days."),
        (FUNNEL + "within: 367 days\n", 3, "367 days is not between 1 second and 366 days."),
        (FUNNEL + "within: 30\n", 3, "within is 30: input should be a valid string."),
        (FUNNEL + "within: 3 fortnights\n", 3, "write it as 30 days, 12 hours or 90 seconds."),
        (FUNNEL + "order: exakt\n", 3, "order is 'exakt'; did you mean exact?"),
        (FUNNEL + "show: over_time\n", 3, "show is 'over_time'; did you mean conversion_over_time?"),
        (FUNNEL + "interval: week\n", 3, "interval means nothing without `show: conversion_over_time`."),
        (FUNNEL + "bucket: 1 hour\n", 3, "bucket means nothing without `show: time_to_convert`."),
        (FUNNEL + "show: time_to_convert\nbucket: 1 second\n", 4, "more than 1,000 buckets of 1 second."),
        (
            FUNNEL + "exclude:\n  - {event: c, between: [2, 3]}\n",
            4,
            "nothing between steps 2 and 3; the steps are 1 to 2",
        ),
        (FUNNEL + "exclude: [{event: c, between: [2, 1]}]\n", 3, "there is nothing between steps 2 and 1"),
        (FUNNEL + "exclude: [{event: c, betwen: [1, 2]}]\n", 3, "betwen means nothing here; did you mean between?"),
        (
            FUNNEL + "order: any\nexclude: [{event: c, between: [1, 2]}]\n",
            4,
            "steps in any order have no place between",
        ),
        (FUNNEL + "hold_constant: [pirce]\n", 3, "there is no column pirce; did you mean price?"),
        (FUNNEL + "hold_constant: [plan, plan]\n", 3, "plan stands there twice."),
        (FUNNEL + "by: [users]\n", 3, "there is no column users"),
        ("type: funnel\norder: any\nsteps:\n  - a\n  - _all\n", 5, "one event may do steps 1 and 2, and in any order"),
        ("type: sessions\nmeasure: average_lenght\n", 2, "measure is 'average_lenght'; did you mean average_length?"),
        ("type: sessions\nmeasure: total_events\n", 2, "total_events needs `event`, the event that counts."),
        (
            "type: sessions\nevent: a\n",
            2,
            "total_sessions counts no events; total_events, average_events, event_distribution do.",
        ),
        ("type: sessions\ncontain: a\n", 2, "contain means nothing here; did you mean contains?"),
        (
            "type: sessions\ncontains: {event: a, where: prize > 1}\n",
            2,
            "there is no column prize; did you mean price?",
        ),
        ("type: sessions\nmin_seconds: -1\n", 2, "min_seconds is -1: input should be greater than or equal to 0."),
        ("type: sessions\nmin_seconds: .inf\n", 2, "min_seconds is inf: input should be less than or equal to 86400."),
        ("type: sessions\nbuckets: [0, 9]\n", 2, "total_sessions has no buckets; length_distribution and event_dis"),
        (
            "type: sessions\nmeasure: length_distribution\nbuckets:\n  - 0\n  - 9\n  - 9\n",
            6,
            "9 does not come after 9.",
        ),
        (
            "type: sessions\nmeasure: length_distribution\nbuckets: [-1]\n",
            3,
            "buckets.0 is -1: input should be greater than",
        ),
        ("type: journeys\n", 1, "a chart of journeys has `from` or `to`, the event with which paths begin or end."),
        ("type: journeys\nform: a\n", 2, "form means nothing here; did you mean from?"),
        ("type: journeys\nfrom: a\nto: b\n", 3, "a chart of journeys has `from` or `to`, not both."),
        ("type: journeys\nfrom: _actve\n", 2, "_actve is none of _new, _active, _all; did you mean _active?"),
        ("type: journeys\nfrom: a\nsteps: 11\n", 3, "steps is 11: input should be less than or equal to 10."),
        ("type: journeys\nfrom: a\nsteps: 1\n", 3, "steps is 1: input should be greater than or equal to 2."),
        ("type: journeys\nfrom: a\nwithin: sesion\n", 3, "'sesion' is no window; write `session`, or a length of time"),
        ("type: journeys\nfrom: a\nwithin: 400 days\n", 3, "400 days is not between 1 second and 366 days."),
        ("type: journeys\nfrom: a\ninterval: day\n", 3, "interval means nothing here"),
        ("type: journeys\nfrom: a\nmeasure: unique\n", 3, "measure is 'unique'; did you mean uniques?"),
        ("type: journeys\nfrom: a\nevents: []\n", 3, "events is []: list should have at least 1 item"),
        ("type: journeys\nfrom: a\nexclude:\n  - b\n  - a\n", 5, "a is what the paths consist of; exclude other"),
        ("type: journeys\nfrom: a\nexclude: [_active]\n", 3, "_active is what the paths consist of; exclude other"),
        ("type: journeys\nfrom: a\nby: [path]\n", 3, "there is no column path"),
        ("type: revenu\n", 1, "type is 'revenu'; did you mean revenue?"),
        ("type: revenue\nof: prize\n", 2, "there is no column prize; did you mean price?"),
        ("type: revenue\nof: plan\n", 2, "of: plan is a text; declare it with `type: number`"),
        ("type: revenue\nevents: [a]\n", 2, "events means nothing here; did you mean event?"),
        ("type: revenue\ninterval: hour\n", 2, "interval is 'hour'"),
        ("type: revenue\nmeasure: arpu\n", 2, "measure means nothing here"),
        ("type: engagement_matrix\nevents: [a, b, a]\n", 2, "two events are called a; give one a name."),
        ("type: engagement_matrix\nevents: []\n", 2, "events is []: list should have at least 1 item"),
        ("type: engagement_matrix\nevents: [_activ]\n", 2, "_activ is none of _new, _active, _all; did you mean"),
        (f"type: engagement_matrix\nevents: {[*'abcdefghijklmnopqrstu']}\n", 2, "list should have at most 20 items"),
        ("type: engagement_matrix\nevent: a\n", 2, "event means nothing here; did you mean events?"),
        ("type: engagement_matrix\nby: [times]\n", 2, "there is no column times"),
        ("type: composition\n", 1, "by is missing."),
        ("type: composition\nby: [country, plan]\n", 2, "list should have at most 1 item"),
        ("type: composition\nby: []\n", 2, "list should have at least 1 item"),
        ("type: composition\nby: [sent_at]\n", 2, "sent_at is a time"),
        ("type: composition\nby: [plan]\nmeasure: all_value\n", 3, "measure is 'all_value'; did you mean all_values?"),
        ("type: composition\nby: [plan]\nevents: [a]\n", 3, "events means nothing here"),
        ("type: composition\nby: [plan]\ninterval: week\n", 3, "interval means nothing here"),
        ("type: revenue\nby: [revenue]\n", 2, "revenue is the name of another column of the chart"),
    ],
)
def test_a_fault_of_a_chart_is_one_sentence_with_the_line(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    write_charts(tmp_path, {"sales": text}, properties=PROPERTIES, definitions=DEFINITIONS)
    message = refusal(tmp_path)
    assert message.startswith(f"sqlmesh/charts/sales.yaml, line {line}: "), message
    assert sentence in message


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("prise > 1", "there is no column prise; did you mean price?"),
        ("price >", "is no SQL expression"),
        ("price = 'a'", "mixes a number with a text."),
        ("plan > 5", "mixes a number with a text."),
        ("price", "is a number, and no condition."),
        ("COALESCE(plan, 0) = 'a'", "mixes a number with a text."),
        ("CASE WHEN price > 1 THEN plan ELSE 0 END = 'a'", "mixes a number with a text."),
        ("IFF(price > 1, 'a', 2) = 'a'", "mixes a number with a text."),
        ("TRY_CAST(price AS INTEGER) = 1", "has TRY_CAST of a number; Snowflake takes texts alone."),
        ("LOWER(price) = 'a'", "No function matches"),
        ("plan + 1 > 2", "No function matches"),
        ("price > (SELECT 1)", "has a query; a condition looks at one event."),
        ("SUM(price) > 1", "looks at several events (SUM(price)); a condition looks at one."),
        ("ROW_NUMBER() OVER (ORDER BY price) = 1", "looks at several events"),
        ("SYSTEM$WAIT(5) = 'x'", "which charts do not take"),
        ("RANDOM() > 0.5", "has RANDOM(), which charts do not take"),
        ("plan::DOUBLE > 1", "casts a value, which may fail on one of them: write TRY_CAST."),
        ("events.plan.x = 'a'", "is no column"),
        ("users.plan = 'a'", "users.plan is no column; the user's as of now are now.<name>."),
        ("1 = 1; DROP TABLE silver.events", "is no SQL expression"),
        ("plan = 'a') OR (TRUE", "is no SQL expression"),
        ("", "is no SQL expression"),
        ("CONTAINS(tags, 'a')", "takes the list tags for one value; ask it by =, <>, IN and IS NULL."),
        ("tags = plan", "takes the list tags for one value"),
        ("'a' = tags", "takes the list tags for one value"),
        ("tags = 5", "mixes a number with a text."),
        ("tags IN ('a', plan)", "takes the list tags for one value"),
        ("COALESCE(tags, 'a') = 'a'", "takes the list tags for one value"),
        ("tags", "takes the list tags for one value"),
        ("now.tags = 'a'", "there is no column now.tags"),
    ],
)
def test_a_condition_that_is_not_about_one_event_is_refused(tmp_path: Path, where: str, sentence: str) -> None:
    chart = f"type: segmentation\nevents:\n  - event: a\n    where: {json.dumps(where)}\n"
    write_charts(tmp_path, {"sales": chart}, properties=PROPERTIES)
    message = refusal(tmp_path)
    assert message.startswith("sqlmesh/charts/sales.yaml, line 4: events.0.where: "), message
    assert sentence in message


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("segments:\n  a: {all: [b]}\n  b: {any: [a]}\n", 2, "segments name each other in a circle: a, b, a."),
        ("segments:\n  a: {none: [c]}\n", 2, "there is no segment c; sqlmesh/definitions.yaml has a."),
        ("segments:\n  a: {}\n", 2, "a segment has one of where, did, cohort, all, any and none."),
        ("segments:\n  (all): {where: price > 1}\n", 2, "(all) is the segment of all events; choose another name."),
        (
            "segments:\n  a:\n    did: {event: b, at_last: 2}\n",
            3,
            "did.at_last means nothing here; did you mean",
        ),
        ("segments:\n  a:\n    where: prize > 1\n", 3, "there is no column prize; did you mean price?"),
        ("events:\n  _new: [a]\n", 2, "_new means something already; choose another name."),
        ("events:\n  a: [b]\n  b: [c]\n", 2, "b is of several types; name those that it has."),
        ("events:\n  a: [_view]\n", 2, "_view is of several types; name those that it has."),
        ("events:\n  a: []\n", 2, "list should have at least 1 item"),
        ("columns:\n  country: {type: text, sql: plan}\n", 2, "country is a column of events already"),
        ("columns:\n  b: {type: text, sql: price}\n", 2, "b is a number, and not a text."),
        ("columns:\n  b:\n    type: text\n    sql: prize\n", 4, "there is no column prize; did you mean price?"),
        ("columns:\n  Ü: {type: text, sql: plan}\n", 2, "'Ü' is no name for a column"),
        ("segmnts: {}\n", 1, "segmnts means nothing here; did you mean segments?"),
    ],
)
def test_a_fault_of_the_definitions_is_one_sentence_with_the_line(
    tmp_path: Path, text: str, line: int, sentence: str
) -> None:
    write_charts(tmp_path, properties=PROPERTIES, definitions=text)
    message = refusal(tmp_path)
    assert message.startswith(f"sqlmesh/definitions.yaml, line {line}: "), message
    assert sentence in message


def test_two_charts_of_one_name_and_a_name_that_is_no_table_are_refused(tmp_path: Path) -> None:
    write_charts(tmp_path, {"sales": CHART})
    (tmp_path / "sqlmesh/charts/sales.yml").write_text(CHART)
    assert refusal(tmp_path) == (
        "sqlmesh/charts/sales.yml: there is a chart sales already, in sqlmesh/charts/sales.yaml."
    )
    (tmp_path / "sqlmesh/charts/sales.yml").rename(tmp_path / "sqlmesh/charts/Sales of June.yaml")
    assert "name the file with small letters, digits and _ alone" in refusal(tmp_path)


def test_more_charts_come_from_the_folder_of_a_setting_and_from_nowhere_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_charts(tmp_path, {"sales": CHART})
    more = tmp_path / "examples"
    monkeypatch.setenv(MORE_CHARTS_VARIABLE, "examples")
    assert refusal(tmp_path) == "SQLMESH_MORE_CHARTS: the repository has no folder examples."
    more.mkdir()
    (more / "steps.yaml").write_text(f"amplitude_chart: abc\n{CHART}")
    assert [*read_charts(tmp_path)] == ["sales", "steps"]
    assert compared_charts(tmp_path) == ["abc"]
    (more / "sales.yaml").write_text(CHART)
    assert refusal(tmp_path) == "examples/sales.yaml: there is a chart sales already, in sqlmesh/charts/sales.yaml."
    monkeypatch.setenv(MORE_CHARTS_VARIABLE, str(tmp_path.parent))
    assert refusal(tmp_path).startswith("SQLMESH_MORE_CHARTS: the repository has no folder /")
    monkeypatch.delenv(MORE_CHARTS_VARIABLE)
    assert [*read_charts(tmp_path)] == ["sales"]


def test_an_option_that_means_nothing_is_refused_as_in_the_file(tmp_path: Path) -> None:
    write_charts(tmp_path, {"sales": CHART})
    words, chart = read_words(tmp_path), read_charts(tmp_path)["sales"]
    assert changed(chart, {"by": ["country"]}, words).by == ["country"]
    with pytest.raises(AmplitudeError, match="there is no column contry; did you mean country"):
        changed(chart, {"by": ["contry"]}, words)


def test_an_event_that_never_came_is_named_with_the_nearest_and_those_of_amplitude_are_not(tmp_path: Path) -> None:
    write_charts(tmp_path, {"sales": "type: segmentation\nevents: [Bought, Ordr, _new]\n"}, definitions=DEFINITIONS)
    words, chart = read_words(tmp_path), read_charts(tmp_path)["sales"]
    assert [*unseen_events(chart, words, ["Order", "Order Completed"])] == [
        "no event 'Subscription Started' has come so far.",
        "no event 'Ordr' has come so far; did you mean 'Order'?",
    ]


@pytest.mark.slow
def test_the_columns_that_conditions_name_are_those_of_the_models(project: Project) -> None:
    """All of them but JSON, keys and the mark of days that no chart shows."""
    sql = {kind: {type_} for kind, type_ in vocabulary.SQL_TYPES.items()}
    sql["number"].add("BIGINT")
    left_out = {"project", "app", "uuid", "is_before_export", "event_properties", "user_properties", "groups"}
    with warehouse.opened(project) as context:
        for model, declared in (
            ("gold.events", vocabulary.EVENT_COLUMNS),
            ("gold.users", vocabulary.USER_COLUMNS),
        ):
            columns = context.get_model(model, raise_if_missing=True).columns_to_types or {}
            types = {name.lower(): re.sub(r"\(.*", "", type_.sql("snowflake")) for name, type_ in columns.items()}
            assert {*declared} == types.keys() - left_out
            assert [name for name, kind in declared.items() if types[name] not in sql[kind]] == []


def test_a_property_with_the_name_of_a_column_is_refused(tmp_path: Path) -> None:
    write_charts(tmp_path, properties="price: {from: event}\nrevenue: {from: event, type: number}\n")
    message = refusal(tmp_path)
    assert message == (
        "sqlmesh/properties.yaml, line 2: gold.events has a column revenue already; "
        "choose another name for the property's."
    )
