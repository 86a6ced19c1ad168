"""The rights that the doctor asks Snowflake for."""

import pytest

from amplitude_source.bronze.snowflake_rights import (
    Right,
    granted_rights,
    loaders_rights,
    missing_rights,
    transformers_rights,
)
from support import grants

PREFIX = "DESTINATION__SNOWFLAKE__"
BRONZE = Right("USAGE", "SCHEMA", "A.BRONZE")
CREATE = Right("CREATE TABLE", "SCHEMA", "A.BRONZE")


@pytest.fixture
def as_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that infra/snowflake/setup.sql gives."""
    monkeypatch.setenv(f"{PREFIX}STAGE_NAME", "BRONZE.LAKE_STAGING")
    monkeypatch.setenv(f"{PREFIX}CREDENTIALS__DATABASE", "amplitude")
    monkeypatch.setenv(f"{PREFIX}CREDENTIALS__WAREHOUSE", "AMPLITUDE_WH")


@pytest.mark.usefixtures("as_set_up")
def test_the_script_grants_what_is_asked_for_and_to_no_other_role() -> None:
    for role, needed in {
        grants.LOADER: loaders_rights(),
        grants.TRANSFORMER: transformers_rights(is_loaded=True),
    }.items():
        wanted = [grants.Right(role, right.privilege, f"{right.kind} {right.name}") for right in needed]
        assert [right for right in wanted if not grants.may(grants.GRANTED, right)] == []
        others = [right._replace(role=grants.ANALYST) for right in wanted]
        assert not all(grants.may(grants.GRANTED, right) for right in others)


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ({BRONZE}, [CREATE]),
        ({BRONZE, CREATE}, []),
        ({Right("OWNERSHIP", "SCHEMA", "A.BRONZE")}, []),
        ({Right("OWNERSHIP", "DATABASE", "A")}, []),
        ({Right("OWNERSHIP", "SCHEMA", "B.BRONZE"), Right("OWNERSHIP", "DATABASE", "B")}, [BRONZE, CREATE]),
    ],
)
def test_a_right_is_missing_unless_granted_or_owned(granted: set[Right], missing: list[Right]) -> None:
    assert missing_rights([BRONZE, CREATE], granted) == missing


def test_rights_come_by_roles_within_roles_each_asked_once() -> None:
    held = {
        "R": [(0, "USAGE", "ROLE", "PARENT"), (0, "USAGE", "SCHEMA", 'A."BRONZE"')],
        "PARENT": [(0, "USAGE", "ROLE", "R"), (0, "CREATE TABLE", "SCHEMA", "A.BRONZE")],
    }
    asked: list[str] = []

    def ask(sql: str) -> list[tuple[object, ...]]:
        asked.append(sql)
        return [("R",)] if sql == "SELECT CURRENT_ROLE()" else [*held[sql.removeprefix("SHOW GRANTS TO ROLE ")]]

    role, found = granted_rights(ask)
    assert (role, missing_rights([BRONZE, CREATE], found)) == ("R", [])
    assert asked[1:] == ["SHOW GRANTS TO ROLE R", "SHOW GRANTS TO ROLE PARENT"]
