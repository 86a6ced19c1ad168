"""SQLMesh's connection to the DuckDB file."""

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
from ..settings import DUCKDB_VARIABLE


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
        for name, path in (self.catalogs or {}).items():
            attach = f"ATTACH IF NOT EXISTS '{path}' AS \"{name}\""  # as SQLMesh writes it
            try:
                file = Path(str(path).replace("''", "'"))
                patiently(lambda: connection.execute(attach), file)  # noqa: B023 - called within the loop
            except AmplitudeError as error:
                click.echo(f"Error: {error}", err=True)
                sys.exit(BUSY_EXIT if isinstance(error, BusyError) else 1)
        return connection


def say_if_full(path: Path) -> None:
    """Name the setting if a command ends with an error while the file's disk is full: SQLMesh does not know it."""
    if sys.exc_info()[1] is not None and Place(DUCKDB_VARIABLE, path).is_full():
        click.echo(
            f"Error: The disk of {path} has no room left: make some, or set {DUCKDB_VARIABLE} to another.", err=True
        )
