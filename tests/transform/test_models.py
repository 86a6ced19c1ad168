"""The unit tests of the models, as `sqlmesh test` runs them, so that every processor takes its share."""

import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp, parse_one
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


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["('a', 1, 1)", "('b', 8, 1)"], []),
        (["('a', 1, 1)", "('a', 2, 1)", "('b', 1, 1)"], [("a", 2, 0, 0)]),
        (["(NULL, 1, 1)"], [(None, 1, 1, 0)]),
        (["('a', NULL, 1)"], [("a", 1, 1, 0)]),
        (["('a', 0, 1)"], [("a", 1, 0, 1)]),
        (["('a', 9, 1)"], [("a", 1, 0, 1)]),
        (["('a', 9, 2)", "('a', NULL, 2)"], []),
    ],
)
def test_the_audit_of_rows_counts_by_key_what_is_wrong(
    context: Context, rows: list[str], found: list[tuple[object, ...]]
) -> None:
    model = context.get_model("gold.stickiness_weekly", raise_if_missing=True)
    audit = next(audit for audit, _ in model.audits_with_args if audit.name == "rows_are_sound")
    query = model.render_audit_query(
        audit,
        this_model="t",
        keys=parse_one("(k,)"),
        columns=parse_one("(k, v)"),
        criteria=parse_one("(v > 0, v < 9)"),
        condition=parse_one("run = 1"),
    ).sql("duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS FROM (VALUES {', '.join(rows)}) AS t(k, v, run)")
        assert connection.execute(query).fetchall() == found


CELL = {
    "project": "shop",
    "app": 1,
    "interval_unit": "day",
    "breakdown": "all",
    "segment": "(all)",
    "cohort": "2026-06-01",
    "cohort_date": "2026-06-01",
    "interval_number": 0,
    "cohort_users": 3,
    "returned_on": 3,
    "returned_on_or_after": 3,
    "is_complete": True,
}
LATER = CELL | {"interval_number": 1, "returned_on": 1, "returned_on_or_after": 2}
OF_ALL = {"cohort": "(all)", "cohort_date": None}
CELLS = (CELL, LATER, CELL | OF_ALL, LATER | OF_ALL)


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (CELLS, None),
        ((*CELLS, LATER | {"is_complete": False}), "the cell is there twice"),
        ((*CELLS, CELL | OF_ALL), "all cohorts are not the sum of their complete cells"),
        (CELLS[:3], "all cohorts are not the sum of their complete cells"),
        ((*CELLS, CELL | {"segment": None, "is_complete": False}), "the segment or the cohort has no name"),
        (tuple(cell | {"cohort_date": None} for cell in CELLS), "the segment or the cohort has no name"),
        (tuple(cell | {"cohort_users": 0} for cell in CELLS), "the cohort has no users"),
        (tuple(cell | {"returned_on": 3} for cell in CELLS), "more users returned than could"),
        (tuple(cell | {"returned_on_or_after": 4} for cell in CELLS), "more users returned than could"),
        ((CELL | {"returned_on": 1, "returned_on_or_after": 1}, LATER), "more users returned later than before"),
        *(
            ((CELL, LATER, CELL | OF_ALL | {column: 2}, LATER | OF_ALL), "all cohorts are not the sum")
            for column in ("cohort_users", "returned_on", "returned_on_or_after")
        ),
    ],
)
def test_the_audit_of_retention_names_each_fault(
    context: Context, cells: tuple[dict[str, object], ...], fault: str | None
) -> None:
    model = context.get_model("gold.retention_24h", raise_if_missing=True)
    ((audit, _),) = model.audits_with_args
    query = model.render_audit_query(audit, this_model="cells").sql("duckdb")
    with duckdb.connect() as connection:
        kinds = {str: "VARCHAR", int: "BIGINT", bool: "BOOLEAN"}
        connection.execute(
            f"CREATE TABLE cells ({', '.join(f'{name} {kinds[type(value)]}' for name, value in CELL.items())})"
        )
        connection.executemany(
            f"INSERT INTO cells VALUES ({', '.join('?' * len(CELL))})", [[*each.values()] for each in cells]
        )
        found = {row[-1] for row in connection.execute(query).fetchall()}
    assert any(str(each).startswith(fault) for each in found) if fault else not found


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
