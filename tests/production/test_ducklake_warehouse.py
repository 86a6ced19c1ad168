"""A life of a warehouse on DuckLake, with a real PostgreSQL and the S3 of the tests: the rows that DuckDB gives."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.archive import StoredMember
from simulator.faults import Change, Fault, FaultPlan
from simulator.server import Simulator
from support import warehouse
from support.ducklake import DuckLakeProject
from support.members import export_row, gzip_lines, hour_text
from support.project import Project, make_project, succeeded

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
# What is built before a change lands: the first incremental models, and what an audit reads. Each night, all is.
SOME = ("silver.events", "silver.apps", "gold.export_coverage")


@dataclass(frozen=True)
class OtherRows(Change):
    """The hour has other rows, in one file."""

    data: bytes

    def apply(self, members: list[StoredMember]) -> list[StoredMember]:
        return [members[0].edited(lambda _: self.data)]


@pytest.mark.parametrize(
    "is_whole", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["some tables", "every table"]
)
def test_a_warehouse_on_ducklake_ends_with_the_rows_of_one_on_duckdb(
    tmp_path: Path, ducklake_project: DuckLakeProject, simulator: Simulator, is_whole: bool
) -> None:
    """Load, plan; a development environment, promoted; an hour that changed, on which an audit fails; a restatement."""
    lake, local = ducklake_project, make_project(tmp_path / "local", simulator)
    models = () if is_whole else SOME
    end = simulator.now
    changed = lake.first_hour + 19 * HOUR
    for project in (lake, local):
        project.set_clock(end - 24 * HOUR, simulator)
        succeeded(project.load_here())
    warehouse.plan(lake, models=models)

    warehouse.add_column(lake)
    warehouse.add_column(local)
    warehouse.plan(lake, environment="dev", models=models)
    assert "NEWEST_EXPORT_HOUR" in columns_of(lake, "silver__dev.apps")
    assert "NEWEST_EXPORT_HOUR" not in columns_of(lake, "silver.apps")
    warehouse.plan(lake, models=models)

    rows = (export_row(app=simulator.product.app, amplitude_id=user, device_id=f"{user}") for user in (1, 2))
    simulator.faults = FaultPlan(Fault(OtherRows(gzip_lines(*rows)), hour=changed))
    for project in (lake, local):
        project.set_clock(end, simulator)
        succeeded(project.load_here("--start", hour_text(changed), "--end", hour_text(changed)))
        succeeded(project.load_here())
    if is_whole:
        with pytest.raises(AssertionError, match=r"EXPORT_RECONCILIATION.*Audits failed"):  # silver has the old hour
            warehouse.run(lake)
    warehouse.plan(lake, restate=["silver.events"], start=str(changed), models=models)
    warehouse.run(lake)
    warehouse.plan(local, models=models)
    assert_same_rows_on_both(lake, local, warehouse.BUILT_TABLES if is_whole else SOME[:2])


def assert_same_rows_on_both(lake: DuckLakeProject, local: Project, names: tuple[str, ...]) -> None:
    with lake.opened(), local.opened():
        assert local.query("SELECT 1 FROM silver.events LIMIT 1")
        for name in names:
            warehouse.assert_same_rows(name, *(each.query(f"SELECT * FROM {name}") for each in (lake, local)))


def columns_of(project: Project, table: str) -> list[str]:
    return [name for name, *_ in project.query(f"DESCRIBE {table}")]
