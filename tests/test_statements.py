"""What is sent to Snowflake: snapshots of the statements, and rules that every one of them keeps to.

The stand-in takes more than Snowflake does. So what is sent is also looked at: by whoever reads a change of the
snapshots, and by rules for what Snowflake would refuse or take otherwise. `UPDATE_SNAPSHOTS=1` writes them anew.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

import warehouse
from conftest import export_row, gzip_lines, hour_text, member_name, succeeded
from s3 import ADMIN
from simulator.archive import Archive, Member
from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator
from snowflake_standin import SnowflakeProject

SNAPSHOTS = Path(__file__).with_name("snapshots")
HOUR = timedelta(hours=1)
SHOP = Product(seed=5, days=1, events_per_day=80)
MEMBERS = list(SHOP.members())

# What differs between two runs of the same, and what stands for it.
VOLATILE = [
    (r"AMPLITUDE_\d+_\d+", "AMPLITUDE"),  # the test's database
    (r"/\* SQLMESH_PLAN: \w+ \*/ ", ""),
    (r"\d{10}\.\d+\.[0-9a-f]{10}\.parquet", "<file>.parquet"),
    (r"\b\d{10}\.\d{1,7}\b", "<load>"),
    (r"(VALUES ?\().*(\))", r"\1<values>\2"),
    (r"__\d{5,10}\b", "__<version>"),
    (r"__temp_\w+|__TEMP_\w+", "<temporary>"),
    (r"(_?[A-Z_]*?)_[0-9a-f]{8,}\b", r"\1_<id>"),
    (r"\s+", " "),
]
# Which statements a snapshot has; of SQLMesh's the models themselves are left out, for they are files here.
SNAPSHOT_OF = {
    "load": r"^(COPY|DELETE|INSERT|ALTER TABLE|CREATE|MERGE|UPDATE)\b",
    "warehouse": (
        r"^(CREATE TRANSIENT TABLE|CREATE OR REPLACE VIEW \S+\.\"(SILVER|GOLD)\"|CREATE SCHEMA|"
        r"ALTER TABLE \S+ (ADD|DROP)|DROP)"
    ),
}

# Functions of Snowflake's that sqlglot does not know by themselves, as documented by Snowflake.
SNOWFLAKE_FUNCTIONS = {"PARSE_JSON", "GENERATOR", "GET", "IDENTIFIER", "INFER_SCHEMA"}
DUCKDB_FUNCTIONS = re.compile(
    r"\b(read_\w+|json_each|json_extract_string|list_\w+|struct_\w+|strftime|strptime|epoch_ms|epoch_us|unnest|"
    r"date_diff|date_add|string_agg|regexp_extract|to_json|from_json|make_timestamp)\s*\(",
    re.IGNORECASE,
)
SECRET = re.compile(r"AWS_(KEY|SECRET|TOKEN)|CREDENTIALS\s*=|PASSWORD|PRIVATE.KEY|TOKEN\s*=", re.IGNORECASE)
ZONED = (exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ)
ZONED_COLUMNS = ("INSERTED_AT", "CREATED_AT")  # dlt's own


@pytest.fixture
def product() -> Product:
    """A day."""
    return SHOP


class Sent(NamedTuple):
    """The statements of each part."""

    load: list[str]
    warehouse: list[str]


@pytest.mark.slow
def test_statements_are_those_of_the_snapshots_and_keep_to_the_rules(
    snowflake_project: SnowflakeProject, simulator: Simulator
) -> None:
    sent = statements_of_a_life(snowflake_project, simulator)
    for login in snowflake_project.snowflake.logins():
        assert login["TIMEZONE"] == "UTC", "every session is pinned to UTC"
    broken = [f"{rule.__name__}: {sql[:500]}" for sql in {*sent.load, *sent.warehouse} for rule in RULES if rule(sql)]
    assert broken == []
    assert [
        sql for sql in sent.warehouse if re.match(r"(/\*.*?\*/ )?CREATE (OR REPLACE )?TABLE", sql)
    ] == []  # TRANSIENT
    for name, statements in sent._asdict().items():
        assert_is_snapshot(name, masked(statements, SNAPSHOT_OF[name]))


def statements_of_a_life(project: SnowflakeProject, simulator: Simulator) -> Sent:
    """A load, and one of an hour that changed and has a new key; a plan, and a run after the second load."""
    load: list[str] = []
    build: list[str] = []

    def take(into: list[str]) -> None:
        into += [each.sql for each in project.snowflake.statements()]
        project.snowflake.forget()

    succeeded(project.load_here())
    take(load)
    warehouse.plan(project)
    take(build)
    changed = MEMBERS[0]
    name = f"{SHOP.app}/{member_name(changed.hour, 0, SHOP.app)}"
    data = gzip_lines(export_row(app=SHOP.app, a_new_key="x"))
    others = [member for member in MEMBERS if member.hour != changed.hour]
    simulator.archive = Archive([*others, Member(name, changed.hour, data, changed.events)])
    succeeded(project.load_here("--start", hour_text(changed.hour), "--end", hour_text(changed.hour)))
    take(load)
    warehouse.plan(project, restate=["silver.events"], start=str(changed.hour))
    take(build)
    return Sent(load, build)


def masked(statements: Iterable[str], pattern: str) -> str:
    """Each kind of statement once, in order, for several run at the same time."""
    found = set()
    for sql in statements:
        for volatile, constant in VOLATILE:
            sql = re.sub(volatile, constant, sql, flags=re.DOTALL)
        if re.search(pattern, sql):
            found.add(sql.strip() + ";")
    return "\n".join(sorted(found)) + "\n"


def assert_is_snapshot(name: str, text: str) -> None:
    path = SNAPSHOTS / f"{name}.sql"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text().splitlines() == text.splitlines(), (
        f"what is sent has changed: look at it, and write tests/snapshots/{name}.sql anew with UPDATE_SNAPSHOTS=1"
    )


# --- rules: each tells whether a statement breaks it


def does_not_parse(sql: str) -> bool:
    try:
        sqlglot.parse(sql, dialect="snowflake")
    except ParseError:
        return True
    return False


def names_something_in_lower_case(sql: str) -> bool:
    """Quoted, it would be another name than the same without quotes. What a statement itself names may be.

    So may the tables by which SQLMesh uploads seeds; it alone names them, and drops them.
    """
    for tree in trees(sql):
        own = {alias.alias for alias in tree.find_all(exp.Alias)}
        for table in tree.find_all(exp.Table):
            if any(is_lower(part) for part in table.parts if not part.name.startswith("__temp_")):
                return True
        for column in tree.find_all(exp.Column):
            if is_lower(column.this) and column.name not in own:
                return True
    return False


def casts_a_zoned_time(sql: str) -> bool:
    """It would follow the session's zone; CONVERT_TIMEZONE tells which is meant."""
    return any(
        is_zoned(cast.this)
        for tree in trees(sql)
        for cast in tree.find_all(exp.Cast)
        if cast.is_type("TIMESTAMP", "TIMESTAMPNTZ", "DATE")
    )


def calls_what_snowflake_lacks(sql: str) -> bool:
    unknown = {call.name.upper() for tree in trees(sql) for call in tree.find_all(exp.Anonymous)}
    return bool(unknown - SNOWFLAKE_FUNCTIONS) or bool(DUCKDB_FUNCTIONS.search(without_texts(sql)))


def tells_a_secret(sql: str) -> bool:
    keys = [*DEMO_CREDENTIALS, ADMIN["aws_secret_access_key"]]
    return bool(SECRET.search(without_texts(sql))) or any(key in sql for key in keys)


RULES: tuple[Callable[[str], bool], ...] = (
    does_not_parse,
    names_something_in_lower_case,
    casts_a_zoned_time,
    calls_what_snowflake_lacks,
    tells_a_secret,
)


def trees(sql: str) -> Iterator[exp.Expr]:
    yield from (tree for tree in sqlglot.parse(sql, dialect="snowflake") if tree)


def is_lower(name: exp.Expr) -> bool:
    return isinstance(name, exp.Identifier) and name.quoted and name.name != name.name.upper()


def is_zoned(value: exp.Expr) -> bool:
    value = value.unnest()
    return (
        isinstance(value, exp.CurrentTimestamp)
        or (isinstance(value, exp.Cast) and value.to.this in ZONED)
        or (isinstance(value, exp.Column) and value.name.upper() in ZONED_COLUMNS)
        or (isinstance(value, exp.Literal) and bool(re.search(r"[+-]\d\d:\d\d$", value.name)))
    )


def without_texts(sql: str) -> str:
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", sql)


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        (does_not_parse, "SELECT FROM WHERE"),
        (names_something_in_lower_case, 'SELECT * FROM "bronze"."EVENTS"'),
        (names_something_in_lower_case, 'SELECT "uuid" FROM BRONZE.EVENTS'),
        (casts_a_zoned_time, "SELECT CURRENT_TIMESTAMP()::TIMESTAMP_NTZ"),
        (casts_a_zoned_time, "SELECT INSERTED_AT::DATE FROM BRONZE._DLT_LOADS"),
        (casts_a_zoned_time, "SELECT '2026-06-01 00:00:00+00:00'::TIMESTAMPNTZ"),
        (calls_what_snowflake_lacks, "SELECT EPOCH_MS(1)"),
        (calls_what_snowflake_lacks, "SELECT MY_FUNCTION(1)"),
        (tells_a_secret, "COPY INTO T FROM 's3://b/x' CREDENTIALS=(AWS_KEY_ID='a' AWS_SECRET_KEY='b')"),
    ],
)
def test_a_rule_finds_what_breaks_it(rule: Callable[[str], bool], sql: str) -> None:
    assert rule(sql)
