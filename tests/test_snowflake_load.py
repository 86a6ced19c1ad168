"""Bronze on Snowflake, against the stand-in."""

import pytest

from conftest import succeeded
from snowflake_standin import SnowflakeProject

pytestmark = pytest.mark.slow


def test_a_load(snowflake_project: SnowflakeProject) -> None:
    result = succeeded(snowflake_project.load_here())
    print(result.stdout)
    print(snowflake_project.query("SELECT COUNT(*) FROM BRONZE.EVENTS"))
    for s in snowflake_project.snowflake.statements():
        print(s.ok, s.sql[:1500], s.error or "")
