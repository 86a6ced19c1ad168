"""The choice of a bronze: what it makes of the models, and what is said of its faults."""

import io
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.config import DuckDBConnectionConfig
from sqlmesh.core.model import SqlModel
from sqlmesh.core.snapshot import Snapshot, SnapshotChangeCategory

from amplitude_source.errors import AmplitudeError
from amplitude_source.transform.foreign_bronze import OWN, check_tables, read_bronze
from simulator.product import Product
from simulator.server import Simulator
from support import foreign, warehouse
from support.project import REPOSITORY, SQLMESH, Project, make_project

pytestmark = pytest.mark.slow

NIGHTLY = ("snowpipe",)
"""Those whose tables are nearly those of another: they are read each night, because each takes ten seconds."""
BRONZES = [
    pytest.param(path.stem, marks=pytest.mark.nightly if path.stem in NIGHTLY else ())
    for path in sorted((REPOSITORY / "sqlmesh/bronze").glob("*.sql"))
]
SEAM = {path.stem for path in (REPOSITORY / "sqlmesh/bronze/seam").glob("*.sql")}
EVENTS = {"events": "other_tool.events"}
TABLES = {kind: f"other_tool.{kind}" for kind in ("events", "merge_ids", "events_list")}


def fault(variables: Mapping[str, object]) -> str:
    with pytest.raises(AmplitudeError) as caught:
        read_bronze(REPOSITORY, variables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param({"bronze": "fivetrn"}, "bronze is 'fivetrn': did you mean fivetran?", id="misspelt"),
        pytest.param(
            {"bronze": "segment"},
            "bronze is 'segment': write amplitude_warehouse, airbyte, amplitude, fivetran or snowpipe.",
            id="unknown",
        ),
        pytest.param(
            {"bronze": "airbyte"},
            "bronze_tables must name the table of the events for bronze: airbyte; write `events: schema.table` below.",
            id="no table",
        ),
        pytest.param(
            {"bronze": "amplitude", "bronze_tables": {**EVENTS, "merged_ids": "a.b"}},
            "bronze_tables names 'merged_ids': did you mean merge_ids?",
            id="misspelt kind",
        ),
        pytest.param(
            {"bronze": "amplitude", "bronze_tables": {"events": "events"}},
            "bronze_tables: events is 'events': write schema.table or database.schema.table.",
            id="no schema",
        ),
        pytest.param(
            {"bronze": "amplitude", "bronze_tables": {"events": {"web": "a.b"}, "merge_ids": {"wbe": "a.c"}}},
            "bronze_tables: merge_ids has the project 'wbe', which events lacks.",
            id="another project",
        ),
        pytest.param(
            {"bronze": OWN, "bronze_tables": EVENTS},
            "bronze_tables is of no use with bronze: amplitude_warehouse: delete it, or choose another bronze.",
            id="own, with tables",
        ),
    ],
)
def test_what_means_nothing_is_named_with_its_line(variables: Mapping[str, object], said: str) -> None:
    assert re.fullmatch(rf"sqlmesh/config\.yaml, line \d+: {re.escape(said)}", fault(variables))


def test_without_the_variables_the_bronze_is_this_pipelines_own() -> None:
    assert read_bronze(REPOSITORY, {}) is None


def test_a_misspelt_variable_is_named_with_the_nearest(project: Project) -> None:
    path = project.root / "sqlmesh/config.yaml"
    path.write_text(path.read_text().replace("  bronze: ", "  bronce: "))
    result = project.run(*SQLMESH, "plan")
    assert result.returncode == 1
    assert result.stderr.endswith("bronce is not a variable of this project; did you mean bronze?\n")


def test_a_plan_names_the_table_or_the_columns_that_are_missing(project: Project) -> None:
    project.database.parent.mkdir()
    foreign.choose(project, "fivetran", EVENTS)
    result = project.run(*SQLMESH, "plan", "--auto-apply")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(
        r"Error: bronze_tables: other_tool\.events cannot be read \(.*does not exist.*\): write its name with its "
        r"schema, and give this role the right to read it\.\n",
        result.stderr,
    )


def test_columns_that_a_table_lacks_are_named() -> None:
    bronze = read_bronze(REPOSITORY, {"bronze": "amplitude", "bronze_tables": TABLES})
    assert bronze
    adapter = DuckDBConnectionConfig().create_engine_adapter()
    adapter.execute("CREATE SCHEMA other_tool")
    for kind, columns in bronze.columns.items():
        adapter.execute(f"CREATE TABLE other_tool.{kind} ({', '.join(f'{name} TEXT' for name in columns)})")
    check_tables(bronze, adapter)
    adapter.execute("ALTER TABLE other_tool.merge_ids DROP merge_event_time")
    adapter.execute("ALTER TABLE other_tool.merge_ids DROP amplitude_id")
    with pytest.raises(AmplitudeError) as caught:
        check_tables(bronze, adapter)
    assert str(caught.value) == (
        "bronze_tables: other_tool.merge_ids lacks AMPLITUDE_ID, MERGE_EVENT_TIME, which silver reads: have the "
        "connector sync them, or name a view of the table that has NULL instead."
    )


def hashes(context: Context) -> dict[str, str]:
    """Return what SQLMesh goes by to see whether a model has changed, of each model that is the project's."""
    return {name: model.data_hash for name, model in context.models.items() if not model.kind.is_external}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, product: Product) -> dict[str, str]:
    """The hashes of the models over this pipeline's own bronze."""
    with Simulator(product) as simulator:
        project = make_project(tmp_path_factory.mktemp("own"), simulator)
    with warehouse.opened(project) as context:
        return hashes(context)


@dataclass(frozen=True)
class Models:
    """The models over the tables of a tool."""

    tool: str
    hashes: dict[str, str]
    embedded: set[str]
    are_formatted: bool
    of_hour: dict[int, str]
    """The events of some hours, as DuckDB is asked for them."""
    events: str
    """All of them."""


@pytest.fixture(scope="module", params=BRONZES)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, product: Product) -> Models:
    """Those of a tool, which the linter finds nothing in; they take seconds to read, so all tests share them."""
    with Simulator(product) as simulator:
        project = make_project(tmp_path_factory.mktemp(request.param), simulator)
    foreign.choose(project, request.param, TABLES)
    with warehouse.opened(project) as context:
        context.lint_models()
        snapshots = {
            name: Snapshot.from_node(model, nodes={**context.models}) for name, model in context.models.items()
        }
        events, exported = (
            context.get_model(f"bronze.{name}", raise_if_missing=True) for name in ("events", "exported_events")
        )
        return Models(
            request.param,
            hashes(context),
            {model.name for model in context.models.values() if model.kind.is_embedded},
            context.format(check=True),
            {
                hour: events.render_query_or_raise(
                    snapshots=snapshots, start=f"2026-06-01 {hour:02}:00", end=f"2026-06-01 {hour:02}:59"
                ).sql("duckdb")
                for hour in (5, 9)
            },
            exported.render_query_or_raise().sql("duckdb"),
        )


def test_the_models_of_a_tool_are_written_as_all_others_and_change_no_other(
    models: Models, own: dict[str, str]
) -> None:
    assert models.are_formatted
    assert models.embedded == {f"bronze.{name}" for name in (*SEAM, "exported_events")}
    assert {name: each for name, each in models.hashes.items() if name in own} == own


def test_each_unit_test_of_the_seam_holds(project: Project) -> None:
    """SQLMesh finds tests in one folder alone; there, they would name models that the default bronze has not."""
    foreign.choose(project, "amplitude", TABLES)
    path = project.root / "sqlmesh/tests/test_seam.yaml"
    shutil.copy(project.root / "sqlmesh/bronze/tests" / path.name, path)
    told = io.StringIO()
    with warehouse.opened(project) as context:
        result = context.test(tests=[str(path)], stream=told)
    assert result.testsRun > 0
    assert result.wasSuccessful(), "\n".join(text for _, text in [*result.errors, *result.failures])


def test_a_model_of_the_users_own_may_not_read_the_events_of_bronze_of_which_it_would_miss_some(
    project: Project,
) -> None:
    foreign.choose(project, "fivetran", TABLES)
    (project.root / "sqlmesh/models/custom/uploads.sql").write_text(
        "MODEL (name custom.uploads, kind VIEW);\nSELECT uuid::VARCHAR AS uuid FROM bronze.events"
    )
    said = r"custom\.uploads reads bronze\.events, .*: have it read silver\.events"
    with pytest.raises(AmplitudeError, match=said), warehouse.opened(project):
        pass


def test_the_models_that_read_the_events_of_bronze_read_the_hours_of_a_run(project: Project) -> None:
    with warehouse.opened(project) as context:
        readers = {
            model.name: model.kind.is_incremental_by_time_range
            for model in context.models.values()
            if '"AMPLITUDE"."BRONZE"."EVENTS"' in (model.depends_on or ())
        }
    assert readers == {"silver.events": True, "silver.export_repeats": True, "silver.first_events": True}


def test_the_rows_of_an_hour_are_found_without_a_look_at_the_whole_table(models: Models) -> None:
    """DuckDB goes by the least and the greatest time of each part of the table, before it reads any of it."""
    with tool_table(models.tool) as connection:
        plans = {hour: str(connection.execute(f"EXPLAIN {sql}").fetchall()) for hour, sql in models.of_hour.items()}
    read = [hour for hour, plan in plans.items() if "EMPTY_RESULT" not in plan]
    assert read == [5], "the only row is of hour 5"


def test_times_become_utc_and_values_the_types_of_silver(models: Models) -> None:
    """A row of each tool's types, with what is odd in them: another zone, an empty coordinate."""
    with tool_table(models.tool) as connection:
        if models.tool == "fivetran":
            connection.execute("UPDATE amplitude.other_tool.events SET location_lat = ''")
        (row,) = connection.execute(models.events).fetch_arrow_table().to_pylist()
    got = {name.lower(): value for name, value in row.items() if value is not None}
    assert got.pop("found_by").replace(tzinfo=None) == got["server_upload_time"]
    assert got == {
        "project": "default",
        "app": 187,
        "uuid": "a",
        "amplitude_id": 92936255092,
        "session_id": 1780341646353,
        "event_id": 6,
        "event_time": datetime(2026, 6, 1, 5),
        "server_upload_time": datetime(2026, 6, 1, 5, 30, 0, 123456),
        "location_lng": 13.4,
        "event_properties": '{"a":[1,"ü"]}',
        **({} if models.tool == "amplitude" else {"_insert_id": "i"}),
    }


@contextmanager
def tool_table(bronze: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the table of a tool's events, which has one row."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("ATTACH ':memory:' AS amplitude")
        connection.execute("CREATE SCHEMA amplitude.other_tool")
        exported = ", ".join(f'{ODD.get(name, "NULL")} AS "{name}"' for name in foreign.EXPORTED)
        columns = ", ".join(f'{sql.format(name)} AS "{name}"' for name, sql in foreign.COLUMNS[bronze].items())
        connection.execute(f"CREATE TABLE amplitude.other_tool.events AS SELECT {columns} FROM (SELECT {exported})")
        yield connection


ODD = {
    "app": "187",
    "uuid": "'a'",
    "amplitude_id": "92936255092",
    "$insert_id": "'i'",
    "session_id": "1780341646353",
    "event_id": "6",
    "event_time": "'2026-06-01 05:00:00'",
    "server_upload_time": "'2026-06-01 05:30:00.123456'",
    "location_lng": "13.4",
    "event_properties": """'{"a":[1,"ü"]}'""",
}


SNOWFLAKE = {
    "AMPLITUDE_DESTINATION": "snowflake",
    "SQLMESH_STATE_FILE": "data/state.duckdb",
    **{
        f"DESTINATION__SNOWFLAKE__CREDENTIALS__{name}": "AMPLITUDE"
        for name in ("HOST", "USERNAME", "PASSWORD", "DATABASE", "WAREHOUSE", "ROLE")
    },
}
OF_TWO_PROJECTS = {
    "events": {"web": "DB_1.SCHEMA_1.EVENTS_1", "ios": "DB_1.SCHEMA_2.EVENTS_2"},
    "merge_ids": {"ios": "DB_1.SCHEMA_2.MERGE_IDS_2"},
}


@pytest.mark.parametrize(
    "bronze",
    [BRONZES[0], *(pytest.param(each, marks=pytest.mark.nightly) for each in BRONZES[1:])],
)
def test_snowflake_gets_sql_that_parses_and_reads_the_tools_tables_alone(project: Project, bronze: str) -> None:
    foreign.choose(project, bronze, OF_TWO_PROJECTS)
    project.env |= SNOWFLAKE
    read = set()
    with warehouse.opened(project) as context:
        nodes = {**context.models}
        snapshots = {name: Snapshot.from_node(model, nodes={**nodes}) for name, model in nodes.items()}
        for snapshot in snapshots.values():
            snapshot.categorize_as(SnapshotChangeCategory.BREAKING)
        for model in nodes.values():
            if isinstance(model, SqlModel) and not model.kind.is_embedded and warehouse.reads_bronze(model):
                query = model.render_query_or_raise(snapshots=snapshots, start="2026-06-01", end="2026-06-01")
                tree = sqlglot.parse_one(query.sql("snowflake"), dialect="snowflake")
                read |= {f"{table.db}.{table.name}" for table in tree.find_all(exp.Table) if table.db}
    foreign_ = {name for name in read if name.startswith("SCHEMA_")}
    assert foreign_ == {"SCHEMA_1.EVENTS_1", "SCHEMA_2.EVENTS_2", "SCHEMA_2.MERGE_IDS_2"}
    assert not any(name.startswith("BRONZE") for name in read), "an embedded model is no table"
