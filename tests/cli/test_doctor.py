"""The doctor: of each broken set-up it names the cause, and goes on to ask all else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import duckdb
import pytest

from amplitude_source.bronze import disk, duckdb_file
from amplitude_source.lock import LOCK_FILE, locked
from amplitude_source.transform.state_database import LOCK
from simulator.faults import EVENTS_LIST, Fault, FaultPlan, Reply
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.assertions import take_all_hours
from support.exported import URL
from support.gcs import GcsServer, refusal
from support.loads import BUSY_HOUR, END, START
from support.members import hour_text
from support.postgres import Postgres
from support.project import REPOSITORY, Project, Result
from support.s3 import Asked, Refusal, S3Server

PREFIX = "SOURCES__AMPLITUDE__"
HOUR = timedelta(hours=1)
TRIAL = ("settings", "warn")  # the tests' clock stands still, and the doctor says so
OF_BRONZE = ("hours", "newest loaded", "rejected rows", "archive", "newest built", "proven days", "REST APIs")
UNREAD = (*OF_BRONZE, "newest run")


@dataclass
class World:
    """A set-up that is well, and what a test needs to break it."""

    project: Project
    simulator: Simulator
    s3: S3Server
    gcs: GcsServer
    monkeypatch: pytest.MonkeyPatch
    stack: ExitStack

    @property
    def env(self) -> dict[str, str]:
        return self.project.env

    def execute(self, sql: str, *parameters: object) -> None:
        with duckdb.connect(str(self.project.database)) as connection:
            connection.execute(sql, [*parameters])

    def write(self, name: str, text: str | bytes) -> None:
        path = self.project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def on_s3(self) -> None:
        """A lake on S3, and nothing loaded yet."""
        shutil.rmtree(self.project.root / "data")
        self.env.update(self.s3.env(self.s3.new_bucket()))


@pytest.fixture
def world(
    loaded: Project, simulator: Simulator, s3: S3Server, gcs: GcsServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A project that has loaded all hours and, as far as the doctor can see, built them."""
    simulator.clock = simulator.now
    shutil.copy(REPOSITORY / "requirements.lock", loaded.root)
    take_all_hours(loaded)
    with ExitStack() as stack:
        world = World(loaded, simulator, s3, gcs, monkeypatch, stack)
        world.execute("CREATE SCHEMA sqlmesh")
        world.execute("CREATE TABLE sqlmesh._versions (schema_version INT, sqlglot_version TEXT, sqlmesh_version TEXT)")
        world.execute("INSERT INTO sqlmesh._versions VALUES (1, ?, ?)", version("sqlglot"), version("sqlmesh"))
        yield world


def findings(result: Result) -> list[dict[str, Any]]:
    assert "Traceback" not in result.stderr, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return found


def files_of(project: Project) -> dict[str, bytes]:
    paths = [path for path in (project.root / "data").rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}


# --- what breaks a set-up


def set_to(**env: str) -> Callable[[World], None]:
    """Set variables of the environment; an empty value is none."""
    return lambda world: world.env.update({name.replace("AMP_", PREFIX): value for name, value in env.items()})


def refused_by_s3(call: str) -> Callable[[World], None]:
    def refuse(world: World) -> None:
        world.on_s3()

        def fault(asked: Asked, _body: bytes) -> Refusal | None:
            return Refusal(403, "AccessDenied") if asked.call == call else None

        world.s3.fault = fault

    return refuse


def file(name: str, text: str | bytes) -> Callable[[World], None]:
    return lambda world: world.write(name, text)


def sql(*statements: str) -> Callable[[World], None]:
    def run(world: World) -> None:
        for statement in statements:
            world.execute(statement)

    return run


def wrong_clock(ahead: timedelta) -> Callable[[World], None]:
    def turn(world: World) -> None:
        world.simulator.clock = world.simulator.now - ahead

    return turn


def another_load(world: World) -> None:
    world.stack.enter_context(locked(world.project.work, datetime(2026, 6, 4, 11, 59), "amplitude.py --gaps"))


def killed_load(world: World) -> None:
    folder = world.project.work / "pipelines/amplitude_duckdb/load/normalized/1795688335.7"
    folder.mkdir(parents=True)
    (world.project.work / LOCK_FILE).write_text("process 1 on another, since 2020-01-01 00:00 UTC: long dead")


def held_database(world: World) -> None:
    world.monkeypatch.setattr(duckdb_file, "PATIENCE_SECONDS", 0)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    process = world.stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", hold, str(world.project.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    )
    assert process.stdout
    process.stdout.readline()


def five_days_later(world: World) -> None:
    world.project.set_clock(world.simulator.now + 5 * 24 * HOUR, world.simulator)
    world.simulator.clock = world.simulator.now


def missing_bucket(world: World) -> None:
    world.on_s3()
    world.env[f"{PREFIX}LAKE__BUCKET_URL"] = "s3://no-such-lake"


def file_in_the_way(world: World) -> None:
    world.write("data/work-file", "")
    world.env[f"{PREFIX}WORK_DIR"] = "data/work-file/work"


def export_on_gcs_without_a_right(world: World) -> None:
    world.gcs.buckets["company"] = {"100/100_2026-06-01_0#1.json.gz": b""}
    world.env.update(world.gcs.env(world.project.root / "google"))
    world.env.update({URL: "gs://company", "NO_GCE_CHECK": "true"})
    world.gcs.fault = lambda asked: refusal(403, "Access denied.") if asked.key else None


def full_disk(world: World) -> None:
    world.monkeypatch.setattr(disk, "FULL_BYTES", 1 << 62)


def damaged_archive(world: World) -> None:
    for manifest in world.project.lake.rglob("hours/**/*.json"):
        manifest.write_text("{")


def without_keys(world: World) -> None:
    del world.env[f"{PREFIX}API_KEY"]


def second_project(world: World) -> None:
    """Two projects, of which one has no keys; the hours are those of a project that is none of them."""
    for name in ("API_KEY", "SECRET_KEY"):
        world.env[f"{PREFIX}PROJECTS__DEFAULT__{name}"] = world.env.pop(f"{PREFIX}{name}")
    world.env[f"{PREFIX}PROJECTS__IOS__START_HOUR"] = hour_text(END)


def second_project_without_sense(world: World) -> None:
    second_project(world)
    world.env[f"{PREFIX}PROJECTS__IOS__REGION"] = "mars"


def throttled(world: World) -> None:
    world.simulator.faults = FaultPlan(Fault(Reply(429), path=EVENTS_LIST))


def other_lock(world: World) -> None:
    world.write("requirements.lock", f"dlt==0.0.1 \\\n    --hash=sha256:0\nduckdb=={version('duckdb')}\n")


PROVEN_DAYS = """
    CREATE TABLE gold.proven_days AS SELECT 'default' AS project, DATE '2026-06-02' AS event_date,
        'differs' AS verdict, 'late rows' AS likely_cause, 7 AS ours, 9 AS theirs, NULL::INT AS zone_offset_minutes,
        TIMESTAMP '2026-06-04' AS asked_at, TIMESTAMP '2026-06-02' AS day_starts_at,
        TIMESTAMP '2026-06-03' AS day_ends_at
"""


@dataclass(frozen=True)
class Broken:
    """What is done to a set-up, and the findings that come of it."""

    by: Callable[[World], None]
    check: str
    words: tuple[str, ...]
    """Of the text that names the cause and the mend."""
    verdict: str = "fail"
    others: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    """Other findings that are not ok, because of the same cause."""


def skipped(*checks: str) -> frozenset[tuple[str, str]]:
    return frozenset((check, "skip") for check in checks)


NOTHING_LOADED = skipped(*UNREAD) | {("bronze", "warn"), ("SQLMesh's state", "warn")}
NO_PROJECT = skipped("keys", "Amplitude", "clock", "lake", "disk", "work folder", "bronze")

BROKEN = {
    "a misspelt setting": Broken(set_to(AMP_SETTEL_HOURS="3"), "settings", ("SETTLE_HOURS?", "is not a setting")),
    "a file of settings in another encoding": Broken(
        file(".env", b"A=\xff\xfe"), "settings", (".env is not text in UTF-8",), others=NO_PROJECT
    ),
    "a value of another type": Broken(
        set_to(AMP_SETTLE_HOURS="six"), "settings", ("SETTLE_HOURS: 'six' is not",), others=NO_PROJECT
    ),
    "a first hour in the future": Broken(
        set_to(AMP_START_HOUR="2027-01-01T00"),
        "settings",
        ("START_HOUR: 2027-01-01T00 lies in the",),
        others=NO_PROJECT,
    ),
    "a privacy rule that cannot be followed": Broken(
        set_to(AMP_PRIVACY__DROP='["uuid"]'), "settings", ("PRIVACY__DROP", "uuid"), others=NO_PROJECT
    ),
    "two switches that contradict": Broken(
        set_to(AMPLITUDE_DESTINATION="duckdb", SQLMESH_GATEWAY="snowflake"),
        "destination",
        ("choose different warehouses", "leave out SQLMESH_GATEWAY"),
        others=skipped("work folder", "bronze"),
    ),
    "a time zone that is none": Broken(
        lambda world: world.write(
            "sqlmesh/config.yaml",
            (REPOSITORY / "sqlmesh/config.yaml").read_text().replace("timezone: UTC", "timezone: Europe/Berln"),
        ),
        "models",
        ("sqlmesh/config.yaml, line", "did you mean Europe/Berlin"),
    ),
    "a chart with a misspelt type": Broken(
        file("sqlmesh/charts/buys.yaml", "type: funel\n"), "models", ("sqlmesh/charts/buys.yaml, line 1", "funnel")
    ),
    "packages that are not the lock's": Broken(
        other_lock, "versions", ("dlt", "not 0.0.1", "make .venv/installed"), verdict="warn"
    ),
    "no keys": Broken(without_keys, "keys", ("set SOURCES__AMPLITUDE__API_KEY",), others=skipped("Amplitude", "clock")),
    "wrong keys": Broken(set_to(AMP_SECRET_KEY="wrong"), "Amplitude", ("refuses the keys (HTTP 403", "REGION")),
    "an address with a path": Broken(
        lambda world: world.env.update({f"{PREFIX}BASE_URL": f"{world.simulator.base_url}/api"}),
        "Amplitude",
        ("There is no API of Amplitude at", "write the host alone"),
    ),
    "no network": Broken(
        set_to(AMP_BASE_URL="http://127.0.0.1:9"),
        "Amplitude",
        ("127.0.0.1:9 cannot be reached: it refuses the connection", "BASE_URL"),
        others=skipped("clock"),
    ),
    "Amplitude that is busy": Broken(throttled, "Amplitude", ("answered HTTP 429",), verdict="warn"),
    "a clock that is ahead": Broken(wrong_clock(3 * HOUR), "clock", ("is ahead of that of", "loads are refused")),
    "a clock that is behind": Broken(
        wrong_clock(-timedelta(minutes=10)), "clock", ("is behind that of", "AWS and Snowflake"), verdict="warn"
    ),
    "no folder of Amplitude's export": Broken(
        set_to(AMP_EXPORT_BUCKET_URL="data/exportt"), "export bucket", ("has no files", URL)
    ),
    "no right to read Amplitude's export on GCS": Broken(
        export_on_gcs_without_a_right,
        "export bucket",
        ("Google refuses storage.objects.get on gs://company/100", "Storage Object Viewer"),
    ),
    "no bucket": Broken(
        missing_bucket,
        "lake",
        ("There is no bucket no-such-lake", "infra/aws/template.yaml"),
        others=NOTHING_LOADED,
    ),
    "no right to list the bucket": Broken(
        refused_by_s3("ListObjectsV2"), "lake", ("AWS refuses s3:ListBucket",), others=NOTHING_LOADED
    ),
    "no right to write into the bucket": Broken(
        refused_by_s3("PutObject"), "lake", ("AWS refuses s3:PutObject", "grant it"), others=NOTHING_LOADED
    ),
    "no right to read from the bucket": Broken(
        refused_by_s3("GetObject"), "lake", ("AWS refuses s3:GetObject", "grant it"), others=NOTHING_LOADED
    ),
    "no right to remove from the bucket": Broken(
        refused_by_s3("DeleteObject"), "lake", ("AWS refuses s3:DeleteObject", "grant it"), others=NOTHING_LOADED
    ),
    "a file where the work folder is to be": Broken(
        file_in_the_way,
        "disk",
        ("data/work-file cannot be used (Not a directory)", "WORK_DIR"),
        others=frozenset({("work folder", "fail")}),
    ),
    "a full disk": Broken(full_disk, "disk", ("No space left on device", "make room on its disk")),
    "another load": Broken(
        another_load, "work folder", ("since 2026-06-04 11:59 UTC: amplitude.py --gaps",), verdict="warn"
    ),
    "a load that was killed": Broken(
        killed_load, "work folder", ("was interrupted", "1795688335.7", "amplitude.py"), verdict="warn"
    ),
    "a warehouse that is no database": Broken(
        file("data/amplitude.duckdb", b"no database" * 1000),
        "bronze",
        ("DuckDB cannot open", "DESTINATION__DUCKDB__CREDENTIALS"),
        others=skipped(*UNREAD) | {("SQLMesh's state", "fail")},
    ),
    "a warehouse that a notebook holds": Broken(
        held_database,
        "bronze",
        ("is in use by process", "Close the file there"),
        others=skipped(*UNREAD) | {("SQLMesh's state", "fail")},
    ),
    "missing hours": Broken(
        sql(
            f"DELETE FROM bronze.export_hours WHERE export_hour = '{BUSY_HOUR}'",
            f"DELETE FROM gold.export_hours_taken WHERE export_hour = '{BUSY_HOUR}'",
        ),
        "hours",
        ("1 missing hours hold silver back", f"--start {hour_text(BUSY_HOUR)}"),
    ),
    "no load for days": Broken(
        five_days_later,
        "newest loaded",
        ("hours old (more than FRESHNESS_HOURS=12)", "amplitude.py"),
    ),
    "too many rejected rows": Broken(
        sql(f"UPDATE bronze.export_hours SET rejected_rows = 10000 WHERE export_hour = '{BUSY_HOUR}'"),
        "rejected rows",
        ("have more than 10% of their rows in bronze.rejected_rows",),
    ),
    "a damaged archive": Broken(damaged_archive, "archive", ("damaged", "archive verify")),
    "files that retention should have removed": Broken(
        set_to(**{f"{PREFIX}LAKE__RETENTION_DAYS": "1"}),
        "archive",
        ("RETENTION_DAYS=1", "archive prune"),
        verdict="warn",
    ),
    "silver that was never built": Broken(
        sql("DROP TABLE gold.export_hours_taken"), "newest built", ("are not built yet", "sqlmesh plan"), verdict="warn"
    ),
    "silver that stays behind": Broken(
        sql(f"DELETE FROM gold.export_hours_taken WHERE export_hour >= '{START + 24 * HOUR}'"),
        "newest built",
        ("hours wait in bronze", "sqlmesh run"),
    ),
    "an hour that changed after it was built": Broken(
        sql(f"UPDATE gold.export_hours_taken SET revision = 0 WHERE export_hour = '{BUSY_HOUR}'"),
        "newest built",
        ("changed after silver took them in", "--restate-model silver.events"),
        verdict="warn",
    ),
    "a day that is not proven": Broken(
        sql(PROVEN_DAYS),
        "proven days",
        ("2026-06-02 has 7 events here and 9 in Amplitude", "late rows"),
        verdict="warn",
    ),
    "a state of an older SQLMesh": Broken(
        sql("UPDATE sqlmesh._versions SET sqlmesh_version = '0.1.0'"), "SQLMesh's state", ("0.1.0", "sqlmesh migrate")
    ),
    "a state of a newer SQLMesh": Broken(
        sql("UPDATE sqlmesh._versions SET sqlmesh_version = '9.0.0'"), "SQLMesh's state", ("9.0.0", "make .venv/inst")
    ),
    "no PostgreSQL for the state": Broken(
        set_to(SQLMESH_STATE_HOST="127.0.0.1", SQLMESH_STATE_PORT="9", SQLMESH_STATE_PASSWORD="secret-of-state"),
        "SQLMesh's state",
        ("PostgreSQL on 127.0.0.1:9", "cannot be reached", "SQLMESH_STATE_HOST"),
    ),
    "one project of two whose settings mean nothing": Broken(
        second_project_without_sense,
        "settings",
        ("PROJECTS__IOS__REGION: write us or eu, not 'mars'",),
        others=skipped("keys", "Amplitude", "clock"),
    ),
    "one project of two without keys": Broken(
        second_project,
        "keys",
        ("PROJECTS__IOS__API_KEY",),
        others=skipped("Amplitude", "clock") | {("newest loaded", "warn")},
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=[*BROKEN])
def test_the_cause_is_named_and_all_else_is_asked(world: World, broken: Broken) -> None:
    broken.by(world)
    result = world.project.load_here("doctor", "--json")
    found = findings(result)
    texts = [each["text"] for each in found if (each["check"], each["verdict"]) == (broken.check, broken.verdict)]
    assert any(all(word in text for word in broken.words) for text in texts), found
    unwell = {(each["check"], each["verdict"]) for each in found if each["verdict"] != "ok"}
    assert unwell - {TRIAL} == {(broken.check, broken.verdict)} | broken.others - {TRIAL}
    assert result.returncode == any(each["verdict"] == "fail" for each in found)
    assert not [key for key in (*DEMO_CREDENTIALS, "secret-of-state") if key in result.stdout + result.stderr]


def test_a_set_up_that_is_well_is_ok_and_stays_as_it_was(world: World) -> None:
    before = files_of(world.project)
    result = world.project.load_here("doctor", COLUMNS="60")
    assert (result.returncode, result.stderr) == (0, "")
    assert files_of(world.project) == before
    *lines, last = result.stdout.splitlines()
    verdicts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert (verdicts.count("ok"), [each for each in verdicts if each != "ok"]) == (len(verdicts) - 1, ["warn"])
    assert last == f"{len(verdicts) - 1} ok, 1 warn"
    wide = [line for line in lines if len(line) > 60 and len(line.split()) > 2]
    assert wide == [], "lines are cut between words"
    assert "\x1b" not in result.stdout


def test_on_s3_the_probe_is_gone_and_nothing_else_is_written(world: World) -> None:
    world.on_s3()
    bucket = world.env[f"{PREFIX}LAKE__BUCKET_URL"].split("/")[2]
    found = findings(world.project.load_here("doctor", "--json"))
    assert [each["verdict"] for each in found if each["check"] == "lake"] == ["ok"]
    assert world.s3.files(bucket) == {}
    written = [asked.key for asked in world.s3.asked if asked.call == "PutObject"]
    assert [key.startswith("amplitude/raw/project=default/app=") for key in written] == [True]
    assert not (world.project.root / "data").exists()


def test_a_state_in_postgresql_is_read_and_the_command_at_work_is_named(world: World, postgres: Postgres) -> None:
    database = f"doctor_{os.getpid()}"
    postgres.execute("postgres", f"CREATE DATABASE {database}")
    world.env.update(postgres.settings(database))

    def of_state() -> list[tuple[str, str]]:
        result = world.project.load_here("doctor", "--json")
        assert postgres.password not in result.stdout + result.stderr
        return [(each["verdict"], each["text"]) for each in findings(result) if each["check"] == "SQLMesh's state"]

    assert [verdict for verdict, _ in of_state()] == ["warn"], "nothing is planned yet"
    versions = f"SELECT '{version('sqlmesh')}' AS sqlmesh_version, '{version('sqlglot')}' AS sqlglot_version"
    postgres.execute(database, f"CREATE SCHEMA sqlmesh; CREATE TABLE sqlmesh._versions AS {versions}")
    with closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SET application_name = 'sqlmesh run, process 7 on host'")
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        (busy, at_work), (fine, _) = of_state()
    assert (busy, fine) == ("warn", "ok")
    assert at_work.startswith("sqlmesh run, process 7 on host has been at work since ")
    assert [verdict for verdict, _ in of_state()] == ["ok"]
