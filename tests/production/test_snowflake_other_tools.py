"""Amplitude's own export to Snowflake, against the stand-in: the rows that the same tables give on DuckDB."""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from simulator.server import Simulator
from support import foreign, statements, warehouse
from support.project import Project, make_project, succeeded
from support.snowflake_standin import SnowflakeProject
from support.witnesses import assert_take_what_was_sent
from verify_snowflake import Checkout, Report, check_rows

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

SCHEMA = "SCHEMA_189524"
MERGES = [(1, 2, "2026-06-01 05:30:00", "2026-06-01 05:30:01")]
# As Amplitude's page names them.
TYPES = {
    **dict.fromkeys(foreign.TEXTS, "VARCHAR"),
    **dict.fromkeys(foreign.TIMES, "TIMESTAMP_NTZ"),
    **dict.fromkeys((*foreign.NUMBERS, "sample_rate"), "NUMBER"),
    **dict.fromkeys(foreign.PLACES, "FLOAT"),
    **dict.fromkeys(foreign.NESTED, "VARIANT"),
}


def test_amplitudes_own_export_gives_on_snowflake_what_it_gives_on_duckdb(
    tmp_path: Path, snowflake_project: SnowflakeProject, simulator: Simulator
) -> None:
    """A plan, then a run after the table has grown; what is sent keeps to the rules.

    Without the views that read silver and gold alone, whose SQL on Snowflake test_snowflake_warehouse.py compares.
    """
    local = make_project(tmp_path / "local", simulator)
    succeeded(local.load_here())
    members = sorted(local.lake.rglob("*.json.gz"))
    events = f"{foreign.SCHEMA}.{foreign.TABLES['amplitude']}"
    tables = {"events": events, "merge_ids": f"{foreign.SCHEMA}.MERGE_IDS"}
    foreign.choose(local, "amplitude", tables)
    there = {kind: f"{SCHEMA}.{name.partition('.')[2]}" for kind, name in tables.items()}
    foreign.choose(snowflake_project, "amplitude", there)
    columns = "amplitude_id, merged_amplitude_id, merge_event_time, merge_server_time"
    made = create(snowflake_project, there)
    snowflake_project.database.parent.mkdir()  # for SQLMesh's state
    for number, part in enumerate((members[: len(members) // 2], members[len(members) // 2 :])):
        foreign.write_events(local, "amplitude", part)
        if number == 0:
            merges = f"(VALUES {', '.join(foreign.row(*each) for each in MERGES)}) AS merges ({columns})"
            foreign.insert_into(local, tables["merge_ids"], f"FROM {merges}", {})
            insert(snowflake_project, there["merge_ids"], columns.split(", "), MERGES)
        copy_rows(local, snowflake_project, events, there["events"])
        for project in (local, snowflake_project):
            warehouse.run(project) if number else warehouse.plan(project, models=warehouse.stored_models(project))
    assert local.query("SELECT COUNT(*) > 500 FROM silver.events") == [(True,)]
    report = Report()
    with snowflake_project.snowflake.connected() as connection:
        for layer in ("silver", "gold"):
            check_rows(report, connection, layer, Checkout(local.root, {}))
    assert report.failed == []
    statements.assert_keep_to_the_rules([each.sql for each in snowflake_project.snowflake.statements()])
    assert_take_what_was_sent(snowflake_project, before=made)


def create(project: SnowflakeProject, tables: dict[str, str]) -> list[str]:
    """Make Amplitude's tables, empty, and return the statements."""
    columns = ", ".join(f"{name} {TYPES[name]}" for name in foreign.COLUMNS["amplitude"])
    making = [
        f"CREATE SCHEMA {SCHEMA}",
        f"CREATE TABLE {tables['events']} ({columns})",
        f"CREATE TABLE {tables['merge_ids']} (amplitude_id NUMBER(38, 0), merge_event_time TIMESTAMP, "
        "merge_server_time TIMESTAMP, merged_amplitude_id NUMBER(38, 0))",
    ]
    for statement in making:
        project.snowflake.query(statement)
    return making


def copy_rows(local: Project, project: SnowflakeProject, source: str, target: str) -> None:
    """Add the rows that the table on Snowflake lacks."""
    names = [*foreign.COLUMNS["amplitude"]]
    known = {uuid for (uuid,) in project.query(f"SELECT uuid FROM {target}")}
    with duckdb.connect(str(local.database), read_only=True) as connection:
        rows = connection.execute(f"SELECT {', '.join(names)} FROM {source}").fetchall()
    insert(project, target, names, [row for row in rows if row[names.index("uuid")] not in known])


def insert(project: SnowflakeProject, target: str, names: list[str], rows: Sequence[tuple[object, ...]]) -> None:
    values = ", ".join(
        f"PARSE_JSON(column{n})" if name in foreign.NESTED else f"column{n}" for n, name in enumerate(names, 1)
    )
    for first in range(0, len(rows), 100):
        literals = ", ".join(f"({', '.join(map(literal, row))})" for row in rows[first : first + 100])
        project.snowflake.query(f"INSERT INTO {target} ({', '.join(names)}) SELECT {values} FROM VALUES {literals}")


def literal(value: object) -> str:
    """Return a value as Snowflake's SQL has it."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
