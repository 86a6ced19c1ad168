"""A checkout whose warehouse is DuckLake: files on the S3 of the tests, and a database of its own as the catalogue."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import duckdb

from amplitude_source.bronze.ducklake import connect, lake_credentials, shared
from amplitude_source.settings import CATALOGUE_VARIABLE, load_projects
from simulator.server import Simulator
from support.postgres import USER, Postgres
from support.project import Project, make_project
from support.s3 import S3Server

_NUMBERS = itertools.count(1)


@dataclass
class DuckLakeProject(Project):
    """Such a checkout."""

    s3: S3Server = field(kw_only=True)
    bucket: str = field(kw_only=True)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection to its tables."""
        with self.entered():
            return connect(lake_credentials(load_projects()[0].lake))

    def with_settings(self, **env: str) -> Self:
        """The same checkout and warehouse with other settings."""
        return replace(self, env={**self.env, **env})

    @contextmanager
    def opened(self) -> Iterator[None]:
        """DuckDB signs in once for the queries within."""
        with ExitStack() as stack:
            with self.entered():
                stack.enter_context(shared(lake_credentials(load_projects()[0].lake)))
            yield

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query on the tables of DuckLake."""
        with self.connect() as connection:
            return connection.execute(sql, parameters).fetchall()

    def archived(self) -> dict[str, bytes]:
        """The lake's members by their names."""
        files = self.s3.files(self.bucket, "amplitude/raw/")
        return {Path(key).name: data for key, data in files.items() if key.endswith(".json.gz")}

    @property
    def database(self) -> str:  # type: ignore[override]  # it is no file here
        """The database of its catalogue."""
        return self.env[CATALOGUE_VARIABLE].rpartition("/")[2].partition("?")[0]


def make_ducklake_project(folder: Path, simulator: Simulator, postgres: Postgres, s3: S3Server) -> DuckLakeProject:
    """A checkout with an empty catalogue and an empty bucket."""
    project = make_project(folder, simulator)
    database = f"lake_{os.getpid()}_{next(_NUMBERS)}"
    postgres.execute("postgres", f"CREATE DATABASE {database}")
    bucket = s3.new_bucket()
    chosen = {"AMPLITUDE_DESTINATION": "ducklake", CATALOGUE_VARIABLE: catalogue(postgres, database)}
    return DuckLakeProject(project.root, project.env | s3.env(bucket) | chosen, s3=s3, bucket=bucket)


def catalogue(postgres: Postgres, database: str) -> str:
    """The address of a database of the server."""
    return f"postgresql://{USER}:{postgres.password}@127.0.0.1:{postgres.port}/{database}?sslmode=disable"
