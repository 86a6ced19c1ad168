"""Reads the rights that infra/snowflake/setup.sql grants."""

import re
from collections.abc import Iterable
from io import StringIO
from typing import NamedTuple

from snowflake.connector.util_text import split_statements

from support.project import REPOSITORY

SETUP = REPOSITORY / "infra/snowflake/setup.sql"


PRODUCTION = REPOSITORY / "docs/guides/snowflake-access.md"


LOADER, TRANSFORMER, ANALYST = "AMPLITUDE_LOADER", "AMPLITUDE_TRANSFORMER", "AMPLITUDE_ANALYST"


ROLES = (LOADER, TRANSFORMER, ANALYST)


GRANT = re.compile(r"GRANT (?P<privilege>[A-Z ]+?) ON (?P<object>[\w. ]+) TO ROLE (?P<role>\w+)")


GRANT_OF_ROLE = re.compile(r"GRANT ROLE (\w+) TO (ROLE|USER) (\w+)")


# What the script may do besides granting: make what is not there, and set what has a value to bring up to date.
OTHER_STATEMENTS = re.compile(
    r"USE ROLE (USERADMIN|SYSADMIN|SECURITYADMIN|ACCOUNTADMIN)"
    r"|CREATE (ROLE|USER|WAREHOUSE|RESOURCE MONITOR|STORAGE INTEGRATION) IF NOT EXISTS .*"
    r"|CREATE (TRANSIENT )?(DATABASE|SCHEMA|STAGE) IF NOT EXISTS .*"
    r"|ALTER USER \w+ SET RSA_PUBLIC_KEY = .*"
    r"|ALTER WAREHOUSE AMPLITUDE_WH SET RESOURCE_MONITOR = .*"
    r"|ALTER (STORAGE INTEGRATION AMPLITUDE_LAKE|STAGE AMPLITUDE.BRONZE.LAKE_STAGING) SET .*"
)


class Right(NamedTuple):
    role: str
    privilege: str
    object: str
    """Kind and name, as in a grant: `SCHEMA AMPLITUDE.GOLD`."""


def statements(sql: str) -> list[str]:
    """The script's statements, without comments, each on a line."""
    return [" ".join(statement.removesuffix(";").split()) for statement, _ in split_statements(StringIO(sql), True)]


def rights(sql: str) -> set[Right]:
    """What the script grants to roles on objects; each grant must be one that this reader understands."""
    found = set()
    for statement in statements(sql):
        if statement.startswith("GRANT") and not GRANT_OF_ROLE.fullmatch(statement):
            grant = GRANT.fullmatch(statement)
            assert grant, f"unknown form of grant: {statement}"
            found.add(Right(grant["role"], grant["privilege"], grant["object"]))
    return found


def may(granted: Iterable[Right], wanted: Right) -> bool:
    """Whether the grants cover a right on an object."""
    return any(
        grant.role in (wanted.role, "PUBLIC")
        and grant.privilege in (wanted.privilege, "ALL", "ALL PRIVILEGES", "OWNERSHIP")
        and grant.object in covering(wanted.object)
        for grant in granted
    )


def covering(wanted: str) -> set[str]:
    """The object, and the collections that it belongs to."""
    kind, _, name = wanted.rpartition(" ")
    database, *inner = name.split(".")
    within = {f"DATABASE {database}"} if inner else set()
    within |= {f"SCHEMA {database}.{inner[0]}"} if len(inner) == 2 else set()
    return {wanted, *(f"{which} {kind}S IN {place}" for which in ("ALL", "FUTURE") for place in within)}


SCRIPT = SETUP.read_text()


TRIALS = SETUP.with_name("trials.sql").read_text()


GRANTED = rights(SCRIPT)
