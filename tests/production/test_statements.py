"""The rules for what is sent to Snowflake; test_snowflake_warehouse.py holds all that is sent against them."""

from collections.abc import Callable

import pytest

from support.statements import (
    calls_what_snowflake_lacks,
    casts_a_zoned_time,
    does_not_parse,
    keeps_a_fail_safe_of_what_can_be_rebuilt,
    names_something_in_lower_case,
    tells_a_secret,
)


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        (does_not_parse, "SELECT FROM WHERE"),
        (names_something_in_lower_case, 'SELECT * FROM "bronze"."EVENTS"'),
        (names_something_in_lower_case, 'SELECT "uuid" FROM BRONZE.EVENTS'),
        (casts_a_zoned_time, "SELECT CURRENT_TIMESTAMP()::TIMESTAMP_NTZ"),
        (casts_a_zoned_time, "SELECT INSERTED_AT::DATE FROM BRONZE._DLT_LOADS"),
        (casts_a_zoned_time, "SELECT '2026-06-01 00:00:00+00:00'::TIMESTAMPNTZ"),
        (calls_what_snowflake_lacks, "SELECT EPOCH_MS(1)"),
        (calls_what_snowflake_lacks, "SELECT MY_FUNCTION(1)"),
        (tells_a_secret, "COPY INTO T FROM 's3://b/x' CREDENTIALS=(AWS_KEY_ID='a' AWS_SECRET_KEY='b')"),
        (
            keeps_a_fail_safe_of_what_can_be_rebuilt,
            'CREATE TABLE IF NOT EXISTS "AMPLITUDE"."GOLD_TABLES"."T" (A INT)',
        ),
        (
            keeps_a_fail_safe_of_what_can_be_rebuilt,
            """CREATE OR REPLACE DYNAMIC TABLE "AMPLITUDE"."GOLD_TABLES"."T" TARGET_LAG='1 hour' AS SELECT 1 AS A""",
        ),
    ],
)
def test_a_rule_finds_what_breaks_it(rule: Callable[[str], bool], sql: str) -> None:
    assert rule(sql)
