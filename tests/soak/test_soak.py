"""Random faults and kills, then plain re-runs until nothing is new: bronze must hold the truth, each exported row once.

AMPLITUDE_SOAK_PLANS says how many plans to draw, AMPLITUDE_SOAK_SECONDS in what time. A plan that fails is printed, and
drawn again from its seed: `AMPLITUDE_SOAK_PLANS=200 pytest tests/soak -k 'seed-117'`. Its kills come at the same
parts of a run, as far as the machine is as busy.
"""

import gzip
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from amplitude_source.settings import HOUR, hours_between
from simulator.archive import AVAILABLE_AFTER, Archive, Member
from simulator.faults import EVENTS_LIST, Fault, FaultPlan, FewerLines, LatePartition, NoAnswer, Reply, random_plan
from simulator.product import Product
from simulator.server import Simulator
from support.assertions import assert_bronze_holds
from support.project import Project, Result, make_project, sentence, succeeded
from support.warm import WarmPython

PLANS = int(os.environ.get("AMPLITUDE_SOAK_PLANS", "50"))
SECONDS = float(os.environ.get("AMPLITUDE_SOAK_SECONDS", "200"))
PRODUCT = Product(days=2, events_per_day=80)
BAD_LINES = (b'{"uuid": "cut sho', b"[]")
LANDING_PLANS = 8  # before a change lands; each night come the others
START_SECONDS = 60  # in which a run has asked its first question, on however busy a machine
FEWEST_PLANS = 20  # of a process, however slow the machine
ENOUGH_KILLS = 10  # to judge by how many of them came in time

# Values of the code that are others here: no run waits between its attempts, and some take several loads.
NO_WAITS = {"amplitude_source.export.client.FIRST_WAIT_SECONDS": 0}
SMALL_LOADS = {"amplitude_source.source.ROWS_PER_LOAD": 60, "amplitude_source.rows.lines.BLOCK_BYTES": 10_000}

OLDER_DATABASE, EMPTIED_LAKE, LOST_WORK_FOLDER = ACCIDENTS = "older database", "emptied lake", "lost work folder"

# Twice, for a run's first question is for the list, too, and may go without an answer.
LIST_FAULTS = (
    *(Fault(effect, times=2, path=EVENTS_LIST) for effect in (Reply(503), Reply(401), NoAnswer())),
    *[Fault(Reply(401), path=EVENTS_LIST)] * 4,
    *[None] * 3,
)


def with_bad_lines(member: Member) -> Member:
    """The same member with a line at its start and one at its end that cannot be read."""
    first, last = BAD_LINES
    return replace(member, data=gzip.compress(b"%b\n%b%b\n" % (first, gzip.decompress(member.data), last), mtime=0))


MEMBERS = [with_bad_lines(m) if number % 4 == 0 else m for number, m in enumerate(PRODUCT.members())]
ARCHIVE = Archive(MEMBERS)
# The product has lines that nobody can read, so that nobody can count its events.
NO_NUMBERS = {"SOURCES__AMPLITUDE__REST_RESOURCES": '["event_types"]'}
WITH_DATA = {member.hour for member in MEMBERS}
# At the end the newest four hours have data: otherwise one of them would stay pending, and always be asked for again.
LAST = max(hour for hour in WITH_DATA if {*hours_between(hour - 3 * HOUR, hour)} <= WITH_DATA)
NOW = LAST + AVAILABLE_AFTER
HOURS = hours_between(PRODUCT.start, LAST)
BUSY_HOURS = sorted(WITH_DATA & {*HOURS})  # a fault of an hour finds something to change there
TRUTH = [member for member in MEMBERS if member.hour <= LAST]


@dataclass(frozen=True)
class Ordeal:
    """What a checkout has to go through before plain runs; drawn from a seed."""

    faults: FaultPlan
    runs: list[tuple[datetime, float | None]]
    """The present of each, and after what part of a usual run's time it is killed, if it is."""
    accident: str | None
    """What happens after them."""
    constants: Mapping[str, object]
    most_runs: int

    @classmethod
    def draw(cls, seed: int) -> "Ordeal":
        rng = Random(seed)
        # An hour with data is final: what the pipeline takes of it at first sight it keeps.
        faults = [
            f for f in random_plan(rng, BUSY_HOURS).faults if not isinstance(f.effect, LatePartition | FewerLines)
        ]
        if of_list := rng.choice(LIST_FAULTS):
            faults.append(of_list)
        times = {fault.until - HOUR for fault in faults if fault.until} or {rng.choice((*HOURS[6:], *[NOW] * 120))}
        runs = [(time, rng.choice((None, draw_kill(rng)))) for time in sorted(times) if time < NOW]
        runs += [(NOW, draw_kill(rng)) for _ in range(rng.choice((*[0] * 8, 1, 1, 2)))]
        accident = rng.choice((None, *ACCIDENTS))
        constants = NO_WAITS | (SMALL_LOADS if rng.random() < 0.15 else {})
        strikes = sum(fault.times or 0 for fault in faults)
        return cls(FaultPlan(*faults), runs, accident, constants, most_runs=strikes + 4)


def draw_kill(rng: Random) -> float:
    return rng.uniform(0, 0.85)  # then a run has done its work


class Soak:
    """What the plans of one process share."""

    def __init__(self, warm: WarmPython, folder: Path) -> None:
        self.warm = warm
        self.ends = time.monotonic() + SECONDS
        self.plans = self.kills = self.kills_in_time = 0
        self.usual_seconds = self._usual_seconds(folder)

    def _usual_seconds(self, folder: Path) -> float:
        """How long an undisturbed run takes from its first request on, on this machine, as busy as it is."""
        with Simulator(PRODUCT, NOW) as simulator:
            simulator.archive = ARCHIVE
            project = make_project(folder, simulator)
            project.env |= NO_NUMBERS
            project.env["SOURCES__AMPLITUDE__MAX_REJECTED_SHARE"] = "1"
            self.start(project, simulator, NO_WAITS)
            began = time.monotonic()
            succeeded(self.warm.end())
            return time.monotonic() - began

    def start(self, project: Project, simulator: Simulator, constants: Mapping[str, object]) -> None:
        """Begins a run in a process of its own, and waits for its first request; it may also end without one."""
        asked, deadline = len(simulator.requests), time.monotonic() + START_SECONDS
        self.warm.start(project, constants=constants)
        while len(simulator.requests) == asked and not self.warm.has_ended() and time.monotonic() < deadline:
            time.sleep(0.005)

    def kill_after(self, part: float) -> Result:
        """Kills the run that was started after that part of a usual run's time, unless it has ended before."""
        time.sleep(part * self.usual_seconds)
        result = self.warm.kill()
        self.kills += 1
        self.kills_in_time += is_killed(result)
        return result

    def stop_in_time(self) -> None:
        """Skips what is left when the time is over; fails if that came too early to have shown anything."""
        if time.monotonic() <= self.ends:
            return
        told = (
            f"{SECONDS:.0f} s are over after {self.plans} plans of this process, the others are skipped: give it two "
            "processors of its own, or another number in AMPLITUDE_SOAK_SECONDS or AMPLITUDE_SOAK_PLANS."
        )
        if self.plans < FEWEST_PLANS:
            pytest.fail(told)
        pytest.skip(told)


@pytest.fixture(scope="module")
def soak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soak]:
    with WarmPython() as warm:
        soak = Soak(warm, tmp_path_factory.mktemp("usual"))
        yield soak
    assert soak.kills < ENOUGH_KILLS or soak.kills_in_time > soak.kills / 3, (
        f"only {soak.kills_in_time} of {soak.kills} kills met a run that was still alive"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [*range(LANDING_PLANS), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(LANDING_PLANS, PLANS))],
    ids=lambda seed: f"seed-{seed}",
)
def test_after_any_faults_and_kills_plain_runs_bring_the_truth(
    tmp_path: Path,
    seed: int,
    soak: Soak,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    soak.stop_in_time()
    ordeal = Ordeal.draw(seed)
    print(f"seed {seed}: {ordeal}")
    for name, value in ordeal.constants.items():
        monkeypatch.setattr(name, value)
    with Simulator(PRODUCT) as simulator:
        simulator.archive, simulator.faults = ARCHIVE, ordeal.faults
        project = make_project(tmp_path, simulator)
        project.env |= NO_NUMBERS
        project.env["SOURCES__AMPLITUDE__MAX_REJECTED_SHARE"] = "1"
        project.env["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0"
        for number, (now, part) in enumerate(ordeal.runs):
            if number == 1:
                copy_database(project.database, tmp_path)
            project.set_clock(now, simulator)
            if part is None:
                run(project)
            else:
                soak.start(project, simulator, ordeal.constants)
                record_property("killed while", assert_survives(project, soak.kill_after(part)))
        happen(ordeal.accident, project, tmp_path)
        project.set_clock(NOW, simulator)
        run_until_nothing_is_new(project, ordeal.most_runs)
        if ordeal.accident == EMPTIED_LAKE:
            succeeded(project.load_here("archive", "verify"))
    assert_bronze_holds(project, TRUTH, LAST)
    assert marked_empty(project) == {*HOURS} - WITH_DATA
    soak.plans += 1


def happen(accident: str | None, project: Project, backup: Path) -> None:
    """An accident between two runs; the backup, if there is one, is of the database after the first run."""
    if accident == OLDER_DATABASE:
        copy_database(backup / project.database.name, project.database.parent)
    elif accident == EMPTIED_LAKE:
        shutil.rmtree(project.lake, ignore_errors=True)
    elif accident == LOST_WORK_FOLDER:
        shutil.rmtree(project.work, ignore_errors=True)


def copy_database(database: Path, folder: Path) -> None:
    """With what a killed run left beside the file, which belongs to it."""
    if not database.exists():
        return
    for path in folder.glob(f"{database.name}*"):
        path.unlink()
    for path in database.parent.glob(f"{database.name}*"):
        shutil.copy(path, folder)


def run_until_nothing_is_new(project: Project, most_runs: int) -> None:
    for _ in range(most_runs):
        if "Nothing new" in run(project).stdout:
            return
    pytest.fail(f"something is still new after {most_runs} runs")


def run(project: Project) -> Result:
    """A plain run, which succeeds or fails with one sentence."""
    result = project.load_here()
    assert_ended_well(project, result)
    return result


def assert_ended_well(project: Project, result: Result) -> None:
    if result.returncode not in (0, 7):  # 7: without the event list
        sentence(result)
    assert_only_whole_hours_count(project)


def assert_survives(project: Project, result: Result) -> str:
    """Checks what a kill left; tells what it struck."""
    if not is_killed(result):
        assert_ended_well(project, result)
        return "nothing any more"
    data = project.root / "data"
    struck = next((work for traces, work in WORK.items() if any(data.glob(traces))), "anything else")
    assert_only_whole_hours_count(project)
    return struck


def is_killed(result: Result) -> bool:
    return result.returncode == -signal.SIGKILL


# What a run is at, by what it leaves when it is killed.
WORK = {
    "lake/raw/**/*.unfinished": "archiving",
    "work/pipelines/*/load/normalized/*/started_jobs/*": "loading",
    "work/pipelines/*/load/normalized/*": "on both sides of loading",
    "work/pipelines/*/normalize/extracted/*": "normalizing",
    "work/pipelines/*/normalize/*/*": "extracting",
}


def assert_only_whole_hours_count(project: Project) -> None:
    """At any moment: what the ledger says that counts is an hour's every line, or nothing of it."""
    if not project.database.exists():
        return
    with project.opened():
        if project.query("FROM duckdb_tables() WHERE table_name = 'export_hours'"):
            counted = project.query(LINES_THAT_COUNT)
            assert {hour: LINES[hour] for hour, _ in counted} == dict(counted)


LINES_THAT_COUNT = """
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
"""
LINES = {
    hour: sum(len(gzip.decompress(member.data).splitlines()) for member in MEMBERS if member.hour == hour)
    for hour in WITH_DATA
}


def marked_empty(project: Project) -> set[datetime]:
    """The hours that the archive knows to be empty."""
    manifests = project.lake.glob("raw/project=default/hours/date=*/hour=*.json")
    empty = [path for path in manifests if not json.loads(path.read_text())["members"]]
    return {datetime.fromisoformat(f"{path.parent.name[5:]}T{path.stem[5:]}") for path in empty}
