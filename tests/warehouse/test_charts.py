"""Charts as code end to end: the views of gold, the command that asks at once, and what a change of a chart builds."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import duckdb
import pytest
from click import ClickException
from sqlglot import parse_one

from amplitude_source.charts.book import TYPES, compiled, read_chart
from amplitude_source.charts.definitions import Segment, read_words
from amplitude_source.charts.expressions import FUNCTIONS
from amplitude_source.charts.types.formulas import METRICS
from amplitude_source.charts.types.segmentation import Measure, Series
from amplitude_source.charts.types.sessions import SessionMeasure
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.charts import DEFINITIONS_OF_GUIDE, EXAMPLES, GUIDE, PROPERTIES_OF_GUIDE, of_guide, write_charts
from support.project import REPOSITORY, SQLMESH, Project, make_project
from support.shared import built_once

pytestmark = pytest.mark.slow

ORDERS = """\
type: segmentation
title: "Orders */ by country, it's {weekly}"
events:
  - event: Order Completed
    where: now.events > 1
measure: totals
interval: week
by: [country]
top: 2
"""
RATE = """\
type: segmentation
events: [Product Viewed, Ordr Completed]
formula: UNIQUES(B) / UNIQUES(A)
segments: [web, (all)]
"""
PROPERTIES = (
    PROPERTIES_OF_GUIDE
    + """\
items: {from: event}
odd: {from: event, property: 'It''s "odd" 100%'}
"""
)
DEFINITIONS = DEFINITIONS_OF_GUIDE.replace("segments:\n", "segments:\n  web: {where: platform = 'Web'}\n")
CHARTS = {"orders": ORDERS, "rate": RATE}
PLANNED = "plan.txt"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[Project]:
    """A warehouse with two charts, one of which names an event that never came; the plan's output lies in PLANNED."""

    def build(folder: Path) -> Path:
        project = make_project(folder, simulator)
        assert project.load_here().returncode == 0
        write_charts(project.root, CHARTS, properties=PROPERTIES, definitions=DEFINITIONS)
        result = project.run(*SQLMESH, "plan", "--auto-apply", "--no-prompts")
        assert result.returncode == 0, result.stdout + result.stderr
        (project.root / "data" / PLANNED).write_text(" ".join((result.stdout + result.stderr).split()))
        return project.root / "data"

    with Simulator(product) as simulator:
        data = built_once(tmp_path_factory, "charts", build)
        project = make_project(tmp_path_factory.mktemp("charts"), simulator)
        shutil.copytree(data, project.root / "data", ignore=shutil.ignore_patterns("work"))
        write_charts(project.root, CHARTS, properties=PROPERTIES, definitions=DEFINITIONS)
        yield project


def asked(project: Project, *arguments: str) -> str:
    result = project.load_here("chart", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_chart_is_a_view_with_the_rows_that_the_command_gives(built: Project) -> None:
    for name in ("orders", "rate"):
        rows = [dict(json.loads(line)) for line in asked(built, name, "--json").splitlines()]
        assert len(rows) > 2
        columns = ", ".join(rows[0])
        view = built.query(f"SELECT {columns} FROM gold.chart_{name} ORDER BY ALL")
        assert sorted(tuple(f"{value}" for value in row.values()) for row in rows) == sorted(
            tuple(f"{value}" for value in row) for row in view
        )


def test_gold_lists_the_charts_with_their_definitions(built: Project) -> None:
    rows = built.query("SELECT chart, type, title, table_name, definition FROM gold.charts ORDER BY chart")
    assert [row[:4] for row in rows] == [
        ("orders", "segmentation", "Orders */ by country, it's {weekly}", "gold.chart_orders"),
        ("rate", "segmentation", None, "gold.chart_rate"),
    ]
    assert json.loads(rows[1][4])["formula"] == "UNIQUES(B) / UNIQUES(A)"


def test_each_column_of_a_chart_has_a_comment(built: Project) -> None:
    columns = "SELECT comment FROM duckdb_columns() WHERE table_name = 'CHART_ORDERS' AND schema_name = 'GOLD'"
    comments = [comment for (comment,) in built.query(columns)]
    assert len(comments) == 8
    assert None not in comments
    (description,) = built.query("SELECT comment FROM duckdb_views() WHERE view_name = 'CHART_ORDERS'")
    assert description == (
        "The segmentation chart of sqlmesh/charts/orders.yaml: Orders * / by country, it's {weekly}",
    )


def test_a_plan_warns_of_an_event_that_never_came_with_the_nearest_name(built: Project) -> None:
    sentence = "sqlmesh/charts/rate.yaml: no event 'Ordr Completed' has come so far; did you mean 'Order Completed'?"
    assert sentence in (built.root / "data" / PLANNED).read_text()
    result = built.load_here("chart", "rate", "--csv")
    assert "warning: no event 'Ordr Completed' has come so far; did you mean 'Order Completed'?" in result.stderr


def test_a_plan_warns_of_a_text_column_that_has_lists(built: Project) -> None:
    sentence = "sqlmesh/properties.yaml: the text column items has lists, as JSON; with `type: list` charts see each"
    assert sentence in (built.root / "data" / PLANNED).read_text()


def test_whoever_still_has_the_csv_of_funnels_is_told_that_they_are_charts(project: Project) -> None:
    (project.root / "sqlmesh/seeds/funnels.csv").write_text("funnel,step,event_type\n")
    with pytest.raises(ClickException, match="funnels are charts: write each as a file of sqlmesh/charts/"):
        warehouse.opened(project).__enter__()


def test_a_change_of_one_chart_builds_that_chart_and_the_list_alone(built: Project) -> None:
    with warehouse.opened(built) as context:
        before = {name: snapshot.fingerprint for name, snapshot in context.snapshots.items()}
    path = built.root / "sqlmesh/charts/orders.yaml"
    try:
        path.write_text(ORDERS.replace("top: 2", "top: 3"))
        with warehouse.opened(built) as context:
            after = {name: snapshot.fingerprint for name, snapshot in context.snapshots.items()}
    finally:
        path.write_text(ORDERS)
    changed = {name.rpartition(".")[2].strip('"') for name in after if after[name] != before[name]}
    assert changed == {"CHARTS", "CHART_ORDERS"}


def test_a_chart_that_finds_nothing_says_so(built: Project) -> None:
    (built.root / "draft.yaml").write_text("type: revenue\nevent: Product Viewed\n")
    result = built.load_here("chart", "draft.yaml", "--csv")
    assert result.returncode == 0, result.stderr
    assert "warning: nothing that the chart counts was found; look at its events" in result.stderr
    assert "nothing that the chart counts" not in built.load_here("chart", "orders", "--csv").stderr


def test_a_cohort_counts_once_it_is_loaded_and_its_name_is_right(built: Project) -> None:
    ((user,),) = built.query(
        "SELECT MIN(amplitude_id) FROM silver.user_aliases WHERE canonical_amplitude_id <> amplitude_id"
    )
    segment = "segments:\n  payers: {cohort: Paying users}\n"
    write_charts(built.root, definitions=DEFINITIONS.replace("segments:\n", segment))
    (built.root / "draft.yaml").write_text("type: segmentation\nevents: [_all]\nmeasure: totals\nsegments: [payers]\n")
    chart = ("chart", "draft.yaml", "--csv")
    try:
        result = built.load_here(*chart)
        assert (result.returncode, result.stdout) == (1, "")
        assert "no cohorts are loaded: name 'Paying users' in SOURCES" in result.stderr
        load_cohort(built, "Paying user", user)
        assert "no cohort 'Paying users'; did you mean 'Paying user'?" in built.load_here(*chart).stderr
        load_cohort(built, "Paying users", user)
        rows = list(csv.DictReader(asked(built, *chart[1:]).splitlines()))
        merged = f"SELECT canonical_amplitude_id FROM silver.user_aliases WHERE amplitude_id = {user}"
        own = f"NOT is_before_export AND canonical_amplitude_id = ({merged})"
        days = built.query(f"SELECT event_date, COUNT(*) FROM gold.events WHERE {own} GROUP BY ALL")
        assert days
        assert {(row["period"], row["value"]) for row in rows if row["value"] != "0.0"} == {
            (f"{day}", f"{float(events)}") for day, events in days
        }
    finally:
        write_charts(built.root, definitions=DEFINITIONS)


def load_cohort(project: Project, name: str, user: int) -> None:
    """Writes to bronze what a load of one cohort with one user would."""
    asked = {"_project": "default", "_snapshot_at": "2026-06-04", "_dlt_id": "test"}
    rows: dict[str, dict[str, object]] = {
        "cohorts": {"id": "a", "name": name, "size": 1, **asked},
        "cohort_members": {"cohort_id": "a", "amplitude_id": user, "valid_from": "2026-06-04", "_project": "default"},
        "resource_loads": {"resource": "cohorts", "outcome": "loaded", "loaded_at": "2026-06-04", **asked},
    }
    with duckdb.connect(str(project.database)) as connection:
        for table, row in rows.items():
            connection.execute(f"DELETE FROM bronze.{table} WHERE _dlt_load_id = 'test'")
            columns = ", ".join(f"${column} AS {column}" for column in row)
            connection.execute(f"INSERT INTO bronze.{table} BY NAME SELECT {columns}, 'test' AS _dlt_load_id", row)


def test_the_command_prints_plots_and_numbers_that_fit_in(built: Project) -> None:
    for width in (60, 120):
        result = built.run("pipelines/amplitude.py", "chart", "orders", COLUMNS=f"{width}")
        assert result.returncode == 0, result.stderr
        assert max(map(len, result.stdout.splitlines())) <= width, result.stdout
        assert re.search(r"(?m)^ 2026-06-01 +\d+\*", result.stdout), result.stdout
        assert "* The export does not have all of it." in result.stdout


def test_the_command_prints_paths_as_a_tree(built: Project) -> None:
    folder = REPOSITORY / "docs/examples/charts"
    tree = asked(built, f"{folder / 'ways_to_order.yaml'}")
    shape = r"The ways to an order\n.*\nOrder Completed +\d+ +100\.0% *\n  ← Checkout Started +\d+ +\d+\.\d% *\n"
    assert re.match(shape, tree), tree
    assert "The export does not have all of the days." in tree
    lines = asked(built, f"{folder / 'after_search.yaml'}", "--by", "platform").splitlines()
    assert {"Android", "Web", "iOS"} <= {*lines}
    assert any(re.fullmatch(r"\d+ smaller branches: --csv prints all\.", line) for line in lines), lines


def test_options_stand_for_those_of_the_file_and_a_file_need_not_be_the_repositorys(built: Project) -> None:
    draft = built.root / "draft.yaml"
    draft.write_text(ORDERS)
    options = ("--by", "platform", "--interval", "day", "--since", "2026-06-02", "--until", "2026-06-02", "--top", "1")
    rows = list(csv.DictReader(asked(built, "draft.yaml", *options, "--csv").splitlines()))
    platforms = {row["platform"] for row in rows}
    assert len(platforms) == 2
    assert "(other)" in platforms
    assert {row["period"] for row in rows} == {"2026-06-02"}


def test_the_sql_of_a_chart_is_that_of_the_engine(built: Project) -> None:
    for engine in ("duckdb", "snowflake"):
        parse_one(asked(built, "orders", "--sql", engine), read=engine)
    assert len(built.query(asked(built, "orders", "--sql"))) > 2


def test_without_a_name_the_charts_are_listed_and_an_unknown_one_gets_the_nearest(built: Project) -> None:
    assert asked(built).splitlines() == ["orders: Orders */ by country, it's {weekly}", "rate: segmentation"]
    result = built.load_here("chart", "order")
    assert result.returncode == 2
    assert "sqlmesh/charts has no chart order. Did you mean orders?" in result.stderr
    result = built.load_here("chart", "none.yaml")
    assert "There is no file none.yaml." in result.stderr


def test_before_gold_is_built_the_command_says_what_to_run(loaded: Project) -> None:
    write_charts(loaded.root, {"orders": ORDERS})
    result = loaded.load_here("chart", "orders")
    assert result.returncode == 1
    assert "Gold has not what the chart asks for yet: run " in result.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_guides_examples_have_rows_and_name_only_what_there_is(built: Project, example: Path) -> None:
    result = built.load_here("chart", str(example), "--csv")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    words = read_words(built.root)
    value = compiled(read_chart(example, built.root, words), words).value
    assert max(float(row[value] or 0) for row in csv.DictReader(result.stdout.splitlines())) > 0
    gallery = (REPOSITORY / "docs/guides/chart-examples.md").read_text(encoding="utf-8")
    assert f"(../examples/charts/{example.name}):" in gallery
    assert f"(../images/charts/{example.stem}.svg)" in gallery


@pytest.mark.parametrize("name", re.findall(r"<!-- chart: (\w+) -->", GUIDE))
def test_a_chart_in_the_guide_is_that_of_the_file(name: str) -> None:
    assert of_guide(f"chart: {name}") == (REPOSITORY / f"docs/examples/charts/{name}.yaml").read_text()


def test_the_guide_names_every_key_measure_metric_and_function() -> None:
    keys = {
        field.alias or name
        for model in (*TYPES.values(), Series, Segment)
        for name, field in model.model_fields.items()
    }
    words = {*keys, *get_args(Measure), *get_args(SessionMeasure), *METRICS, *FUNCTIONS.split(", ")}
    assert {word for word in words if not re.search(rf"\b{word}\b", GUIDE)} == set()


def test_a_property_that_no_plan_has_made_a_column_yet_is_named_with_what_to_run(built: Project) -> None:
    write_charts(built.root, properties=f"{PROPERTIES_OF_GUIDE}coupon: {{from: event}}\n")
    try:
        result = built.load_here("chart", "orders", "--by", "coupon")
    finally:
        write_charts(built.root, properties=PROPERTIES_OF_GUIDE)
    assert result.returncode == 1
    assert "Gold has not what the chart asks for yet: run " in result.stderr
