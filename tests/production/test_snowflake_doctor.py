"""The doctor on Snowflake, against the stand-in: sign-in, rights, the stage, and the state beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.product import Product
from support import grammar
from support.project import succeeded
from support.snowflake_standin import ROLE, STAGE, Fault, SnowflakeProject, make_key

pytestmark = pytest.mark.slow

DAY = Product(seed=3, days=1, events_per_day=60)


@pytest.fixture
def product() -> Product:
    """A day, thinly peopled."""
    return DAY


def unwell(project: SnowflakeProject, **env: str) -> dict[str, tuple[str, str]]:
    """The verdict and the text of each check that is not ok."""
    result = project.load_here("doctor", "--json", **env)
    assert "Traceback" not in result.stderr, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    assert {"rights", "stage", "SQLMesh's rights"} <= {each["check"] for each in found}
    return {each["check"]: (each["verdict"], each["text"]) for each in found if each["verdict"] != "ok"}


def test_each_part_of_snowflake_is_asked_for_itself(snowflake_project: SnowflakeProject, tmp_path: Path) -> None:
    project = snowflake_project
    succeeded(project.load_here("--end", f"{DAY.start:%Y-%m-%dT%H}"))
    usual = {"versions", "settings", "clock", "newest loaded", "newest built", "SQLMesh's state"}
    project.snowflake.forget()
    assert set(unwell(project)) == usual
    sent = grammar.different(each.sql for each in project.snowflake.statements())
    grammar.assert_takes(sent)
    assert {sql.split()[0].upper() for sql in sent} <= {"SELECT", "SHOW", "DESC", "LIST", "ROLLBACK", "ALTER"}, (
        "nothing is changed"
    )

    refused = "SQL access control error:\nInsufficient privileges to operate on integration 'AMPLITUDE_LAKE'"
    project.snowflake.fail(Fault("^LIST", refused, "003001", "42501", times=9))
    found = unwell(project)
    assert set(found) == usual | {"stage"}
    assert f"GRANT USAGE ON INTEGRATION AMPLITUDE_LAKE TO ROLE {ROLE};" in found["stage"][1]

    project.snowflake.fail()
    project.query(f"CREATE OR REPLACE STAGE {STAGE} URL = '{project.staging}else/'")
    found = unwell(project, SQLMESH_STATE_FILE="", DESTINATION__SNOWFLAKE__CREDENTIALS__WAREHOUSE="OTHER_WH")
    assert set(found) == usual | {"stage", "rights", "SQLMesh's rights"}
    assert f"SET URL = '{project.staging}';" in found["stage"][1]
    assert f"GRANT USAGE ON WAREHOUSE OTHER_WH TO ROLE {ROLE};" in found["rights"][1]
    assert "SQLMESH_STATE_HOST is missing" in found["SQLMesh's state"][1]

    config = project.root / "sqlmesh/config.yaml"
    assert "  dynamic_tables:\n" in config.read_text()
    config.write_text(config.read_text().replace("  dynamic_tables:", "  dynamic_tables: {gold.daily_metrics: 1 hour}"))
    assert "lacks CREATE DYNAMIC TABLE on schema" in unwell(project)["SQLMesh's rights"][1]

    make_key(tmp_path / "other.pem")  # as if SQLMesh's user had a key that Snowflake does not know
    project.query(f"CREATE OR REPLACE STAGE {STAGE} URL = '{project.staging}'")
    own = {"SQLMESH_SNOWFLAKE_PRIVATE_KEY_PATH": str(tmp_path / "other.pem"), "SQLMESH_SNOWFLAKE_USERNAME": "BUILDER"}
    found = unwell(project, **own)
    assert set(found) == usual | {"SQLMesh's rights"}
    assert "the key of user BUILDER (SQLMESH_SNOWFLAKE_PRIVATE_KEY_PATH)" in found["SQLMesh's rights"][1]

    wrong = "Role 'AMPLITUDE_LOADER' specified in the connect string is not granted to this user."
    project.snowflake.fail(Fault("LOGIN", wrong, "390189", "08001", times=9))
    found = unwell(project)
    assert "GRANT ROLE AMPLITUDE_LOADER TO USER" in found["bronze"][1]
    assert "GRANT ROLE AMPLITUDE_LOADER TO USER" in found["SQLMesh's rights"][1]
    assert (found["rights"][0], found["stage"][0], found["hours"][0]) == ("skip", "skip", "skip")
