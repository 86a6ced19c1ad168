"""A checkout whose warehouse is DuckLake: files on the S3 of the tests, and a database of its own as the catalogue."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from amplitude_source.bronze.ducklake import connect, lake_credentials
from amplitude_source.settings import load_projects
from simulator.server import Simulator
from support.postgres import USER, Postgres
from support.project import Project, make_project
from support.s3 import S3Server

_NUMBERS = itertools.count(1)


class DuckLakeProject(Project):
    """Such a checkout."""

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection to its tables."""
        with self.entered():
            return connect(lake_credentials(load_projects()[0].lake))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """DuckDB signs in once for the queries within."""
        with self.connect():
            yield

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query on the tables of DuckLake."""
        with self.connect() as connection:
            return connection.execute(sql, parameters).fetchall()

    @property
    def bucket(self) -> str:
        """The bucket of its lake."""
        return self.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"].removeprefix("s3://").partition("/")[0]


def make_ducklake_project(folder: Path, simulator: Simulator, postgres: Postgres, s3: S3Server) -> DuckLakeProject:
    """A checkout with an empty catalogue and an empty bucket."""
    project = make_project(folder, simulator)
    database = f"lake_{os.getpid()}_{next(_NUMBERS)}"
    postgres.execute("postgres", f"CREATE DATABASE {database}")
    env = {
        **s3.env(s3.new_bucket()),
        "AMPLITUDE_DESTINATION": "ducklake",
        "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": catalogue(postgres, database),
    }
    return DuckLakeProject(project.root, project.env | env)


def catalogue(postgres: Postgres, database: str) -> str:
    """The address of a database of the server."""
    return f"postgresql://{USER}:{postgres.password}@127.0.0.1:{postgres.port}/{database}?sslmode=disable"
