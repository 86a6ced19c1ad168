"""SQLMesh's connection to the DuckDB file."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click
import duckdb
from sqlmesh.core.config import DuckDBConnectionConfig

from ..bronze.disk import Place
from ..bronze.duckdb_file import patiently
from ..errors import AmplitudeError
from ..lock import BUSY_EXIT, BusyError
from ..settings import DUCKDB_VARIABLE, MEMORY_VARIABLE

MEMORY = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]i?B)")
HALF_OF_THE_MACHINE = 0.5 / 0.8
"""DuckDB's own limit is 80 percent of the machine's memory, or of its container's, which it finds out itself."""


class DuckDBFile(DuckDBConnectionConfig):
    """A connection that either has the file or ends the process.

    SQLMesh attaches the file to a database in memory. If that fails, SQLMesh 0.236 goes on in memory at the next
    statement, finds no state there, and offers to build production anew. So the file is attached while the connection
    is made, before SQLMesh has one that it could go on with.
    """

    @property
    def _connection_factory(self) -> Callable[..., duckdb.DuckDBPyConnection]:
        return self._connect

    def _connect(self, **options: object) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(**options)  # type: ignore[arg-type]  # SQLMesh's own options, passed on
        connection.execute(f"SET memory_limit = '{memory_limit(connection)}'")
        for name, path in (self.catalogs or {}).items():
            attach = f"ATTACH IF NOT EXISTS '{path}' AS \"{name}\""  # as SQLMesh writes it
            try:
                file = Path(str(path).replace("''", "'"))
                patiently(lambda: connection.execute(attach), file)  # noqa: B023 - called within the loop
                if file.is_file():  # not the database in memory of a developer's command
                    connection.execute("SET temp_directory = ?", [f"{file}.tmp"])  # by default the current folder's
            except AmplitudeError as error:
                click.echo(f"Error: {error}", err=True)
                sys.exit(BUSY_EXIT if isinstance(error, BusyError) else 1)
        return connection


def memory_limit(connection: duckdb.DuckDBPyConnection) -> str:
    """Return how much memory DuckDB may take for silver and gold, as it writes sizes.

    By default that is half of what the machine has: SQLMesh and the rest of a laptop need some, and DuckDB writes what
    does not fit to the disk. A user who sets another limit has it checked by `check_memory`.
    """
    if chosen := os.environ.get(MEMORY_VARIABLE):
        return chosen
    ((default,),) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    number, unit = default.split()
    return f"{float(number) * HALF_OF_THE_MACHINE:.3f}{unit}"


def check_memory() -> None:
    """Refuse a limit that is no size, of which DuckDB takes some for no limit.

    Raises:
        AmplitudeError: with the variable, the value and what to write.
    """
    chosen = os.environ.get(MEMORY_VARIABLE)
    size = MEMORY.fullmatch(chosen or "")
    if chosen and not (size and float(size[1])):
        raise AmplitudeError(f"{MEMORY_VARIABLE}: write a size such as 4GB or 512MB, not {chosen!r}.")


def say_if_full(path: Path) -> None:
    """Name the setting if a command ends with an error while the file's disk is full: SQLMesh does not know it."""
    if sys.exc_info()[1] is not None and Place(DUCKDB_VARIABLE, path).is_full():
        click.echo(
            f"Error: The disk of {path} has no room left: make some, or set {DUCKDB_VARIABLE} to another.", err=True
        )
