"""SQLMesh's configuration: `sqlmesh/config.yaml`, and what the settings of both tools add to it."""

import os
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import click
import psutil
from ruamel.yaml.error import MarkedYAMLError
from sqlmesh.core.config import (
    Config,
    DuckDBConnectionConfig,
    GatewayConfig,
    PostgresConnectionConfig,
    SnowflakeConnectionConfig,
)
from sqlmesh.core.config.connection import ConnectionConfig
from sqlmesh.core.config.loader import load_config_from_paths

from ..bronze.ducklake import lake_credentials
from ..bronze.snowflake import credential
from ..charts.channels import read_channel_groups
from ..charts.properties import read_properties
from ..environment import exposed, keep_private, print_anything
from ..errors import AmplitudeError
from ..settings import (
    CATALOG,
    DESTINATION_VARIABLE,
    GATEWAY_VARIABLE,
    GATEWAYS,
    destination,
    duckdb_path,
    first_hours,
    load_projects,
    port,
    settle_settings,
)
from ..text_files import read_text
from .chart_models import listed_charts
from .duckdb_connection import DuckDBFile, check_memory
from .ducklake_connection import DuckLakeConnection
from .dynamic_tables import VARIABLE as DYNAMIC_TABLES
from .dynamic_tables import read_dynamic_tables
from .foreign_bronze import CHOICE, OWN, TABLES, read_bronze
from .state_database import StateDatabase, state_place
from .variables import check_variables

# A run's SQL joins as it is written, the right side as the hash table: DuckDB cannot know how few keys a run's hours
# touch, and would join all events with something else first (1.2 s instead of 0.15 s for an hour's sessions after a
# year), or look the touched keys up in a table of all the others (0.8 s instead of 0.3 s for an hour's users).
# No table has an order that a query may rely on, so that no row waits in memory for the rows before it.
DUCKDB_SESSION = {
    "TimeZone": "UTC",
    "disabled_optimizers": "join_order,build_side_probe_side",
    "preserve_insertion_order": "false",
}
# What the pipeline signs in with, one way or another.
SECRETS = ("password", "private_key", "private_key_path", "private_key_passphrase", "authenticator", "token")
SNOWFLAKE_SESSION = {"TIMEZONE": "UTC", "QUERY_TAG": "amplitude-warehouse: sqlmesh"}
# All of silver and gold can be built again from bronze: no days of fail-safe are paid for.
TRANSIENT = "@IF(@model_kind_name = 'VIEW', NULL, TRANSIENT)"
# Commands for developers, which must not depend on a user's settings, and the first hour that they take.
DEVELOPER_COMMANDS = ("test", "lint", "format")
DEVELOPER_FIRST_HOUR = datetime(2026, 6, 1)
# Commands for users, who have no use for unit tests: they take a minute, and show nothing of the user's own data.
USER_COMMANDS = ("plan", "run")
NEEDS_UNIT_TESTS = "missingunittest"  # the rule of the linter
# What the models' unit tests go by, unless they name their own: nothing of a user's may decide whether they pass.
UNIT_TEST_VARIABLES = {
    "engine": "duckdb",
    "first_hour": f"{DEVELOPER_FIRST_HOUR}",
    "now": "",
    "freshness_hours": 12,
    "reporting_timezone": "UTC",
    "week_start": "monday",
    "attribution_window_days": 30,
    "unproven_days": "warn",
    "properties": [],
    "channel_groups": [],
    "charts": [],
    "compared_charts": {},
}


def project_config(root: Path, command: str | None) -> Config:
    """Build SQLMesh's configuration of the project.

    Args:
        root: the repository's folder.
        command: the subcommand of `sqlmesh` that asks, None for other callers.

    Raises:
        AmplitudeError: a setting is missing, misspelt or means nothing.
    """
    keep_private()
    print_anything()
    use_settings_of(root)
    if command:
        for sentence in exposed(root):
            click.echo(f"Warning: {sentence}", err=True)
    path = root / "sqlmesh/config.yaml"
    read_text(path)  # SQLMesh would not name the file whose text it cannot decode
    try:
        config = load_config_from_paths(Config, project_paths=[path])
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise AmplitudeError(
            f"{path.relative_to(root)}{line}: {error.problem}; values with brackets or colons need quotes."
        ) from error
    check_variables(config.variables, path.relative_to(root))
    if command == "test":  # whose models read this pipeline's own bronze
        config.variables |= {CHOICE: OWN, TABLES: None, DYNAMIC_TABLES: None}
    read_bronze(root, config.variables)
    # The columns of a unit test's model come from here, and not from the variables of the test.
    config.variables["properties"] = [] if command == "test" else read_properties(root).variable()
    config.variables["channel_groups"] = [] if command == "test" else read_channel_groups(root)
    charts = [] if command == "test" else listed_charts(root)
    config.variables["charts"] = charts
    # Apart from the others, because a change of what a model's macros go by builds the model anew.
    config.variables["compared_charts"] = {
        each["table_name"]: each["amplitude_chart"] for each in charts if each["amplitude_chart"]
    }
    gateway = os.environ.get(GATEWAY_VARIABLE) or GATEWAYS.get(destination())
    if gateway is None:
        raise AmplitudeError(
            f"{DESTINATION_VARIABLE}=filesystem has no warehouse for silver and gold: choose duckdb, ducklake or "
            "snowflake."
        )
    if gateway == "local":
        file = ":memory:" if command in DEVELOPER_COMMANDS else str(duckdb_path(root))
        config.gateways["local"] = GatewayConfig(connection=duckdb(file), state_connection=state_connection("duckdb"))
    elif gateway == "ducklake":
        config.gateways["ducklake"] = GatewayConfig(
            connection=ducklake(), state_connection=state_connection("ducklake")
        )
    elif gateway == "snowflake":
        config.gateways["snowflake"] = GatewayConfig(
            connection=snowflake(), state_connection=state_connection("snowflake")
        )
        config.model_defaults.physical_properties = {"creatable_type": TRANSIENT}
        if os.environ.get("SQLMESH_SNOWFLAKE_MASKING"):
            config.model_defaults.on_virtual_update = ["@mask_personal_data()"]  # of macros/masking.py
    config.gateways.pop("", None)  # SQLMesh's own, in memory
    config.default_gateway = gateway
    read_dynamic_tables(root, config.variables, config.get_connection(gateway).type_)
    for name, each in config.gateways.items():
        each.variables["engine"] = config.get_connection(name).type_  # by it macros/properties.py writes its SQL
    first_hour, now, freshness_hours = DEVELOPER_FIRST_HOUR, "", 12
    if command not in DEVELOPER_COMMANDS:
        projects = first_hours()
        first_hour, now = min(project.first_hour for project in projects), projects[0].now or ""
        freshness_hours = max(project.freshness_hours for project in projects)
    if command in USER_COMMANDS:
        config.linter.rules = set(config.linter.rules) - {NEEDS_UNIT_TESTS}
    config.model_defaults.start = config.variables["first_hour"] = f"{first_hour}"
    # Views run by the day. They begin a day early, so that they are there when the first day is not over yet.
    config.variables["day_before_first_hour"] = f"{first_hour - timedelta(days=1):%Y-%m-%d}"
    config.variables["now"], config.variables["freshness_hours"] = now, freshness_hours
    return config


def use_settings_of(root: Path) -> None:
    """Settle the settings, from whatever folder SQLMesh was started."""
    settle_settings(root, psutil.Process().environ())


def duckdb(path: str) -> DuckDBFile:
    """Return the connection to the DuckDB file.

    The catalog's name is in upper case, as the dialect writes names: with a lower-case one SQLMesh finds no table of
    its own and takes every run for the first. SQLMesh puts the path between quotes as it is.
    """
    check_memory()
    return DuckDBFile(catalogs={CATALOG.upper(): path.replace("'", "''")}, connector_config=DUCKDB_SESSION)


def ducklake() -> DuckLakeConnection:
    """Return the connection to DuckLake, whose files lie in the lake of the first project."""
    check_memory()
    return DuckLakeConnection.to(lake_credentials(load_projects()[0].lake), DUCKDB_SESSION)


def snowflake() -> SnowflakeConnectionConfig:
    """Return the connection to Snowflake: as a user of SQLMesh's own, or as the pipeline's where none is named."""
    key_path = os.environ.get("SQLMESH_SNOWFLAKE_PRIVATE_KEY_PATH")
    host = os.environ.get("SQLMESH_SNOWFLAKE_HOST")
    secrets = {name: credential(name) or None for name in SECRETS} if not key_path else {"private_key_path": key_path}
    return SnowflakeConnectionConfig(
        account=credential("host"),
        user=os.environ.get("SQLMESH_SNOWFLAKE_USERNAME") or credential("username"),
        database=credential("database"),
        warehouse=os.environ.get("SQLMESH_SNOWFLAKE_WAREHOUSE") or credential("warehouse"),
        role=os.environ.get("SQLMESH_SNOWFLAKE_ROLE") or credential("role"),
        host=host,
        port=port("SQLMESH_SNOWFLAKE_PORT", 443) if host else None,
        session_parameters=SNOWFLAKE_SESSION,
        **secrets,
    )


def state_connection(destination: str) -> ConnectionConfig | None:
    """Return the connection to SQLMesh's state; None where the warehouse itself has it."""
    match state_place(destination):
        case StateDatabase() as database:
            return PostgresConnectionConfig(**asdict(database))
        case Path() as file:
            return DuckDBConnectionConfig(database=str(file))
        case None:
            return None
