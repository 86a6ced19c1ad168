"""SQLMesh's connection to DuckLake."""

import sys
from collections.abc import Callable
from typing import Any

import click
import duckdb
from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials
from pydantic import PrivateAttr
from sqlmesh.core.config import DuckDBConnectionConfig
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter

from ..bronze.ducklake import NAME, again, connect
from ..errors import AmplitudeError
from ..settings import CATALOG
from .duckdb_connection import memory_limit


class DuckLakeAdapter(DuckDBEngineAdapter):
    """Does a statement again that a loader was in the way of; each is a transaction of its own."""

    def _execute(self, sql: str, track_rows_processed: bool = False, **kwargs: Any) -> None:
        again(lambda: super(DuckLakeAdapter, self)._execute(sql, track_rows_processed, **kwargs))


class DuckLakeConnection(DuckDBConnectionConfig):
    """A connection that either has the tables or ends the process, because SQLMesh would go on without them."""

    _credentials: DuckLakeCredentials = PrivateAttr()

    @classmethod
    def to(cls, credentials: DuckLakeCredentials, session: dict[str, str]) -> "DuckLakeConnection":
        """Return the connection.

        Args:
            credentials: of the catalogue and the files.
            session: the settings of DuckDB.
        """
        # The catalog's name is as for the DuckDB file. Comments are left out, because each would be a commit.
        attached = {NAME: {"type": "ducklake", "path": f"ducklake:{CATALOG}"}}
        connection = cls(catalogs=attached, connector_config=session, register_comments=False)
        connection._credentials = credentials
        return connection

    @property
    def _engine_adapter(self) -> type[DuckLakeAdapter]:
        return DuckLakeAdapter

    @property
    def _connection_factory(self) -> Callable[..., duckdb.DuckDBPyConnection]:
        return self._connect

    def _connect(self, **_: object) -> duckdb.DuckDBPyConnection:
        try:
            connection = connect(self._credentials)
        except AmplitudeError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)
        connection.execute(f"SET memory_limit = '{memory_limit(connection)}'")
        return connection
