"""The SQL of paths against the oracle, on thousands of small histories with events at nearly the same times."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlmesh.core.audit import Audit
from sqlmesh.core.model import Model
from test_increments import FLAGGED, list_flags, write

import oracle
import warehouse
from conftest import Project, export_row, hour_text, make_project, succeeded
from simulator.server import Simulator

START, EXPORTED = datetime(2026, 6, 8, 10), datetime(2026, 6, 9, 12)
USERS, EVENTS = 2_000, 9
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
any,1,A,,any,1
any,2,B,,any,1
any,3,C,,any,1
any filtered,1,B,n=1,any,1
any filtered,2,B,n=2,any,1
any filtered,3,C,,any,1
any filtered,4,A,,any,1
"""


def history(chance: random.Random, user: int) -> list[dict[str, object]]:
    """Rows around a few hours and a midnight; conversion windows are an hour."""
    bases = [timedelta(0), timedelta(hours=1), timedelta(hours=2), timedelta(hours=14)]
    return [
        export_row(
            amplitude_id=user,
            device_id=None,
            event_type=chance.choice(["A", "A", "B", "B", "C", "X", FLAGGED]),
            event_time=f"{START + chance.choice(bases) + chance.randint(-4, 4) * timedelta(seconds=0.4)}",
            event_properties={"n": chance.randint(1, 2)},
            platform=chance.choice(["Web", "iOS", None]),
        )
        for _ in range(chance.randint(1, EVENTS))
    ]


@pytest.mark.slow
def test_small_histories_have_the_paths_of_the_oracle(tmp_path: Path, simulator: Simulator) -> None:
    chance, charts = random.Random(1), oracle.Charts(funnels=FUNNELS)
    rows = [row for user in range(USERS) for row in history(chance, user)]
    members = write(tmp_path / "exports", {EXPORTED: rows})
    project = make_project(tmp_path, simulator)
    project.env["SOURCES__AMPLITUDE__START_HOUR"] = hour_text(EXPORTED)
    project.set_clock(EXPORTED + timedelta(days=1), simulator)
    warehouse.set_charts(project, charts)
    span = "--start", hour_text(EXPORTED), "--end", hour_text(EXPORTED)
    succeeded(project.load_here("--replay", str(tmp_path / "exports"), *span))
    succeeded(project.load_here("declare-empty", *span))
    list_flags(project, [(EXPORTED, True)])
    warehouse.plan(project)
    truth = oracle.compute(
        warehouse.exported_rows(members),
        {warehouse.DEFAULT: {FLAGGED}},
        charts.timezone,
        exported=warehouse.exported(project),
    )
    warehouse.assert_equals_truth(project, truth, charts)


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
