"""The unit tests of the models, as `sqlmesh test` runs them, so that every processor takes its share."""

import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp
from sqlmesh import Context

from amplitude_source.transform.sqlmesh_config import DUCKDB_SESSION
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.project import REPOSITORY, make_project

FILES = sorted(path.name for path in (REPOSITORY / "sqlmesh/tests").glob("test_*.yaml"))
EVENTS = 200_000


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[Context]:
    """SQLMesh's context of a checkout in which nothing was loaded."""
    with Simulator(product, product.end + timedelta(hours=12)) as simulator:
        project = make_project(tmp_path_factory.mktemp("models"), simulator)
        with warehouse.opened(project) as context:
            yield context


@pytest.mark.parametrize("file", FILES)
def test_each_unit_test_of_the_models_holds(context: Context, file: str) -> None:
    told = io.StringIO()
    path = Path(next(iter(context.configs))) / "sqlmesh/tests" / file
    result = context.test(tests=[str(path)], stream=told)
    assert result.testsRun > 0, f"SQLMesh finds no test in {file}"
    assert result.wasSuccessful(), "\n".join(text for _, text in [*result.errors, *result.failures])


def test_each_query_of_silver_reads_each_json_once(context: Context) -> None:
    """DuckDB reads the JSON of a row anew for each call, unless all calls are alike."""
    readers = set()
    for model in context.models.values():
        query = model.render_query() if model.is_sql and model.schema_name.lower() == "silver" else None
        for select in query.find_all(exp.Select) if query else ():
            calls = defaultdict(set)
            for call in select.find_all(exp.Anonymous):
                if call.name.upper().startswith("JSON_EXTRACT") and call.find_ancestor(exp.Select) is select:
                    calls[call.expressions[0].sql()].add(call.sql())
            readers |= {model.name} if calls else set()
            assert [[*each] for each in calls.values() if len(each) > 1] == [], model.name
    assert {"silver.sessions", "silver.user_device_hours"} <= readers


@pytest.fixture(scope="module")
def many_events(context: Context, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of many events, each with four properties, and twenty in a session."""
    file = tmp_path_factory.mktemp("many") / "amplitude.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("CREATE SCHEMA bronze; CREATE SCHEMA silver")
        tables = ("bronze.events_list", "silver.apps", "silver.user_moves", "silver.export_hours", "silver.events")
        for name in (*tables, "silver.user_aliases"):
            columns = context.get_model(name, raise_if_missing=True).columns_to_types_or_raise.items()
            types = ", ".join(f'"{column}" {type_.sql("duckdb")}' for column, type_ in columns)
            connection.execute(f"CREATE TABLE {name} ({types})")
        connection.execute(
            f"""
            INSERT INTO silver.apps BY NAME
            SELECT 'shop' AS project, 1 AS app, DATE '2026-06-01' AS first_date, DATE '2026-06-30' AS frontier_date;
            INSERT INTO silver.user_aliases BY NAME
            SELECT 'shop' AS project, 1 AS app, range AS amplitude_id, range AS canonical_amplitude_id
            FROM range(5_000);
            INSERT INTO silver.events BY NAME
            SELECT
                'shop' AS project, 1 AS app, LPAD(HASH(range)::TEXT, 36, '0') AS uuid,
                TIMESTAMP '2026-06-08' AS export_hour, TIMESTAMP '2026-06-08' + INTERVAL (range) SECOND AS event_time,
                event_time::DATE AS event_date, 'event ' || range % 10 AS event_type,
                'Web' AS platform, 'Spain' AS country, range // 20 % 5_000 AS amplitude_id, range // 20 AS session_id,
                JSON_OBJECT('a', range, 'b', 'text of ' || range, 'c', TRUE, 'd', NULL) AS event_properties
            FROM range({EVENTS})
            """
        )
    return file


@pytest.mark.parametrize(
    ("name", "limits", "amount", "expected"),
    [
        ("silver.event_properties", {"memory_limit": "90MB"}, "COUNT(*)", 4 * EVENTS),
        (
            "gold.session_paths",
            {"memory_limit": "100MB", "temp_directory": ""},
            "SUM(transitions)",
            3 * (EVENTS + EVENTS // 20),
        ),
    ],
    ids=["event_properties", "session_paths"],
)
def test_many_events_fit_into_little_memory(
    context: Context, many_events: Path, name: str, limits: dict[str, str], amount: str, expected: int
) -> None:
    """Sorting a row for each property, or for each breakdown, needs more than half as much again."""
    model = context.get_model(name, raise_if_missing=True)
    query = model.render_query_or_raise(start="2026-06-08", end="2026-06-08", execution_time="2026-06-09")
    with duckdb.connect(many_events, config={**limits, "threads": "1"}) as connection:
        for setting, value in DUCKDB_SESSION.items():
            connection.execute(f"SET {setting} = '{value}'")
        connection.execute(f"CREATE TEMP TABLE built AS {query.sql('duckdb')}")
        assert connection.execute(f"SELECT {amount} FROM built").fetchone() == (expected,)
