"""Snowflake: what the roles of loads and of SQLMesh may do, and the stage."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import dlt

from ...bronze.cleanup import query
from ...bronze.snowflake import login_of, refusal, setting, staging_url
from ...bronze.snowflake_rights import (
    Ask,
    Right,
    granted_rights,
    list_stage,
    loaders_rights,
    missing_rights,
    stage_url,
    transformers_rights,
)
from ...errors import AmplitudeError
from ...settings import port
from .configuration import models_variables
from .findings import Checkup

RIGHTS, STAGE, SQLMESH_RIGHTS = "rights", "stage", "SQLMesh's rights"
DYNAMIC_TABLES = "dynamic_tables"
"""The variable of `sqlmesh/config.yaml` by which SQLMesh makes some."""
SQLMESH_PREFIX = "SQLMESH_SNOWFLAKE_"
SQLMESH_LOGIN = [f"{SQLMESH_PREFIX}{name}" for name in ("USERNAME", "PRIVATE_KEY_PATH", "ROLE", "WAREHOUSE")]


def check_loader(checkup: Checkup, pipeline: dlt.Pipeline) -> None:
    """Compare the grants of the pipeline's role with those that loads need, and look through the stage.

    Args:
        checkup: takes the findings.
        pipeline: of Snowflake, which it can sign in to.
    """
    with pipeline.sql_client() as client:
        ask = partial(query, client)
        with checkup.asking(RIGHTS):
            _compare(checkup, RIGHTS, ask, loaders_rights())
        with checkup.asking(STAGE):
            name, url = setting("stage_name"), stage_url(ask)
            wanted = staging_url(str(dlt.config.get("sources.amplitude.lake.bucket_url")).rstrip("/"))
            if url != wanted:
                raise AmplitudeError(
                    f"Stage {name} is over {url}, and not over the lake's staging area: "
                    f"ALTER STAGE {name} SET URL = '{wanted}';"
                )
            list_stage(ask)
            checkup.ok(STAGE, f"{name} is over {url}, and Snowflake can list it.")


def check_transformer(checkup: Checkup, *, is_loaded: bool) -> None:
    """Sign in as SQLMesh does, and compare its role's grants with those that plans and runs need.

    Args:
        checkup: takes the findings.
        is_loaded: whether bronze has tables.
    """
    from snowflake import connector  # only here: its import takes half a second

    with checkup.asking(SQLMESH_RIGHTS):
        parameters = login_of(SQLMESH_PREFIX, SQLMESH_LOGIN)
        if host := os.environ.get(f"{SQLMESH_PREFIX}HOST"):
            parameters |= {"host": host, "port": port(f"{SQLMESH_PREFIX}PORT", 443)}
        try:
            with connector.connect(**parameters) as connection, connection.cursor() as cursor:

                def ask(sql: str) -> Sequence[tuple[Any, ...]]:
                    cursor.execute(sql)
                    return cursor.fetchall()

                dynamic = bool(models_variables(checkup.root).get(DYNAMIC_TABLES))
                _compare(
                    checkup, SQLMESH_RIGHTS, ask, transformers_rights(is_loaded=is_loaded, has_dynamic_tables=dynamic)
                )
        except connector.Error as error:
            own = {"variables": SQLMESH_PREFIX} if os.environ.get(f"{SQLMESH_PREFIX}PRIVATE_KEY_PATH") else {}
            own |= {name: parameters[name] for name in ("user", "role", "warehouse") if parameters.get(name)}
            raise AmplitudeError(
                refusal(error, own) or f"Snowflake refuses SQLMesh: {' '.join(str(error).split())}"
            ) from error


def _compare(checkup: Checkup, check: str, ask: Ask, needed: Sequence[Right]) -> None:
    role, granted = granted_rights(ask)
    missing = missing_rights(needed, granted)
    for right in missing:
        grant = f"GRANT {right.privilege} ON {right.kind} {right.name} TO ROLE {role};"
        checkup.fail(check, f"Role {role} lacks {right.privilege} on {right.kind.lower()} {right.name}: {grant}")
    if not missing:
        checkup.ok(check, f"Role {role} has the {len(needed)} rights that it needs.")
