"""Whether the roles on Snowflake have the rights that loads and SQLMesh need, as far as that can be asked for."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from .snowflake import credential, setting

ALL_RIGHTS = ("OWNERSHIP", "ALL", "ALL PRIVILEGES")
Ask: TypeAlias = Callable[[str], Sequence[tuple[Any, ...]]]
"""Sends a statement, and returns its rows."""


class Right(NamedTuple):
    """A privilege on an object."""

    privilege: str
    kind: str
    """Of the object, such as SCHEMA."""
    name: str
    """Of the object, with its database and schema, in upper case."""


def loaders_rights() -> list[Right]:
    """Return what `infra/snowflake/setup.sql` grants to the role that loads."""
    database, stage = credential("database").upper(), setting("stage_name").upper()
    return [
        Right("USAGE", "WAREHOUSE", credential("warehouse").upper()),
        Right("USAGE", "DATABASE", database),
        *_on_schemas(database, ("BRONZE", "BRONZE_STAGING"), ("USAGE", "CREATE TABLE")),
        *_on_schemas(database, ("GOLD",), ("USAGE",)),
        Right("USAGE", "STAGE", stage if stage.count(".") > 1 else f"{database}.{stage}"),
    ]


def transformers_rights(*, is_loaded: bool, has_dynamic_tables: bool = False) -> list[Right]:
    """Return what it grants to the role of SQLMesh; a role that reads a table of bronze reads all of them.

    Args:
        is_loaded: whether bronze has tables to have a right on.
        has_dynamic_tables: whether charts are some, for which `infra/snowflake/dynamic_tables.sql` grants a right.
    """
    database = credential("database").upper()
    warehouse = os.environ.get("SQLMESH_SNOWFLAKE_WAREHOUSE") or credential("warehouse")
    return [
        Right("USAGE", "WAREHOUSE", warehouse.upper()),
        Right("USAGE", "DATABASE", database),
        *_on_schemas(database, ("BRONZE",), ("USAGE",)),
        *([Right("SELECT", "TABLE", f"{database}.BRONZE.EXPORT_HOURS")] if is_loaded else []),
        Right("CREATE SCHEMA", "DATABASE", database),
        *_on_schemas(database, ("SILVER", "GOLD"), ("USAGE", "CREATE VIEW")),
        *_on_schemas(database, ("SILVER_TABLES", "GOLD_TABLES"), ("USAGE", "CREATE TABLE", "CREATE VIEW")),
        *(_on_schemas(database, ("GOLD_TABLES",), ("CREATE DYNAMIC TABLE",)) if has_dynamic_tables else []),
    ]


def _on_schemas(database: str, schemas: Sequence[str], privileges: Sequence[str]) -> list[Right]:
    return [Right(each, "SCHEMA", f"{database}.{schema}") for schema in schemas for each in privileges]


def missing_rights(needed: Sequence[Right], granted: set[Right]) -> list[Right]:
    """Return the rights that no grant has; the owner of an object, or of its database, has all of them."""
    return [
        right
        for right in needed
        if Right("OWNERSHIP", "DATABASE", right.name.partition(".")[0]) not in granted
        and not any(right._replace(privilege=each) in granted for each in (right.privilege, *ALL_RIGHTS))
    ]


def granted_rights(ask: Ask) -> tuple[str, set[Right]]:
    """Return the session's role and its rights, with those of the roles that are granted to it."""
    ((role,),) = ask("SELECT CURRENT_ROLE()")
    rights: set[Right] = set()
    waiting, asked = [str(role)], set[str]()
    while waiting:
        asked.add(name := waiting.pop())
        for right in _grants_to(ask, name):
            rights.add(right)
            if right.kind == "ROLE" and right.name not in asked:
                waiting.append(right.name)
    return str(role), rights


def _grants_to(ask: Ask, role: str) -> Iterator[Right]:
    for _, privilege, kind, name, *_ in ask(f"SHOW GRANTS TO ROLE {role}"):
        yield Right(privilege.upper(), kind.upper().replace("_", " "), name.replace('"', "").upper())


def stage_url(ask: Ask) -> str | None:
    """Return the address that the stage is over; None for a stage inside of Snowflake."""
    rows = ask(f"DESC STAGE {setting('stage_name')}")
    urls = [json.loads(value) for _, name, _, value, *_ in rows if name == "URL"]
    return urls[0][0] if urls and urls[0] else None


def list_stage(ask: Ask) -> None:
    """Have Snowflake look into the bucket by way of the stage, as a load does."""
    ask(f"LIST @{setting('stage_name')}")
