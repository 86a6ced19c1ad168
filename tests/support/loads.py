"""The product of most tests, and what one load of all of it gives."""

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dlt.common.normalizers.naming.snake_case import NamingConvention

from amplitude_source.settings import HOUR, hours_between, parse_hour
from simulator.archive import Member
from simulator.faults import CutBody, Fault, FaultPlan
from simulator.server import Simulator
from support.assertions import rows_that_do_not_count
from support.members import SMALL_PRODUCT, hour_text, member_name
from support.project import COMMAND, Project, Result

Row = dict[str, Any]
START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
MEMBERS = list(SMALL_PRODUCT.members())
BUSY_HOUR = max(MEMBERS, key=lambda member: member.rows).hour
MISSING_HOURS_EXIT = 3
START_SECONDS = 60  # in which a command has asked its first question, on however busy a machine
normalize = NamingConvention().normalize_identifier


def bronze(project: Project) -> list[Row]:
    """Every row of `bronze.events` in the archive's order, all columns but dlt's."""
    names = [name for name, *_ in project.query("DESCRIBE bronze.events") if not name.startswith("_dlt")]
    columns = ", ".join(f'"{name}"' for name in sorted(names))
    rows = project.query(f"SELECT {columns} FROM bronze.events ORDER BY _archive_file, _archive_row")
    return [dict(zip(sorted(names), row, strict=True)) for row in rows]


def ledger(project: Project) -> dict[datetime, tuple[Any, ...]]:
    """status, files, bytes, rows, rejected, sha256, revision of each hour."""
    columns = "export_hour, status, files, bytes, loaded_rows, rejected_rows, sha256, revision"
    rows = project.query(f"SELECT {columns} FROM bronze.export_hours")
    found = {hour: tuple(rest) for hour, *rest in rows}
    assert len(found) == len(rows), "an hour has one row in the ledger"
    return found


def final_hours(project: Project) -> dict[datetime, tuple[Any, ...]]:
    return {hour: row for hour, row in ledger(project).items() if row[0] != "pending"}


def assert_same_as_one_load(project: Project, loaded_data: Path) -> None:
    """Bronze and the final hours of the ledger equal those of one load of everything, and every row counts."""
    other = Project(loaded_data.parent)
    assert rows_that_do_not_count(project) == []
    assert bronze(project) == bronze(other)
    assert final_hours(project) == final_hours(other)


def revision(project: Project, hour: datetime) -> int:
    return int(ledger(project)[hour][-1])


def rows_by_hour(project: Project) -> Counter[datetime]:
    return Counter(dict(project.query("SELECT _export_hour, COUNT(*) FROM bronze.events GROUP BY ALL")))


def exported(members: list[Member]) -> dict[tuple[str, int], Row]:
    """The rows of members as JSON, by file and number."""
    return {
        (member.file_name, number): json.loads(line)
        for member in members
        for number, line in enumerate(gzip.decompress(member.data).splitlines(), 1)
    }


def assert_no_half_hour(project: Project, members: list[Member] = MEMBERS) -> None:
    """Each hour of which rows count is whole, and the ledger says so.

    Rows count that came with the newest finished load of their hour: a kill may leave others behind.
    """
    if not project.database.exists() or not project.query("FROM duckdb_tables() WHERE table_name = 'export_hours'"):
        return
    expected: Counter[datetime] = Counter()
    for member in members:
        expected[member.hour] += member.rows
    counted = """
        FROM bronze.export_hours JOIN bronze._dlt_loads ON load_id = _dlt_load_id AND _dlt_loads.status = 0
        SELECT export_hour, MAX(_dlt_load_id) AS load_id, MAX_BY(loaded_rows, _dlt_load_id) AS said GROUP BY ALL
        HAVING MAX_BY(export_hours.status, _dlt_load_id) <> 'pending'"""
    hours = project.query(
        f"FROM ({counted}) LEFT JOIN bronze.events ON _export_hour = export_hour AND _dlt_load_id = load_id "
        "SELECT export_hour, said, COUNT(uuid) GROUP BY ALL"
    )
    halves = [
        (f"{hour}", expected[hour], said, rows) for hour, said, rows in hours if not said == rows == expected[hour]
    ]
    assert not halves, f"hours, rows exported, in the ledger and in bronze: {halves}"


def asked_hours(simulator: Simulator) -> list[datetime]:
    windows = [(r.query["start"], r.query["end"]) for r in simulator.requests if r.path.endswith("/export")]
    return [hour for first, last in windows for hour in hours_between(parse_hour(first, ""), parse_hour(last, ""))]


def write_members(folder: Path, members: list[Member]) -> Path:
    for member in members:
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member.data)
    return folder


def made(hour: datetime, data: bytes, partition: int = 0, app: int = SMALL_PRODUCT.app) -> Member:
    name = f"{app}/{member_name(hour, partition, app)}"
    return Member(name, hour, data, Counter())


def replaced(hour: datetime, *members: Member) -> list[Member]:
    """The product's members with other ones in one hour."""
    return [member for member in MEMBERS if member.hour != hour] + list(members)


def assert_whole(project: Project, last: datetime) -> None:
    """Bronze has every row up to an hour once, and every row counts."""
    assert sorted(ledger(project)) == hours_between(START, last)
    keys = [(row["_archive_file"], row["_archive_row"]) for row in bronze(project)]
    assert sorted(keys) == sorted(exported([member for member in MEMBERS if member.hour <= last]))
    assert rows_that_do_not_count(project) == []


def status_rows(result: Result) -> dict[str, list[str]]:
    """The table that `status` prints: the cells of each status after its name."""
    rows = [line.split() for line in result.stdout.splitlines()]
    return {row[0]: row[1:] for row in rows if row[0] in ("loaded", "empty", "pending", "missing")}


@contextmanager
def stalled_load(project: Project, simulator: Simulator) -> Iterator[subprocess.Popen[bytes]]:
    """A load as a process of its own in the middle of a download that does not go on."""
    simulator.faults = FaultPlan(Fault(CutBody(0.5, "stall"), times=1))
    first, last = hour_text(project.first_hour), hour_text(project.first_hour + 23 * HOUR)
    command = [sys.executable, COMMAND, "--start", first, "--end", last]
    with subprocess.Popen(command, cwd=project.root, env=project.env, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not zips(project):
                assert process.poll() is None, "the load has ended before it downloaded anything"
                assert time.monotonic() < deadline, "the load downloads nothing"
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def zips(project: Project) -> list[Path]:
    return sorted(project.work.glob("*.zip*"))
