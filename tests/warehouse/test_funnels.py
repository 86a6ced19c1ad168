"""Funnels: the models' SQL against the oracle on small histories with events at nearly the same times; the seed."""

import io
import json
import random
import runpy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.csv
import pytest
from sqlmesh.core.audit import Audit
from sqlmesh.core.model import Model
from sqlmesh.utils.errors import ConfigError

import oracle
from oracle import funnels as oracle_funnels
from oracle.cases import SHOP, row
from simulator.server import Simulator
from support import warehouse
from support.project import REPOSITORY, Project, succeeded

START, EXPORTED = datetime(2026, 6, 8, 10), datetime(2026, 6, 9, 12)
USERS, EVENTS, TICK = 1_000, 12, timedelta(seconds=0.4)
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


FLAGGED = "ping"
EVENT_COLUMNS = {
    "project": "TEXT",
    "app": "BIGINT",
    "uuid": "TEXT",
    "export_hour": "TIMESTAMP",
    "amplitude_id": "BIGINT",
    "event_time": "TIMESTAMP",
    "event_date": "DATE",
    "event_type": "TEXT",
    "platform": "TEXT",
    "country": "TEXT",
    "event_properties": "JSON",
}


def fill(connection: duckdb.DuckDBPyConnection, truth: oracle.Truth, funnels: str) -> None:
    """Make the tables from which the models of funnels are computed."""
    steps = pa.csv.read_csv(
        io.BytesIO(funnels.encode()), convert_options=pa.csv.ConvertOptions(strings_can_be_null=True)
    )
    aliases = pa.Table.from_pylist([alias._asdict() for alias in truth.user_aliases])
    events = pa.Table.from_pylist(
        [
            {name: getattr(event, name, event.data.get(name)) for name in EVENT_COLUMNS}
            | {"event_properties": json.dumps(event.data["event_properties"])}
            for event in truth.events
        ]
    )
    for name, table in {"steps": steps, "aliases": aliases, "events": events}.items():
        connection.register(name, table)
    types = ", ".join(f"{name}::{type_} AS {name}" for name, type_ in EVENT_COLUMNS.items())
    connection.execute(
        f"""
        CREATE SCHEMA bronze;
        CREATE SCHEMA silver;
        CREATE TABLE silver.funnel_steps AS SELECT * FROM steps;
        CREATE TABLE silver.user_aliases AS SELECT *, FALSE AS is_identified FROM aliases;
        CREATE TABLE silver.events AS SELECT {types} FROM events;
        CREATE TABLE bronze.events_list AS
        SELECT
            '{SHOP}' AS _project, '{FLAGGED}' AS value, TIMESTAMP '{EXPORTED}' AS _effective_hour,
            TRUE AS non_active, FALSE AS deleted;
        CREATE TABLE silver.apps AS
        SELECT DISTINCT
            project, app, DATE '1970-01-01' AS first_date, DATE '{truth.frontiers[SHOP, 1]}' AS frontier_date
        FROM silver.events
        """
    )


def test_small_histories_have_the_paths_of_the_oracle(project: Project) -> None:
    chance, charts = random.Random(1), oracle.Charts(funnels=FUNNELS)
    rows = [row for user in range(USERS) for row in history(chance, user)]
    truth = oracle.compute(rows, {SHOP: {FLAGGED}}, charts.timezone)
    expected = oracle_funnels.tables(truth, charts)
    with warehouse.opened(project) as context, duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS AMPLITUDE; USE AMPLITUDE")
        fill(connection, truth, charts.funnels)
        for name in ("silver.event_properties", "silver.funnel_events", "silver.funnel_paths"):
            query = context.get_model(name, raise_if_missing=True).render_query_or_raise(
                start=context.config.variables["first_hour"], end=EXPORTED + timedelta(hours=1), execution_time=EXPORTED
            )
            connection.execute(f"CREATE TABLE {name} AS {query.sql('duckdb')}")
        for name in ("silver.funnel_events", "silver.funnel_paths"):
            got = connection.execute(f"SELECT * FROM {name}").fetchall()
            assert len(got) > USERS
            warehouse.assert_same_rows(name, got, expected[name][1])


UNSEEN = """\
unseen,1,Product Viewd,,this,1
unseen,2,Product Viewed,categry=Lamps,this,1
unseen,3,Product Viewed,plan=pro,this,1
unseen,4,Product Viewed,country=Spain,this,1
unseen,5,Product Viewed,category=Lamsp,this,1
"""
UNSEEN_CAUSES = (
    "no event 'Product Viewd' has come so far; do you mean 'Product Viewed'?",
    "no 'Product Viewed' has had the property 'categry' so far; do you mean 'category'?",
    "'plan' is a user property; a step filters event properties.",
    "'country' is a user property; a step filters event properties.",
    "no 'Product Viewed' with category=Lamsp has come so far.",
)


@pytest.mark.slow
def test_an_edited_seed_rebuilds_what_is_counted_from_it(project: Project, simulator: Simulator) -> None:
    project.set_clock(simulator.product.end + timedelta(days=1), simulator)
    succeeded(project.load_here())
    warehouse.plan(project)
    charts = oracle.Charts(funnels=oracle.FUNNELS.replace(",this,168", ",exact,0.5") + UNSEEN)
    warehouse.set_charts(project, charts)
    with mock.patch.object(warehouse.FailingConsole, "log_warning") as warn:
        warehouse.plan(project)
    assert [call.args[0] for call in warn.call_args_list] == [
        f"sqlmesh/seeds/funnels.csv, funnel 'unseen', step {step}: {cause}"
        for step, cause in enumerate(UNSEEN_CAUSES, 1)
    ]
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


HEADER = "funnel,step,event_type,property_filter,step_order,window_hours\n"
REFUSED = {
    "f,1,A,,this,1\nf,3,B,,this,1\n": "line 3: funnel 'f' has step 3, but no step 2.",
    "f,2,A,,this,1\nf,3,B,,this,1\n": "line 2: funnel 'f' has step 2, but no step 1.",
    "f,1,A,,this,1\nf,1,B,,this,1\n": "line 3: step 1 of funnel 'f' is also in line 2.",
    "f,0,A,,this,1\nf,1,B,,this,1\n": "line 2: step is '0', not a whole number from 1 on.",
    "f,1.5,A,,this,1\n": "line 2: step is '1.5', not a whole number from 1 on.",
    "f,1,A,,this,1\n": "line 2: funnel 'f' has one step; a funnel needs two or more.",
    "f,1,A,,this,1\nf,2,B,,exact,1\n": "line 3: step_order of funnel 'f' is exact, but this in line 2; steps share it.",
    "f,1,A,,this,1\nf,2,B,,this,2\n": "line 3: window_hours of funnel 'f' is 2.0, but 1.0 in line 2; steps share it.",
    "f,1,A,,exatc,1\n": "line 2: step_order is 'exatc', not one of this, exact, any; do you mean exact?",
    "f,1,A,,this,0\n": "line 2: window_hours is '0', not a number from 0.0003 (a second) to 8784 (366 days).",
    "f,1,A,,this,1d\n": "line 2: window_hours is '1d', not a number from 0.0003 (a second) to 8784 (366 days).",
    "f,1,A,price>50,this,1\n": "line 2: property_filter 'price>50' compares by '>'; only = works: price=50.",
    "f,1,A,price>=50,this,1\n": "line 2: property_filter 'price>=50' compares by '>='; only = works: price=50.",
    "f,1,A,kind!=a,this,1\n": "line 2: property_filter 'kind!=a' compares by '!='; only = works: kind=a.",
    "f,1,A,kind==a,this,1\n": "line 2: property_filter 'kind==a' compares by '=='; only = works: kind=a.",
    "f,1,A,kind = a,this,1\n": "line 2: property_filter 'kind = a' has a blank beside the =; write kind=a.",
    "f,1,A,Lamps,this,1\n": "line 2: property_filter 'Lamps' is not property=value.",
    "f,1,A,gp:plan=pro,this,1\n": (
        "line 2: property_filter 'gp:plan=pro' names a user property (gp:); a step filters event properties."
    ),
    "f,1,_active,,this,1\n": "line 2: '_active' is not the type of an exported event; a step names one event type.",
    "f,1,,,this,1\n": "line 2: event_type is empty.",
    "f,1, A,,this,1\n": "line 2: event_type ' A' begins or ends with a blank.",
    ",,,,,\n": "line 2: funnel is empty.",
    "f,1,A,B,,this,1\n": "line 2: 7 values stand for 6 columns; put a value with a comma in double quotes.",
    'f,1,"A,,this,1\n': "line 2: the quotes do not match (unexpected end of data).",
    "f,1,A,,any,1\nf,2,A,,any,1\n": (
        "line 3: 'A' is also step 1 (line 2); in any order two steps of one event type need filters of one property by "
        "different values."
    ),
}
CHECK = runpy.run_path(str(REPOSITORY / "sqlmesh/seeds/funnels.py"))["check"]


def fault(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        CHECK(path)
    return str(raised.value)


@pytest.mark.parametrize("rows", REFUSED)
def test_a_fault_in_the_seed_is_one_sentence_with_its_line(tmp_path: Path, rows: str) -> None:
    sentence = fault(tmp_path / "funnels.csv", (HEADER + rows).encode())
    assert sentence == f"sqlmesh/seeds/funnels.csv, {REFUSED[rows]}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "line 1: the file is empty; its first line is funnel,step,event_type,"),
        (
            HEADER.replace("event_type", "event_typ").encode(),
            "line 1: there is no column 'event_typ'; do you mean event_t",
        ),
        (HEADER.replace(",step_order", "").encode(), "line 1: the header needs the column step_order once"),
        (b"\xef\xbb\xbf" + HEADER.encode(), "line 1: the file begins with a byte order mark; save it as UTF-8 without"),
        (HEADER.encode() + "f,1,Käufe,,this,1\n".encode("latin-1"), "line 2: the text is not UTF-8"),
    ],
)
def test_a_fault_of_the_seed_as_a_file_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    assert fault(tmp_path / "funnels.csv", content).startswith(f"sqlmesh/seeds/funnels.csv, {sentence}")


def test_a_seed_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^sqlmesh/seeds/funnels.csv cannot be read \(No such file or directory\)\.$"
    ):
        CHECK(tmp_path / "funnels.csv")


def test_a_seed_with_quotes_unicode_and_windows_lines_is_right(tmp_path: Path) -> None:
    rows = 'f,1,"Käufe, ""neu""",a=x=y>1,this,0.5\r\n\r\nf,2,NA,,this,.5\r\n'
    path = tmp_path / "funnels.csv"
    path.write_bytes((HEADER.strip() + "\r\n" + rows).encode())
    CHECK(path)


def test_sqlmesh_reads_no_model_before_the_seed_is_right(project: Project) -> None:
    (project.root / "sqlmesh/seeds/funnels.csv").write_text(HEADER + "f,1,A,price>50,this,1\n")
    with pytest.raises(ConfigError, match="line 2: property_filter 'price>50'"), warehouse.opened(project):
        pass
