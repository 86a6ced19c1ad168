"""Charts as Snowflake's dynamic tables: what may be chosen, and what SQLMesh then sends, which nothing here can run."""

import os
import re
from unittest import mock

import pandas as pd
import pytest
from sqlglot import exp
from sqlmesh.core import dialect
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter
from sqlmesh.core.model import Model, load_sql_based_model
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot, SnapshotChangeCategory, SnapshotEvaluator

from amplitude_source.errors import AmplitudeError
from amplitude_source.transform.dynamic_tables import dynamic_models, read_dynamic_tables
from amplitude_source.transform.sqlmesh_config import project_config
from amplitude_source.transform.variables import check_variables
from simulator.product import Product
from simulator.server import Simulator
from support import grammar, statements, warehouse
from support.charts import write_charts
from support.project import REPOSITORY, Project, make_project

CHARTS = (
    *("acquisition", "daily_metrics", "lifecycle_daily", "lifecycle_weekly", "lifecycle_monthly", "retention_24h"),
    *("retention_calendar", "stickiness_weekly", "stickiness_monthly", "chart_orders"),
)
SNOWFLAKE = {"AMPLITUDE_DESTINATION": "snowflake", "SQLMESH_STATE_FILE": "data/state.duckdb"} | {
    f"DESTINATION__SNOWFLAKE__CREDENTIALS__{name}": "AMPLITUDE"
    for name in ("HOST", "USERNAME", "PASSWORD", "DATABASE", "WAREHOUSE", "ROLE")
}
SNAPSHOT = statements.SNAPSHOTS / "dynamic_tables.sql"
QUERY = re.compile(r" AS (WITH|SELECT) .*", re.DOTALL)
"""That of the chart, which is what its view has: test_snowflake_warehouse.py runs it."""
NEVER_TWICE_THE_SAME = (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Rand, exp.Uuid, exp.CurrentUser)


@pytest.mark.parametrize(
    ("given", "engine", "said"),
    [
        pytest.param(
            "gold.daily_metrics",
            "snowflake",
            "dynamic_tables is 'gold.daily_metrics': write a line for each chart below, as "
            "`gold.daily_metrics: 1 hour`.",
            id="no lag",
        ),
        pytest.param(
            {"gold.daily_metrics": "1 hour"},
            "duckdb",
            "dynamic_tables needs Snowflake, and duckdb builds silver and gold here: delete its lines.",
            id="another engine",
        ),
        *(
            pytest.param(
                {"gold.daily_metrics": lag},
                "snowflake",
                f"gold.daily_metrics is {lag!r}: write a number of minutes, hours or days, as 1 hour.",
                id=str(lag),
            )
            for lag in ("1 hr", "0 minutes", 60, None, "DOWNSTREAM")
        ),
    ],
)
def test_what_means_nothing_is_named(given: object, engine: str, said: str) -> None:
    with pytest.raises(AmplitudeError, match=rf"^sqlmesh/config\.yaml, line \d+: {re.escape(said)}$"):
        read_dynamic_tables(REPOSITORY, {"dynamic_tables": given}, engine)


@pytest.mark.parametrize("engine", ["duckdb", "snowflake"])
def test_without_a_chart_there_is_no_dynamic_table_on_any_engine(engine: str) -> None:
    assert read_dynamic_tables(REPOSITORY, {}, engine) == {}
    assert read_dynamic_tables(REPOSITORY, {"dynamic_tables": None}, engine) == {}
    assert dynamic_models(REPOSITORY, {}, {}) == {}


def test_a_misspelt_variable_has_its_nearest_name() -> None:
    with pytest.raises(AmplitudeError, match=r"dynamic_table is not a variable .*; did you mean dynamic_tables\?"):
        check_variables({"dynamic_table": {}}, REPOSITORY / "sqlmesh/config.yaml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gold.daily_metric", "is no chart that is a view: did you mean gold.daily_metrics?"),
        ("daily_metrics", "is no chart that is a view: did you mean gold.daily_metrics?"),
        ("gold.events", "is no chart that is a view: write one of gold.chart_orders, gold.daily_metrics."),
        ("gold.session_paths", "is no chart that is a view: write one of gold.chart_orders, gold.daily_metrics."),
    ],
)
def test_a_name_that_is_no_chart_is_named(name: str, said: str) -> None:
    """Neither a view with rows of persons nor a table that runs bring up to date can be chosen."""
    models = [
        model("gold.daily_metrics", "VIEW", "models/gold/charts/daily_metrics.sql"),
        model("gold.session_paths", "FULL", "models/gold/charts/session_paths.sql"),
        model("gold.events", "VIEW", "models/gold/wide/events.sql"),
        model("gold.chart_orders", "VIEW", "charts/orders.yaml"),
    ]
    with pytest.raises(AmplitudeError, match=rf"^sqlmesh/config\.yaml, line 1: {name} {re.escape(said)}$"):
        dynamic_models(REPOSITORY, {name: "1 hour"}, {each.fqn: each for each in models})


def model(name: str, kind: str, path: str) -> Model:
    text = dialect.parse(f"MODEL (name {name}, kind {kind}); SELECT 1 AS one", default_dialect="snowflake")
    return load_sql_based_model(text, path=REPOSITORY / "sqlmesh" / path, dialect="snowflake")


def test_on_duckdb_the_configuration_refuses_dynamic_tables(project: Project) -> None:
    choose(project, ("daily_metrics",))
    said = r"^sqlmesh/config\.yaml, line \d+: dynamic_tables needs Snowflake, and duckdb builds silver and gold here"
    with mock.patch.dict(os.environ, project.env), pytest.raises(AmplitudeError, match=said):
        project_config(project.root, "plan")


def choose(project: Project, charts: tuple[str, ...]) -> None:
    path = project.root / "sqlmesh/config.yaml"
    lines = "".join(f"\n    gold.{name}: 1 hour" for name in charts)
    path.write_text(path.read_text().replace("\n  dynamic_tables:", f"\n  dynamic_tables:{lines}"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory, product: Product) -> dict[str, Snapshot]:
    """The models for Snowflake, by their full names, with every chart a dynamic table, one of a user's own too."""
    with Simulator(product) as simulator:
        project = make_project(tmp_path_factory.mktemp("dynamic"), simulator)
    write_charts(project.root, {"orders": "{type: segmentation, events: [Order Completed], measure: totals}"})
    choose(project, CHARTS)
    project.env |= SNOWFLAKE
    with warehouse.opened(project) as context:
        nodes = {**context.models}
    found = {name: Snapshot.from_node(each, nodes={**nodes}) for name, each in nodes.items()}
    for snapshot in found.values():
        snapshot.categorize_as(SnapshotChangeCategory.BREAKING)
    return found


def sent(snapshots: dict[str, Snapshot], deployable: DeployabilityIndex, *names: str) -> list[str]:
    """What SQLMesh sends of models when a plan makes their tables, and then when a run builds a day."""
    cursor = mock.MagicMock()
    cursor.fetchone.return_value = ("AMPLITUDE",)  # the current database, or warehouse
    cursor.fetch_pandas_all.return_value = pd.DataFrame()  # what is there already
    adapter = SnowflakeEngineAdapter(lambda: mock.MagicMock(cursor=lambda: cursor), default_catalog="AMPLITUDE")
    evaluator = SnapshotEvaluator(adapter)
    for snapshot in (each for each in snapshots.values() if each.name.split('"')[-2].lower() in names):
        evaluator.create_snapshot(snapshot, snapshots, deployable, set(), set())
        evaluator.evaluate(
            snapshot,
            start="2026-06-01",
            end="2026-06-02",
            execution_time="2026-06-03",
            snapshots=snapshots,
            deployability_index=deployable,
            target_table_exists=True,
        )
    return [call.args[0] for call in cursor.execute.call_args_list]


@pytest.mark.slow
def test_a_plan_makes_the_tables_and_a_run_refreshes_them(snapshots: dict[str, Snapshot]) -> None:
    """Looked at as a snapshot, without the charts' own queries, and by the rules and the grammar of all statements."""
    charts = ("chart_orders", "daily_metrics", "lifecycle_weekly")
    made = [sql for sql in sent(snapshots, DeployabilityIndex.all_deployable(), *charts) if "DYNAMIC TABLE" in sql]
    statements.assert_keep_to_the_rules(made)
    short = sorted(QUERY.sub(" AS SELECT 1 AS ONE", statements.masked(sql)) + ";\n" for sql in made)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text("".join(short))
    assert "".join(short) == SNAPSHOT.read_text()
    grammar.assert_takes(grammar.one_of_each_kind(short))


@pytest.mark.slow
def test_a_preview_is_an_ordinary_table_that_no_run_refreshes(snapshots: dict[str, Snapshot]) -> None:
    """SQLMesh makes it where a change is not to be built as it is; it fails to refresh as a dynamic table."""
    made = sent(snapshots, DeployabilityIndex.none_deployable(), "daily_metrics")
    assert any(sql.startswith("CREATE OR REPLACE TRANSIENT TABLE ") for sql in made)
    assert not [sql for sql in made if re.search("DYNAMIC TABLE|TARGET_LAG|REFRESH", sql)]


@pytest.mark.slow
def test_each_chart_gives_the_same_rows_whenever_it_is_refreshed(snapshots: dict[str, Snapshot]) -> None:
    """Snowflake refreshes when it will: a chart that looked at the clock or at its reader would change by that."""
    charts = [each.model for each in snapshots.values() if each.model.kind.is_managed]
    assert {chart.name for chart in charts} == {f"gold.{name}" for name in CHARTS}
    for chart in charts:
        assert not [*chart.render_query_or_raise(snapshots=snapshots).find_all(*NEVER_TWICE_THE_SAME)], chart.name


@pytest.mark.slow
def test_no_chart_reads_another_chart(snapshots: dict[str, Snapshot]) -> None:
    """Snowflake refuses a dynamic table that reads another through a view (user-guide/dynamic-tables-limitations)."""
    charts = {name for name, each in snapshots.items() if each.model.kind.is_managed}
    parents = {name: each.model.depends_on or set() for name, each in snapshots.items()}
    read = list(charts)
    for name in read:
        read += [each for each in parents.get(name, ()) if each not in read]
    assert '"AMPLITUDE"."SILVER"."EVENTS"' in read
    assert not charts & {each for name in read for each in parents.get(name, ())}
