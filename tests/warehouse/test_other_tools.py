"""Silver and gold of tables that other tools fill: what this pipeline's own bronze gives of the same events."""

import functools
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from simulator.product import Product
from simulator.server import Simulator
from support import foreign, warehouse
from support.members import hour_text
from support.project import REPOSITORY, Project, make_project, succeeded

HOUR = timedelta(hours=1)
BRONZES = ("amplitude", "fivetran", "airbyte", "snowpipe")
WITHOUT_INSERT_ID = {"amplitude"}
MERGES = "MERGE_IDS_189524"
MERGE_COLUMNS = "amplitude_id, merged_amplitude_id, merge_event_time, merge_server_time"
HOURS_TAKEN = "(SELECT * EXCLUDE load_id FROM gold.export_hours_taken)"
# What no other tool knows: contents of hours, and rows of the newest hour, which is pending there and not loaded here.
COMPARED = {
    HOURS_TAKEN: "SELECT project, export_hour FROM gold.export_hours_taken",
    "gold.export_reconciliation": "SELECT * FROM gold.export_reconciliation WHERE export_date < DATE '2026-06-03'",
}


Built = Callable[[bool], dict[str, warehouse.Rows]]


class Exported:
    """One product: its exported files, and the last hour that another tool's tables show as finished."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.simulator = simulator
        folder.mkdir()
        self.loaded = make_project(folder, simulator)
        succeeded(self.loaded.load_here())
        self.members = sorted(self.loaded.lake.rglob("*.json.gz"))
        ((self.newest,),) = self.loaded.query("SELECT MAX(_export_hour) FROM bronze.events")

    def members_of(self, first: datetime, last: datetime) -> list[Path]:
        """The files of these hours."""
        return [path for path in self.members if first <= self.hour_of(path) <= last]

    @staticmethod
    def hour_of(path: Path) -> datetime:
        _, date, hour = path.name.partition("#")[0].split("_")
        return datetime.fromisoformat(date) + int(hour) * HOUR


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[Exported]:
    with Simulator(product) as simulator:
        yield Exported(tmp_path_factory.mktemp("exported") / "all", simulator)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, exported: Exported) -> Built:
    """The tables of this pipeline's own bronze; without insert ids where a tool's table has none."""

    @functools.cache
    def built(with_insert_id: bool) -> dict[str, warehouse.Rows]:
        project = make_project(tmp_path_factory.mktemp("own"), exported.simulator)
        succeeded(project.load_here("--end", hour_text(exported.newest - HOUR)))
        with duckdb.connect(str(project.database)) as connection:
            if not with_insert_id:
                connection.execute("UPDATE bronze.events SET _insert_id = NULL")
                for number, merge in enumerate(merges(exported)):
                    connection.execute(
                        f"INSERT INTO bronze.merge_ids (_project, {MERGE_COLUMNS}, _effective_hour, _dlt_load_id)"
                        f" SELECT 'default', *, DATE_TRUNC('hour', $4::TIMESTAMP) + INTERVAL 1 HOUR, '{number}'"
                        " FROM (VALUES ($1, $2, $3::TIMESTAMP, $4::TIMESTAMP))",
                        merge,
                    )
        warehouse.plan(project)
        return compared(project)

    return built


def merges(exported: Exported) -> list[tuple[object, ...]]:
    """Three merges of users by Amplitude, the last of whom has no event."""
    users = [user for (user,) in exported.loaded.query("SELECT DISTINCT amplitude_id FROM bronze.events ORDER BY 1")]
    start = exported.simulator.product.start
    times = (start + 30 * HOUR, start + 30 * HOUR + timedelta(seconds=5))
    return [(users[0], users[7], *times), (users[7], users[20], *times), (users[3], 1, *times)]


def compared(project: Project) -> dict[str, warehouse.Rows]:
    """The tables and views that are there."""
    built = project.query("SELECT LOWER(table_schema || '.' || table_name) FROM information_schema.tables")
    return {
        name: project.query(f"SELECT * FROM ({COMPARED.get(name, f'SELECT * FROM {name}')}) ORDER BY ALL")
        for name in warehouse.BUILT_TABLES
        if {(each,) for each in re.findall(r"(?:silver|gold)\.\w+", name)} <= {*built}
    }


def foreign_project(folder: Path, exported: Exported, bronze: str) -> Project:
    """A checkout that reads a tool's tables, which are still empty, an event list and, if the tool has them, merges."""
    project = make_project(folder, exported.simulator)
    tables = {"events": foreign.write_events(project, bronze, exported.members[:1])}
    with duckdb.connect(str(project.database)) as connection:
        connection.execute(f"DELETE FROM {tables['events']}")
    list_ = f"{foreign.SCHEMA}.{foreign.LISTS[bronze]}"
    listed = exported.loaded.query("SELECT DISTINCT value, display, non_active, deleted FROM bronze.events_list")
    values = ", ".join(foreign.row(*each) for each in listed)
    foreign.insert_into(project, list_, f"FROM (VALUES {values}) AS listed (value, display, non_active, deleted)", {})
    tables["events_list"] = list_
    if bronze == "amplitude":
        tables["merge_ids"] = f"{foreign.SCHEMA}.{MERGES}"
        values = ", ".join(foreign.row(*each) for each in merges(exported))
        times = ", ".join(f"{name}::TIMESTAMP AS {name}" for name in ("merge_event_time", "merge_server_time"))
        query = f"SELECT * REPLACE ({times}) FROM (VALUES {values}) AS merges ({MERGE_COLUMNS})"
        foreign.insert_into(project, tables["merge_ids"], query, {})
    foreign.choose(project, bronze, tables)
    return project


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("bronze", BRONZES)
def test_another_tools_tables_give_the_same_silver_and_gold(
    tmp_path: Path, exported: Exported, reference: Built, bronze: str
) -> None:
    """The table grows by slices, between which SQLMesh runs; the last hours of a slice come once more with the next.

    One tool's warehouse has every model. The others' lack the views that read silver and gold alone: they are the same
    SQL on rows that are the same.
    """
    project, has_all = foreign_project(tmp_path, exported, bronze), bronze == BRONZES[0]
    start, end = exported.simulator.product.start, exported.simulator.product.end
    foreign.write_events(project, bronze, exported.members_of(start, start + 40 * HOUR))
    warehouse.plan(project, models=() if has_all else warehouse.stored_models(project))
    foreign.write_events(project, bronze, exported.members_of(start + 38 * HOUR, end))
    warehouse.run(project)
    got, expected = compared(project), reference(bronze not in WITHOUT_INSERT_ID)
    assert got.keys() >= {*(expected if has_all else warehouse.ORACLE_TABLES)}
    warehouse.assert_same_tables(got, {name: expected[name] for name in got})


@pytest.mark.slow
@pytest.mark.nightly
def test_rows_that_come_late_show_and_the_documented_command_takes_them_in(tmp_path: Path, exported: Exported) -> None:
    project = make_project(tmp_path, exported.simulator)
    start = exported.simulator.product.start
    table = foreign.write_events(project, "fivetran", exported.members_of(start, start + 49 * HOUR))
    foreign.choose(project, "fivetran", {"events": table})
    busiest = "SELECT MODE(_export_hour) FROM bronze.events WHERE _export_hour < ?"
    ((late,),) = exported.loaded.query(busiest, [start + 24 * HOUR])
    with duckdb.connect(str(project.database)) as connection:
        hour = f"DATE_TRUNC('hour', server_upload_time) = TIMESTAMPTZ '{late}+00'"
        connection.execute(f"CREATE TABLE late AS FROM {table} WHERE {hour} ORDER BY uuid LIMIT 2")
        connection.execute(f"DELETE FROM {table} WHERE uuid IN (SELECT uuid FROM late)")
    models = ("gold.export_reconciliation", "gold.export_coverage")
    warehouse.plan(project, models=models)
    assert not warehouse.fails(project, "no_hour_is_missing")
    assert differences(project) == {0}
    assert project.query(documented("SELECT coverage")) == []
    with duckdb.connect(str(project.database)) as connection:
        connection.execute(f"INSERT INTO {table} FROM late")
    assert differences(project) == {0, 2}
    ((_, first, rows, known),) = project.query(documented("SELECT coverage"))
    assert (first, rows - known) == (late, 2)
    command = re.search(r"--restate-model (\S+) --start '(.+?)'", documented("sqlmesh plan --restate-model"))
    assert command
    assert datetime.fromisoformat(command[2])
    warehouse.plan(project, restate=[command[1]], start=f"{first}", models=models)
    assert differences(project) == {0}
    assert project.query("SELECT COUNT(*) FROM silver.events WHERE uuid IN (SELECT uuid FROM late)") == [(2,)]


def differences(project: Project) -> set[int]:
    """What is not accounted for, of the days."""
    return {each for (each,) in project.query("SELECT difference FROM gold.export_reconciliation")}


def documented(text: str) -> str:
    """The fenced code of the page that has a text."""
    page = (REPOSITORY / "docs/guides/own-bronze.md").read_text()
    (block,) = (code for code in re.findall(r"```\w*\n(.*?)```", page, re.DOTALL) if text in code)
    return str(block)


@pytest.mark.slow
@pytest.mark.nightly
def test_two_projects_with_a_query_of_the_users_own(tmp_path: Path, exported: Exported) -> None:
    """Each has its table; silver goes as far as both do."""
    project = make_project(tmp_path, exported.simulator)
    start = exported.simulator.product.start
    shop = foreign.write_events(project, "fivetran", exported.members_of(start, start + 30 * HOUR))
    with duckdb.connect(str(project.database)) as connection:
        connection.execute(f"CREATE TABLE other_tool.blog AS FROM {shop}")
        connection.execute(f"DELETE FROM {shop} WHERE server_upload_time >= TIMESTAMPTZ '{start + 20 * HOUR}+00'")
    own = project.root / "sqlmesh/bronze/segment.sql"
    own.write_text((project.root / "sqlmesh/bronze/fivetran.sql").read_text())
    foreign.choose(project, "segment", {"events": {"shop": shop, "blog": "other_tool.blog"}})
    warehouse.plan(project, models=warehouse.stored_models(project))
    ((newest,),) = project.query(f"SELECT DATE_TRUNC('hour', MAX(server_upload_time)) AT TIME ZONE 'UTC' FROM {shop}")
    spans = "SELECT project, MIN(export_hour), MAX(export_hour) FROM silver.export_hours GROUP BY ALL ORDER BY ALL"
    assert project.query(spans) == [("blog", start, newest - HOUR), ("shop", start, newest - HOUR)]
    counts = "SELECT COUNT(*) FROM silver.events GROUP BY project"
    assert len({*project.query(counts)}) == 1, "both have the same rows up to there"
