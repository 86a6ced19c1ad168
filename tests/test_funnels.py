"""The SQL of paths against the oracle, on thousands of small histories with events at nearly the same times."""

import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from sqlmesh.core.audit import Audit
from sqlmesh.core.model import Model, SeedModel
from test_increments import FLAGGED
from test_oracle import SHOP, row

import oracle
import oracle_funnels
import warehouse
from conftest import Project, succeeded
from simulator.server import Simulator

START, EXPORTED = datetime(2026, 6, 8, 10), datetime(2026, 6, 9, 12)
USERS, EVENTS, TICK = 2_000, 12, timedelta(seconds=0.4)
FUNNELS = """\
funnel,step,event_type,property_filter,step_order,window_hours
two,1,A,,this,1
two,2,B,,this,1
repeated,1,A,,this,1
repeated,2,B,,this,1
repeated,3,A,,this,1
repeated,4,C,,this,1
filtered,1,A,,this,1
filtered,2,B,n=1,this,1
filtered,3,B,,this,1
exact,1,A,,exact,1
exact,2,B,,exact,1
exact,3,C,,exact,1
exact twice,1,A,,exact,1
exact twice,2,A,,exact,1
exact twice,3,B,,exact,1
exact thrice,1,A,,exact,1
exact thrice,2,B,,exact,1
exact thrice,3,A,,exact,1
exact thrice,4,B,,exact,1
exact inactive,1,A,,exact,0.5
exact inactive,2,ping,,exact,0.5
exact inactive,3,B,,exact,0.5
apart,1,B,,this,1
apart,2,A,n=1,this,1
apart,3,A,n=2,this,1
apart,4,A,n=1,this,1
nested,1,A,item.new=True,exact,1
nested,2,A,n=3,exact,1
nested,3,A,,exact,1
any,1,A,,any,1
any,2,B,,any,1
any,3,C,,any,1
any filtered,1,B,n=1,any,1
any filtered,2,B,n=2,any,1
any filtered,3,C,,any,1
any filtered,4,A,,any,1
"""


def history(chance: random.Random, user: int) -> list[oracle.Row]:
    """Rows around a few hours and a midnight; conversion windows are an hour."""
    bases = [timedelta(0), timedelta(hours=1), timedelta(hours=2), timedelta(hours=14)]
    times = [START + chance.choice(bases) + chance.randint(-6, 6) * TICK for _ in range(chance.randint(1, EVENTS))]
    return [
        row(
            f"{time}",
            f"{EXPORTED}",
            amplitude_id=user,
            device_id=None,
            event_type=chance.choice(["A", "A", "B", "B", "C", "X", FLAGGED]),
            event_properties={"n": chance.choice([1, 2, 3, [1, 3]]), "item": {"new": chance.random() < 0.5}},
            platform=chance.choice(["Web", "iOS", None]),
        )
        for time in times
    ]


def fill(connection: duckdb.DuckDBPyConnection, truth: oracle.Truth) -> None:
    """Make the tables that the models of funnels read, but for what is computed from these in SQL."""
    connection.execute("CREATE SCHEMA bronze; CREATE SCHEMA silver")
    connection.execute(
        "CREATE TABLE bronze.events_list (_project TEXT, value TEXT, _effective_hour TIMESTAMP, non_active BOOLEAN)"
    )
    connection.execute("INSERT INTO bronze.events_list VALUES (?, ?, ?, TRUE)", [SHOP, FLAGGED, EXPORTED])
    connection.execute(
        """
        CREATE TABLE silver.events (
            project TEXT, app BIGINT, uuid TEXT, export_hour TIMESTAMP, amplitude_id BIGINT, event_time TIMESTAMP,
            event_date DATE, event_type TEXT, platform TEXT, country TEXT, event_properties JSON
        )
        """
    )
    rows = [
        [
            *(event.project, event.app, event.uuid, event.export_hour, event.amplitude_id, event.event_time),
            *(event.event_date, event.event_type, event.data.get("platform"), None),
            json.dumps(event.data["event_properties"]),
        ]
        for event in truth.events
    ]
    names = ["project", "app", "uuid", "export_hour", "amplitude_id", "event_time"]
    names += ["event_date", "event_type", "platform", "country", "event_properties"]
    events = pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)))
    connection.register("events", events)
    connection.execute("INSERT INTO silver.events SELECT * FROM events")
    aliases = pa.Table.from_pylist([alias._asdict() for alias in truth.user_aliases])
    connection.register("aliases", aliases)
    connection.execute("CREATE TABLE silver.user_aliases AS SELECT *, FALSE AS is_identified FROM aliases")
    connection.execute(
        "CREATE TABLE silver.apps AS SELECT DISTINCT project, app, export_hour AS last_export_hour, ?::DATE AS frontier_date"
        " FROM silver.events",
        [truth.frontiers[SHOP, 1]],
    )


def test_small_histories_have_the_paths_of_the_oracle(project: Project) -> None:
    chance, charts = random.Random(1), oracle.Charts(funnels=FUNNELS)
    rows = [row for user in range(USERS) for row in history(chance, user)]
    truth = oracle.compute(rows, {SHOP: {FLAGGED}}, charts.timezone)
    warehouse.set_charts(project, charts)
    with warehouse.opened(project) as context, duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS AMPLITUDE; USE AMPLITUDE")
        fill(connection, truth)
        first = context.config.variables["first_hour"]
        for name in ("silver.event_properties", "silver.funnel_steps", "silver.funnel_events", "silver.funnel_paths"):
            model = context.get_model(name, raise_if_missing=True)
            if isinstance(model, SeedModel):
                seed = next(model.render(context=context.engine_adapter))
                connection.register("seed", seed)
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM seed")
                continue
            query = model.render_query_or_raise(start=first, end=EXPORTED + timedelta(hours=1), execution_time=EXPORTED)
            connection.execute(f"CREATE TABLE {name} AS {query.sql('duckdb')}")
        for name, (row_type, expected) in oracle_funnels.tables(truth, charts).items():
            if name == "gold.funnels":
                continue
            got = connection.execute(f"SELECT {', '.join(row_type._fields)} FROM {name}").fetchall()
            warehouse.assert_same_rows(name, got, expected)


@pytest.mark.slow
def test_an_edited_seed_rebuilds_what_is_counted_from_it(project: Project, simulator: Simulator) -> None:
    project.set_clock(simulator.product.end + timedelta(days=1), simulator)
    succeeded(project.load_here())
    warehouse.plan(project)
    charts = oracle.Charts(funnels=oracle.FUNNELS.replace(",this,168", ",exact,2"))
    warehouse.set_charts(project, charts)
    warehouse.plan(project)
    warehouse.assert_equals_oracle(project, sorted(project.lake.rglob("*.json.gz")), charts)


NO_SENSE = {
    "a step is lacking": ("1,A,,this,1 3,B,,this,1", ["numbered_without_gaps"]),
    "a step comes twice": ("1,A,,this,1 1,B,,this,1", ["numbered_without_gaps"]),
    "two orders": ("1,A,,this,1 2,B,,exact,1", ["same_in_all"]),
    "two windows": ("1,A,,this,1 2,B,,this,2", ["same_in_all"]),
    "an order that is none": ("1,A,,straight,1 2,B,,straight,1", ["accepted_values"]),
    "no window": ("1,A,,this,0 2,B,,this,0", ["forall"]),
    "a filter without a property": ("1,A,Lamps,this,1 2,B,,this,1", ["forall"]),
    "no event type": ("1,A,,this,1 2,,,this,1", ["not_null"]),
    "an event twice in any order": ("1,A,,any,1 2,A,,any,1", ["steps_in_any_order_share_no_event"]),
    "filters that may both fit": ("1,A,n=1,any,1 2,A,m=1,any,1", ["steps_in_any_order_share_no_event"]),
    "filters that may not": ("1,A,n=1,any,1 2,A,n=2,any,1", []),
    "an event twice in order": ("1,A,,exact,1 2,A,,exact,1", []),
}


def audit_query(model: Model, audit: Audit, arguments: dict[str, Any]) -> str:
    return model.render_audit_query(audit, **arguments).sql("duckdb")


def test_a_funnel_that_makes_no_sense_fails_the_audit_that_tells_why(project: Project) -> None:
    failed: dict[str, list[str]] = {}
    with warehouse.opened(project) as context, duckdb.connect() as connection:
        seed = context.get_model("silver.funnel_steps", raise_if_missing=True)
        connection.execute("ATTACH ':memory:' AS AMPLITUDE")
        connection.execute("CREATE SCHEMA AMPLITUDE.silver")
        for name, (steps, _) in NO_SENSE.items():
            rows = [f"f,{step}".split(",") for step in steps.split()]
            values = [[value or None for value in row] for row in rows]
            columns = (
                "funnel TEXT, step BIGINT, event_type TEXT, property_filter TEXT, step_order TEXT, window_hours BIGINT"
            )
            connection.execute(f"CREATE OR REPLACE TABLE AMPLITUDE.silver.funnel_steps ({columns})")
            connection.executemany("INSERT INTO AMPLITUDE.silver.funnel_steps VALUES (?, ?, ?, ?, ?, ?)", values)
            failed[name] = [
                audit.name
                for audit, arguments in seed.audits_with_args
                if connection.execute(audit_query(seed, audit, arguments)).fetchall()
            ]
    assert failed == {name: audits for name, (_, audits) in NO_SENSE.items()}
