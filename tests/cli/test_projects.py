"""Several Amplitude projects in one warehouse, and hours that are compared with Amplitude's once more."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from amplitude_source.settings import HOUR, hours_between, parse_hour
from simulator.archive import Archive, Member
from simulator.faults import EXPORT, Fault, FaultPlan, Reply
from simulator.product import Product
from simulator.server import Simulator
from support.assertions import assert_no_secret_is_kept, rows_that_do_not_count, take_all_hours
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text, member_name
from support.project import Project, make_project, sentence, succeeded

pytestmark = pytest.mark.slow

START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
MEMBERS = list(SMALL_PRODUCT.members())
SECOND_DAY = START + timedelta(days=1)
NOON = SECOND_DAY + timedelta(hours=12)
PENDING = SECOND_DAY + timedelta(hours=7)  # at noon the first hour without data that is not settled
OTHER = Product(days=2, events_per_day=120, seed=7, app=200)
PREFIX = "SOURCES__AMPLITUDE__PROJECTS__"
LINES = {hour: sum(m.rows for m in MEMBERS if m.hour == hour) for hour in hours_between(START, END)}


def asked(simulator: Simulator) -> list[datetime]:
    """The hours that were asked for, in order; the log is empty then."""
    windows = [(r.query["start"], r.query["end"]) for r in simulator.requests if r.path == EXPORT]
    simulator.requests.clear()
    return [hour for first, last in windows for hour in hours_between(parse_hour(first, ""), parse_hour(last, ""))]


# --- once more after a day


@pytest.fixture
def young(project: Project, simulator: Simulator) -> Project:
    """A project that was loaded at noon of the second day."""
    project.set_clock(NOON, simulator)
    succeeded(project.load_here())
    simulator.requests.clear()
    return project


def rows_of(project: Project, hour: datetime) -> int:
    ((rows,),) = project.query("SELECT COUNT(*) FROM bronze.events WHERE _export_hour = ?", [hour])
    return int(rows)


def entry(project: Project, hour: datetime) -> tuple[str, int, datetime | None]:
    columns = "status, revision, revised_at"
    (row,) = project.query(f"SELECT {columns} FROM bronze.export_hours WHERE export_hour = ?", [hour])
    return row


def add(simulator: Simulator, hour: datetime, rows: int = 2) -> None:
    """The hour gains a partition at Amplitude."""
    data = gzip_lines(*(export_row() for _ in range(rows)))
    late = Member(member_name(hour, 9), hour, data, Counter({"click": rows}))
    simulator.archive = Archive([*MEMBERS, late])


def test_hours_that_were_young_when_loaded_are_compared_once_and_then_left_alone(
    young: Project, simulator: Simulator
) -> None:
    """At noon those from noon of the day before on were less than a day over; those from 7 o'clock on were pending."""
    young.set_clock(NOON + timedelta(days=1), simulator)
    result = succeeded(young.load_here())
    new = hours_between(PENDING, NOON + timedelta(hours=21))
    assert asked(simulator) == [*new, *hours_between(NOON - timedelta(days=1), PENDING - HOUR)]
    assert "19 hours were compared with Amplitude once more: 0 had changed" in result.stdout
    assert young.query("SELECT DISTINCT revision FROM bronze.export_hours") == [(1,)]
    young.set_clock(NOON + timedelta(days=1, hours=8), simulator)
    succeeded(young.load_here())
    again = asked(simulator)
    assert min(again) == NOON, "what was compared is not compared again"
    assert again[-8:] == hours_between(NOON, NOON + 7 * HOUR), "the hours that were a day over since"


def test_an_hour_that_changed_is_replaced_and_its_restatement_printed(young: Project, simulator: Simulator) -> None:
    hour = max((hour for hour in LINES if hour < NOON - 3 * HOUR), key=lambda hour: LINES[hour])
    young.set_clock(hour + timedelta(hours=26), simulator)
    add(simulator, hour)
    take_all_hours(young)
    result = succeeded(young.load_here())
    command = f"sqlmesh plan --restate-model silver.events --start '{hour}' --end '{hour + HOUR}'"
    assert command in result.stdout
    assert rows_of(young, hour) == LINES[hour] + 2
    assert entry(young, hour) == ("loaded", 2, hour + timedelta(hours=26))
    assert command in young.load_here("status").stdout
    stored = json.loads(young.load_here("status", "--json").stdout)["restatements"]
    assert [(each["first"], each["last"]) for each in stored] == [(str(hour), str(hour))]
    again = succeeded(young.load_here())
    assert "restate-model" not in again.stdout
    take_all_hours(young)
    assert "restate-model" not in young.load_here("status").stdout, "it is done"


def test_an_empty_hour_that_got_data_is_loaded_when_it_is_compared(young: Project, simulator: Simulator) -> None:
    hour = next(hour for hour in hours_between(NOON - timedelta(days=1), PENDING) if not LINES[hour])
    assert entry(young, hour)[0] == "empty"
    add(simulator, hour)
    young.set_clock(hour + timedelta(hours=25), simulator)
    succeeded(young.load_here())
    assert entry(young, hour) == ("loaded", 2, hour + timedelta(hours=25))
    assert rows_of(young, hour) == 2


def test_hours_that_amplitude_no_longer_has_stay_when_they_are_compared(young: Project, simulator: Simulator) -> None:
    before = young.query("SELECT COUNT(*) FROM bronze.events")
    simulator.archive = Archive([])
    young.set_clock(NOON + timedelta(days=1), simulator)
    succeeded(young.load_here("--end", hour_text(NOON - 3 * HOUR + HOUR)))
    assert young.query("SELECT COUNT(*) FROM bronze.events") == before
    assert young.query("SELECT DISTINCT revision FROM bronze.export_hours") == [(1,)]


def test_a_comparison_that_fails_is_made_up_for_by_the_next_run(young: Project, simulator: Simulator) -> None:
    hour = max((hour for hour in LINES if hour < NOON - 3 * HOUR), key=lambda hour: LINES[hour])
    add(simulator, hour)
    young.set_clock(NOON + timedelta(days=1), simulator)
    simulator.faults = FaultPlan(Fault(Reply(401), hour=hour))
    assert "HTTP 401" in sentence(young.load_here())
    assert entry(young, hour)[1] == 1
    simulator.faults = FaultPlan()
    succeeded(young.load_here())
    assert entry(young, hour)[1] == 2


def test_comparing_can_be_switched_off(young: Project, simulator: Simulator) -> None:
    young.env["SOURCES__AMPLITUDE__RECHECK_HOURS"] = "0"
    young.set_clock(NOON + timedelta(days=1), simulator)
    succeeded(young.load_here())
    assert asked(simulator) == hours_between(PENDING, NOON + timedelta(hours=21))


# --- several projects


@pytest.fixture
def other() -> Iterator[Simulator]:
    """Another project at Amplitude, with keys of its own."""
    with Simulator(OTHER, api_key="other-key", secret_key="other-secret") as simulator:
        yield simulator


def of_project(name: str, simulator: Simulator, keys: tuple[str, str]) -> dict[str, str]:
    values = {"API_KEY": keys[0], "SECRET_KEY": keys[1], "BASE_URL": simulator.base_url}
    return {f"{PREFIX}{name}__{key}": value for key, value in values.items()}


@pytest.fixture
def two(tmp_path: Path, simulator: Simulator, other: Simulator) -> Iterator[Project]:
    """A checkout with the settings of two projects, `web` and `ios_app`."""
    project = make_project(tmp_path, simulator)
    web = of_project("WEB", simulator, (project.env["SOURCES__AMPLITUDE__API_KEY"], "demo-secret"))
    for name in ("API_KEY", "SECRET_KEY", "BASE_URL"):
        del project.env[f"SOURCES__AMPLITUDE__{name}"]
    project.env |= web | of_project("IOS_APP", other, ("other-key", "other-secret"))
    project.env[f"{PREFIX}IOS_APP__START_HOUR"] = hour_text(SECOND_DAY)
    yield project
    assert_no_secret_is_kept(project)


def loaded_rows(project: Project) -> dict[tuple[str, int], int]:
    counts = project.query("SELECT _project, app, COUNT(*) FROM bronze.events GROUP BY ALL")
    return {(name, app): rows for name, app, rows in counts}


def expected_rows(product: Product, first: datetime) -> int:
    return sum(member.rows for member in product.members() if member.hour >= first)


BOTH = {
    ("web", SMALL_PRODUCT.app): expected_rows(SMALL_PRODUCT, START),
    ("ios_app", OTHER.app): expected_rows(OTHER, SECOND_DAY),
}


def test_each_project_is_loaded_with_its_own_keys_address_and_first_hour(two: Project) -> None:
    result = succeeded(two.load_here())
    assert "Project web" in result.stdout
    assert "Project ios_app" in result.stdout
    assert "restate-model" not in result.stdout, "silver cannot have hours before the first run"
    assert loaded_rows(two) == BOTH
    firsts = two.query("SELECT project, MIN(export_hour) FROM bronze.export_hours GROUP BY ALL ORDER BY ALL")
    assert firsts == [("ios_app", SECOND_DAY), ("web", START)]
    assert {path.name for path in (two.lake / "raw").iterdir()} == {"project=web", "project=ios_app"}
    assert two.query("SELECT DISTINCT _project FROM bronze.events_list ORDER BY ALL") == [("ios_app",), ("web",)]


def test_a_second_run_finds_nothing_new_in_either_project(two: Project) -> None:
    succeeded(two.load_here())
    before = two.query("SELECT * FROM bronze.export_hours ORDER BY ALL")
    result = succeeded(two.load_here())
    assert result.stdout.count("hours in") + result.stdout.count("Nothing new") == 2
    after = two.query("SELECT * FROM bronze.export_hours WHERE status <> 'pending' ORDER BY ALL")
    assert after == [row for row in before if row[2] != "pending"]
    assert loaded_rows(two) == BOTH


def test_a_project_that_fails_stops_neither_the_other_nor_its_own_next_run(two: Project, other: Simulator) -> None:
    other.faults = FaultPlan(Fault(Reply(401), path=EXPORT))
    result = two.load_here()
    assert result.returncode == 1
    assert "error: project ios_app: 127.0.0.1" in result.stderr
    assert f"{PREFIX}IOS_APP__API_KEY" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: 1 of 2 projects failed (ios_app)")
    assert "other-secret" not in result.stderr + result.stdout
    assert loaded_rows(two) == {key: rows for key, rows in BOTH.items() if key[0] == "web"}
    other.faults = FaultPlan()
    succeeded(two.load_here())
    assert loaded_rows(two) == BOTH


def test_a_project_that_comes_later_asks_for_a_restatement(two: Project) -> None:
    succeeded(two.load_here("--project", "web"))
    assert {name for name, _ in loaded_rows(two)} == {"web"}
    take_all_hours(two)
    two.env["SOURCES__AMPLITUDE__NOW"] = (END + timedelta(hours=13)).isoformat()
    result = succeeded(two.load_here("--project", "ios_app"))
    assert loaded_rows(two) == BOTH
    assert f"sqlmesh plan --restate-model silver.events --start '{SECOND_DAY}'" in result.stdout


def test_a_reload_of_one_project_leaves_the_same_hours_of_the_other_alone(two: Project) -> None:
    succeeded(two.load_here())
    hours = ("--start", hour_text(SECOND_DAY), "--end", hour_text(SECOND_DAY + 23 * HOUR))
    succeeded(two.load_here("--project", "web", *hours))
    assert loaded_rows(two) == BOTH


def test_both_projects_come_back_from_the_archive(two: Project) -> None:
    succeeded(two.load_here())
    two.database.unlink()
    succeeded(two.load_here("--replay"))
    assert loaded_rows(two) == BOTH


def test_status_shows_each_project_and_its_gaps_command_names_it(two: Project) -> None:
    late = ("--start", hour_text(SECOND_DAY + 5 * HOUR), "--end", hour_text(SECOND_DAY + 6 * HOUR))
    succeeded(two.load_here(*late))
    result = two.load_here("status")
    assert result.returncode == 3
    assert "--gaps --project" not in result.stdout, "one gap each needs no more than its own command"
    for name in ("web", "ios_app"):
        assert f"--end {hour_text(SECOND_DAY + 4 * HOUR)} --project {name}" in result.stdout
    hours = json.loads(two.load_here("status", "--json").stdout)["hours"]
    assert {(each["project"], each["status"]) for each in hours} >= {("web", "missing"), ("ios_app", "missing")}
    succeeded(two.load_here("--gaps", "--project", "ios_app"))
    (missing,) = [
        each for each in json.loads(two.load_here("status", "--json").stdout)["hours"] if each["status"] == "missing"
    ]
    assert missing["project"] == "web"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"SOURCES__AMPLITUDE__API_KEY": "k"}, "belong to a project of their own"),
        ({f"{PREFIX}1WEB__API_KEY": "k"}, "cannot be a project's name"),
        ({f"{PREFIX}WEB__API_KEY": ""}, f"{PREFIX}WEB__API_KEY"),
        ({f"{PREFIX}IOS_APP__BASE_URL": "", f"{PREFIX}IOS_APP__REGION": "mars"}, "write us or eu"),
    ],
)
def test_settings_of_projects_that_cannot_be_are_told(two: Project, env: dict[str, str], message: str) -> None:
    result = two.load_here(**env)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert message in result.stderr


def test_a_project_that_is_not_in_the_settings_is_refused(two: Project) -> None:
    result = two.load_here("--project", "tv")
    assert (result.returncode, "only ios_app, web" in result.stderr) == (2, True)


def test_the_region_names_the_address() -> None:
    from amplitude_source.settings import AmplitudeSettings

    settings = AmplitudeSettings()
    assert settings.address == "https://amplitude.com"
    settings.region = "eu"
    assert settings.address == "https://analytics.eu.amplitude.com"
    settings.base_url = "http://127.0.0.1:1"
    assert settings.address == "http://127.0.0.1:1"


# --- a clock that is behind


def test_a_load_that_would_not_count_because_the_clock_is_behind_is_refused(loaded: Project) -> None:
    with duckdb.connect(str(loaded.database)) as connection:
        later = "CAST(CAST(_dlt_load_id AS DOUBLE) + 1e6 AS VARCHAR)"
        connection.execute(f"UPDATE bronze.export_hours SET _dlt_load_id = {later}")
        connection.execute("UPDATE bronze._dlt_loads SET load_id = CAST(CAST(load_id AS DOUBLE) + 1e6 AS VARCHAR)")
    hours = ("--start", hour_text(START), "--end", hour_text(START + HOUR))
    assert "clock is" in sentence(loaded.load_here(*hours))


def waits_for_nothing(project: Project) -> bool:
    """Whether `status` finds nothing that silver waits for."""
    return "silver waits" not in project.load_here("status").stdout


def test_a_project_that_is_given_up_is_retired_and_no_longer_waited_for(two: Project) -> None:
    succeeded(two.load_here())
    for name in [name for name in two.env if name.startswith(f"{PREFIX}IOS_APP__")]:
        del two.env[name]
    result = two.load_here("status")
    assert result.returncode == 6
    assert "Project ios_app is in bronze but not in the settings" in result.stdout
    assert "take it out of them first" in two.load_here("retire-project", "web").stderr
    assert "is retired: silver waits for its hours to" in succeeded(two.load_here("retire-project", "ios_app")).stdout
    assert waits_for_nothing(two)
    assert loaded_rows(two) == BOTH, "its hours stay"
    assert rows_that_do_not_count(two) == [], "the mark replaces what the ledger had of its hour"
    assert "is retired already" in sentence(two.load_here("retire-project", "ios_app"))


def test_a_project_that_gets_another_name_takes_its_hours_and_archive_along(two: Project) -> None:
    succeeded(two.load_here())
    take_all_hours(two)
    files = sorted(path.name for path in two.lake.rglob("project=ios_app/**/*.gz"))
    for name in [name for name in two.env if name.startswith(f"{PREFIX}IOS_APP__")]:
        two.env[name.replace("IOS_APP", "APPLE")] = two.env.pop(name)
    assert "they are two projects" not in two.load_here("rename-project", "nobody", "apple").stderr
    result = succeeded(two.load_here("rename-project", "ios_app", "apple"))
    assert "restate-model silver.events" in result.stdout
    assert loaded_rows(two) == {
        ("apple" if name == "ios_app" else name, app): rows for (name, app), rows in BOTH.items()
    }
    assert sorted(path.name for path in two.lake.rglob("project=apple/**/*.gz")) == files
    assert not list(two.lake.rglob("project=ios_app/**/*.gz"))
    assert waits_for_nothing(two)
    again = succeeded(two.load_here())
    assert "0 rows in bronze.events" in again.stdout or "Nothing new" in again.stdout
