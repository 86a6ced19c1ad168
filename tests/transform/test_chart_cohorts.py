"""Cohorts that segments name, looked at before anything is built."""

import duckdb
import pytest
from sqlmesh.core.config import DuckDBConnectionConfig
from sqlmesh.core.macros import MacroEvaluator

from amplitude_source.tables import COHORT_MEMBERS_COLUMNS, COHORTS_COLUMNS, LOAD_ID, RESOURCE_LOADS_COLUMNS
from amplitude_source.transform.chart_cohorts import COHORTS, faults_of_cohorts
from macros.charts import empty_cohorts
from support import warehouse
from support.charts import write_charts
from support.project import SQLMESH, Project

SEGMENTS = "segments:\n  payers: {cohort: Paying users}\n  web: {where: platform = 'Web'}\n"
TABLES = {
    "cohorts": COHORTS_COLUMNS,
    "cohort_members": COHORT_MEMBERS_COLUMNS,
    "resource_loads": RESOURCE_LOADS_COLUMNS,
}
TYPES = {"bool": "BOOLEAN", "bigint": "BIGINT", "timestamp": "TIMESTAMP"}
ROWS = {
    "cohorts": "{'id': 'a', 'name': $name, 'size': 3, '_project': 'shop', '_snapshot_at': TIMESTAMP '2026-06-09'}",
    "resource_loads": "{'resource': 'cohorts', '_project': 'shop', 'loaded_at': TIMESTAMP '2026-06-09'}",
    "cohort_members": "{'cohort_id': 'a', 'amplitude_id': 1, '_project': 'shop'}",
}


def test_the_cohorts_of_bronze_are_asked_as_silver_will_show_them(project: Project) -> None:
    write_charts(project.root, definitions=SEGMENTS)
    with warehouse.opened(project) as context:
        model = context.get_model(COHORTS, raise_if_missing=True)

    def said(name: str, bronze: str | None = None) -> list[str]:
        adapter = DuckDBConnectionConfig(catalogs={"amplitude": ":memory:"}).create_engine_adapter()
        with_bronze(adapter.cursor, name)
        return [fault.sentence for fault in faults_of_cohorts(project.root, model, adapter, bronze)]

    assert said("Paying users") == []
    assert said("Paying user") == [
        "sqlmesh/definitions.yaml, line 2: there is no cohort 'Paying users'; did you mean 'Paying user'?"
    ]
    assert said("Paying users", "fivetran") == [
        "sqlmesh/definitions.yaml: the segment payers names a cohort; `bronze: fivetran` has none."
    ]


def with_bronze(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute("CREATE SCHEMA bronze")
    for table, columns in TABLES.items():
        listed = ", ".join(f"{column} {TYPES.get(each.type, 'TEXT')}" for column, each in columns.items())
        connection.execute(f"CREATE TABLE bronze.{table} ({listed}, {LOAD_ID} TEXT)")
        row = ROWS[table].replace("$name", f"'{name}'")
        connection.execute(f"INSERT INTO bronze.{table} BY NAME SELECT UNNEST({row})")


@pytest.mark.slow
def test_a_plan_stops_where_no_cohorts_are_loaded(project: Project) -> None:
    write_charts(project.root, definitions=SEGMENTS)
    project.database.parent.mkdir()
    result = project.run(*SQLMESH, "plan", "--auto-apply")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: sqlmesh/definitions.yaml, line 2: no cohorts are loaded: name 'Paying users' in "
        "SOURCES__AMPLITUDE__COHORTS, and load with --only cohorts --only cohort_members.\n"
    )


def test_a_run_warns_of_a_cohort_that_has_lost_its_users_or_its_name() -> None:
    adapter = DuckDBConnectionConfig().create_engine_adapter()
    adapter.execute("CREATE SCHEMA silver")
    adapter.execute("CREATE TABLE silver.cohorts (project TEXT, cohort_id TEXT, name TEXT, members BIGINT)")
    for row in ("'shop', 'a', 'Paying users', 5", "'shop', 'b', 'Searchers', 0", "'blog', 'c', 'Searchers', 3"):
        adapter.execute(f"INSERT INTO silver.cohorts VALUES ({row})")
    charts = [{"chart": "orders", "cohorts": ["Paying user", "a", "Searchers", "b"]}, {"chart": "rate", "cohorts": []}]
    evaluator = MacroEvaluator(dialect="snowflake")
    evaluator.locals |= {"__sqlmesh__vars__": {"charts": charts}, "engine_adapter": adapter, "this_env": "prod"}
    assert [*empty_cohorts(evaluator)] == [
        "sqlmesh/charts/orders.yaml: no users of cohort 'Paying user' are loaded; did you mean 'Paying users'?",
        "sqlmesh/charts/orders.yaml: no users of cohort 'b' are loaded.",
    ]
