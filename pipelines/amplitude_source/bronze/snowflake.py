"""Snowflake as the destination, and what its refusals ask of the user."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import dlt
from dlt.common.destination import Destination
from dlt.destinations.impl.snowflake.configuration import SnowflakeCredentials

from ..errors import AmplitudeError
from ..lake.storage import LAKE_VARIABLE
from ..settings import resolve

SNOWFLAKE_VARIABLES = "DESTINATION__SNOWFLAKE__CREDENTIALS__"
STAGE_VARIABLE = "DESTINATION__SNOWFLAKE__STAGE_NAME"
STAGING = "staging/"  # the lake's folder for files on their way

# What Snowflake, its connector and dlt say, and the sentence for the user: with what the pattern names and what
# `names` has.
REFUSALS = {
    r"JWT token is invalid": (
        "Snowflake does not take the key of user {user} ({variables}PRIVATE_KEY_PATH): it "
        "was changed, the user or the account is another, or this machine's clock is wrong. "
        "ALTER USER {user} SET RSA_PUBLIC_KEY = '<its public part>';"
    ),
    r"private_key` in dlt recognized format|Could not deserialize key data": (
        "{variables}PRIVATE_KEY_PATH: {key} is no private key in PEM (PKCS#8)."
    ),
    r"Incorrect username or password": ("Snowflake has no user {user} with these credentials ({variables}USERNAME)."),
    r"Role '(?P<name>[^']+)' specified in the connect string": (
        "Snowflake's user {user} may not take role {name}: GRANT ROLE {name} TO USER {user};"
    ),
    r"No active warehouse selected": (
        "Snowflake's warehouse {warehouse} does not run: role {role} may not use it (GRANT USAGE ON WAREHOUSE "
        "{warehouse} TO ROLE {role};), or it is suspended and does not resume by itself (ALTER WAREHOUSE {warehouse} "
        "SET AUTO_RESUME = TRUE;)."
    ),
    r"Warehouse '(?P<name>[^']+)' cannot be resumed because resource monitor '(?P<monitor>[^']+)'": (
        "Snowflake's warehouse {name} has used up its credits: wait until they are renewed, or "
        "ALTER RESOURCE MONITOR {monitor} SET CREDIT_QUOTA = <more>;"
    ),
    r"Insufficient privileges to operate on schema '(?P<name>[^']+)'": (
        "Snowflake's role {role} may make no tables in schema {name}: "
        "GRANT CREATE TABLE ON SCHEMA {name} TO ROLE {role};"
    ),
    r"Insufficient privileges to operate on table '(?P<name>[^']+)'": (
        "Snowflake's role {role} may not change table {name}: GRANT OWNERSHIP ON TABLE {name} TO ROLE {role};"
    ),
    r"Insufficient privileges to operate on (?P<kind>integration|stage|warehouse|database) '(?P<name>[^']+)'": (
        "Snowflake's role {role} may not use {kind} {name}: GRANT USAGE ON {kind} {name} TO ROLE {role};"
    ),
    r"(?P<kind>Stage|Schema|Database|Integration) '(?P<name>[^']+)' does not exist or not authorized": (
        "Snowflake has no {kind} {name}, or role {role} may not use it: GRANT USAGE ON {kind} {name} TO ROLE {role};"
    ),
    r"session does not have a current database": (
        "Snowflake has no database {database}, or role {role} may not use it: "
        "GRANT USAGE ON DATABASE {database} TO ROLE {role};"
    ),
    r"session does not have a current schema": (
        "Snowflake has no schema {database}.BRONZE, or role {role} may not use it: "
        "GRANT USAGE ON SCHEMA {database}.BRONZE TO ROLE {role};"
    ),
    r"Location '(?P<name>[^']+)' is not allowed by integration '(?P<integration>[^']+)'": (
        "Snowflake may not read {name}: "
        "ALTER STORAGE INTEGRATION {integration} SET STORAGE_ALLOWED_LOCATIONS = ('{staging}');"
    ),
    r"[Ff]ile '(?P<name>[^']+)' was not found": (
        "Snowflake found no file {name} through its stage, whose URL is to be that of the lake's staging area, to the "
        "slash: ALTER STAGE {stage} SET URL = '{staging}';"
    ),
    r"Failed to access remote file: access denied|Error assuming AWS_ROLE": (
        "Snowflake may not read the lake's bucket: the role on AWS does not trust the storage integration, or may not "
        "read {staging}; infra/handshake.py puts both right."
    ),
}


def snowflake_destination(lake: str) -> Destination[Any, Any]:
    """dlt's destination; all tables go through Parquet, which COPY reads from the stage over the lake's staging area.

    Raises:
        AmplitudeError: it would have to be loaded without the stage: dlt would put the keys of the bucket into its SQL.
    """
    if not lake.startswith("s3://"):
        raise AmplitudeError(
            f"{LAKE_VARIABLE}: Snowflake loads from the lake, so write s3://bucket or s3://bucket/prefix, not {lake}."
        )
    if not setting("stage_name"):
        raise AmplitudeError(
            f"{STAGE_VARIABLE} is empty: name the stage over {staging_url(lake)}, as BRONZE.LAKE_STAGING."
        )
    return dlt.destinations.snowflake(preferred_loader_file_format="parquet", preferred_staging_file_format="parquet")


def staging_url(lake: str) -> str:
    """Where files lie on their way into Snowflake, and the stage's URL, to the slash: COPY adds the path of a file."""
    return f"{lake}/{STAGING}"


def refusal(error: BaseException, others: Mapping[str, str] | None = None) -> str | None:
    """Return one sentence with the right that is missing and the statement that grants it, if an error is such a one.

    Args:
        error: of Snowflake or of a library on the way there.
        others: what is named otherwise than for the pipeline, by the keys of `names`, for another tool's sign-in.
    """
    for pattern, sentence in REFUSALS.items():
        if found := re.search(pattern, str(error)):
            told = {group: text.upper() if group == "kind" else text for group, text in found.groupdict().items()}
            return sentence.format(**{**names(), **(others or {})}, **told)
    return None


def names() -> dict[str, str]:
    """What the sentences name, as configured."""
    credentials = {"user": "username", "key": "private_key_path"} | {
        name: name for name in ("role", "warehouse", "database")
    }
    return {
        "variables": SNOWFLAKE_VARIABLES,
        **{name: credential(key) for name, key in credentials.items()},
        "stage": setting("stage_name"),
        "staging": staging_url(str(dlt.config.get("sources.amplitude.lake.bucket_url")).rstrip("/")),
    }


def credential(name: str) -> str:
    """Return a part of the destination's credentials, from a setting of its own or from their address; or nothing."""
    whole: object = dlt.secrets.get("destination.snowflake.credentials")
    if not isinstance(whole, str):
        return setting(f"credentials.{name}")
    credentials = SnowflakeCredentials()
    credentials.parse_native_representation(whole)
    return str(getattr(credentials, name) or "")


def login_of(prefix: str, variables: Iterable[str]) -> dict[str, Any]:
    """Return with what another tool signs in: a user, role and key of its own, or the pipeline's where none is named.

    Args:
        prefix: of the tool's variables.
        variables: their names; after the prefix stands the name that dlt has for it.

    Returns:
        Parameters for Snowflake's connector.

    Raises:
        AmplitudeError: there is no key where a variable of the tool names one.
    """
    found = resolve(SnowflakeCredentials(), ("destination", "snowflake", "credentials"))
    for variable in variables:
        if value := os.environ.get(variable):
            setattr(found, variable.removeprefix(prefix).lower(), value)
    own_key = os.environ.get(f"{prefix}PRIVATE_KEY_PATH")
    if not own_key:
        return found.to_connector_params()
    found.password = found.private_key_passphrase = None  # of the pipeline's user
    try:
        found.resolve()  # reads the key
        return found.to_connector_params()
    except ValueError as error:
        raise AmplitudeError(f"{prefix}PRIVATE_KEY_PATH: {own_key} is no private key in PEM (PKCS#8).") from error


def setting(name: str) -> str:
    """A setting of the destination; empty where there is none."""
    return str(dlt.secrets.get(f"destination.snowflake.{name}") or "")
