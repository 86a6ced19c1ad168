"""Bronze on DuckLake: whatever happens on the way, and whoever loads beside it, it holds each exported row once."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from simulator.faults import Fault, FaultPlan, OtherRows
from simulator.product import Product
from simulator.server import Simulator
from support.assertions import assert_bronze_holds, rows_that_do_not_count
from support.ducklake import DuckLakeProject
from support.members import export_row, gzip_lines, hour_text
from support.project import COMMAND, succeeded
from support.s3 import Asked, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

HOUR = timedelta(hours=1)
DAY = Product(seed=3, days=1, events_per_day=60)
MEMBERS = list(DAY.members())
LAST = DAY.end + 9 * HOUR  # the newest that Amplitude can have ready at noon


@pytest.fixture
def product() -> Product:
    """A day, thinly peopled."""
    return DAY


def test_loaders_at_once_lose_nothing_and_double_nothing(ducklake_project: DuckLakeProject) -> None:
    """Each on a machine of its own: two projects, and other hours of the first; the tables are there before."""
    project = ducklake_project
    middle = DAY.start + 12 * HOUR
    succeeded(project.load_here("--start", hour_text(DAY.start), "--end", hour_text(DAY.start)))
    other = own_machine(project, 1)
    key = {name: project.env[f"SOURCES__AMPLITUDE__{name}"] for name in ("API_KEY", "SECRET_KEY")}
    other.env |= {f"SOURCES__AMPLITUDE__PROJECTS__BLOG__{name}": value for name, value in key.items()}
    for name in key:
        del other.env[f"SOURCES__AMPLITUDE__{name}"]
    loads = (
        (project, ("--start", hour_text(DAY.start), "--end", hour_text(middle))),
        (own_machine(project, 2), ("--start", hour_text(middle + HOUR), "--end", hour_text(LAST))),
        (other, ("--project", "blog")),
    )
    load_at_once(loads)

    assert rows_that_do_not_count(project) == []
    counts = project.query("""
        SELECT project, COUNT(*), SUM(loaded_rows), COUNT(DISTINCT export_hour) FROM bronze.export_hours GROUP BY 1
        ORDER BY 1
    """)
    rows = Counter(dict(project.query("SELECT _project, COUNT(*) FROM bronze.events GROUP BY 1")))
    assert [(name, loaded) for name, _, loaded, _ in counts] == sorted(rows.items())
    assert [hours for _, hours, _, _ in counts] == [hours for *_, hours in counts] == [34, 34]
    assert len({*rows.values()}) == 1, "both projects have the same events"
    project.query("DELETE FROM bronze.events WHERE _project = 'blog'")
    project.query("DELETE FROM bronze.export_hours WHERE project = 'blog'")
    assert_bronze_holds(project, MEMBERS, LAST)


def test_first_loads_at_once_and_a_new_column_of_both_lose_nothing(
    ducklake_project: DuckLakeProject, simulator: Simulator
) -> None:
    """Two projects, each on a machine of its own: both make the tables, and later both add the same column."""
    first, second = own_projects(ducklake_project)
    new = MEMBERS[len(MEMBERS) // 2].hour  # which has rows
    rows = [export_row(app=DAY.app, device_id=f"{user}", new_key=user) for user in (1, 2)]
    simulator.faults = FaultPlan(Fault(OtherRows(gzip_lines(*rows)), hour=new))
    for span in ((DAY.start, new - HOUR), (new, LAST)):
        hours = ("--start", hour_text(span[0]), "--end", hour_text(span[1]))
        load_at_once([(project, hours) for project in (first, second)])

    assert rows_that_do_not_count(first) == []
    counted = first.query("SELECT _project, COUNT(*), COUNT(new_key) FROM bronze.events GROUP BY 1 ORDER BY 1")
    assert [(name, keys) for name, _, keys in counted] == [("blog", 2), ("shop", 2)]
    assert counted[0][1] == counted[1][1], "both projects have the same events"
    assert ("new_key",) in first.query("SELECT column_name FROM bronze.schema_changes")


def own_projects(project: DuckLakeProject) -> tuple[DuckLakeProject, DuckLakeProject]:
    """The same warehouse for two loaders, each with a project of its own."""
    shop, blog = own_machine(project, 1), own_machine(project, 2)
    for each, name in ((shop, "SHOP"), (blog, "BLOG")):
        for key in ("API_KEY", "SECRET_KEY"):
            each.env[f"SOURCES__AMPLITUDE__PROJECTS__{name}__{key}"] = each.env.pop(f"SOURCES__AMPLITUDE__{key}")
    return shop, blog


def load_at_once(loads: Sequence[tuple[DuckLakeProject, tuple[str, ...]]]) -> None:
    with ThreadPoolExecutor(len(loads)) as threads:
        for result in threads.map(lambda each: each[0].load(*each[1]), loads):
            succeeded(result)


def own_machine(project: DuckLakeProject, number: int) -> DuckLakeProject:
    """The same warehouse for a loader with a work folder of its own."""
    return project.with_settings(SOURCES__AMPLITUDE__WORK_DIR=f"data/work-{number}")


@pytest.mark.parametrize("table", ["events", "export_hours", "_dlt_loads"])
def test_a_load_that_is_killed_leaves_nothing_that_counts(
    ducklake_project: DuckLakeProject, s3: S3Server, table: str
) -> None:
    """Killed as it writes the first file of a table: of events, of the ledger, and of the list of finished loads."""
    project = ducklake_project
    process = subprocess.Popen(
        [sys.executable, COMMAND],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def kill(asked: Asked, _: bytes) -> None:
        if f"/ducklake/bronze/{table}/" in asked.key and asked.call in ("PutObject", "CreateMultipartUpload"):
            process.kill()
            process.wait()

    s3.fault = kill
    assert process.wait() == -9
    s3.fault = None
    result = succeeded(project.load_here())
    assert "The last run was interrupted" in result.stderr
    assert_bronze_holds(project, MEMBERS, LAST)
