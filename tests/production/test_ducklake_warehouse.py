"""A life of a warehouse on DuckLake, with a real PostgreSQL and the S3 of the tests: the rows that DuckDB gives."""

from datetime import timedelta
from pathlib import Path

import pytest

from simulator.faults import Fault, FaultPlan, OtherRows
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.dashboard import Dashboard, browser, look
from support.ducklake import DuckLakeProject
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text
from support.pages import PATHS, assert_pages_show_the_same_on_both
from support.project import Project, make_project, succeeded

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
DAY = Product(seed=3, days=1, events_per_day=60)
# What is built of a day before a change lands. Each night, all is built of three days.
SOME = ("silver.events",)


@pytest.fixture
def product(request: pytest.FixtureRequest) -> Product:
    """The shop of three days for the whole, else a day."""
    return SMALL_PRODUCT if request.node.callspec.params["is_whole"] else DAY


@pytest.mark.parametrize(
    "is_whole", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["a part", "the whole"]
)
def test_a_warehouse_on_ducklake_ends_with_the_rows_of_one_on_duckdb(
    tmp_path: Path, ducklake_project: DuckLakeProject, simulator: Simulator, is_whole: bool
) -> None:
    """Load and plan; an hour that changed, and its restatement. DuckDB builds it all at once.

    The whole has every table and page; a new column, in development and then promoted; and an audit that fails on the
    old hour.
    """
    lake, local = ducklake_project, make_project(tmp_path / "local", simulator)
    models = () if is_whole else SOME
    members = list(simulator.product.members())
    end, changed = simulator.now, members[len(members) // 2].hour
    for project in (lake, local):
        project.set_clock(end - 14 * HOUR, simulator)
        succeeded(project.load_here())
    warehouse.plan(lake, models=models)
    if is_whole:
        warehouse.add_column(local)
        assert_a_column_comes_by_a_development_environment(lake)

    rows = (export_row(app=simulator.product.app, amplitude_id=user, device_id=f"{user}") for user in (1, 2))
    simulator.faults = FaultPlan(Fault(OtherRows(gzip_lines(*rows)), hour=changed))
    for project in (lake, local):
        project.set_clock(end, simulator)
        succeeded(project.load_here("--start", hour_text(changed), "--end", hour_text(changed)))
        if is_whole:
            succeeded(project.load_here())
    if is_whole:
        with pytest.raises(AssertionError, match=r"EXPORT_RECONCILIATION.*Audits failed"):  # silver has the old hour
            warehouse.run(lake)
    warehouse.plan(lake, restate=["silver.events"], start=str(changed), models=models)
    if is_whole:
        warehouse.run(lake)
    warehouse.plan(local, models=models)
    with lake.opened(), local.opened():
        assert local.query("SELECT 1 FROM silver.events WHERE amplitude_id = 2"), "the changed hour is there"
        for name in warehouse.BUILT_TABLES if is_whole else SOME:
            warehouse.assert_same_rows(name, *(each.query(f"SELECT * FROM {name}") for each in (lake, local)))
    if is_whole:
        assert_pages_show_the_same_on_both(lake, local, PATHS)
        assert_pages_are_whole_in_a_browser(lake)


def assert_a_column_comes_by_a_development_environment(lake: DuckLakeProject) -> None:
    warehouse.add_column(lake)
    warehouse.plan(lake, environment="dev")
    assert "NEWEST_EXPORT_HOUR" in columns_of(lake, "silver__dev.apps")
    assert "NEWEST_EXPORT_HOUR" not in columns_of(lake, "silver.apps")
    warehouse.plan(lake)


def assert_pages_are_whole_in_a_browser(lake: DuckLakeProject) -> None:
    with Dashboard(lake) as served, browser() as shown:
        window = shown.new_page()
        for path in PATHS:
            with look(window, f"{served.url}/{path}") as sight:
                assert not sight.page.get_by_test_id("stException").count(), sight.text()
                assert (sight.errors, sight.outside) == ([], []), path


def columns_of(project: Project, table: str) -> list[str]:
    return [name for name, *_ in project.query(f"DESCRIBE {table}")]
