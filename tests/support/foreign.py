"""Amplitude's events as other tools write them: tables in DuckDB with the columns and types of each tool."""

import json
from collections.abc import Iterable
from pathlib import Path

import duckdb

from support.project import Project

SCHEMA = "other_tool"
TABLES = {"amplitude": "EVENTS_189524", "fivetran": "event", "airbyte": "events", "snowpipe": "events"}
LISTS = {"amplitude": "events_list", "fivetran": "event_type", "airbyte": "events_list", "snowpipe": "events_list"}

TEXTS = (
    *("uuid", "device_id", "event_type", "user_id", "platform", "os_name", "os_version", "device_family"),
    *("device_type", "device_carrier", "version_name", "start_version", "library", "language", "country", "region"),
    *("city", "dma", "ip_address"),
)
TIMES = ("event_time", "server_upload_time", "client_event_time", "client_upload_time", "server_received_time")
NESTED = ("event_properties", "user_properties", "groups", "group_properties", "data")
NUMBERS = ("app", "amplitude_id", "session_id", "event_id")
PLACES = ("location_lat", "location_lng")

# What a column is made of, where it is not the value itself in the tool's type.
TIME, ZONED = "{0}::TIMESTAMP", "{0}::TIMESTAMP AT TIME ZONE 'UTC'"
COLUMNS: dict[str, dict[str, str]] = {
    # Amplitude's page on its Snowflake export: TIMESTAMP_NTZ, NUMBER, FLOAT and VARIANT, and no $insert_id.
    "amplitude": {
        **dict.fromkeys(TEXTS, "{0}"),
        **dict.fromkeys(TIMES, TIME),
        **dict.fromkeys(NUMBERS, "{0}::DECIMAL(38, 0)"),
        **dict.fromkeys(PLACES, "{0}::DOUBLE"),
        **dict.fromkeys(NESTED, "{0}::JSON"),
        "sample_rate": "NULL::DECIMAL(38, 0)",
    },
    # The columns that Fivetran's own package for dbt declares: ids and places are texts, event_id is id.
    "fivetran": {
        **dict.fromkeys(TEXTS, "{0}"),
        **dict.fromkeys(TIMES, ZONED),
        **dict.fromkeys(("app", "amplitude_id", *PLACES), "{0}::VARCHAR"),
        **dict.fromkeys(NESTED, "{0}::VARCHAR"),
        "_insert_id": '"$insert_id"',
        "session_id": "session_id::BIGINT",
        "id": "event_id::BIGINT",
        "_fivetran_synced": "TIMESTAMPTZ '2026-06-30 00:00:00+00'",
    },
    # The schema of Airbyte's connector: date-times with a zone, session_id a number, $insert_id under its own name.
    "airbyte": {
        **dict.fromkeys(TEXTS, "{0}"),
        **dict.fromkeys(TIMES, ZONED),
        **dict.fromkeys(("app", "amplitude_id", "event_id"), "{0}::BIGINT"),
        **dict.fromkeys(PLACES, "{0}::DOUBLE"),
        **dict.fromkeys(NESTED, "{0}::JSON"),
        "$insert_id": '"$insert_id"',
        "session_id": "session_id::DOUBLE",
        "_airbyte_raw_id": "uuid()::VARCHAR",
    },
}
# The table of infra/snowflake/snowpipe.sql: the types of Amplitude's own, and the insert_id.
COLUMNS["snowpipe"] = {
    **{name: sql for name, sql in COLUMNS["amplitude"].items() if name != "sample_rate"},
    "insert_id": '"$insert_id"',
    "file": "'export/187520/187520_2026-06-01_5#1.json.gz'",
    "loaded_at": "TIMESTAMPTZ '2026-06-30 00:00:00+00'",
}
EXPORTED = {
    **dict.fromkeys((*TEXTS, *TIMES, "$insert_id"), "VARCHAR"),
    **dict.fromkeys(NUMBERS, "BIGINT"),
    **dict.fromkeys(PLACES, "DOUBLE"),
    **dict.fromkeys(NESTED, "JSON"),
}


def choose(project: Project, bronze: str, tables: object) -> None:
    """Write the choice of a bronze and of its tables into the project's configuration."""
    path = project.root / "sqlmesh/config.yaml"
    config = path.read_text()
    for before, after in (
        ("  bronze: amplitude_warehouse\n", f"  bronze: {bronze}\n"),
        ("  bronze_tables:\n", f"  bronze_tables: {json.dumps(tables)}\n"),
    ):
        assert config.count(before) == 1
        config = config.replace(before, after)
    path.write_text(config)


def write_events(project: Project, bronze: str, members: Iterable[Path]) -> str:
    """Write the rows of exported files into a table of a tool, and return the table's name."""
    table = f"{SCHEMA}.{TABLES[bronze]}"
    columns = ", ".join(f'{sql.format(name)} AS "{name}"' for name, sql in COLUMNS[bronze].items())
    rows = "read_json($files, format = 'newline_delimited', compression = 'gzip', columns = $columns)"
    insert_into(project, table, f"SELECT {columns} FROM {rows}", {"files": [*map(str, members)], "columns": EXPORTED})
    return table


def insert_into(project: Project, table: str, query: str, parameters: dict[str, object]) -> None:
    """Add the rows of a query to a table, which is made if it is not there."""
    project.database.parent.mkdir(exist_ok=True)
    with duckdb.connect(str(project.database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for name, value in parameters.items():
            query = query.replace(f"${name}", literal(value))
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {query} LIMIT 0")
        connection.execute(f"INSERT INTO {table} {query}")


def row(*values: object) -> str:
    """Return a row of VALUES."""
    return f"({', '.join(map(literal, values))})"


def literal(value: object) -> str:
    """Return a value as DuckDB's SQL has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(name)}: {literal(each)}" for name, each in value.items()) + "}"
    if value is None or isinstance(value, bool | int):
        return "NULL" if value is None else str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"
