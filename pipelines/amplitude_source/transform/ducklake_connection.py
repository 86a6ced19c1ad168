"""SQLMesh's connection to DuckLake."""

import sys
from collections.abc import Callable

import click
import duckdb
from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials
from pydantic import PrivateAttr
from sqlmesh.core.config import DuckDBConnectionConfig
from sqlmesh.core.config.connection import ConnectionConfig, DuckDBAttachOptions
from sqlmesh.core.engine_adapter.base import EngineAdapter

from ..bronze.ducklake import NAME, connect
from ..errors import AmplitudeError
from ..settings import CATALOG
from .duckdb_connection import memory_limit


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
        attached = {NAME: DuckDBAttachOptions(type="ducklake", path=f"ducklake:{CATALOG}")}
        connection = cls(catalogs={**attached}, connector_config=session, register_comments=False)
        connection._credentials = credentials
        return connection

    def create_engine_adapter(
        self, register_comments_override: bool = False, concurrent_tasks: int | None = None
    ) -> EngineAdapter:
        """Return an adapter of this lake.

        DuckDB's own configuration would return the one of another lake that this process has used, because it goes by
        the attached path, which is the same for all.
        """
        return ConnectionConfig.create_engine_adapter(self, register_comments_override, concurrent_tasks)

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
