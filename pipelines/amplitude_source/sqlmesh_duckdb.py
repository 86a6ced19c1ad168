"""SQLMesh's connection to the DuckDB file."""

import sys
from collections.abc import Callable
from pathlib import Path

import click
import duckdb
from sqlmesh.core.config import DuckDBConnectionConfig

from .duckdb_file import patiently
from .errors import AmplitudeError
from .lock import BUSY_EXIT, BusyError


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
