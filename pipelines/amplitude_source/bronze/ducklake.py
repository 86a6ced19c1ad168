"""DuckLake as the destination: tables in Parquet files of the lake, and PostgreSQL as their catalogue.

DuckDB reads and writes them in this process. Several processes may do so at once: a commit that meets another one's is
undone by DuckLake and then tried again here.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from typing import Any, TypeVar

import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.dataset import DBApiCursor
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.storages import FilesystemConfiguration
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from dlt.destinations.impl.ducklake.configuration import DuckLakeClientConfiguration, DuckLakeCredentials
from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient, DuckLakeCopyJob
from dlt.destinations.impl.ducklake.sql_client import DuckLakeSqlClient
from dlt.destinations.typing import DBTransaction

from ..errors import AmplitudeError, without_logins
from ..lake.storage import LAKE_VARIABLE, LakeConfiguration, told_credentials
from ..settings import CATALOG, CATALOGUE_VARIABLE, DuckLakeSettings, resolve

EXTENSIONS = ("httpfs", "postgres_scanner", "ducklake")
INSTALL = ".venv/bin/pip install --editable '.[ducklake]'"
FOLDER = "ducklake"  # of the lake
NAME = CATALOG.upper()  # as SQLMesh writes names, which it looks for by their letters
METADATA_SCHEMA = "ducklake"  # of the catalogue's database
SSLMODE, CONNECT_SECONDS, PORT = "require", 10, 5432
DRIVERS = ("postgres", "postgresql")
# A conflict means that another process has committed meanwhile, which a load of an hour does some ten times.
CONFLICT = "Transaction conflict"
ATTEMPTS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 40, 0.05, 2.0
COMMIT_ATTEMPTS = 100

Result = TypeVar("Result")


def lake_credentials(lake: LakeConfiguration) -> DuckLakeCredentials:
    """Return the catalogue of the settings, and the folder of the lake that has the files.

    Raises:
        AmplitudeError: as for `lake_catalogue`.
    """
    storage = lake.copy()
    storage.bucket_url = f"{lake.bucket_url.rstrip('/')}/{FOLDER}"
    return DuckLakeCredentials(NAME, METADATA_SCHEMA, lake_catalogue(), storage)


def lake_catalogue() -> ConnectionStringCredentials:
    """Return the catalogue of the settings.

    Raises:
        AmplitudeError: the catalogue is not named, or its address is none of PostgreSQL's. The sentence has no address.
    """
    try:
        catalogue = resolve(DuckLakeSettings(), ("destination", FOLDER)).credentials.catalog
    except ConfigFieldMissingException as error:
        raise AmplitudeError(catalogue_fault("is missing")) from error
    if catalogue.drivername not in DRIVERS:
        raise AmplitudeError(catalogue_fault("is no address of PostgreSQL"))
    if missing := [name for name in ("host", "database", "username") if not getattr(catalogue, name)]:
        raise AmplitudeError(catalogue_fault(f"has no {missing[0]}"))
    return catalogue


def catalogue_fault(fault: str) -> str:
    """Return the sentence on a fault of the catalogue's setting."""
    return f"{CATALOGUE_VARIABLE} {fault}: write it like postgresql://user:password@host:5432/database."


def connect(credentials: DuckLakeCredentials) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the tables of DuckLake as its current catalog.

    All connections of this process to one lake share a DuckDB in memory while any is open: the first one signs in.

    Raises:
        AmplitudeError: the extensions are not installed, or the catalogue or its files cannot be used.
    """
    connection = duckdb.connect(f":memory:{credentials.catalog_location()} {credentials.storage_url}")
    try:
        if not connection.execute(f"FROM duckdb_databases() WHERE database_name = '{NAME}'").fetchall():
            attach(connection, credentials)
        connection.execute(f'USE "{NAME}"')
    except duckdb.Error as error:
        connection.close()
        raise AmplitudeError(refusal(error, credentials)) from error
    except AmplitudeError:
        connection.close()
        raise
    return connection


def attach(connection: duckdb.DuckDBPyConnection, credentials: DuckLakeCredentials) -> None:
    """Have DuckDB sign in, by secrets of its own, which it never shows."""
    for name in EXTENSIONS:
        connection.execute(f"LOAD {literal(extension_file(name))}")
    for statement in secrets(credentials):
        connection.execute(statement)
    # DuckLake itself tries again where two commits only want the same number, by default ten times.
    connection.execute(f"SET GLOBAL ducklake_max_retry_count = {COMMIT_ATTEMPTS}")
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Without inlined rows: PostgreSQL has no text with the character 0, and a person's rows lie in files alone.
    connection.execute(f"ATTACH IF NOT EXISTS 'ducklake:{CATALOG}' AS \"{NAME}\" (DATA_INLINING_ROW_LIMIT 0)")


def extension_file(name: str) -> str:
    """Return the file of an extension that fits this DuckDB.

    Raises:
        AmplitudeError: it is not installed.
    """
    try:
        found = files(f"duckdb_extension_{name}") / f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"
    except ModuleNotFoundError as error:
        raise AmplitudeError(f"DuckLake needs extensions of DuckDB that are not installed: run {INSTALL}.") from error
    if not found.is_file():
        raise AmplitudeError(
            f"DuckDB's extension {name} is installed for another version than {duckdb.__version__}: run {INSTALL}."
        )
    return str(found)


def secrets(credentials: DuckLakeCredentials) -> Iterator[str]:
    """Yield the statements that tell DuckDB how to sign in."""
    catalogue, storage = credentials.catalog, credentials.storage
    login = {
        "HOST": catalogue.host,
        "PORT": catalogue.port or PORT,
        "DATABASE": catalogue.database,
        "USER": catalogue.username,
        "PASSWORD": catalogue.password or "",
    }
    yield secret(f"{CATALOG}_catalogue", "postgres", login)
    options = {"connect_timeout": CONNECT_SECONDS, "sslmode": SSLMODE, **(catalogue.query or {})}
    path = " ".join(f"{name}={value}" for name, value in options.items())
    parameters = f"MAP {{'TYPE': 'postgres', 'SECRET': '{CATALOG}_catalogue'}}"
    place = {
        "METADATA_PATH": path,
        "METADATA_SCHEMA": METADATA_SCHEMA,
        "DATA_PATH": credentials.storage_url,
    }
    yield secret(CATALOG, "ducklake", place, f", METADATA_PARAMETERS {parameters}")
    if not storage.is_local_filesystem:
        yield secret(f"{CATALOG}_files", "s3", s3_login(storage))


def secret(name: str, kind: str, values: dict[str, Any], more: str = "") -> str:
    """Return the statement that makes a secret of DuckDB's, or makes it anew."""
    pairs = ", ".join(f"{key} {literal(value)}" for key, value in values.items() if value is not None)
    return f"CREATE OR REPLACE SECRET {name} (TYPE {kind}, {pairs}{more})"


def s3_login(storage: FilesystemConfiguration) -> dict[str, Any]:
    """Return what DuckDB needs to know of S3, as the lake has it."""
    with told_credentials():
        keys = storage.credentials.to_session_credentials()
    scheme, _, address = endpoint(storage).partition("://")
    return {
        "KEY_ID": keys["aws_access_key_id"],
        "SECRET": keys["aws_secret_access_key"],
        "SESSION_TOKEN": keys["aws_session_token"],
        "REGION": storage.credentials.region_name,
        "ENDPOINT": address,
        "USE_SSL": scheme == "https",
        "URL_STYLE": storage.credentials.s3_url_style or "path",
        "SCOPE": storage.bucket_url,
    }


def endpoint(storage: FilesystemConfiguration) -> str:
    """Return the address of S3 that AWS' own library takes, by its variables and files too."""
    import boto3  # only here: its import takes a third of a second

    given = storage.credentials.endpoint_url
    client = boto3.Session(region_name=storage.credentials.region_name).client("s3", endpoint_url=given)
    return str(client.meta.endpoint_url)


def literal(value: object) -> str:
    """Return a value as SQL writes it."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def refusal(error: duckdb.Error, credentials: DuckLakeCredentials) -> str:
    """Say why the tables cannot be opened, and what to mend."""
    text = " ".join(without_logins(str(error)).split())
    if "does not match existing data path" in text:
        return (
            f"The catalogue of DuckLake knows its files at another place than {credentials.storage_url}: set "
            f"{LAKE_VARIABLE} to the lake that it was made with, or {CATALOGUE_VARIABLE} to another database."
        )
    catalogue = credentials.catalog
    return (
        f"The catalogue of DuckLake, PostgreSQL on {catalogue.host}:{catalogue.port or PORT}, cannot be used: "
        f"{text.rpartition('failed: ')[2]} {CATALOGUE_VARIABLE} names it."
    )


def again(act: Callable[[], Result]) -> Result:
    """Act, once more as long as other processes commit first. Nothing of an attempt before is in the tables then."""
    pause = FIRST_PAUSE_SECONDS
    for _ in range(ATTEMPTS - 1):
        try:
            return act()
        except (DatabaseTransientException, duckdb.TransactionException) as error:
            if CONFLICT not in str(error):
                raise
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    return act()


class SqlClient(DuckLakeSqlClient):
    """Opens DuckLake by `connect`, and does statements again that other processes were in the way of."""

    _is_in_transaction = False

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """Open a connection whose tables are those of the dataset."""
        self._conn = connect(self.credentials)
        if self.has_dataset():
            self._conn.execute(f"SET search_path = {literal(f'{NAME}.{self.dataset_name}')}")
        return self._conn

    def close_connection(self) -> None:
        """Close it; others of this process stay open."""
        if self._conn:
            self._conn.close()
            self._conn = None

    @contextmanager
    def begin_transaction(self) -> Iterator[DBTransaction]:
        """Begin one, of which no single statement can be done again."""
        self._is_in_transaction = True
        try:
            with super().begin_transaction() as transaction:
                yield transaction
        finally:
            self._is_in_transaction = False

    @contextmanager
    def execute_query(self, query: str, *args: Any, **kwargs: Any) -> Iterator[DBApiCursor]:
        """Execute a statement, by itself or as part of a transaction."""
        of_parent = super().execute_query
        with ExitStack() as stack:

            def execute() -> DBApiCursor:
                return stack.enter_context(of_parent(query, *args, **kwargs))

            yield execute() if self._is_in_transaction else again(execute)


class CopyJob(DuckLakeCopyJob):
    """Copies a file once. dlt would do so again after an error that leaves open whether the rows are there."""

    def run(self) -> None:
        path = self._file_path
        self._file_path = path.replace("'", "''")
        try:
            super().run()
        except DatabaseTransientException as error:
            raise DatabaseTerminalException(error) from error
        finally:
            self._file_path = path


class Client(DuckLakeClient):
    """Has that client of SQL, and copies files by that job."""

    def __init__(
        self, schema: Schema, config: DuckLakeClientConfiguration, capabilities: DestinationCapabilitiesContext
    ) -> None:
        super().__init__(schema, config, capabilities)
        own = self.sql_client
        self.sql_client = SqlClient(own.dataset_name, own.staging_dataset_name, config.credentials, capabilities)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Make the job of a file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return CopyJob(file_path) if isinstance(job, DuckLakeCopyJob) else job


class DuckLake(dlt.destinations.ducklake):
    """To dlt the same destination as its own."""

    destination_type = "dlt.destinations.ducklake"
    client_class = Client
