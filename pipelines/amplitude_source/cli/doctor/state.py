"""SQLMesh's state: whether it can be reached, who is at work, and which version wrote it."""

from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import duckdb
import psycopg2

from ...bronze.duckdb_file import patiently
from ...errors import AmplitudeError
from ...invocation import sqlmesh_command
from ...settings import CATALOGUE_VARIABLE, duckdb_path
from ...transform.state_database import Connection, at_work, holder, state_place
from .findings import Checkup

STATE = "SQLMesh's state"
VERSIONS = "SELECT sqlmesh_version, sqlglot_version FROM sqlmesh._versions"


def check_state(checkup: Checkup, destination: str) -> None:
    """Look at the state, wherever the settings have it.

    Args:
        checkup: takes the findings.
        destination: a warehouse.
    """
    with checkup.asking(STATE):
        place = state_place(destination) or duckdb_path(checkup.root)
        setting = CATALOGUE_VARIABLE if destination == "ducklake" else "SQLMESH_STATE_HOST"
        if isinstance(place, Path):
            _compare(checkup, _versions_of_file(place))
            return
        try:
            with closing(place.connect("amplitude.py doctor")) as connection:
                if held := holder(connection):
                    checkup.warn(STATE, f"{at_work(held)}: wait until it has ended.")
                _compare(checkup, _versions_of_database(connection))
        except psycopg2.Error as error:
            raise AmplitudeError(f"{place.gone(error)} Start it, or check {setting} and its login.") from error


def _versions_of_file(path: Path) -> tuple[str, str] | None:
    if not path.exists():
        return None
    with patiently(lambda: duckdb.connect(str(path), read_only=True), path) as connection:
        try:
            return connection.execute(VERSIONS).fetchone()
        except duckdb.CatalogException:
            return None


def _versions_of_database(connection: Connection) -> tuple[str, str] | None:
    with connection.cursor() as cursor:
        try:
            cursor.execute(VERSIONS)
        except psycopg2.errors.UndefinedTable:
            return None
        found: tuple[str, str] | None = cursor.fetchone()
        return found


def _compare(checkup: Checkup, written_by: tuple[str, str] | None) -> None:
    """Compare versions by SQLMesh's own rule: it takes no state of another minor version."""
    if not written_by:
        checkup.warn(STATE, f"There is none yet, so silver and gold are not built: {sqlmesh_command('plan')}")
        return
    installed = version("sqlmesh"), version("sqlglot")
    if [_minor(each) for each in written_by] == [_minor(each) for each in installed]:
        checkup.ok(STATE, f"It can be read, and SQLMesh {written_by[0]} wrote it.")
    elif [_minor(each) for each in written_by] < [_minor(each) for each in installed]:
        checkup.fail(
            STATE, f"SQLMesh {written_by[0]} wrote it, and {installed[0]} is installed: {sqlmesh_command('migrate')}"
        )
    else:
        checkup.fail(
            STATE,
            f"SQLMesh {written_by[0]} with sqlglot {written_by[1]} wrote it, and {installed[0]} with {installed[1]} is "
            "installed: make .venv/installed",
        )


def _minor(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])
