"""The PostgreSQL that keeps SQLMesh's state: who has its lock, and what is said if it is gone."""

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self, TypeAlias

import psycopg2
from psycopg2.extensions import connection

from ..bronze.ducklake import BUILDERS_LOCK, PORT, SSLMODE, lake_catalogue
from ..errors import AmplitudeError
from ..settings import port

LOCK = BUILDERS_LOCK
HOLDER = f"""
    SELECT application_name, backend_start AT TIME ZONE 'UTC'
    FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND objid = {LOCK} AND granted
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())
"""
CONNECT_SECONDS = 10

Connection: TypeAlias = connection


@dataclass(frozen=True)
class StateDatabase:
    """Where the state is, and who signs in."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str | None

    @classmethod
    def of_environment(cls) -> Self:
        """Return the database that `SQLMESH_STATE_HOST` and its neighbours name."""
        return cls(
            host=os.environ["SQLMESH_STATE_HOST"],
            port=port("SQLMESH_STATE_PORT", 5432),
            database=os.environ.get("SQLMESH_STATE_DATABASE", "sqlmesh"),
            user=os.environ.get("SQLMESH_STATE_USERNAME", "sqlmesh"),
            password=os.environ.get("SQLMESH_STATE_PASSWORD", ""),
            sslmode=os.environ.get("SQLMESH_STATE_SSLMODE", "require"),
        )

    @classmethod
    def of_catalogue(cls) -> Self:
        """Return the database that has DuckLake's catalogue: the state has a schema of its own there."""
        catalogue = lake_catalogue()
        return cls(
            host=catalogue.host or "",
            port=catalogue.port or PORT,
            database=catalogue.database or "",
            user=catalogue.username or "",
            password=catalogue.password or "",
            sslmode=(catalogue.query or {}).get("sslmode", SSLMODE),
        )

    def connect(self, who: str) -> Connection:
        """Open a connection, which others see under the name of `who`.

        Raises:
            psycopg2.OperationalError: it cannot be opened.
        """
        opened: Connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.database,
            sslmode=self.sslmode,
            connect_timeout=CONNECT_SECONDS,
            application_name=who,
            keepalives_idle=60,  # seconds; what lies between may forget a connection that is still for minutes
        )
        opened.autocommit = True
        return opened

    def gone(self, error: psycopg2.Error) -> str:
        """Say that it cannot be reached, and why."""
        return (
            f"PostgreSQL on {self.host}:{self.port}, where SQLMesh keeps its state, cannot be reached: "
            f"{' '.join(str(error).split())}"
        )


def state_place(destination: str) -> StateDatabase | Path | None:
    """Return where SQLMesh keeps its state for a warehouse: in PostgreSQL, in a file of DuckDB, or beside the tables.

    Beside Snowflake that is PostgreSQL, where many small writes belong. A file (SQLMESH_STATE_FILE) is for trials.
    DuckLake has it beside its catalogue, where loads that put files in order see whether models are built.

    Args:
        destination: the warehouse, `duckdb`, `ducklake` or `snowflake`.

    Returns:
        None for the warehouse itself.

    Raises:
        AmplitudeError: beside Snowflake it has no place.
    """
    if destination == "ducklake":
        return StateDatabase.of_catalogue()
    if destination == "snowflake" and (file := os.environ.get("SQLMESH_STATE_FILE")):
        return Path(file)
    if os.environ.get("SQLMESH_STATE_HOST"):
        return StateDatabase.of_environment()
    if destination == "snowflake":
        raise AmplitudeError("SQLMESH_STATE_HOST is missing: with Snowflake, SQLMesh keeps its state in PostgreSQL.")
    return None


def holder(opened: Connection) -> tuple[str, datetime] | None:
    """Return which command holds the lock, and since when (UTC); None if none does."""
    with opened.cursor() as cursor:
        cursor.execute(HOLDER)
        found: tuple[str, datetime] | None = cursor.fetchone()
        return found


def at_work(held: tuple[str, datetime] | None) -> str:
    """Say which command is at work, for one that has just found the lock taken."""
    if not held:
        return "Another command, that is just ending, has been at work"
    return f"{held[0]} has been at work since {held[1]:%Y-%m-%d %H:%M} UTC"
