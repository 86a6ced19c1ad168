"""Whether the pipeline's role on Snowflake has the rights that loads need, as far as that can be asked for."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from dlt.destinations.sql_client import SqlClientBase

from .cleanup import query
from .snowflake import credential, setting

ALL_RIGHTS = {"OWNERSHIP", "ALL", "ALL PRIVILEGES"}


class Right(NamedTuple):
    """A privilege on an object."""

    privilege: str
    kind: str
    """Of the object, such as SCHEMA."""
    name: str
    """Of the object, with its database and schema, in upper case."""


def needed_rights() -> list[Right]:
    """Return what `infra/snowflake/setup.sql` grants to the role that loads."""
    database, warehouse = credential("database").upper(), credential("warehouse").upper()
    stage = setting("stage_name").upper()
    return [
        *([Right("USAGE", "WAREHOUSE", warehouse)] if warehouse else []),
        Right("USAGE", "DATABASE", database),
        *(
            Right(privilege, "SCHEMA", f"{database}.{schema}")
            for schema in ("BRONZE", "BRONZE_STAGING")
            for privilege in ("USAGE", "CREATE TABLE")
        ),
        Right("USAGE", "SCHEMA", f"{database}.GOLD"),
        Right("USAGE", "STAGE", stage if stage.count(".") > 1 else f"{database}.{stage}"),
    ]


def missing_rights(needed: list[Right], granted: set[Right]) -> list[Right]:
    """Return the rights that no grant has; an object's owner has all of them."""
    return [
        right
        for right in needed
        if not any(right._replace(privilege=each) in granted for each in (right.privilege, *ALL_RIGHTS))
    ]


def granted_rights(client: SqlClientBase[Any]) -> tuple[str, set[Right]]:
    """Return the session's role and its rights, with those of the roles that are granted to it."""
    ((role,),) = query(client, "SELECT CURRENT_ROLE()")
    rights: set[Right] = set()
    waiting, asked = [str(role)], set[str]()
    while waiting:
        asked.add(name := waiting.pop())
        for right in _grants_to(client, name):
            rights.add(right)
            if right.kind == "ROLE" and right.name not in asked:
                waiting.append(right.name)
    return str(role), rights


def _grants_to(client: SqlClientBase[Any], role: str) -> Iterator[Right]:
    for _, privilege, kind, name, *_ in query(client, f"SHOW GRANTS TO ROLE {role}"):
        yield Right(privilege.upper(), kind.upper().replace("_", " "), name.replace('"', "").upper())


def stage_url(client: SqlClientBase[Any]) -> str | None:
    """Return the address that the stage is over; None for a stage inside of Snowflake."""
    rows = query(client, f"DESC STAGE {setting('stage_name')}")
    urls = [json.loads(value) for _, name, _, value, *_ in rows if name == "URL"]
    return urls[0][0] if urls and urls[0] else None


def list_stage(client: SqlClientBase[Any]) -> None:
    """Have Snowflake look into the bucket by way of the stage, as a load does."""
    query(client, f"LIST @{setting('stage_name')}")
