"""A checkout whose warehouse is DuckLake: files on the S3 of the tests, and a database of its own as the catalogue."""

import itertools
import os
from pathlib import Path
from typing import Any

from amplitude_source.bronze.ducklake import connect, lake_credentials
from amplitude_source.settings import load_projects
from simulator.server import Simulator
from support.postgres import USER, Postgres
from support.project import Project, make_project
from support.s3 import S3Server

_NUMBERS = itertools.count(1)


class DuckLakeProject(Project):
    """Such a checkout."""

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query on the tables of DuckLake."""
        with self.entered(), connect(lake_credentials(load_projects()[0].lake)) as connection:
            return connection.execute(sql, parameters).fetchall()


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
