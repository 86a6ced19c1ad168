"""Questions of the dashboard without a browser: what the form says, what an address asks, what is drawn."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML
from streamlit.testing.v1 import AppTest

from amplitude_source.charts.book import TYPES, compiled, read_charts
from amplitude_source.charts.definitions import Words, read_words
from amplitude_source.charts.vocabulary import ColumnType
from amplitude_source.settings import MORE_CHARTS_VARIABLE
from asking import files
from asking.conditions import SQL, Condition, conditions_of, where_of
from asking.fields import fields_of
from asking.question import FaultError, checked, from_address, within_days, yaml_of
from board.blocks import address_of
from board.chart_figures import DRAWERS, drawn, within
from board.errors import UnansweredError
from board.markup import markdown
from support.chart_gold import Gold, at
from support.charts import DEFINITIONS_OF_GUIDE, EXAMPLES, PROPERTIES_OF_GUIDE, write_charts

COLUMNS: dict[str, ColumnType] = {
    "total": "number",
    "platform": "text",
    "now.plan": "text",
    "is_active": "boolean",
    "tags": "list",
}
DAYS = (date(2026, 6, 1), date(2026, 6, 14))
MARKED = "<b>*$Bought$*</b>"
# A chart of each type over the events of `small`.
SMALL: dict[str, dict[str, Any]] = {
    "segmentation": {"events": ["View", MARKED]},
    "funnel": {"steps": ["View", MARKED], "within": "7 days"},
    "retention": {},
    "usage_interval": {"event": "View"},
    "lifecycle": {"event": "View"},
    "stickiness": {"event": "View"},
    "sessions": {"measure": "total_sessions"},
    "journeys": {"from": "View", "within": "1 day"},
    "revenue": {"event": MARKED},
    "engagement_matrix": {"interval": "week"},
    "composition": {"by": ["country"]},
}


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the guide's charts, properties and definitions."""
    root = tmp_path_factory.mktemp("guide")
    charts = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES}
    (root / "sqlmesh").mkdir()
    write_charts(root, charts, properties=PROPERTIES_OF_GUIDE, definitions=DEFINITIONS_OF_GUIDE)
    return root


@pytest.fixture(scope="module")
def words(guide: Path) -> Words:
    return read_words(guide)


@pytest.fixture(scope="module")
def small() -> Iterator[Gold]:
    """Three users from two countries who view, and two of them buy; one in a country with markup in its name."""
    gold = Gold(*DAYS)
    for user, country in ((1, "A"), (2, "<i>B</i>"), (3, "A")):
        for day in (1, 2, 2 + user, 9):
            session = {"session_id": 100 * user + day, "is_in_session": True, "country": country}
            gold.add(user, "View", at(6, day), client_event_time=at(6, day), **session)
            if user < 3:
                gold.add(user, MARKED, at(6, day, 13), client_event_time=at(6, day, 13), revenue=10.0, **session)
    yield gold
    gold.close()


def rows_of(gold: Gold, definition: dict[str, Any]) -> pd.DataFrame:
    query = compiled(checked(definition, gold.words), gold.words)
    return gold.frame(f"{query.for_engine('duckdb')} ORDER BY {', '.join(query.keys)}")


@pytest.mark.parametrize("type_", TYPES)
def test_a_chart_of_each_type_is_drawn_with_names_as_they_are(small: Gold, type_: str) -> None:
    definition = {"type": type_, **SMALL[type_]}
    drawing = drawn(definition, rows_of(small, definition))
    assert drawing.figures
    for figure in drawing.figures.values():
        assert sum(len(trace.y if trace.type != "sankey" else trace.link.value) for trace in figure.data) > 0
        shown = json.dumps(json.loads(figure.to_json()))  # which Plotly itself writes without <
        assert "<b>" not in shown
        assert "<i>" not in shown


def test_every_type_has_fields_and_a_drawing_and_no_key_is_left_out() -> None:
    assert set(DRAWERS) == set(TYPES)
    for type_, model in TYPES.items():
        keys = {field.alias or name for name, field in model.model_fields.items()} - {"type"}
        assert {field.key for field in fields_of(type_)} == keys


def test_the_figure_of_a_segmentation_has_the_rows_of_its_chart(small: Gold) -> None:
    definition = {"type": "segmentation", "events": ["View"], "by": ["country"], "measure": "totals"}
    rows = rows_of(small, definition)
    (figure,) = drawn(definition, rows).figures.values()
    found = {trace.name: list(trace.y) for trace in figure.data}
    assert found == {
        country.replace("<", "&lt;").replace(">", "&gt;"): list(of_country["value"])
        for country, of_country in rows.groupby("country")
    }
    assert sum(map(sum, found.values())) == 12


def test_a_figure_shows_the_largest_lines_and_says_how_many_there_are() -> None:
    days = pd.DataFrame({"period": pd.to_datetime(["2026-06-01", "2026-06-02"]), "is_complete": [True, False]})
    countries = pd.DataFrame({"country": [f"c{number}" for number in range(20)], "value": range(20)})
    rows = countries.merge(days, how="cross").assign(series="View", segment="(all)")
    drawing = drawn({"type": "segmentation", "events": ["View"], "by": ["country"]}, rows)
    assert {trace.name for trace in drawing.figures[""].data} == {f"c{number}" for number in range(13, 20)}
    assert drawing.notes == ["The figure shows the 7 largest of 20 lines; the numbers have all."]


def test_intervals_that_hold_a_chosen_day_are_shown() -> None:
    rows = pd.DataFrame({"period": pd.to_datetime(["2026-05-25", "2026-06-01", "2026-06-08", "2026-06-15"])})
    shown = within(rows, date(2026, 6, 3), date(2026, 6, 14))
    assert [f"{each:%m-%d}" for each in shown["period"]] == ["06-01", "06-08"]
    cohorts = pd.DataFrame({"cohort": ["(all)"]})
    assert within(cohorts, date(2026, 6, 3), date(2026, 6, 14)) is cohorts


@pytest.mark.parametrize(
    ("where", "conditions"),
    [
        ("total > 20", [Condition("total", ">", ("20",))]),
        ("platform IN ('Web', 'it''s')", [Condition("platform", "is", ("Web", "it's"))]),
        ("NOT platform IN ('a', 'b')", [Condition("platform", "is not", ("a", "b"))]),
        ("platform <> 'a'", [Condition("platform", "is not", ("a",))]),
        ("NOT now.plan IS NULL AND total IS NULL", [Condition("now.plan", "is set"), Condition("total", "is not set")]),
        ("CONTAINS(platform, 'W')", [Condition("platform", "contains", ("W",))]),
        ("is_active = TRUE", [Condition("is_active", "is", ("true",))]),
        ("tags = 'x' AND total = -1.5", [Condition("tags", "is", ("x",)), Condition("total", "is", ("-1.5",))]),
        ("total > 1 OR platform = 'Web'", [Condition(SQL, values=("total > 1 OR platform = 'Web'",))]),
        ("total > 'x'", [Condition("total", ">", ("x",))]),
        ("nothing = 1", [Condition(SQL, values=("nothing = 1",))]),
    ],
)  # fmt: skip
def test_a_condition_of_a_file_can_be_clicked_and_is_written_alike(where: str, conditions: list[Condition]) -> None:
    assert conditions_of(where, COLUMNS) == conditions  # the kinds of columns
    again = where_of(conditions, COLUMNS)
    assert again is not None
    assert conditions_of(again, COLUMNS) == conditions


def test_own_sql_keeps_its_meaning_beside_other_conditions() -> None:
    own, other = Condition(SQL, values=("total > 1 OR total < 0",)), Condition("platform", "is", ("Web",))
    assert where_of([own, other], COLUMNS) == "(total > 1 OR total < 0) AND platform = 'Web'"
    with pytest.raises(ValueError, match="is no SQL expression"):
        where_of([other, Condition(SQL, values=("total > 1) OR (total < 0",))], COLUMNS)
    assert where_of([Condition("platform", "is")], COLUMNS) is None


def form_page(folder: str, name: str) -> None:
    """Draw the form of a chart, as the explorer does."""
    import json
    from pathlib import Path

    import streamlit as st

    from amplitude_source.charts.book import read_charts
    from amplitude_source.charts.definitions import read_words
    from asking.form import Form, Offers, columns_of

    words = read_words(Path(folder))
    chart = read_charts(Path(folder), words)[name]
    base = json.loads(chart.model_dump_json(exclude_unset=True, by_alias=True))
    offers = Offers(["_active"], columns_of(words), [*words.segments], lambda _: [])
    st.json(Form(base, offers, "1").ask(chart.type))


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_the_form_says_of_each_example_what_its_file_holds(guide: Path, words: Words, name: str) -> None:
    shown = AppTest.from_function(form_page, kwargs={"folder": str(guide), "name": name}, default_timeout=60).run()
    assert not shown.exception
    chart = read_charts(guide, words)[name]
    assert checked(json.loads(shown.json[0].value), words) == chart


def test_the_form_says_conditions_of_every_kind_as_the_file_does(tmp_path: Path) -> None:
    where = "platform = 'Web' AND country IN ('A', 'B') AND total >= 2.5 AND NOT now.plan IS NULL AND is_active = TRUE"
    steps = [{"event": "A", "where": where, "name": "a"}, {"event": "B", "where": "(total > 1 OR total < 0)"}, "C"]
    chart = {"type": "funnel", "steps": steps, "exclude": [{"event": "D", "between": [1, 2]}], "within": "2 days"}
    (tmp_path / "sqlmesh").mkdir()
    write_charts(tmp_path, {"own": yaml_of(chart)}, properties=PROPERTIES_OF_GUIDE)
    shown = AppTest.from_function(form_page, kwargs={"folder": str(tmp_path), "name": "own"}, default_timeout=60).run()
    assert not shown.exception
    steps[1]["where"] = "total > 1 OR total < 0"  # type: ignore[index]  # a step may be a mere name
    assert json.loads(shown.json[0].value) == chart


@pytest.mark.parametrize(
    ("text", "left", "said"),
    [
        ("{", {}, "The address asks for a chart that cannot be read."),
        ("[" * 100_000, {}, "The address asks for a chart that cannot be read."),
        ("[1]", {}, "The address asks for a chart that has no keys."),
        ('{"type": "funel"}', {}, "type is 'funel'; did you mean funnel?"),
        ('{"type": ["funnel"]}', {}, "The address asks for a chart that cannot be."),
        ('{"events": []}', {}, "type is missing."),
        (
            '{"type": "segmentation", "events": ["_active"], "by": ["contry"]}',
            {"type": "segmentation", "events": ["_active"]},
            "there is no column contry; did you mean country?",
        ),
        (
            '{"type": "segmentation", "events": ["_active"], "evens": 1}',
            {"type": "segmentation", "events": ["_active"]},
            "evens means nothing here; did you mean events?",
        ),
        ('{"type": "retention", "since": "soon"}', {"type": "retention"}, "since is 'soon'"),
        ('{"type": "funnel", "steps": 5}', {}, "steps is 5"),
        ('{"type": "retention"}', {"type": "retention"}, ""),
    ],
)
def test_nonsense_in_the_address_is_a_sentence_and_the_rest_is_kept(
    words: Words, text: str, left: dict[str, Any], said: str
) -> None:
    content, sentence = from_address(text, words)
    assert content == left
    assert (said in sentence) if said else not sentence


def test_a_chart_in_the_address_is_the_chart_of_its_file(words: Words, guide: Path) -> None:
    for chart in read_charts(guide, words).values():
        definition = json.loads(chart.model_dump_json(exclude_unset=True, by_alias=True))
        content, said = from_address(address_of(definition), words)
        assert (checked(content, words), said) == (chart, "")


def test_days_of_the_sidebar_count_where_the_chart_has_none(words: Words) -> None:
    content = {"type": "retention", "until": "2026-06-10"}
    chart = checked(within_days(content, date(2026, 6, 1), date(2026, 6, 30)), words)
    assert (chart.since, chart.until) == (date(2026, 6, 1), date(2026, 6, 10))
    with pytest.raises(FaultError, match="until lies before since"):
        checked(within_days(content, date(2026, 6, 11), date(2026, 6, 30)), words)


def test_a_chart_is_saved_as_a_file_and_none_is_replaced_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    content = {"events": [{"event": "Product Viewed", "where": "platform = 'Web'"}], "type": "segmentation"}
    first = {**content, "since": "2026-06-02", "title": "Views: how many?"}
    (tmp_path / "sqlmesh").mkdir()
    write_charts(tmp_path, properties=PROPERTIES_OF_GUIDE)
    assert files.save("views", first, over=False) == "sqlmesh/charts/views.yaml"
    written = (tmp_path / "sqlmesh/charts/views.yaml").read_text(encoding="utf-8")
    assert YAML(typ="safe").load(written) == {**first, "since": date(2026, 6, 2)}
    assert read_charts(tmp_path)["views"].title == "Views: how many?"
    with pytest.raises(UnansweredError, match=r"There is sqlmesh/charts/views\.yaml already"):
        files.save("views", content, over=False)
    assert (tmp_path / "sqlmesh/charts/views.yaml").read_text(encoding="utf-8") == written
    files.save("views", content, over=True)
    assert read_charts(tmp_path)["views"].title is None
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/steps.yaml").write_text(written, encoding="utf-8")
    monkeypatch.setenv(MORE_CHARTS_VARIABLE, "examples")
    with pytest.raises(UnansweredError, match=r"There is examples/steps\.yaml already, which is not yours"):
        files.save("steps", content, over=True)
    for name in ("Views", "../views", "a b", "é"):
        with pytest.raises(UnansweredError, match="small letters, digits and _ alone"):
            files.save(name, content, over=True)


def test_files_with_a_fault_are_named_and_so_are_those_not_built(
    words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "words_of_files", lambda: words)
    good = "type: retention\n"
    write_charts(tmp_path, {"a": "type: retentoin\n", "b": good, "c": good, "d": good, "E": good})
    found = list(files.faults({"b": '{"type": "retention"}', "c": '{"type": "lifecycle"}'}))
    assert found[0] == "sqlmesh/charts/E.yaml: name the file with small letters, digits and _ alone."
    assert found[1] == "sqlmesh/charts/a.yaml, line 1: type is 'retentoin'; did you mean retention?"
    assert found[2].startswith("Not built yet, or changed since: sqlmesh/charts/c.yaml, sqlmesh/charts/d.yaml.")
    assert len(found) == 3


def test_the_file_of_a_chart_begins_with_its_type_and_title() -> None:
    assert yaml_of({"by": ["a"], "title": "T", "type": "composition"}).splitlines()[:2] == [
        "type: composition",
        "title: T",
    ]


@pytest.mark.parametrize("text", ["<b>*a*</b>", "$a$ [b](c) `d` # :red[e] a_b_c ~~f~~", "1. x", "- y", "a\nb"])
def test_texts_are_escaped_for_markdown(text: str) -> None:
    escaped = markdown(text)
    assert "\n" not in escaped
    assert escaped.replace("\\", "") == text.replace("\n", " ")


def test_names_of_emoji_stay_names() -> None:
    assert markdown(":heart:") == "\\:\u2060heart\\:"
    assert markdown("23:48:16 a") == "23\\:48\\:16 a"
