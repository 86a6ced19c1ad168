"""The product of most tests, and what one load of all of it gives."""

from datetime import datetime
from pathlib import Path
from typing import Any

from support.assertions import rows_that_do_not_count
from support.members import SMALL_PRODUCT
from support.project import Project

Row = dict[str, Any]


START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end


MEMBERS = list(SMALL_PRODUCT.members())


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
