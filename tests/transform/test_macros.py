"""Macros whose SQL differs between engines: what Snowflake gets, which no test here can run."""

import random
import runpy
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core import constants
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

from oracle.charts import local_hour
from support.project import REPOSITORY


def properties_of(engine: str | None) -> exp.Expr:
    """The query that takes apart the user properties of events, as models get it on an engine."""
    return called("properties_of", engine, exp.to_table("silver.events"), exp.column("user_properties"))


def values_of(engine: str) -> exp.Expr:
    """The query that splits the values of properties, as models get it on an engine."""
    return called("query_values", engine, exp.to_table("silver.event_properties"))


def called(name: str, engine: str | None, *arguments: exp.Expr) -> exp.Expr:
    """The query that a macro of properties gives, with the column uuid kept."""
    registered = macro.get_registry()
    macros = runpy.run_path(str(REPOSITORY / "sqlmesh/macros/properties.py"))
    macro.set_registry(registered)  # SQLMesh would take the macros of this run for those of the next checkout
    evaluator = MacroEvaluator(dialect="snowflake")
    evaluator.locals[constants.SQLMESH_VARS] = {constants.GATEWAY: "of-any-name", "engine": engine}
    query = macros[name](evaluator, *arguments, [exp.column("uuid")])
    assert isinstance(query, exp.Expr)
    return query


def masked(text: str, stage: RuntimeStage, **columns: str) -> list[str]:
    """The statements that hide a view's personal columns, as Snowflake gets them."""
    registered = macro.get_registry()
    mask = runpy.run_path(str(REPOSITORY / "sqlmesh/macros/masking.py"))["mask_personal_data"]
    macro.set_registry(registered)
    types = {name: exp.DataType.build(type_) for name, type_ in columns.items()}
    model = mock.Mock(is_model=True, model=mock.Mock(columns_to_types=types))
    evaluator = MacroEvaluator(
        dialect="snowflake",
        runtime_stage=stage,
        model_fqn='"AMPLITUDE"."GOLD"."EVENTS"',
        snapshots={'"AMPLITUDE"."GOLD"."EVENTS"': model},
    )
    evaluator.locals["this_model"] = exp.to_table(text, dialect="snowflake")
    return [statement.sql("snowflake") for statement in mask(evaluator)]


def test_each_personal_column_of_a_promoted_view_gets_its_policy() -> None:
    columns = {"USER_ID": "VARCHAR", "EVENT_TYPE": "VARCHAR", "LOCATION_LAT": "DOUBLE"}
    assert masked("GOLD.EVENTS", RuntimeStage.PROMOTING, **columns) == [
        'ALTER VIEW "GOLD"."EVENTS" MODIFY COLUMN USER_ID SET MASKING POLICY GOVERNANCE.PERSONAL_TEXT',
        'ALTER VIEW "GOLD"."EVENTS" MODIFY COLUMN LOCATION_LAT SET MASKING POLICY GOVERNANCE.PERSONAL_NUMBER',
    ]
    assert masked("GOLD.EVENTS", RuntimeStage.EVALUATING, **columns) == []
    assert masked("GOLD.ACQUISITION", RuntimeStage.PROMOTING, SOURCE="VARCHAR") == []


@pytest.mark.parametrize("engine", ["duckdb", "snowflake"])
def test_properties_are_taken_apart_by_sql_of_the_engine(engine: str) -> None:
    sql = properties_of(engine).sql(engine)
    assert ("JSON_EACH" in sql, "FLATTEN" in sql) == (engine == "duckdb", engine == "snowflake")
    query = sqlglot.parse_one(sql, dialect=engine)
    assert query.sql(engine) == sql
    (select,) = (each for each in query.find_all(exp.Select) if each.depth <= 1)
    assert select.named_selects == ["uuid", "property", "value_type", "value_text"]


def test_snowflake_gets_its_own_flatten_and_types() -> None:
    sql = properties_of("snowflake").sql("snowflake")
    assert "LATERAL FLATTEN(INPUT => source.user_properties, MODE => 'OBJECT') AS entry" in sql
    assert "TYPEOF(entry.value)" in sql
    assert "CAST(entry.value AS VARCHAR) AS value_text" in sql


def test_values_that_queries_see_are_split_by_sql_of_the_engine() -> None:
    for engine, call in [("duckdb", "JSON_EACH("), ("snowflake", "MODE => 'BOTH'")]:
        sql = values_of(engine).sql(engine)
        assert sql.count(call) == 3
        query = sqlglot.parse_one(sql, dialect=engine)
        assert query.sql(engine) == sql
        (union, *_) = query.find_all(exp.Union)
        assert union.named_selects == ["uuid", "property", "value_type", "value_text"]


@pytest.mark.parametrize("engine", ["postgres", None])
def test_an_engine_that_the_models_have_no_sql_for_is_named(engine: str | None) -> None:
    with pytest.raises(ValueError, match=f"no SQL for '{engine}'; they run on duckdb and snowflake"):
        properties_of(engine)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "sqlmesh/macros").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_of_macros_holds_no_set(path: Path) -> None:
    """SQLMesh writes values down, and each process orders a set in its own way: a plan would see a change."""
    registered = macro.get_registry()
    values = runpy.run_path(str(path), run_name=f"macros.{path.stem}")
    macro.set_registry(registered)  # SQLMesh would take the macros of this run for those of the next checkout
    sets = [name for name, value in values.items() if isinstance(value, set | frozenset)]
    assert sets == [], "write a tuple, or a dict"


@pytest.mark.parametrize(
    "zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Africa/Monrovia", "Australia/Lord_Howe"]
)
def test_an_hour_begins_by_the_clocks_of_the_zone_in_every_year(zone: str) -> None:
    """By the year, because macros take the short way only where a zone's clocks differ from UTC by whole hours."""
    registered = macro.get_registry()
    reporting_hour = runpy.run_path(str(REPOSITORY / "sqlmesh/macros/dates.py"))["reporting_hour"]
    macro.set_registry(registered)
    evaluator = MacroEvaluator(dialect="snowflake")
    evaluator.locals[constants.SQLMESH_VARS] = {"reporting_timezone": zone}
    sql = reporting_hour(evaluator, exp.column("t")).sql("duckdb")
    chance = random.Random(zone)
    times = [datetime(1900, 1, 2) + timedelta(seconds=chance.uniform(0, 210 * 365 * 86_400)) for _ in range(2_000)]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE times (t TIMESTAMP)")
        connection.executemany("INSERT INTO times VALUES (?)", [[time] for time in times])
        rows = connection.execute(f"SELECT t, {sql} FROM times").fetchall()
    assert [(time, hour) for time, hour in rows if hour != local_hour(ZoneInfo(zone), time)] == []
