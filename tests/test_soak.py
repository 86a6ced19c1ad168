"""Random faults and kills, then plain re-runs until nothing is new: bronze must hold the truth, each exported row once.

AMPLITUDE_SOAK_PLANS says how many plans to draw. A plan that fails is printed, and drawn again from its seed:
`AMPLITUDE_SOAK_PLANS=200 pytest tests/test_soak.py -k 'seed-117'`.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

import amplitude_source
from amplitude_source import download, lines
from amplitude_source.settings import HOUR, hours_between
from conftest import Project, assert_bronze_holds, make_project, sentence
from simulator.archive import AVAILABLE_AFTER, Archive, Member
from simulator.faults import EVENTS_LIST, Fault, FaultPlan, FewerLines, LatePartition, NoAnswer, Reply, random_plan
from simulator.product import Product
from simulator.server import Simulator

PLANS = int(os.environ.get("AMPLITUDE_SOAK_PLANS", "40"))
PRODUCT = Product(days=2, events_per_day=80)
BAD_LINES = (b'{"uuid": "cut sho', b"[]")
ROWS_OF_A_SMALL_LOAD, BYTES_OF_A_SMALL_BLOCK = 30, 10_000
START_SECONDS = 60  # in which a process has asked its first question, on however busy a machine

# The command as a process that does not wait between its attempts.
RUN_WITHOUT_WAITS = f"""
import runpy, sys
sys.path.insert(0, "pipelines")
import amplitude_source
from amplitude_source import download, lines
download.FIRST_WAIT_SECONDS = 0
if sys.argv.pop():
    amplitude_source.ROWS_PER_LOAD, lines.BLOCK_BYTES = {ROWS_OF_A_SMALL_LOAD}, {BYTES_OF_A_SMALL_BLOCK}
runpy.run_path("pipelines/amplitude.py", run_name="__main__")
"""


def with_bad_lines(member: Member) -> Member:
    """The same member with a line at its start and one at its end that cannot be read."""
    first, last = BAD_LINES
    return replace(member, data=gzip.compress(b"%b\n%b%b\n" % (first, gzip.decompress(member.data), last), mtime=0))


MEMBERS = [with_bad_lines(m) if number % 4 == 0 else m for number, m in enumerate(PRODUCT.members())]
ARCHIVE = Archive(MEMBERS)
WITH_DATA = {member.hour for member in MEMBERS}
# At the end the newest four hours have data: otherwise one of them would stay pending, and always be asked for again.
LAST = max(hour for hour in WITH_DATA if {*hours_between(hour - 3 * HOUR, hour)} <= WITH_DATA)
HOURS = hours_between(PRODUCT.start, LAST)
BUSY_HOURS = sorted(WITH_DATA & {*HOURS})  # a fault of an hour finds something to change there
TRUTH = [member for member in MEMBERS if member.hour <= LAST]


@dataclass(frozen=True)
class Ordeal:
    """What a checkout has to go through; drawn from a seed."""

    faults: FaultPlan
    clocks: list[datetime]
    """The present, moved on after a run or more."""
    kills: list[tuple[datetime, float]]
    """At which of these times a run is killed, so many seconds after its first request."""
    small_loads: bool
    most_runs: int

    @classmethod
    def draw(cls, seed: int) -> "Ordeal":
        rng = Random(seed)
        # An hour with data is final: what the pipeline takes of it at first sight it keeps.
        faults = [
            f for f in random_plan(rng, BUSY_HOURS).faults if not isinstance(f.effect, LatePartition | FewerLines)
        ]
        if rng.random() < 0.3:
            faults.append(Fault(rng.choice((Reply(503), Reply(401), NoAnswer())), times=1, path=EVENTS_LIST))
        now = LAST + AVAILABLE_AFTER
        early = {fault.until - HOUR for fault in faults if fault.until} or {rng.choice((now, rng.choice(HOURS[6:])))}
        clocks = [*sorted(time for time in early if time < now), now]
        kills = [
            (rng.choice(clocks), round(rng.uniform(0, 1.5), 2)) for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 1, 2)))
        ]
        strikes = sum(fault.times or 0 for fault in faults)
        return cls(FaultPlan(*faults), clocks, kills, rng.random() < 0.25, most_runs=strikes + 3)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_WAIT_SECONDS", 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PLANS), ids=lambda seed: f"seed-{seed}")
def test_after_any_faults_and_kills_plain_runs_bring_the_truth(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordeal = Ordeal.draw(seed)
    print(f"seed {seed}: {ordeal}")
    if ordeal.small_loads:
        monkeypatch.setattr(amplitude_source, "ROWS_PER_LOAD", ROWS_OF_A_SMALL_LOAD)
        monkeypatch.setattr(lines, "BLOCK_BYTES", BYTES_OF_A_SMALL_BLOCK)
    with Simulator(PRODUCT) as simulator:
        simulator.archive, simulator.faults = ARCHIVE, ordeal.faults
        project = make_project(tmp_path, simulator)
        project.env["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0"
        undergo(ordeal, project, simulator)
    assert_bronze_holds(project, TRUTH, LAST)
    assert marked_empty(project) == {*HOURS} - WITH_DATA


def undergo(ordeal: Ordeal, project: Project, simulator: Simulator) -> None:
    """Runs the command at each time, and at the last one until nothing is new."""
    for now in ordeal.clocks:
        project.set_clock(now, simulator)
        for seconds in (seconds for time_, seconds in ordeal.kills if time_ == now):
            run_and_kill(project, simulator, seconds, small_loads=ordeal.small_loads)
            assert_only_whole_hours_count(project)
        is_through = run(project)
    for _ in range(ordeal.most_runs):
        if is_through:
            return
        is_through = run(project)
    pytest.fail(f"something is still new after {ordeal.most_runs} runs")


def run(project: Project) -> bool:
    """A plain run, which succeeds or fails with one sentence; whether nothing was new."""
    result = project.load_here()
    if result.returncode:
        sentence(result)
    assert_only_whole_hours_count(project)
    return "Nothing new" in result.stdout


def run_and_kill(project: Project, simulator: Simulator, seconds: float, *, small_loads: bool) -> None:
    """A process of its own, killed so many seconds after its first request, unless it has ended before."""
    asked = len(simulator.requests)
    command = [sys.executable, "-c", RUN_WITHOUT_WAITS, "small" if small_loads else ""]
    with subprocess.Popen(
        command, cwd=project.root, env=project.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + START_SECONDS
        while len(simulator.requests) == asked and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def assert_only_whole_hours_count(project: Project) -> None:
    """At any moment: what the ledger says that counts is an hour's every line, or nothing of it."""
    if not project.database.exists() or not project.query("FROM duckdb_tables() WHERE table_name = 'export_hours'"):
        return
    counted = project.query("""
        WITH newest AS (
            SELECT hours.export_hour, MAX(hours._dlt_load_id) AS load_id
            FROM bronze.export_hours AS hours
            JOIN bronze._dlt_loads AS loads ON loads.load_id = hours._dlt_load_id AND loads.status = 0
            GROUP BY ALL
        )
        SELECT newest.export_hour, COUNT(loaded._archive_row)
        FROM newest
        JOIN (SELECT * FROM bronze.events UNION ALL BY NAME SELECT * FROM bronze.rejected_rows) AS loaded
            ON loaded._export_hour = newest.export_hour AND loaded._dlt_load_id = newest.load_id
        GROUP BY ALL
    """)
    assert {hour: LINES[hour] for hour, _ in counted} == dict(counted)


LINES = {
    hour: sum(len(gzip.decompress(member.data).splitlines()) for member in MEMBERS if member.hour == hour)
    for hour in WITH_DATA
}


def marked_empty(project: Project) -> set[datetime]:
    """The hours that the archive knows to be empty."""
    manifests = project.lake.glob("raw/project=default/hours/date=*/hour=*.json")
    empty = [path for path in manifests if not json.loads(path.read_text())["members"]]
    return {datetime.fromisoformat(f"{path.parent.name[5:]}T{path.stem[5:]}") for path in empty}
