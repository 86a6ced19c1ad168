"""What must hold after a load."""

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb

from amplitude_source.lock import LOCK_FILE
from amplitude_source.settings import hours_between
from amplitude_source.tables import EXPORT_TYPES
from simulator.archive import Member
from simulator.server import DEMO_CREDENTIALS

if TYPE_CHECKING:
    pass

from support.project import Project

Origin: TypeAlias = tuple[datetime, str, int, str]

"""Of a line: its hour, file and number; and its uuid, or the line itself where it was rejected."""


def take_all_hours(project: Project) -> None:
    """Write to gold what SQLMesh would write once silver and gold have all hours before the first pending one."""
    with duckdb.connect(str(project.database)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS gold")
        connection.execute("""
            CREATE OR REPLACE TABLE gold.export_hours_taken AS
            SELECT project, export_hour, sha256, revision, _dlt_load_id AS load_id
            FROM bronze.export_hours
            WHERE export_hour < COALESCE(
                (SELECT MIN(export_hour) FROM bronze.export_hours WHERE status = 'pending'), TIMESTAMP '9999-12-31'
            )
        """)


def assert_no_secret_is_kept(project: Project) -> None:
    """Neither key of Amplitude is in a file that a command made: the lake, bronze, dlt's state and traces, logs."""
    login = base64.b64encode(":".join(DEMO_CREDENTIALS).encode())
    secrets = [*(key.encode() for key in DEMO_CREDENTIALS), login]
    folders = (project.root / "data", project.root / "logs", project.root.parent / "home")
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        kept = [secret for secret in secrets if secret in path.read_bytes()]
        assert kept == [], f"{path} holds a key of Amplitude"


def rows_that_do_not_count(project: Project) -> list[tuple[Any, ...]]:
    """Hours with rows that the ledger ascribes to another load, or to one that dlt does not know as finished."""
    return project.query("""
        SELECT _export_hour, COUNT(*)
        FROM (SELECT * FROM bronze.events UNION ALL BY NAME SELECT * FROM bronze.rejected_rows) AS loaded
        LEFT JOIN bronze.export_hours AS hours
            ON hours.export_hour = loaded._export_hour AND hours._dlt_load_id = loaded._dlt_load_id
        LEFT JOIN bronze._dlt_loads AS loads ON loads.load_id = hours._dlt_load_id AND loads.status = 0
        WHERE loads.load_id IS NULL
        GROUP BY ALL
    """)


def assert_bronze_holds(project: Project, members: Sequence[Member], last: datetime) -> None:
    """Bronze, its ledger and the lake hold these members, each line once, and nothing is left over.

    `last` is the newest hour that was asked for. A line is expected among the rejected rows if it is no JSON object.
    """
    loaded, rejected = Counter[Origin](), Counter[Origin]()
    for member in members:
        for number, line in enumerate(gzip.decompress(member.data).splitlines(), 1):
            row = _json_object(line)
            content = line.decode() if row is None else str(row["uuid"])
            (rejected if row is None else loaded)[member.hour, member.file_name, number, content] += 1
    origin = "_export_hour, _archive_file, _archive_row"
    with project.opened():
        assert Counter(project.query(f"SELECT {origin}, uuid FROM bronze.events")) == loaded
        assert Counter(project.query(f"SELECT {origin}, line FROM bronze.rejected_rows")) == rejected
        assert rows_that_do_not_count(project) == []
        assert _ledger_of(project) == {
            hour: _expected_entry([member for member in members if member.hour == hour], loaded, rejected)
            for hour in hours_between(project.first_hour, last)
        }
    assert project.archived() == {member.file_name: member.data for member in members}
    assert_nothing_left(project)


def assert_nothing_left(project: Project) -> None:
    """No download, copy or load that is not finished is on disk."""
    assert {path.name for path in project.work.iterdir()} <= {"pipelines", LOCK_FILE}
    assert list(project.lake.rglob("*.unfinished")) == []
    assert [path for path in project.work.rglob("*/typed/*") if path.is_file()] == []
    assert list(project.work.glob("pipelines/*/load/new/*")) == []
    assert list(project.work.glob("pipelines/*/load/normalized/*")) == []


Entry: TypeAlias = tuple[str, int, int, int, int, str | None]


def _ledger_of(project: Project) -> dict[datetime, Entry]:
    """The ledger's entries; that an hour is pending or empty depends on the clock, so both are no data."""
    entries = project.query("""
        SELECT export_hour, CASE WHEN status IN ('empty', 'pending') THEN 'no data' ELSE status END,
            files, bytes, loaded_rows, rejected_rows, sha256
        FROM bronze.export_hours
    """)
    found = {hour: (status, *rest) for hour, status, *rest in entries}
    assert len(found) == len(entries), "an hour has one row in the ledger"
    return found


def _expected_entry(members: Sequence[Member], loaded: Counter[Origin], rejected: Counter[Origin]) -> Entry:
    if not members:
        return ("no data", 0, 0, 0, 0, None)
    names = {member.file_name for member in members}
    in_order = sorted(members, key=lambda member: int(member.name.rpartition("#")[2].partition(".")[0]))
    digests = "".join(f"{hashlib.sha256(member.data).hexdigest()} {member.file_name}\n" for member in in_order)
    return (
        "loaded",
        len(members),
        sum(len(member.data) for member in members),
        sum(count for origin, count in loaded.items() if origin[1] in names),
        sum(count for origin, count in rejected.items() if origin[1] in names),
        hashlib.sha256(digests.encode()).hexdigest(),
    )


def _json_object(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def is_same(key: str, value: object, stored: object) -> bool:
    """Whether a column holds what the line holds, as far as JSON tells values apart."""
    if value is None or stored is None:
        return value is None and stored is None
    match EXPORT_TYPES.get(key, "text"):
        case "bigint":
            return not isinstance(value, bool) and isinstance(stored, int) and str(value) == str(stored)
        case "double":
            return not isinstance(value, bool) and isinstance(value, int | float | str) and float(value) == stored
        case "bool":
            return value is stored or value == str(stored).lower()
        case "timestamp":
            return isinstance(stored, datetime) and datetime.fromisoformat(str(value)) == stored
        case "json":
            return parses_to(str(stored), value)
        case _:
            return stored == value if isinstance(value, str) else parses_to(str(stored), value)


def parses_to(text: str, value: object) -> bool:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError:
        return False
    return type(parsed) is type(value) and bool(parsed == value)
