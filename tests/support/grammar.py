"""A grammar of Snowflake's SQL that is not the one which writes it: sqlfluff's.

It refuses some things that Snowflake takes. EXCUSED writes each of them in words that it knows, and has the page that
says so.
"""

import re
from collections.abc import Iterable, Iterator

from sqlfluff.api import APIParsingError, parse

from support.statements import masked

EXCUSED = (
    # https://docs.snowflake.com/en/sql-reference/data-types-datetime
    (r"\bTIMESTAMP(?=[NL]?TZ\b)", "TIMESTAMP_"),
    # https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
    (r"(?<=^GRANT USAGE ON )COMPUTE POOL\b", "WAREHOUSE"),
    # https://docs.snowflake.com/en/sql-reference/sql/create-schema
    (r"\bCLONE \S+ (?=WITH MANAGED ACCESS$)", ""),
    # https://docs.snowflake.com/en/sql-reference/sql/create-streamlit
    (r"^CREATE OR REPLACE STREAMLIT .*", "SELECT 1"),
    # No page has it, but SQLMesh sends it and found that it works: https://github.com/TobikoData/sqlmesh/pull/2369
    (r"\bALTER VIEW(?= \S+ ALTER COLUMN \S+ COMMENT )", "ALTER TABLE"),
)


KIND = re.compile(r"(CREATE|ALTER)( OR REPLACE)?( TRANSIENT)? \w+|\w+", re.IGNORECASE)


def refusals(statements: Iterable[str]) -> list[str]:
    """The statements that are refused, each with the place."""
    return [f"{error}\n{sql[:500]}" for sql in statements for error in _refused(sql)]


def assert_takes(statements: Iterable[str]) -> None:
    refused = refusals(statements)
    assert refused == [], "\n".join(["sqlfluff's grammar refuses what is sent:", *refused])


def different(statements: Iterable[str]) -> list[str]:
    """One statement of several that differ by the run alone."""
    return [*{_of_any_run(sql): sql for sql in statements}.values()]


def one_of_each_kind(statements: Iterable[str]) -> list[str]:
    """The shortest statement of each verb, and of each kind of object that is made or altered."""
    shortest: dict[str, str] = {}
    for sql in sorted(statements, key=len, reverse=True):
        kind = KIND.match(_of_any_run(sql))
        assert kind, f"a statement without a verb: {sql}"
        shortest[kind[0].upper()] = sql
    return [*shortest.values()]


def _of_any_run(sql: str) -> str:
    return masked(re.sub(r"/\* SQLMESH_\w+: \w+ \*/", "", sql))


def _refused(sql: str) -> Iterator[str]:
    for pattern, known in EXCUSED:
        sql = re.sub(pattern, known, sql)
    try:
        parse(f"{sql}\n", "snowflake")
    except APIParsingError as error:
        yield str(error)
