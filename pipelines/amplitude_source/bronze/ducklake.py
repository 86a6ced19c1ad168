"""DuckLake as the destination: tables in Parquet files of the lake, and PostgreSQL as their catalogue.

DuckDB reads and writes them in this process. Several processes may do so at once: they read, ask and type at the same
time, and write one after the other.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import files
from typing import Any, cast

import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import AwsCredentials, ConnectionStringCredentials
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.storages import FilesystemConfiguration
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from dlt.destinations.impl.ducklake.configuration import DuckLakeClientConfiguration, DuckLakeCredentials
from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient, DuckLakeCopyJob
from dlt.destinations.impl.ducklake.sql_client import DuckLakeSqlClient

from ..errors import AmplitudeError, without_logins
from ..lake.storage import LAKE_VARIABLE, LakeConfiguration, told_credentials
from ..lock import BusyError
from ..settings import CATALOG, CATALOGUE_VARIABLE, DuckLakeSettings

EXTENSIONS = ("httpfs", "postgres_scanner", "ducklake")
INSTALL = ".venv/bin/pip install --editable '.[ducklake]'"
FOLDER = "ducklake"  # of the lake
NAME = CATALOG.upper()  # as SQLMesh writes names, which it looks for by their letters
METADATA_SCHEMA = "ducklake"  # of the catalogue's database
SSLMODE, CONNECT_SECONDS, PORT = "require", 10, 5432
DRIVERS = ("postgres", "postgresql")
# Numbers of PostgreSQL's own, in the catalogue's database: of who writes bronze, and of who builds silver and gold.
LOADERS_LOCK, BUILDERS_LOCK = 20260602, 20260601
LONGEST_WAIT_SECONDS = 3_600


def lake_credentials(lake: LakeConfiguration, *, read_only: bool = True) -> DuckLakeCredentials:
    """Return the catalogue of the settings, and the folder of the lake that has the files.

    Args:
        lake: of any project.
        read_only: whether bronze is only read, so that loads need not wait.

    Raises:
        AmplitudeError: as for `lake_catalogue`.
    """
    storage = lake.copy()
    storage.bucket_url = f"{lake.bucket_url.rstrip('/')}/{FOLDER}"
    credentials = DuckLakeCredentials(NAME, METADATA_SCHEMA, lake_catalogue(), storage)
    credentials.read_only = read_only
    return credentials


def lake_catalogue() -> ConnectionStringCredentials:
    """Return the catalogue of the settings.

    Raises:
        AmplitudeError: the catalogue is not named, or its address is none of PostgreSQL's. The sentence has no address.
    """
    try:
        catalogue = resolve_configuration(DuckLakeSettings(), sections=("destination", FOLDER)).credentials.catalog
    except ConfigFieldMissingException as error:
        raise AmplitudeError(catalogue_fault("is missing")) from error
    except ConfigurationException as error:
        raise AmplitudeError(catalogue_fault("is no address of PostgreSQL")) from error
    if catalogue.drivername not in DRIVERS:
        raise AmplitudeError(catalogue_fault("is no address of PostgreSQL"))
    if missing := [name for name in ("host", "database", "username") if not getattr(catalogue, name)]:
        raise AmplitudeError(catalogue_fault(f"has no {missing[0]}"))
    return catalogue


def catalogue_fault(fault: str) -> str:
    """Return the sentence on a fault of the catalogue's setting."""
    return f"{CATALOGUE_VARIABLE} {fault}: write it like postgresql://user:password@host:5432/database."


_shared: dict[str, duckdb.DuckDBPyConnection] = {}


@contextmanager
def shared(credentials: DuckLakeCredentials) -> Iterator[None]:
    """Have what connects within share a DuckDB, so that only the first signs in; those who write are alone within.

    A database in memory with a name would be shared, too, but DuckDB 1.5.5 may hang as it opens that again.

    Raises:
        BusyError: another process writes, and goes on for an hour.
    """
    place = place_of(credentials)
    if place in _shared:
        yield
        return
    with ExitStack() as stack:
        if not credentials.read_only:
            stack.enter_context(locked(credentials.catalog, LOADERS_LOCK))
        _shared[place] = stack.enter_context(connect(credentials))
        try:
            yield
        finally:
            del _shared[place]


@contextmanager
def locked(catalogue: ConnectionStringCredentials, lock: int, *, waits: bool = True) -> Iterator[bool]:
    """Hold a lock of the catalogue's database; it ends with its holder, be that killed.

    Loads of several machines write one after the other, because DuckLake is not safe for those who delete at once: of
    two commits that delete from a file with deleted rows, the second takes back what the first did (1.5.5). Also, dlt's
    loads share tables for what is to be merged.

    Args:
        catalogue: whose lock it is.
        lock: its number.
        waits: whether to wait for another holder.

    Yields:
        Whether it is held.

    Raises:
        BusyError: another process holds it for an hour.
        AmplitudeError: the database cannot be reached.
    """
    import psycopg2  # only here: most commands do without

    try:
        connection = psycopg2.connect(
            host=catalogue.host,
            port=catalogue.port or PORT,
            dbname=catalogue.database,
            user=catalogue.username,
            password=catalogue.password,
            **options_of(catalogue),
            keepalives_idle=60,  # seconds; what lies between may forget a connection that is still for minutes
        )
    except psycopg2.OperationalError as error:
        raise AmplitudeError(unreachable(catalogue, str(error))) from error
    with closing(connection):
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LONGEST_WAIT_SECONDS}s'")
            try:
                cursor.execute(f"SELECT {'pg_advisory_lock' if waits else 'pg_try_advisory_lock'}(%s)", [lock])
            except psycopg2.errors.LockNotAvailable as error:
                raise BusyError(
                    "Another load writes to DuckLake for an hour already: end it, then run again."
                ) from error
            yield waits or cursor.fetchone() == (True,)


def place_of(credentials: DuckLakeCredentials) -> str:
    """Return what tells one DuckLake from another."""
    return f"{credentials.catalog_location()} {credentials.storage_url}"


def connect(credentials: DuckLakeCredentials) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the tables of DuckLake as its current catalog.

    Raises:
        AmplitudeError: the extensions are not installed, or the catalogue or its files cannot be used.
    """
    known = _shared.get(place_of(credentials))
    connection = known.cursor() if known else duckdb.connect()
    try:
        if not known:
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
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Without inlined rows: PostgreSQL has no text with the character 0, and a person's rows lie in files alone.
    connection.execute(f"ATTACH 'ducklake:{CATALOG}' AS \"{NAME}\" (DATA_INLINING_ROW_LIMIT 0)")


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
    path = " ".join(f"{name}={value}" for name, value in options_of(catalogue).items())
    parameters = f"MAP {{'TYPE': 'postgres', 'SECRET': '{CATALOG}_catalogue'}}"
    place = {
        "METADATA_PATH": path,
        "METADATA_SCHEMA": METADATA_SCHEMA,
        "DATA_PATH": credentials.storage_url,
    }
    yield secret(CATALOG, "ducklake", place, f", METADATA_PARAMETERS {parameters}")
    if not storage.is_local_filesystem:
        yield secret(f"{CATALOG}_files", "s3", s3_login(storage))


def options_of(catalogue: ConnectionStringCredentials) -> dict[str, Any]:
    """Return libpq's options for the catalogue: ours, and those of its address."""
    return {"connect_timeout": CONNECT_SECONDS, "sslmode": SSLMODE, **(catalogue.query or {})}


def secret(name: str, kind: str, values: dict[str, Any], more: str = "") -> str:
    """Return the statement that makes a secret of DuckDB's, or makes it anew."""
    pairs = ", ".join(f"{key} {literal(value)}" for key, value in values.items() if value is not None)
    return f"CREATE OR REPLACE SECRET {name} (TYPE {kind}, {pairs}{more})"


def s3_login(storage: FilesystemConfiguration) -> dict[str, Any]:
    """Return what DuckDB needs to know of S3, as the lake has it."""
    credentials = cast(AwsCredentials, storage.credentials)
    with told_credentials():
        keys = credentials.to_session_credentials()
    given = credentials.endpoint_url or (storage.client_kwargs or {}).get("endpoint_url")
    scheme, _, address = endpoint(given, credentials.region_name).partition("://")
    return {
        "KEY_ID": keys["aws_access_key_id"],
        "SECRET": keys["aws_secret_access_key"],
        "SESSION_TOKEN": keys["aws_session_token"],
        "REGION": credentials.region_name,
        "ENDPOINT": address,
        "USE_SSL": scheme == "https",
        "URL_STYLE": credentials.s3_url_style or "path",
        "SCOPE": storage.bucket_url,
    }


def endpoint(given: str | None, region: str | None) -> str:
    """Return the address of S3 that AWS' own library takes, by its variables and files too."""
    import boto3  # only here: its import takes a third of a second

    return str(boto3.Session(region_name=region).client("s3", endpoint_url=given).meta.endpoint_url)


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
    return unreachable(credentials.catalog, text)


def unreachable(catalogue: ConnectionStringCredentials, reason: str) -> str:
    """Say that the catalogue's database cannot be used."""
    short = " ".join(reason.rpartition("failed: ")[2].split())
    return (
        f"The catalogue of DuckLake, PostgreSQL on {catalogue.host}:{catalogue.port or PORT}, cannot be used: {short} "
        f"{CATALOGUE_VARIABLE} names it."
    )


class SqlClient(DuckLakeSqlClient):
    """Opens DuckLake by `connect`."""

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
            self._conn = None  # type: ignore[assignment]  # as dlt marks a client without a connection


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
