"""What only a real Snowflake account shows, in about ten minutes. `--help` tells how.

A small synthetic product of a simulated Amplitude is loaded twice, into a scratch database on Snowflake and into
DuckDB, by the product's own commands and settings, in two parts: the first is planned, the second run. Then silver and
gold must be the same, row for row, and what Snowflake alone can tell is asked of it: rights, the stage, COPY, settings.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import duckdb
import snowflake.connector
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from dlt.destinations.impl.snowflake.configuration import SnowflakeCredentials
from dotenv import dotenv_values
from snowflake.connector import SnowflakeConnection
from snowflake.connector.util_text import split_statements

from handshake import SETUP, one_sentence, render

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "pipelines")]

from amplitude_source.settings import load_projects  # noqa: E402 - after the path to it
from amplitude_source.transform.sqlmesh_config import project_config  # noqa: E402 - as above
from simulator.product import Product  # noqa: E402 - as above
from simulator.server import DEMO_CREDENTIALS, Simulator  # noqa: E402 - as above

CHECKOUT = (".dlt/config.toml", "config.py", "pipelines", "sqlmesh")
PRODUCT = Product(days=3, events_per_day=200)
FIRST_PART = timedelta(days=2)
PROJECT = "verify_snowflake"
"""Of Amplitude: the lake's archive has its files apart."""
LOADER, TRANSFORMER, ANALYST = "AMPLITUDE_LOADER", "AMPLITUDE_TRANSFORMER", "AMPLITUDE_ANALYST"
LAKE_SETTINGS = "SOURCES__AMPLITUDE__LAKE__"
SNOWFLAKE = "DESTINATION__SNOWFLAKE__"
LAKE = f"{LAKE_SETTINGS}BUCKET_URL"
# Other projects, and where SQLMesh keeps what it knows of them: not for this check to touch.
NOT_KEPT = (
    "SOURCES__AMPLITUDE__",
    "DESTINATION__DUCKDB__",
    "SQLMESH_STATE_",
    "SQLMESH_GATEWAY",
    "SQLMESH_SNOWFLAKE_MASKING",  # the scratch database has no policies
    "AMPLITUDE_DESTINATION",
)
COMMAND_SECONDS = 1_200
REFUSED = re.compile("insufficient privileges|not authorized|not assigned to the executing user", re.IGNORECASE)


class DoesNotHoldError(Exception):
    """What was looked at is not as it has to be."""


@dataclass
class Report:
    """Prints what held and what did not, a line each."""

    failed: list[str] = field(default_factory=list)

    @contextmanager
    def check(self, what: str) -> Iterator[None]:
        """Within, an error of Snowflake's or of ours says that it does not hold."""
        try:
            yield
        except (DoesNotHoldError, snowflake.connector.Error, duckdb.Error) as error:
            self.failed.append(what)
            click.echo(f"NOT    {what}: {' '.join(str(error).split())}")
        else:
            click.echo(f"holds  {what}")


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, with exactly this environment."""

    root: Path
    env: Mapping[str, str]

    def run(self, *command: str) -> None:
        """Runs Python with these arguments in it.

        Raises:
            DoesNotHoldError: the command failed; its last lines say why.
        """
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, *command],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            encoding="utf-8",
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise DoesNotHoldError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")

    def load(self, end: datetime) -> None:
        self.run("pipelines/amplitude.py", "--end", f"{end:%Y-%m-%dT%H}")

    def sqlmesh(self, *arguments: str) -> None:
        self.run("-c", "from sqlmesh.cli.main import cli; cli()", *arguments)


@click.command()
@click.option("--database", default="AMPLITUDE_VERIFY", show_default=True, help="The scratch database.")
@click.option(
    "--connection",
    default="default",
    show_default=True,
    help="A connection of connections.toml, of a user with the role ACCOUNTADMIN: it makes the database and drops it.",
)
@click.option(
    "--existing", is_flag=True, help="The database is there, empty, made as setup.sql makes AMPLITUDE: leave it there."
)
def main(database: str, connection: str, existing: bool) -> None:
    """Checks with your account what the tests can only assume of Snowflake, and drops what it made.

    \b
    Before: infra/handshake.py, and the settings of Snowflake, of the lake and of SQLMesh in .env, as for production.
    Then:   python infra/verify_snowflake.py

    Each line says what holds, or what does NOT and why; the exit code is 1 if anything does not. Your own tables,
    SQLMesh's state and the archive of your projects are not touched.
    """
    settings = os.environ | {name: value for name, value in dotenv_values(ROOT / ".env").items() if value is not None}
    if not settings.get(LAKE, "").startswith("s3://"):
        raise click.ClickException(f"{LAKE} is no s3:// address: the settings in .env are not those of production.")
    report = Report()
    with one_sentence(), TemporaryDirectory() as folder, Simulator(PRODUCT) as simulator:
        there, here = checkouts(Path(folder), settings, database, simulator)
        with nullcontext() if existing else scratch(connection, database, settings[LAKE]):
            verify(there, here, report)
        delete_archive(there)
    if report.failed:
        raise click.ClickException(f"{len(report.failed)} things do not hold.")


def checkouts(
    folder: Path, settings: Mapping[str, str], database: str, simulator: Simulator
) -> tuple[Checkout, Checkout]:
    """The project twice, with Snowflake as the warehouse and with DuckDB; both ask the simulated Amplitude."""
    kept = {name: value for name, value in settings.items() if not name.startswith(NOT_KEPT)}
    lake = {name: value for name, value in settings.items() if name.startswith(LAKE_SETTINGS)}
    project = f"SOURCES__AMPLITUDE__PROJECTS__{PROJECT.upper()}__"
    amplitude = {
        f"{project}API_KEY": DEMO_CREDENTIALS[0],
        f"{project}SECRET_KEY": DEMO_CREDENTIALS[1],
        "SOURCES__AMPLITUDE__BASE_URL": simulator.base_url,
        "SOURCES__AMPLITUDE__START_HOUR": f"{PRODUCT.start:%Y-%m-%dT%H}",
        "SOURCES__AMPLITUDE__NOW": simulator.now.isoformat(),
    }
    on_snowflake = {
        "AMPLITUDE_DESTINATION": "snowflake",
        "SQLMESH_GATEWAY": "snowflake",
        "SQLMESH_STATE_FILE": str(folder / "state.duckdb"),
        f"{SNOWFLAKE}CREDENTIALS__DATABASE": database,
    }
    on_duckdb = {name: value for name, value in kept.items() if not name.startswith(SNOWFLAKE)}
    return (
        make_checkout(folder / "snowflake", kept | lake | amplitude | on_snowflake),
        make_checkout(folder / "duckdb", on_duckdb | amplitude),
    )


def make_checkout(root: Path, env: Mapping[str, str]) -> Checkout:
    for name in CHECKOUT:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".cache", ".env", "__pycache__"))
        else:
            shutil.copy(source, target)
    return Checkout(root, env)


@contextmanager
def scratch(connection: str, database: str, lake: str) -> Iterator[None]:
    """The scratch database, with the schemas, the stage and the grants of AMPLITUDE; it is dropped in the end."""
    with closing(snowflake.connector.connect(connection_name=connection)) as account:
        cursor = account.cursor()
        cursor.execute("USE ROLE SYSADMIN")
        cursor.execute(f"CREATE DATABASE {database}")  # which fails where there is one: that is not ours to drop
        try:
            for statement in scratch_setup(SETUP.read_text(), database, lake):
                cursor.execute(statement)
            yield
        finally:
            cursor.execute("USE ROLE SYSADMIN")
            cursor.execute(f"DROP DATABASE {database}")


def scratch_setup(setup: str, database: str, lake: str) -> list[str]:
    """The statements of setup.sql about the database AMPLITUDE, for another; roles, users and integration are there."""
    statements = [statement for statement, _ in split_statements(StringIO(setup), remove_comments=True)]
    return [
        render(re.sub(r"\bAMPLITUDE\b", database, statement), staging_url=staging_url(lake))
        for statement in statements
        if statement.startswith("USE ROLE") or re.search(r"\bAMPLITUDE\b", statement)
    ]


def staging_url(lake: str) -> str:
    return f"{lake.rstrip('/')}/staging/"


def verify(there: Checkout, here: Checkout, report: Report) -> None:
    """Looks at all of it; what a failed step makes pointless is left out."""
    with closing(connect_loader(there)) as loader, closing(connect_transformer(there)) as transformer:
        check_session(report, loader, LOADER)
        check_session(report, transformer, TRANSFORMER)
        check_stage(report, loader, there.env[LAKE])
        if not built(there, here, report):
            return
        check_rights(report, loader, transformer)
        check_rows(report, loader, "bronze", here)
        check_copy(report, loader)
        for layer in ("silver", "gold"):
            check_rows(report, transformer, layer, here)
        check_tables(report, transformer)
        check_sent(report, transformer)
        check_analyst(report, transformer, there)


def connect_loader(checkout: Checkout) -> SnowflakeConnection:
    """As the pipeline connects: by dlt's settings."""
    with entered(checkout):
        credentials = resolve_configuration(SnowflakeCredentials(), sections=("destination", "snowflake"))
        return snowflake.connector.connect(**credentials.to_connector_params(), schema="BRONZE")


def connect_transformer(checkout: Checkout) -> SnowflakeConnection:
    """As SQLMesh connects: by its gateway."""
    with entered(checkout):
        config = project_config(Path.cwd(), None)
        connection: SnowflakeConnection = config.get_connection("snowflake").create_engine_adapter().connection
        connection.autocommit(True)  # a question must not be part of one that failed
        return connection


@contextmanager
def entered(checkout: Checkout) -> Iterator[None]:
    """This process with the checkout's folder and environment, and nothing of its own: other projects are not known."""
    folder, environment = Path.cwd(), dict(os.environ)
    os.environ.clear()
    os.environ.update(checkout.env)
    os.chdir(checkout.root)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)


def query(connection: SnowflakeConnection, sql: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()]


def expect(what: str, got: object, wanted: object) -> None:
    """
    Raises:
        DoesNotHoldError: they differ.
    """
    if got != wanted:
        raise DoesNotHoldError(f"{what} is {got!r}, not {wanted!r}")


def check_session(report: Report, connection: SnowflakeConnection, role: str) -> None:
    with report.check(f"{role} signs in with its key, in its own role"):
        expect("the role", query(connection, "SELECT CURRENT_ROLE()"), [(role,)])
    with report.check(f"the session of {role} is in UTC"):
        ((_, zone, *_),) = query(connection, "SHOW PARAMETERS LIKE 'TIMEZONE' IN SESSION")
        expect("TIMEZONE", zone, "UTC")


def check_stage(report: Report, loader: SnowflakeConnection, lake: str) -> None:
    with report.check("the stage has the URL of the pipeline's staging area, to the slash"):
        urls = [value for _, name, _, value, *_ in query(loader, "DESC STAGE BRONZE.LAKE_STAGING") if name == "URL"]
        expect("the URL", [json.loads(url) for url in urls], [[staging_url(lake)]])
    with report.check("the storage integration lets Snowflake read the bucket"):
        query(loader, "LIST @BRONZE.LAKE_STAGING")


def built(there: Checkout, here: Checkout, report: Report) -> bool:
    """Loads and builds the product in two parts, on both sides; says whether all of it worked."""
    first_end, end = (PRODUCT.start + part - timedelta(hours=1) for part in (FIRST_PART, timedelta(days=PRODUCT.days)))
    steps: dict[str, Callable[[Checkout], None]] = {
        "a load through the stage": lambda checkout: checkout.load(first_end),
        "a plan": lambda checkout: checkout.sqlmesh("plan", "--auto-apply", "--skip-tests"),
        "a second load": lambda checkout: checkout.load(end),
        "a run": lambda checkout: checkout.sqlmesh("run"),
    }
    failed = len(report.failed)
    for what, step in steps.items():
        with report.check(what):
            step(there)
            step(here)
        if len(report.failed) > failed:
            return False
    return True


def check_rights(report: Report, loader: SnowflakeConnection, transformer: SnowflakeConnection) -> None:
    """Tries what must be refused."""
    forbidden = [
        (loader, LOADER, "CREATE TABLE SILVER.NOT_ALLOWED (A INT)"),
        (loader, LOADER, "CREATE VIEW GOLD.NOT_ALLOWED AS SELECT 1 AS A"),
        (loader, LOADER, "CREATE SCHEMA NOT_ALLOWED"),
        (loader, LOADER, "CREATE STAGE BRONZE.NOT_ALLOWED"),
        (loader, LOADER, "SELECT COUNT(*) FROM SILVER.EVENTS"),
        (transformer, TRANSFORMER, "CREATE TABLE BRONZE.NOT_ALLOWED (A INT)"),
        (transformer, TRANSFORMER, "DELETE FROM BRONZE.EVENTS WHERE FALSE"),
        (transformer, TRANSFORMER, "LIST @BRONZE.LAKE_STAGING"),
        (transformer, TRANSFORMER, "GRANT SELECT ON VIEW GOLD.DAILY_METRICS TO ROLE PUBLIC"),
        (transformer, TRANSFORMER, "GRANT USAGE ON SCHEMA SILVER_TABLES TO ROLE PUBLIC"),
        *(
            (connection, role, statement)
            for connection, role in ((loader, LOADER), (transformer, TRANSFORMER))
            for statement in ("DESC INTEGRATION AMPLITUDE_LAKE", "USE ROLE ACCOUNTADMIN")
        ),
    ]
    for connection, role, statement in forbidden:
        with report.check(f"{role} may not {statement}"):
            try:
                query(connection, statement)
            except snowflake.connector.Error as error:
                if not REFUSED.search(str(error)):
                    raise
            else:
                raise DoesNotHoldError("it may")


def check_rows(report: Report, connection: SnowflakeConnection, layer: str, here: Checkout) -> None:
    """Compares every table or view of a schema with DuckDB's. What dlt writes of its own loads differs by nature."""
    with duckdb.connect(str(here.root / "data/amplitude.duckdb"), read_only=True) as local:
        local.execute("SET TimeZone = 'UTC'")
        columns: dict[str, list[str]] = {}
        with report.check(f"{layer} has tables to compare"):
            columns = columns_of(local, layer)
        for table, names in columns.items():
            with report.check(f"{layer}.{table} is the same on Snowflake as on DuckDB, row for row"):
                chosen = ", ".join(f'"{name.upper()}"' for name in names)
                got = query(connection, f"SELECT {chosen} FROM {layer}.{table}")
                expected = local.execute(f"SELECT {chosen} FROM {layer}.{table}").fetchall()
                expect_same_rows(got, expected)


def columns_of(local: duckdb.DuckDBPyConnection, schema: str) -> dict[str, list[str]]:
    """The columns of each table of a schema, without dlt's own and the list of runs, which are others here and there.

    SQLMesh writes names in upper case, dlt does not.

    Raises:
        DoesNotHoldError: there is none, so that nothing would be compared.
    """
    found = local.execute(
        """
        SELECT LOWER(table_name), column_name
        FROM information_schema.columns
        WHERE LOWER(table_schema) = ? AND table_name NOT LIKE '!_dlt%' ESCAPE '!'
            AND LOWER(table_name) <> 'pipeline_runs'
            AND column_name NOT ILIKE '!_dlt%' ESCAPE '!'
            AND column_name NOT ILIKE 'load!_id' ESCAPE '!'
        ORDER BY table_name, ordinal_position
        """,
        [schema],
    ).fetchall()
    if not found:
        raise DoesNotHoldError(f"DuckDB has no tables in {schema}")
    columns: dict[str, list[str]] = {}
    for table, column in found:
        columns.setdefault(table, []).append(column)
    return columns


def expect_same_rows(got: Iterable[tuple[Any, ...]], expected: Iterable[tuple[Any, ...]]) -> None:
    """
    Raises:
        DoesNotHoldError: rows are on one side alone.
    """
    there, here = typed(got), typed(expected)
    found, wanted = (  # what is the same as it stands need not be made canonical
        Counter(tuple(map(canonical, row)) for row, _ in rows.elements()) for rows in (there - here, here - there)
    )
    if found != wanted:
        surplus, lacking = found - wanted, wanted - found
        raise DoesNotHoldError(
            f"{there.total():,} rows on Snowflake, {here.total():,} on DuckDB; only on Snowflake: "
            f"{surplus.total():,}, as {next(iter(surplus), None)}; only on DuckDB: {lacking.total():,}, as "
            f"{next(iter(lacking), None)}"
        )


def typed(rows: Iterable[tuple[Any, ...]]) -> Counter[tuple[tuple[Any, ...], tuple[type, ...]]]:
    """Rows with the types of their values, for True equals 1."""
    return Counter((row, tuple(map(type, row))) for row in rows)


def canonical(value: object) -> str:
    """A text that is the same for a value from either engine.

    Numbers to nine digits, since sums of doubles depend on the order, and a little off from where averages lie, for two
    sums may lie on either side of a half; times in UTC; JSON by what it says.
    """
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return f"{float(value) * (1 + 1.23e-10):.9g}" if isinstance(value, float) or value % 1 else str(int(value))
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except json.JSONDecodeError:
            return value
    return str(value)


def check_copy(report: Report, loader: SnowflakeConnection) -> None:
    """Copies one staged file into a table twice: what keeps a load that is tried again from doubling rows."""
    with report.check("COPY loads a file of the stage once, and skips it when it comes again"):
        staged = [str(name) for name, *_ in query(loader, "LIST @BRONZE.LAKE_STAGING")]
        files = [name.partition("/staging/")[2] for name in staged if re.search(r"/events/[^/]+\.parquet$", name)]
        if not files:
            raise DoesNotHoldError("no file of bronze.events is staged")
        copy = (
            f"COPY INTO BRONZE.VERIFY_COPY FROM @BRONZE.LAKE_STAGING FILES = ('{files[0]}') "
            "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        )
        query(loader, "CREATE OR REPLACE TABLE BRONZE.VERIFY_COPY LIKE BRONZE.EVENTS")
        counts = []
        for _ in range(2):
            query(loader, copy)
            counts += query(loader, "SELECT COUNT(*) FROM BRONZE.VERIFY_COPY")
        query(loader, "DROP TABLE BRONZE.VERIFY_COPY")
        expect("rows after the first and after the second COPY", counts[0] == counts[1] and counts[0] > (0,), True)


def check_tables(report: Report, transformer: SnowflakeConnection) -> None:
    with report.check("SQLMesh's tables are transient: no fail-safe is paid for what can be rebuilt"):
        tables = query(
            transformer,
            "SELECT TABLE_NAME, IS_TRANSIENT FROM INFORMATION_SCHEMA.TABLES "
            "WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN ('SILVER_TABLES', 'GOLD_TABLES')",
        )
        expect("whether there are any", bool(tables), True)
        expect("tables that are not", [name for name, transient in tables if transient != "YES"], [])
    with report.check("bronze.events is clustered by _export_hour"):
        keys = query(
            transformer,
            "SELECT CLUSTERING_KEY FROM INFORMATION_SCHEMA.TABLES "
            "WHERE TABLE_SCHEMA = 'BRONZE' AND TABLE_NAME = 'EVENTS'",
        )
        expect("the key", [re.sub(r'LINEAR|[()"]', "", str(key)) for (key,) in keys], ["_EXPORT_HOUR"])


def check_sent(report: Report, transformer: SnowflakeConnection) -> None:
    """Looks at what unusual statements have left behind. That a comment was refused SQLMesh only logs."""
    for schema, name, how in (("BRONZE", "EXPORT_HOURS", "CREATE TABLE"), ("GOLD", "DAILY_METRICS", "ALTER VIEW")):
        with report.check(f"every column of {schema}.{name} has its comment, by {how}"):
            columns = query(
                transformer,
                "SELECT COLUMN_NAME, COMMENT FROM INFORMATION_SCHEMA.COLUMNS "
                f"WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = '{name}'",
            )
            expect("whether there are any", bool(columns), True)
            expect("columns without", [column for column, comment in columns if not comment], [])
    with report.check("every session of silver.sessions has its number, by UPDATE of a table with an alias"):
        numbers = query(transformer, "SELECT COUNT(*) > 0, COUNT(*) - COUNT(SESSION_NUMBER) FROM SILVER.SESSIONS")
        expect("whether there are any, and sessions without", numbers, [(True, 0)])


def check_analyst(report: Report, transformer: SnowflakeConnection, there: Checkout) -> None:
    """Whether analysts may read a view after the plan that made it, and after one that replaced it."""
    grants = "SHOW GRANTS ON VIEW GOLD.DAILY_METRICS"
    wanted = ("SELECT", ANALYST)

    def granted() -> bool:
        rows = query(transformer, grants)
        return wanted in {(privilege, grantee) for _, privilege, _, _, _, grantee, *_ in rows}

    with report.check(f"{ANALYST} may read a view that a plan made"):
        expect("the grant", granted(), True)
    with report.check(f"{ANALYST} may read a view that a later plan replaced"):
        model = there.root / "sqlmesh/models/gold/charts/daily_metrics.sql"
        model.write_text(model.read_text().replace("/* ", "/* Replaced: ", 1))  # its description
        there.sqlmesh("plan", "--auto-apply", "--skip-tests")
        ((comment,),) = query(
            transformer,
            "SELECT COMMENT FROM INFORMATION_SCHEMA.TABLES "
            "WHERE TABLE_SCHEMA = 'GOLD' AND TABLE_NAME = 'DAILY_METRICS'",
        )
        expect("whether the view was replaced", "Replaced: " in str(comment), True)
        expect("the grant", granted(), True)


def delete_archive(checkout: Checkout) -> None:
    """Removes from the lake what the check has archived; staged files go with the next load."""
    with entered(checkout):
        (settings,) = load_projects()
        files, path = fsspec_from_config(settings.lake)
        folder = f"{path.rstrip('/')}/raw/project={PROJECT}"
        try:
            files.rm(folder, recursive=True)
        except OSError as error:
            click.echo(f"left   {folder}: {error}; delete it by hand.")


if __name__ == "__main__":
    main()
