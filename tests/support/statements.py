"""What is sent to Snowflake: snapshots of the statements, and rules that every one of them keeps to.

The stand-in takes more than Snowflake does. So what is sent is also looked at: by whoever reads a change of the
snapshots, and by rules for what Snowflake would refuse or take otherwise. `UPDATE_SNAPSHOTS=1` writes them anew.
"""

import difflib
import functools
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from simulator.server import DEMO_CREDENTIALS
from support.s3 import ADMIN

SNAPSHOTS = Path(__file__).with_name("snapshots")

# What differs between two runs of the same, and what stands for it.
VOLATILE = [
    (r"AMPLITUDE_\d+_\d+", "AMPLITUDE"),  # the test's database
    (r"/\* SQLMESH_PLAN: \w+ \*/ ", ""),
    (r"\d{10}\.\d+\.[0-9a-f]{10}\.parquet", "<file>.parquet"),
    (r"\b\d{10}\.\d{1,7}\b", "<load>"),
    (r"(VALUES ?\().*(\))", r"\1<values>\2"),
    (r'("PIPELINE_RUNS" SET ).*( WHERE run_id = ).*', r"\1<values>\2<run>"),
    (r"__temp_\w+|__TEMP_\w+", "<temporary>"),
    (r"__\d{5,10}(?=\b|_)", "__<version>"),
    (r"'[\d-]{10} \d\d:00:00'", "'<hour>'"),
    (r"(_?[A-Z_]*?)_[0-9a-f]{8,}\b", r"\1_<id>"),
    (r"\s+", " "),
]
# Which statements a snapshot has; of SQLMesh's the models themselves are left out, for they are files here.
SNAPSHOT_OF = {
    "load": (
        r"^(COPY INTO|DELETE FROM|INSERT INTO|ALTER TABLE|CREATE TABLE( IF NOT EXISTS)?|MERGE INTO|UPDATE) \"BRONZE"
    ),
    "warehouse": (
        r"^(CREATE TRANSIENT TABLE|CREATE OR REPLACE VIEW \S+\.\"(SILVER|GOLD)\"|CREATE SCHEMA|"
        r"ALTER TABLE (?!\"BRONZE)\S+ (ADD|DROP)|DROP)"
    ),
}

# Functions of Snowflake's that sqlglot does not know by themselves, as documented by Snowflake.
SNOWFLAKE_FUNCTIONS = {"PARSE_JSON", "GENERATOR", "GET", "IDENTIFIER", "INFER_SCHEMA"}
DUCKDB_FUNCTIONS = re.compile(
    r"\b(read_\w+|json_each|json_extract_string|list_\w+|struct_\w+|strftime|strptime|epoch_ms|epoch_us|unnest|"
    r"date_diff|date_add|string_agg|regexp_extract|to_json|from_json|make_timestamp)\s*\(",
    re.IGNORECASE,
)
SQLMESH_NAMES = re.compile(
    r"^__temp_|__dev$|_schema_tmp$"
)  # of seeds' uploads, development environments, and on the way
SECRET = re.compile(r"AWS_(KEY|SECRET|TOKEN)|CREDENTIALS\s*=|PASSWORD|PRIVATE.KEY|TOKEN\s*=", re.IGNORECASE)
ZONED = (exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ)
ZONED_COLUMNS = ("INSERTED_AT", "CREATED_AT")  # dlt's own
OWN_COLUMNS = ("COHORTS.CREATED_AT",)  # of that name, and without a zone, as all that this pipeline loads


def assert_keep_to_the_rules(statements: Collection[str]) -> None:
    broken = [f"{rule.__name__}: {sql[:500]}" for sql in {*statements} for rule in RULES if rule(sql)]
    assert broken == [], "\n".join(["what is sent breaks rules of tests/support/statements.py:", *broken])


def assert_are_those_of_the_snapshots(statements: Collection[str], *, are_all: bool) -> None:
    """Each kind of statement once, in order, for several run at the same time.

    Args:
        statements: that were sent.
        are_all: whether every statement of the snapshots has to be among them.
    """
    sent = {masked(sql) for sql in statements}
    for name, pattern in SNAPSHOT_OF.items():
        path = SNAPSHOTS / f"{name}.sql"
        lines = {f"{sql};" for sql in sent if re.search(pattern, sql)}
        if are_all and os.environ.get("UPDATE_SNAPSHOTS"):
            path.write_text("\n".join([*sorted(lines), ""]))
        known = path.read_text().splitlines()
        expected = known if are_all else [line for line in known if line in lines]
        changes = "\n".join(difflib.unified_diff(expected, sorted(lines), lineterm="", n=0))
        assert not changes, (
            f"what is sent has changed: look at it, and write {path.name} anew with UPDATE_SNAPSHOTS=1\n{changes}"
        )


def masked(sql: str) -> str:
    """The statement without what differs between two runs of the same."""
    for volatile, constant in VOLATILE:
        sql = re.sub(volatile, constant, sql, flags=re.DOTALL)
    return sql.strip()


# --- rules: each tells whether a statement breaks it


def does_not_parse(sql: str) -> bool:
    try:
        trees(sql)
    except ParseError:
        return True
    return False


def names_something_in_lower_case(sql: str) -> bool:
    """Quoted, it would be another name than the same without quotes. What a statement itself names may be.

    So may tables that SQLMesh alone names, and always in quotes.
    """
    for tree in trees(sql):
        own = {alias.alias for alias in tree.find_all(exp.Alias)}
        for table in tree.find_all(exp.Table):
            if any(is_lower(part) for part in table.parts if not SQLMESH_NAMES.search(part.name)):
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


def keeps_a_fail_safe_of_what_can_be_rebuilt(sql: str) -> bool:
    """Snowflake keeps a week of every table that is not transient, for money; only bronze is worth that."""
    return bool(re.match(r'(/\*.*?\*/ )?CREATE (OR REPLACE )?(DYNAMIC )?TABLE (?!(IF NOT EXISTS )?"BRONZE)', sql))


RULES: tuple[Callable[[str], bool], ...] = (
    does_not_parse,
    names_something_in_lower_case,
    casts_a_zoned_time,
    calls_what_snowflake_lacks,
    tells_a_secret,
    keeps_a_fail_safe_of_what_can_be_rebuilt,
)


@functools.cache
def trees(sql: str) -> list[exp.Expr]:
    return [tree for tree in sqlglot.parse(sql, dialect="snowflake") if tree]


def is_lower(name: exp.Expr) -> bool:
    return isinstance(name, exp.Identifier) and name.quoted and name.name != name.name.upper()


def is_zoned(value: exp.Expr) -> bool:
    value = value.unnest()
    return (
        isinstance(value, exp.CurrentTimestamp)
        or (isinstance(value, exp.Cast) and value.to.this in ZONED)
        or (isinstance(value, exp.Column) and value.name.upper() in ZONED_COLUMNS and not is_own(value))
        or (isinstance(value, exp.Literal) and bool(re.search(r"[+-]\d\d:\d\d$", value.name)))
    )


def is_own(column: exp.Column) -> bool:
    return f"{column.table}.{column.name}".upper() in OWN_COLUMNS


def without_texts(sql: str) -> str:
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", sql)
