"""Bronze on Snowflake, against the stand-in: whatever happens on the way, it holds each exported row once."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.archive import Archive, Member
from simulator.product import Product
from simulator.server import Simulator
from support.assertions import assert_bronze_holds
from support.members import export_row, gzip_lines, hour_text, member_name
from support.project import COMMAND, sentence, succeeded
from support.snowflake_standin import STAGE, USER, WAREHOUSE, Fault, SnowflakeProject, make_key
from support.tiers import first_lands

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
DAY = Product(seed=3, days=1, events_per_day=60)
MEMBERS = list(DAY.members())
LAST = DAY.end + 9 * HOUR  # the newest that Amplitude can have ready at noon
COPY_EVENTS = r'COPY INTO "BRONZE"\."EVENTS"\s'


@pytest.fixture
def product() -> Product:
    """A day, thinly peopled."""
    return DAY


def with_another(member: Member, data: bytes) -> list[Member]:
    """The product's members with another in the place of one and all others of its hour."""
    another = replace(member, name=f"{DAY.app}/{member_name(member.hour, 0, DAY.app)}", data=data)
    return [each for each in MEMBERS if each.hour != member.hour] + [another]


def test_loads_that_follow_each_other_leave_in_bronze_what_amplitude_has(
    snowflake_project: SnowflakeProject, simulator: Simulator, tmp_path: Path
) -> None:
    """The first load; another machine, which has nothing but Snowflake to go on from; an hour that changed."""
    project = snowflake_project
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)

    # Snowflake knows which files it has loaded: a COPY that is sent twice adds nothing.
    copies = [each.sql for each in project.snowflake.statements() if re.match(COPY_EVENTS, each.sql)]
    assert [row[1] for copy in copies for row in project.query(copy)] == ["LOAD_SKIPPED"]
    assert_bronze_holds(project, MEMBERS, LAST)

    shutil.rmtree(project.work)
    assert " 0 loaded" in succeeded(project.load_here()).stdout
    assert_bronze_holds(project, MEMBERS, LAST)

    changed = MEMBERS[len(MEMBERS) // 2]
    span = ("--start", hour_text(changed.hour), "--end", hour_text(changed.hour))
    row = export_row(app=DAY.app, brand_new="it's here", event_properties={"a b": "\\'\" \n ☃"})
    members = with_another(changed, gzip_lines(row, b"[]"))
    simulator.archive = Archive(members)
    project.snowflake.forget()
    result = project.load_here(*span)
    assert "1 rows in bronze.events, 1 in bronze.rejected_rows" in result.stdout
    assert result.returncode == 5, "half of the hour is rejected"
    assert_bronze_holds(project, members, LAST)
    assert project.query("SELECT key, example FROM bronze.schema_changes WHERE column_name = 'brand_new'") == [
        ("brand_new", "it's here")
    ]
    ((text, value),) = project.query(
        "SELECT event_properties, brand_new FROM bronze.events WHERE NOT brand_new IS NULL"
    )
    assert (json.loads(text), value) == (row["event_properties"], row["brand_new"])
    altering = [each.sql for each in project.snowflake.statements() if each.sql.startswith("ALTER TABLE")]
    assert [sql for sql in altering if "DROP CLUSTERING KEY" in sql] == []
    assert [sql for sql in altering if 'CLUSTER BY ("_EXPORT_HOUR")' in sql] != []

    feed = tmp_path / "feed.json"
    merge = {"amplitude_id": 1, "merged_amplitude_id": 2, "merge_event_time": 0, "merge_server_time": 0}
    feed.write_text(json.dumps(merge))
    assert "1 of them new" in succeeded(project.load_here("load-merges", str(feed))).stdout
    assert "0 of them new" in succeeded(project.load_here("load-merges", str(feed))).stdout
    assert project.query("SELECT amplitude_id, merged_amplitude_id FROM bronze.merge_ids") == [(1, 2)]


@pytest.mark.nightly
def test_a_hole_is_shown_and_declared_empty(snowflake_project: SnowflakeProject) -> None:
    project = snowflake_project
    for hour in (DAY.start, DAY.start + 2 * HOUR):
        succeeded(project.load_here("--start", hour_text(hour), "--end", hour_text(hour)))
    hole = ("--start", hour_text(DAY.start + HOUR), "--end", hour_text(DAY.start + HOUR))
    shown = project.load_here("status")
    assert (shown.returncode, "1 missing hours hold silver back" in shown.stdout) == (3, True), shown.stderr
    assert "1 hours declared empty" in succeeded(project.load_here("declare-empty", *hole)).stdout
    succeeded(project.load_here("status", SOURCES__AMPLITUDE__FRESHNESS_HOURS="48"))


def test_a_copy_that_fails_half_way_is_told_and_the_next_run_goes_on(snowflake_project: SnowflakeProject) -> None:
    project = snowflake_project
    project.snowflake.fail(
        Fault(COPY_EVENTS, "Numeric value 'x' is not recognized\n  File 'a.parquet', row 1", "100038", "22018", times=9)
    )
    told = sentence(project.load_here())
    assert "Numeric value 'x' is not recognized" in told
    project.snowflake.fail()
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)


def test_a_kill_between_copy_and_commit_leaves_nothing_that_counts(snowflake_project: SnowflakeProject) -> None:
    project = snowflake_project
    project.snowflake.fail(Fault(COPY_EVENTS, hold=True))
    with subprocess.Popen(
        [sys.executable, COMMAND],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        project.snowflake.await_held()
        process.kill()
    assert project.query("SELECT COUNT(*) FROM bronze.events") == [(0,)]
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)


def test_a_kill_after_the_commit_leaves_rows_that_do_not_count(snowflake_project: SnowflakeProject) -> None:
    """They are in place, but no ledger of a finished load has them; the next run takes them away."""
    project = snowflake_project
    project.snowflake.fail(Fault(r'INSERT INTO "BRONZE"\."_DLT_LOADS"', "Connection lost", "100132", "P0000", times=99))
    sentence(project.load_here())
    assert project.query("SELECT COUNT(*) FROM bronze.events") == [(sum(member.rows for member in MEMBERS),)]
    project.snowflake.fail()
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)


# What Snowflake says, where, and what the user has to be told.
TROUBLES = [
    (
        Fault(
            r'CREATE TABLE "BRONZE"\."REJECTED_ROWS"',
            "SQL access control error:\nInsufficient privileges to operate on schema 'BRONZE'",
            "003001",
            "42501",
        ),
        "GRANT CREATE TABLE ON SCHEMA BRONZE TO ROLE AMPLITUDE_LOADER;",
    ),
    (
        Fault(
            COPY_EVENTS,
            f"SQL compilation error:\nStage 'A.{STAGE}' does not exist or not authorized.",
            "002003",
            "02000",
        ),
        f"GRANT USAGE ON STAGE A.{STAGE} TO ROLE AMPLITUDE_LOADER;",
    ),
    (
        Fault(
            COPY_EVENTS,
            "SQL access control error:\nInsufficient privileges to operate on integration 'AMPLITUDE_LAKE'",
            "003001",
            "42501",
        ),
        "GRANT USAGE ON INTEGRATION AMPLITUDE_LAKE TO ROLE",
    ),
    (
        Fault(
            r"SELECT 1\s+FROM INFORMATION_SCHEMA.SCHEMATA",
            "Cannot perform SELECT. This session does not have a current database. Call 'USE DATABASE', or use a "
            "qualified name.",
            "090105",
            "22000",
        ),
        "GRANT USAGE ON DATABASE",
    ),
    (
        Fault(
            COPY_EVENTS,
            "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' "
            "command.",
            "000606",
            "57P03",
        ),
        f"ALTER WAREHOUSE {WAREHOUSE} SET AUTO_RESUME = TRUE;",
    ),
    (
        Fault(
            COPY_EVENTS,
            f"Warehouse '{WAREHOUSE}' cannot be resumed because resource monitor 'AMPLITUDE_MONITOR' has exceeded its "
            "quota.",
            "090073",
            "22000",
        ),
        "ALTER RESOURCE MONITOR AMPLITUDE_MONITOR SET CREDIT_QUOTA",
    ),
    (
        Fault(
            "LOGIN",
            "Role 'AMPLITUDE_LOADER' specified in the connect string is not granted to this user.",
            "390189",
            "08001",
        ),
        f"GRANT ROLE AMPLITUDE_LOADER TO USER {USER};",
    ),
]


@pytest.mark.parametrize("is_whole", first_lands([False, True]), ids=["some", "all"])
def test_what_snowflake_refuses_is_one_sentence_with_the_grant(
    snowflake_project: SnowflakeProject, tmp_path: Path, is_whole: bool
) -> None:
    project = snowflake_project
    hours = ("--start", hour_text(DAY.start), "--end", hour_text(DAY.start))
    for fault, told in TROUBLES if is_whole else TROUBLES[::3]:
        project.snowflake.fail(replace(fault, times=99))
        assert told in sentence(project.load_here(*hours)), fault.message
    project.snowflake.fail()

    make_key(tmp_path / "other.pem")  # as if the user's had been changed
    other = {"DESTINATION__SNOWFLAKE__CREDENTIALS__PRIVATE_KEY_PATH": str(tmp_path / "other.pem")}
    assert f"ALTER USER {USER} SET RSA_PUBLIC_KEY" in sentence(project.load_here(*hours, **other))
    missing = {"DESTINATION__SNOWFLAKE__CREDENTIALS__PRIVATE_KEY_PATH": str(tmp_path / "missing.pem")}
    assert "PRIVATE_KEY_PATH" in sentence(project.load_here(*hours, **missing))
    no_stage = {"DESTINATION__SNOWFLAKE__STAGE_NAME": ""}
    assert "DESTINATION__SNOWFLAKE__STAGE_NAME is empty" in sentence(project.load_here(*hours, **no_stage))
    local = {"SOURCES__AMPLITUDE__LAKE__BUCKET_URL": "data/lake"}
    assert "s3://bucket" in sentence(project.load_here(*hours, **local))

    project.query(f"CREATE OR REPLACE STAGE {STAGE} URL = '{project.staging}/'")
    told = sentence(project.load_here(*hours))
    assert f"ALTER STAGE {project.snowflake.name}.{STAGE} SET URL = '{project.staging}';" in told

    project.query(f"CREATE OR REPLACE STAGE {STAGE} URL = '{project.staging}'")
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)
