"""The ten-minute check of a real account, without one: its logic, and all of it against the stand-in."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
import snowflake.connector
from click.testing import CliRunner

import verify_snowflake
from amplitude_source.rest import resources as rest
from amplitude_source.tables import TABLES
from simulator.server import Simulator
from support.grants import GRANTED, SCRIPT, rights
from support.project import REPOSITORY
from support.snowflake_standin import SnowflakeProject
from support.witnesses import assert_take_what_was_sent
from verify_snowflake import Checkout, DoesNotHoldError, Report

OF_A_SETTING = {"cohort_requests"}
OF_EACH_RUN = {"pipeline_runs"}  # other ids and times on each engine
BRONZE = sorted({*TABLES, *rest.TABLES, "rejected_rows", "schema_changes"} - OF_A_SETTING - OF_EACH_RUN)
SENT = (REPOSITORY / "tests/support/snapshots/warehouse.sql").read_text()
# Without those of charts as code, which only the life of test_snowflake_warehouse.py has.
VIEWS = [
    (layer, view)
    for layer, view in re.findall(r'VIEW "AMPLITUDE"\."(SILVER|GOLD)"\."((?!CHART_)\w+)"', SENT)
    if view.lower() not in OF_EACH_RUN
]
SHOWN_BY_THE_STANDIN = {
    "AMPLITUDE_LOADER signs in with its key, in its own role",
    "the session of AMPLITUDE_LOADER is in UTC",
    "AMPLITUDE_TRANSFORMER signs in with its key, in its own role",
    "the session of AMPLITUDE_TRANSFORMER is in UTC",
    "the stage has the URL of the pipeline's staging area, to the slash",
    "the storage integration lets Snowflake read the bucket",
    "a load through the stage",
    "a plan",
    "a second load",
    "a run",
    "COPY loads a file of the stage once, and skips it when it comes again",
    "SQLMesh's tables are transient: no fail-safe is paid for what can be rebuilt",
    "bronze.events is clustered by _export_hour",
    "every column of BRONZE.EXPORT_HOURS has its comment, by CREATE TABLE",
    "every column of GOLD.DAILY_METRICS has its comment, by ALTER VIEW",
    "every session of silver.sessions has its number, by UPDATE of a table with an alias",
    *(f"{layer} has tables to compare" for layer in ("bronze", "silver", "gold")),
    *(f"bronze.{table} is the same on Snowflake as on DuckDB, row for row" for table in BRONZE),
    *(f"{layer.lower()}.{view.lower()} is the same on Snowflake as on DuckDB, row for row" for layer, view in VIEWS),
}
# What an account alone can show, each with what the stand-in has to say of it: for no other reason does it fail there.
REFUSES_NOTHING = "it may"  # it knows no rights
HAS_NO_INTEGRATIONS = "Unexpected parent kind: INTEGRATION"  # setup.sql makes it, for the account
KEEPS_NO_GRANTS = 'syntax error at or near "ON" LINE 1: SHOW GRANTS'  # GRANT is without effect there
NOT_SHOWN_BY_THE_STANDIN = {
    "AMPLITUDE_LOADER may not CREATE TABLE SILVER.NOT_ALLOWED (A INT)": REFUSES_NOTHING,
    "AMPLITUDE_LOADER may not CREATE VIEW GOLD.NOT_ALLOWED AS SELECT 1 AS A": REFUSES_NOTHING,
    "AMPLITUDE_LOADER may not CREATE SCHEMA NOT_ALLOWED": REFUSES_NOTHING,
    "AMPLITUDE_LOADER may not CREATE STAGE BRONZE.NOT_ALLOWED": REFUSES_NOTHING,
    "AMPLITUDE_LOADER may not SELECT COUNT(*) FROM SILVER.EVENTS": REFUSES_NOTHING,
    "AMPLITUDE_LOADER may not DESC INTEGRATION AMPLITUDE_LAKE": HAS_NO_INTEGRATIONS,
    "AMPLITUDE_LOADER may not USE ROLE ACCOUNTADMIN": REFUSES_NOTHING,
    "AMPLITUDE_TRANSFORMER may not CREATE TABLE BRONZE.NOT_ALLOWED (A INT)": REFUSES_NOTHING,
    "AMPLITUDE_TRANSFORMER may not DELETE FROM BRONZE.EVENTS WHERE FALSE": REFUSES_NOTHING,
    "AMPLITUDE_TRANSFORMER may not LIST @BRONZE.LAKE_STAGING": REFUSES_NOTHING,
    "AMPLITUDE_TRANSFORMER may not GRANT SELECT ON VIEW GOLD.DAILY_METRICS TO ROLE PUBLIC": REFUSES_NOTHING,
    "AMPLITUDE_TRANSFORMER may not GRANT USAGE ON SCHEMA SILVER_TABLES TO ROLE PUBLIC": REFUSES_NOTHING,
    "AMPLITUDE_TRANSFORMER may not DESC INTEGRATION AMPLITUDE_LAKE": HAS_NO_INTEGRATIONS,
    "AMPLITUDE_TRANSFORMER may not USE ROLE ACCOUNTADMIN": REFUSES_NOTHING,
    "AMPLITUDE_ANALYST may read a view that a plan made": KEEPS_NO_GRANTS,
    "AMPLITUDE_ANALYST may read a view that a later plan replaced": KEEPS_NO_GRANTS,
}


@pytest.mark.slow
@pytest.mark.nightly
def test_all_of_it_holds_on_the_standin_but_what_an_account_alone_can_show(snowflake_project: SnowflakeProject) -> None:
    project, database = snowflake_project, snowflake_project.snowflake
    for folder in ("infra", "simulator"):
        shutil.copytree(REPOSITORY / folder, project.root / folder)
    transformer = {f"SQLMESH_SNOWFLAKE_{name}": "AMPLITUDE_TRANSFORMER" for name in ("USERNAME", "ROLE")}
    result = subprocess.run(
        [sys.executable, "infra/verify_snowflake.py", "--existing", "--database", database.name],
        cwd=project.root,
        env=project.env | transformer,
        capture_output=True,
        encoding="utf-8",
        timeout=verify_snowflake.COMMAND_SECONDS,
        check=False,
    )
    held, failed = told(result.stdout)
    assert held == SHOWN_BY_THE_STANDIN, result.stdout + result.stderr
    assert failed.keys() == NOT_SHOWN_BY_THE_STANDIN.keys(), result.stdout
    assert [what for what, why in NOT_SHOWN_BY_THE_STANDIN.items() if why not in failed[what]] == [], result.stdout
    assert result.stderr == f"Error: {len(NOT_SHOWN_BY_THE_STANDIN)} things do not hold.\n"
    assert result.returncode == 1
    assert any('"GOLD"."DAILY_METRICS"' in each.sql and "Replaced: " in each.sql for each in database.statements())
    assert_take_what_was_sent(project)
    assert project.s3.files(project.bucket, "amplitude/raw/") == {}, "what the check has archived is still there"
    assert not (project.root / "data").exists(), "the check has to have its own state and lake"


def told(output: str) -> tuple[set[str], dict[str, str]]:
    """What holds, and what does not, by its reason."""
    held, failed = set(), {}
    for verdict, line in (line.split(maxsplit=1) for line in output.splitlines()):
        if verdict == "holds":
            held.add(line)
        else:
            what, _, why = line.partition(": ")
            failed[what] = why
    return held, failed


class Account:
    """A connection to a Snowflake that answers by a table of statements; what is not in it is allowed, without rows."""

    def __init__(self, answers: Mapping[str, list[tuple[Any, ...]] | Exception]) -> None:
        self._answers = answers
        self.statements: list[str] = []

    def cursor(self) -> "Account":
        return self

    def execute(self, statement: str) -> "Account":
        self.statements.append(statement)
        answer = self._answers.get(statement)
        if isinstance(answer, Exception):
            raise answer
        return self

    def close(self) -> None:
        """Nothing is open."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        answer = self._answers.get(self.statements[-1], [])
        assert isinstance(answer, list)
        return answer


def test_the_scratch_database_has_productions_grants_and_all_else_stays() -> None:
    statements = verify_snowflake.scratch_setup(SCRIPT, "SCRATCH", "s3://lake-of-tests")
    assert rights("\n".join(statements)) == {
        right._replace(object=right.object.replace("AMPLITUDE", "SCRATCH"))
        for right in GRANTED
        if not right.object.startswith(("WAREHOUSE", "INTEGRATION"))
    }
    made = [statement for statement in statements if statement.startswith(("CREATE", "ALTER"))]
    assert all("SCRATCH" in statement for statement in made)
    assert "URL = 's3://lake-of-tests/staging/'" in " ".join(made)
    assert "<%" not in " ".join(statements)


def test_the_scratch_database_is_dropped_whatever_comes() -> None:
    account = Account({})
    with (
        mock.patch.object(snowflake.connector, "connect", return_value=account),
        pytest.raises(KeyboardInterrupt),
        verify_snowflake.scratch("default", "SCRATCH", "s3://lake-of-tests"),
    ):
        raise KeyboardInterrupt
    assert account.statements[1] == "CREATE DATABASE SCRATCH"
    assert account.statements[-2:] == ["USE ROLE SYSADMIN", "DROP DATABASE SCRATCH"]


def test_a_database_that_is_there_already_is_left_alone() -> None:
    exists = snowflake.connector.ProgrammingError("Object 'AMPLITUDE' already exists.")
    account = Account({"CREATE DATABASE AMPLITUDE": exists})
    with (
        mock.patch.object(snowflake.connector, "connect", return_value=account),
        pytest.raises(snowflake.connector.ProgrammingError),
        verify_snowflake.scratch("default", "AMPLITUDE", "s3://lake-of-tests"),
    ):
        pass
    assert account.statements == ["USE ROLE SYSADMIN", "CREATE DATABASE AMPLITUDE"]


def test_neither_projects_nor_state_of_production_reach_the_check(tmp_path: Path) -> None:
    settings = {
        "PATH": "/usr/bin",
        "SOURCES__AMPLITUDE__API_KEY": "a key of production",
        "SOURCES__AMPLITUDE__PROJECTS__WEB__API_KEY": "another",
        "SOURCES__AMPLITUDE__LAKE__BUCKET_URL": "s3://lake",
        "SQLMESH_STATE_HOST": "state-of-production",
        "SQLMESH_SNOWFLAKE_ROLE": "AMPLITUDE_TRANSFORMER",
        "DESTINATION__SNOWFLAKE__CREDENTIALS__DATABASE": "AMPLITUDE",
        "DESTINATION__DUCKDB__CREDENTIALS": "mine.duckdb",
    }
    with Simulator(verify_snowflake.PRODUCT) as simulator:
        there, here = verify_snowflake.checkouts(tmp_path, settings, "SCRATCH", simulator)
    for checkout in (there, here):
        kept = {"a key of production", "another", "state-of-production", "AMPLITUDE", "mine.duckdb"}
        assert kept & {*checkout.env.values()} == set()
    assert there.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"] == "s3://lake"
    assert there.env["SQLMESH_SNOWFLAKE_ROLE"] == "AMPLITUDE_TRANSFORMER"
    assert not [name for name in here.env if "__LAKE__" in name or "GATEWAY" in name or "STATE" in name]


def test_within_a_checkout_no_setting_of_production_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCES__AMPLITUDE__API_KEY", "a key of production")
    with verify_snowflake.entered(Checkout(tmp_path, {"PATH": "/usr/bin"})):
        assert (Path.cwd(), dict(os.environ)) == (tmp_path, {"PATH": "/usr/bin"})
    assert os.environ["SOURCES__AMPLITUDE__API_KEY"] == "a key of production"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("3"), 3),
        (0.1 + 0.2, Decimal("0.3")),
        (460.59006250000006, 460.5900625),
        (datetime(2026, 6, 1, 5, tzinfo=timezone(timedelta(hours=5))), datetime(2026, 6, 1)),
        ('{"b": 1, "a": [2]}', '{"a":[2],"b":1}'),
        ("{not JSON", "{not JSON"),
        (None, None),
    ],
)
def test_the_same_value_from_either_engine_is_the_same(one: object, other: object) -> None:
    verify_snowflake.expect_same_rows([(one,), (1,)], [(1,), (other,)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, 0),
        (True, 1),
        (0.3, 0.30001),
        ("a", "A"),
        (datetime(2026, 6, 1), datetime(2026, 6, 1, 0, 0, 1)),
        (date(2026, 6, 1), date(2026, 6, 2)),
        ('{"a": 1}', '{"a": "1"}'),
    ],
)
def test_another_value_is_another(one: object, other: object) -> None:
    with pytest.raises(DoesNotHoldError, match="1 rows on Snowflake, 1 on DuckDB; only on Snowflake: 1"):
        verify_snowflake.expect_same_rows([(one,)], [(other,)])


def test_a_row_that_comes_twice_counts_twice() -> None:
    with pytest.raises(DoesNotHoldError, match="only on Snowflake: 1"):
        verify_snowflake.expect_same_rows([(1,), (1,)], [(1,)])


def test_each_table_is_compared_without_dlts_own_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    with duckdb.connect(str(tmp_path / "data/amplitude.duckdb")) as local:
        local.execute('CREATE SCHEMA "BRONZE"')  # as SQLMesh names schemas
        local.execute("CREATE TABLE bronze.events AS SELECT 1 AS number, 'x' AS _dlt_load_id")
        local.execute("CREATE TABLE bronze.hours AS SELECT TIMESTAMP '2026-06-01' AS export_hour")
        local.execute("CREATE TABLE bronze._dlt_loads AS SELECT 1 AS a")
    account = Account(
        {
            'SELECT "NUMBER" FROM bronze.events': [(1,)],
            'SELECT "EXPORT_HOUR" FROM bronze.hours': [(datetime(2026, 6, 2),)],
        }
    )
    report = Report()
    verify_snowflake.check_rows(report, account, "bronze", Checkout(tmp_path, {}))  # type: ignore[arg-type]  # a stand-in
    assert capsys.readouterr().out.splitlines() == [
        "holds  bronze has tables to compare",
        "holds  bronze.events is the same on Snowflake as on DuckDB, row for row",
        "NOT    bronze.hours is the same on Snowflake as on DuckDB, row for row: 1 rows on Snowflake, 1 on DuckDB; "
        "only on Snowflake: 1, as ('2026-06-02T00:00:00',); only on DuckDB: 1, as ('2026-06-01T00:00:00',)",
    ]
    assert report.failed == ["bronze.hours is the same on Snowflake as on DuckDB, row for row"]


def test_a_layer_without_tables_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    duckdb.connect(str(tmp_path / "data/amplitude.duckdb")).close()
    report = Report()
    verify_snowflake.check_rows(report, Account({}), "gold", Checkout(tmp_path, {}))  # type: ignore[arg-type]  # a stand-in
    assert report.failed == ["gold has tables to compare"]


def test_a_right_holds_back_only_by_being_refused() -> None:
    refusal = snowflake.connector.ProgrammingError("SQL access control error: Insufficient privileges to operate on it")
    another = snowflake.connector.ProgrammingError("SQL compilation error: syntax error")
    loader = Account({"CREATE SCHEMA NOT_ALLOWED": refusal, "CREATE STAGE BRONZE.NOT_ALLOWED": another})
    report = Report()
    verify_snowflake.check_rights(report, loader, Account({}))  # type: ignore[arg-type]  # a stand-in
    assert "AMPLITUDE_LOADER may not CREATE SCHEMA NOT_ALLOWED" not in report.failed
    assert "AMPLITUDE_LOADER may not CREATE STAGE BRONZE.NOT_ALLOWED" in report.failed
    assert "AMPLITUDE_TRANSFORMER may not DELETE FROM BRONZE.EVENTS WHERE FALSE" in report.failed


@pytest.mark.parametrize(("first", "second", "holds"), [(7, 7, True), (7, 14, False), (0, 0, False)])
def test_a_file_that_is_copied_twice_must_not_double_its_rows(first: int, second: int, holds: bool) -> None:
    counts = iter([first, second])

    class Copying(Account):
        def fetchall(self) -> list[tuple[Any, ...]]:
            if self.statements[-1].startswith("LIST"):
                return [("s3://lake/staging/bronze/events/1.a.parquet", 1, "md5", "today")]
            return [(next(counts),)] if self.statements[-1].startswith("SELECT") else []

    account, report = Copying({}), Report()
    verify_snowflake.check_copy(report, account)  # type: ignore[arg-type]  # a stand-in
    assert (report.failed == []) is holds
    assert "FILES = ('bronze/events/1.a.parquet')" in " ".join(account.statements)
    assert account.statements[-1] == "DROP TABLE BRONZE.VERIFY_COPY"


@pytest.mark.parametrize(("comment", "holds"), [("What it holds", True), (None, False), ("", False)])
def test_a_column_that_has_lost_its_comment_is_seen(comment: str | None, holds: bool) -> None:
    class Commenting(Account):
        def fetchall(self) -> list[tuple[Any, ...]]:
            return [("ONE", "Its comment"), ("OTHER", comment)]

    report = Report()
    verify_snowflake.check_sent(report, Commenting({}))  # type: ignore[arg-type]  # a stand-in
    assert ("every column of GOLD.DAILY_METRICS has its comment, by ALTER VIEW" in report.failed) is not holds


def test_a_stage_with_a_slash_too_few_is_seen() -> None:
    described = [("STAGE_LOCATION", "URL", "String", '["s3://lake/staging"]', "[]")]
    report = Report()
    account = Account({"DESC STAGE BRONZE.LAKE_STAGING": described})
    verify_snowflake.check_stage(report, account, "s3://lake")  # type: ignore[arg-type]  # a stand-in
    assert report.failed == ["the stage has the URL of the pipeline's staging area, to the slash"]


def test_settings_of_a_laptop_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify_snowflake, "ROOT", tmp_path)
    monkeypatch.setenv("SOURCES__AMPLITUDE__LAKE__BUCKET_URL", "data/lake")
    result = CliRunner().invoke(verify_snowflake.main, [])
    assert result.exit_code == 1
    assert "SOURCES__AMPLITUDE__LAKE__BUCKET_URL is no s3:// address" in result.output
