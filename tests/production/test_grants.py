"""Least privilege: what infra/snowflake/setup.sql gives each role, and what it must not.

The script's grants are read into a table, of which Snowflake's own rules are asked: a right on an object comes by a
grant on it, or by one on all or future objects of its schema or database; `ALL` is every right, and so is `OWNERSHIP`.
"""

import re
from unittest import mock

import pandas as pd
import pytest
from sqlglot import parse_one
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter

from support.grants import (
    ANALYST,
    GRANT_OF_ROLE,
    GRANTED,
    LOADER,
    OTHER_STATEMENTS,
    PRODUCTION,
    ROLES,
    SCRIPT,
    SETUP,
    TRANSFORMER,
    TRIALS,
    Right,
    may,
    rights,
    statements,
)

# What each command does, and so must be allowed to; together they are all that the script grants.
NEEDED = {
    "every command runs on the warehouse, in the database": [
        Right(role, "USAGE", object_) for role in ROLES for object_ in ("WAREHOUSE AMPLITUDE_WH", "DATABASE AMPLITUDE")
    ],
    "a load makes dlt's tables in bronze, and owns them": [
        Right(LOADER, "USAGE", "SCHEMA AMPLITUDE.BRONZE"),
        Right(LOADER, "CREATE TABLE", "SCHEMA AMPLITUDE.BRONZE"),
    ],
    "the administrators make the stage on the integration": [Right("SYSADMIN", "USAGE", "INTEGRATION AMPLITUDE_LAKE")],
    "a load copies from the lake's staging area": [Right(LOADER, "USAGE", "STAGE AMPLITUDE.BRONZE.LAKE_STAGING")],
    "a load merges by way of dlt's staging tables": [
        Right(LOADER, "USAGE", "SCHEMA AMPLITUDE.BRONZE_STAGING"),
        Right(LOADER, "CREATE TABLE", "SCHEMA AMPLITUDE.BRONZE_STAGING"),
    ],
    "`status` and `restate` read what gold has taken in": [
        Right(LOADER, "USAGE", "SCHEMA AMPLITUDE.GOLD"),
        Right(LOADER, "SELECT", "ALL VIEWS IN SCHEMA AMPLITUDE.GOLD"),
        Right(LOADER, "SELECT", "FUTURE VIEWS IN SCHEMA AMPLITUDE.GOLD"),
    ],
    "a plan reads bronze, and what a later load makes there": [
        Right(TRANSFORMER, "USAGE", "SCHEMA AMPLITUDE.BRONZE"),
        Right(TRANSFORMER, "SELECT", "ALL TABLES IN SCHEMA AMPLITUDE.BRONZE"),
        Right(TRANSFORMER, "SELECT", "FUTURE TABLES IN SCHEMA AMPLITUDE.BRONZE"),
    ],
    "a plan builds the tables and views behind those": [
        Right(TRANSFORMER, privilege, f"SCHEMA AMPLITUDE.{layer}_TABLES")
        for layer in ("SILVER", "GOLD")
        for privilege in ("USAGE", "CREATE TABLE", "CREATE VIEW")
    ],
    "a plan makes the schemas of development environments and of the user's own models": [
        Right(TRANSFORMER, "CREATE SCHEMA", "DATABASE AMPLITUDE")
    ],
    "a plan promotes views": [
        Right(TRANSFORMER, privilege, f"SCHEMA AMPLITUDE.{layer}")
        for layer in ("SILVER", "GOLD")
        for privilege in ("USAGE", "CREATE VIEW")
    ],
    "an analyst reads views, those of a later plan too": [
        right
        for layer in ("SILVER", "GOLD")
        for right in (
            Right(ANALYST, "USAGE", f"SCHEMA AMPLITUDE.{layer}"),
            Right(ANALYST, "SELECT", f"ALL VIEWS IN SCHEMA AMPLITUDE.{layer}"),
            Right(ANALYST, "SELECT", f"FUTURE VIEWS IN SCHEMA AMPLITUDE.{layer}"),
        )
    ],
}

# One that any of them had would be one too many.
MUST_BE_MISSING = [
    *(Right(ANALYST, privilege, "SCHEMA AMPLITUDE.BRONZE") for privilege in ("USAGE", "CREATE TABLE")),
    Right(ANALYST, "SELECT", "TABLE AMPLITUDE.BRONZE.EVENTS"),
    Right(ANALYST, "SELECT", "TABLE AMPLITUDE.BRONZE.REJECTED_ROWS"),
    Right(ANALYST, "USAGE", "STAGE AMPLITUDE.BRONZE.LAKE_STAGING"),
    Right(ANALYST, "USAGE", "SCHEMA AMPLITUDE.SILVER_TABLES"),
    Right(ANALYST, "SELECT", "TABLE AMPLITUDE.SILVER_TABLES.SILVER__EVENTS__1"),
    *(
        Right(ANALYST, privilege, f"SCHEMA AMPLITUDE.{layer}")
        for layer in ("SILVER", "GOLD")
        for privilege in ("CREATE VIEW", "CREATE TABLE", "MODIFY")
    ),
    *(Right(ANALYST, privilege, "TABLE AMPLITUDE.GOLD.ACQUISITION") for privilege in ("INSERT", "UPDATE", "DELETE")),
    *(
        Right(LOADER, privilege, f"SCHEMA AMPLITUDE.{layer}")
        for layer in ("SILVER", "GOLD")
        for privilege in ("CREATE TABLE", "CREATE VIEW")
    ),
    Right(LOADER, "USAGE", "SCHEMA AMPLITUDE.SILVER"),
    Right(LOADER, "USAGE", "SCHEMA AMPLITUDE.GOLD_TABLES"),
    Right(LOADER, "SELECT", "VIEW AMPLITUDE.SILVER.USERS"),
    Right(LOADER, "CREATE STAGE", "SCHEMA AMPLITUDE.BRONZE"),
    Right(LOADER, "MODIFY", "SCHEMA AMPLITUDE.BRONZE"),
    *(
        Right(TRANSFORMER, privilege, "SCHEMA AMPLITUDE.BRONZE")
        for privilege in ("CREATE TABLE", "CREATE VIEW", "CREATE STAGE", "MODIFY")
    ),
    *(
        Right(TRANSFORMER, privilege, "TABLE AMPLITUDE.BRONZE.EVENTS")
        for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "OWNERSHIP")
    ),
    Right(TRANSFORMER, "USAGE", "STAGE AMPLITUDE.BRONZE.LAKE_STAGING"),
    Right(TRANSFORMER, "USAGE", "SCHEMA AMPLITUDE.BRONZE_STAGING"),
    *(Right(role, "CREATE SCHEMA", "DATABASE AMPLITUDE") for role in (LOADER, ANALYST)),
    *(
        Right(role, privilege, object_)
        for role in ROLES
        for privilege, object_ in (
            ("USAGE", "INTEGRATION AMPLITUDE_LAKE"),
            ("OPERATE", "WAREHOUSE AMPLITUDE_WH"),
            ("MODIFY", "WAREHOUSE AMPLITUDE_WH"),
            ("OWNERSHIP", "WAREHOUSE AMPLITUDE_WH"),
            ("OWNERSHIP", "DATABASE AMPLITUDE"),
            ("MODIFY", "DATABASE AMPLITUDE"),
            ("CREATE DATABASE", "ACCOUNT"),
            ("CREATE INTEGRATION", "ACCOUNT"),
            ("MANAGE GRANTS", "ACCOUNT"),
            ("MODIFY", "RESOURCE MONITOR AMPLITUDE_MONITOR"),
        )
    ),
]


@pytest.mark.parametrize("command", NEEDED)
def test_a_command_may_do_what_it_does(command: str) -> None:
    assert set(NEEDED[command]) <= GRANTED


def test_nothing_is_granted_that_no_command_needs() -> None:
    assert {right for needed in NEEDED.values() for right in needed} == GRANTED


@pytest.mark.parametrize("right", MUST_BE_MISSING, ids=" ".join)
def test_a_right_is_missing(right: Right) -> None:
    assert not may(GRANTED, right)
    extra = f"\nGRANT {right.privilege} ON {right.object} TO ROLE {right.role};"
    assert may(rights(SCRIPT + extra), right), "this test would not see the grant"


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT SELECT ON ALL TABLES IN DATABASE AMPLITUDE TO ROLE AMPLITUDE_ANALYST",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA AMPLITUDE.BRONZE TO ROLE AMPLITUDE_ANALYST",
        "GRANT ALL PRIVILEGES ON ALL SCHEMAS IN DATABASE AMPLITUDE TO ROLE AMPLITUDE_LOADER",
        "GRANT OWNERSHIP ON SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_ANALYST",
        "GRANT USAGE ON SCHEMA AMPLITUDE.BRONZE TO ROLE PUBLIC",
    ],
)
def test_a_wide_grant_would_be_seen(grant: str) -> None:
    assert any(may(rights(f"{SCRIPT}\n{grant};"), right) for right in MUST_BE_MISSING)


def test_roles_go_to_their_users_and_to_the_administrators_alone() -> None:
    granted = {found.groups() for statement in statements(SCRIPT) if (found := GRANT_OF_ROLE.fullmatch(statement))}
    assert granted == {(role, "ROLE", "SYSADMIN") for role in ROLES} | {
        (role, "USER", role) for role in (LOADER, TRANSFORMER)
    }


def test_the_script_may_run_again() -> None:
    """Nothing that is there is replaced or dropped, an integration's external id above all."""
    others = [statement for statement in statements(SCRIPT) if not statement.startswith("GRANT ")]
    assert [statement for statement in others if not OTHER_STATEMENTS.fullmatch(statement)] == []


def test_who_owns_a_table_or_a_view_cannot_pass_rights_on() -> None:
    schemas = [statement for statement in statements(SCRIPT) if re.match("CREATE (TRANSIENT )?SCHEMA ", statement)]
    assert len(schemas) == 6
    assert all(" WITH MANAGED ACCESS " in schema for schema in schemas)


def test_pull_requests_build_beside_production_and_never_in_it() -> None:
    granted = rights(TRIALS)
    assert {right.role for right in granted} == {"AMPLITUDE_TRIALS"}
    elsewhere = {right[1:] for right in granted if not re.search(r"\bAMPLITUDE_TRIALS\b", right.object)}
    assert elsewhere == {("USAGE", "WAREHOUSE AMPLITUDE_WH")}
    roles = {found.groups() for statement in statements(TRIALS) if (found := GRANT_OF_ROLE.fullmatch(statement))}
    assert roles == {("AMPLITUDE_TRIALS", "ROLE", "SYSADMIN"), ("AMPLITUDE_TRIALS", "USER", "AMPLITUDE_TRIALS")}
    replaced = [statement for statement in statements(TRIALS) if re.match("CREATE OR REPLACE|DROP", statement)]
    assert all(" AMPLITUDE_TRIALS.BRONZE" in statement for statement in replaced)


def test_masking_hides_values_from_all_but_two_roles() -> None:
    masking = SETUP.with_name("masking.sql").read_text()
    policies = re.findall(
        r"CREATE MASKING POLICY IF NOT EXISTS AMPLITUDE\.GOVERNANCE\.(\w+) AS (.*?);", masking, re.DOTALL
    )
    assert len(policies) == 2
    for _, policy in policies:
        assert set(re.findall(r"'(\w+)'", policy)) == {"AMPLITUDE_PERSONAL_DATA", TRANSFORMER}
        assert "ELSE" not in policy, "everybody else sees NULL"
    assert rights(masking) == {
        Right(TRANSFORMER, "USAGE", "SCHEMA AMPLITUDE.GOVERNANCE"),
        *(Right(TRANSFORMER, "APPLY", f"MASKING POLICY AMPLITUDE.GOVERNANCE.{name}") for name, _ in policies),
    }
    assert "AMPLITUDE_PERSONAL_DATA" not in SCRIPT, "analysts must not have it by default"


def test_users_come_in_by_key_alone() -> None:
    script = SCRIPT + TRIALS
    users = [statement for statement in statements(script) if statement.startswith("CREATE USER")]
    assert len(users) == 3
    assert all(" TYPE = SERVICE " in user and "PASSWORD" not in user for user in users)


def test_the_warehouse_stops_by_itself_and_at_a_ceiling() -> None:
    (warehouse,) = (statement for statement in statements(SCRIPT) if statement.startswith("CREATE WAREHOUSE"))
    (monitor,) = (statement for statement in statements(SCRIPT) if statement.startswith("CREATE RESOURCE MONITOR"))
    assert " AUTO_SUSPEND = 60 AUTO_RESUME = TRUE " in warehouse
    assert re.search(r" CREDIT_QUOTA = \d+ .* ON 100 PERCENT DO SUSPEND ", monitor)
    assert "ALTER WAREHOUSE AMPLITUDE_WH SET RESOURCE_MONITOR = AMPLITUDE_MONITOR" in statements(SCRIPT)


def test_snowflake_may_read_the_staging_area_alone() -> None:
    """The integration allows no other place, and the stage is at no other."""
    places = re.findall(r"(STORAGE_ALLOWED_LOCATIONS|URL) = \(?'([^']*)'(.)", "\n".join(statements(SCRIPT)))
    assert (
        places
        == [("STORAGE_ALLOWED_LOCATIONS", "<% staging_url %>", ")")] * 2 + [("URL", "<% staging_url %>", " ")] * 2
    )


def test_the_grants_that_the_documentation_advises_are_those_of_the_script() -> None:
    advised = set(re.findall(r"`(GRANT [A-Z ]+ ON (?!VIEW)[^`;]+);`", PRODUCTION.read_text()))
    assert len(advised) > 5
    assert advised <= {*statements(SCRIPT)}


def test_a_view_that_a_plan_replaces_keeps_its_grants() -> None:
    """FUTURE grants reach new views only; for the others it takes COPY GRANTS, which SQLMesh writes."""
    cursor = mock.MagicMock()
    cursor.fetchone.return_value = ("AMPLITUDE",)  # the current database
    cursor.fetch_pandas_all.return_value = pd.DataFrame()  # what is there already
    adapter = SnowflakeEngineAdapter(lambda: mock.MagicMock(cursor=lambda: cursor), default_catalog="AMPLITUDE")
    adapter.create_view("AMPLITUDE.GOLD.ACQUISITION", parse_one("SELECT 1 AS a"))
    sent = [call.args[0] for call in cursor.execute.call_args_list]
    assert any(
        re.match(r'CREATE OR REPLACE VIEW "AMPLITUDE"."GOLD"."ACQUISITION" COPY GRANTS ', sql) for sql in sent
    ), sent
