"""After an accident: each warehouse goes on where it ended, the archive is mended, and nothing is lost or doubled."""

import json
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from unittest import mock

import duckdb
import pytest

from amplitude_source.bronze import duckdb_file
from amplitude_source.bronze.ledger import LedgerRow
from amplitude_source.plan import Cursors, Planner
from amplitude_source.settings import HOUR, hours_between, load_projects
from simulator.archive import Archive, Member
from simulator.faults import EVENTS_LIST, Fault, FaultPlan, NoAnswer, Reply
from simulator.server import Simulator
from support.assertions import assert_bronze_holds, take_all_hours
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text, member_name
from support.project import Project, Result, partly, sentence, succeeded
from support.tiers import first_lands

START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
MEMBERS = list(SMALL_PRODUCT.members())
BUSY_HOUR = max(MEMBERS, key=lambda member: member.rows).hour
LAST = END + 9 * HOUR  # the newest hour at noon after the last day
ALL_ROWS = sum(member.rows for member in MEMBERS)
NOW = "SOURCES__AMPLITUDE__NOW"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_waiting")]


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_file, "PATIENCE_SECONDS", 0.2)


def late(rows: int = 3) -> Member:
    """A file more of the busy hour."""
    name = member_name(BUSY_HOUR, 99)
    data = gzip_lines(*(export_row() for _ in range(rows)))
    return Member(f"{SMALL_PRODUCT.app}/{name}", BUSY_HOUR, data, Counter(click=rows))


def reload_of() -> tuple[str, ...]:
    return ("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR))


def killed_before_the_load(project: Project, *arguments: str) -> None:
    """A run that ends, as by a kill, once everything is archived."""
    with mock.patch("dlt.Pipeline.load", side_effect=KeyboardInterrupt):
        assert project.load_here(*arguments).returncode != 0


def rows(project: Project) -> int:
    return int(project.query("SELECT COUNT(*) FROM bronze.events")[0][0])


def manifest(project: Project) -> Path:
    (path,) = project.lake.glob(f"raw/*/hours/date={BUSY_HOUR:%Y-%m-%d}/hour={BUSY_HOUR:%H}.json")
    return path


def member_path(project: Project) -> Path:
    return next(project.lake.rglob(f"app=*/date={BUSY_HOUR:%Y-%m-%d}/hour={BUSY_HOUR:%H}/*.json.gz"))


def asked_for(simulator: Simulator) -> set[str]:
    return {request.query["start"] for request in simulator.requests if request.path.endswith("/export")}


# --- R3: what was archived but not loaded


def test_a_late_file_comes_although_the_recheck_broke_off_after_it_was_archived(
    project: Project, simulator: Simulator
) -> None:
    project.set_clock(BUSY_HOUR + 4 * HOUR, simulator)
    succeeded(project.load_here())
    simulator.archive = Archive([*MEMBERS, late()])
    project.set_clock(BUSY_HOUR + 26 * HOUR, simulator)
    killed_before_the_load(project)
    succeeded(project.load_here())
    seen = [member for member in [*MEMBERS, late()] if member.hour <= BUSY_HOUR + 23 * HOUR]
    expected = sum(member.rows for member in seen)
    assert rows(project) == expected


def test_a_reload_that_broke_off_once_archived_is_finished_by_the_next_plain_run(
    loaded: Project, simulator: Simulator
) -> None:
    simulator.archive = Archive([*MEMBERS, late()])
    take_all_hours(loaded)
    killed_before_the_load(loaded, *reload_of())
    assert rows(loaded) == ALL_ROWS
    result = succeeded(loaded.load_here())
    assert f"--start '{BUSY_HOUR}'" in result.stdout, "silver has to take it in"
    assert rows(loaded) == ALL_ROWS + 3
    succeeded(loaded.load_here())
    assert list(loaded.lake.glob("raw/*/unloaded/*")) == [], "the note is gone once the warehouse has the change"


def test_a_kill_between_the_files_of_a_reloaded_hour_is_mended_by_the_next_plain_run(
    loaded: Project, simulator: Simulator
) -> None:
    other = gzip_lines(export_row(), export_row())
    files = [member for member in MEMBERS if member.hour == BUSY_HOUR]
    changed = [Member(member.name, BUSY_HOUR, other, Counter(click=2)) for member in files]
    simulator.archive = Archive([*(member for member in MEMBERS if member.hour != BUSY_HOUR), *changed])
    with mock.patch("amplitude_source.lake.archive.Archive._write_manifest", side_effect=KeyboardInterrupt):
        assert loaded.load_here(*reload_of()).returncode != 0
    succeeded(loaded.load_here())
    assert rows(loaded) == ALL_ROWS - sum(member.rows for member in files) + 2 * len(files)
    loaded.database.unlink()
    succeeded(loaded.load_here("--replay"))


# --- R1: an older warehouse beside newer other things


@pytest.mark.parametrize("is_work_lost", [False, True])
def test_an_older_database_that_was_put_back_goes_on_where_it_ended(project: Project, is_work_lost: bool) -> None:
    succeeded(project.load_here("--end", hour_text(START + 30 * HOUR)))
    shutil.copy(project.database, project.root / "backup")
    succeeded(project.load_here())
    shutil.copy(project.root / "backup", project.database)
    if is_work_lost:
        shutil.rmtree(project.work)
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)


def test_an_older_database_gets_the_changes_that_came_after_it(project: Project, simulator: Simulator) -> None:
    project.set_clock(BUSY_HOUR + 4 * HOUR, simulator)
    succeeded(project.load_here())
    shutil.copy(project.database, project.root / "backup")
    simulator.archive = Archive([*MEMBERS, late()])
    project.set_clock(END + 12 * HOUR, simulator)
    succeeded(project.load_here())
    shutil.copy(project.root / "backup", project.database)
    succeeded(project.load_here())
    assert rows(project) == ALL_ROWS + 3


def test_hours_that_are_gone_from_the_ledger_alone_are_loaded_again(loaded: Project) -> None:
    with duckdb.connect(str(loaded.database)) as connection:
        connection.execute("DELETE FROM bronze.export_hours WHERE export_hour >= ?", [BUSY_HOUR])
        connection.execute("DELETE FROM bronze.events WHERE _export_hour >= ?", [BUSY_HOUR])
    succeeded(loaded.load_here())
    assert_bronze_holds(loaded, MEMBERS, LAST)


# --- X6, R12: where a run begins and ends


def test_after_start_hour_moved_later_nothing_before_it_is_asked_for(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here("--end", hour_text(START + 5 * HOUR)))
    simulator.requests.clear()
    later = START + timedelta(days=1)
    succeeded(project.load_here(SOURCES__AMPLITUDE__START_HOUR=hour_text(later)))
    assert min(asked_for(simulator)) == f"{later:%Y%m%dT%H}"
    hours = [hour for (hour,) in project.query("SELECT export_hour FROM bronze.export_hours ORDER BY 1")]
    assert hours == [*hours_between(START, START + 5 * HOUR), *hours_between(later, LAST)]


def test_the_same_end_again_has_nothing_to_do_and_succeeds(project: Project, simulator: Simulator) -> None:
    end = ("--end", hour_text(START + 9 * HOUR))
    succeeded(project.load_here(*end))
    simulator.requests.clear()
    assert "Nothing new" in succeeded(project.load_here(*end)).stdout
    assert asked_for(simulator) == set()


@pytest.mark.parametrize("fault", first_lands([Reply(503), NoAnswer()], [Reply(401)]), ids=repr)
def test_an_event_list_that_is_down_is_a_warning_and_asked_for_again(
    project: Project, simulator: Simulator, fault: Reply | NoAnswer
) -> None:
    simulator.faults = FaultPlan(Fault(fault, path=EVENTS_LIST))
    result = partly(project.load_here())
    assert "warning: event_types: " in result.stderr
    assert_bronze_holds(project, MEMBERS, LAST)
    assert project.query("SELECT COUNT(*) FROM bronze.events_list") == [(0,)]
    simulator.faults = FaultPlan()
    succeeded(project.load_here())
    assert project.query("SELECT COUNT(*) > 0 FROM bronze.events_list") == [(True,)]


# --- R10: clocks


def test_a_clock_that_is_ahead_of_amplitudes_is_refused(project: Project, simulator: Simulator) -> None:
    simulator.clock = simulator.now
    message = sentence(project.load_here(**{NOW: (simulator.now + timedelta(days=10)).isoformat()}))
    assert "is ahead of" in message
    assert not project.lake.exists()
    succeeded(project.load_here())
    assert_bronze_holds(project, MEMBERS, LAST)


def test_hours_found_empty_by_a_clock_that_was_ahead_are_asked_for_again(
    project: Project, simulator: Simulator
) -> None:
    """Amplitude does not say the time here: its 404 for the future was taken for final."""
    project.set_clock(START + 36 * HOUR, simulator)
    succeeded(project.load_here(**{NOW: (simulator.now + timedelta(days=10)).isoformat()}))
    assert project.query("SELECT MAX(export_hour) > ? FROM bronze.export_hours", [END]) == [(True,)]
    project.set_clock(END + 12 * HOUR, simulator)
    succeeded(project.load_here())
    assert rows(project) == ALL_ROWS


def test_an_empty_hour_is_asked_for_again_after_three_days(project: Project, simulator: Simulator) -> None:
    """Amplitude was once 34 hours late."""
    files = [member for member in MEMBERS if member.hour == BUSY_HOUR]
    simulator.archive = Archive([member for member in MEMBERS if member.hour != BUSY_HOUR])
    for age in (9, 26, 50):
        project.set_clock(BUSY_HOUR + age * HOUR, simulator)
        succeeded(project.load_here())
    assert project.query("SELECT status FROM bronze.export_hours WHERE export_hour = ?", [BUSY_HOUR]) == [("empty",)]
    simulator.archive = Archive(MEMBERS)
    project.set_clock(BUSY_HOUR + 74 * HOUR, simulator)
    succeeded(project.load_here())
    counted = project.query("SELECT COUNT(*) FROM bronze.events WHERE _export_hour = ?", [BUSY_HOUR])
    assert counted == [(sum(member.rows for member in files),)]
    project.set_clock(BUSY_HOUR + 80 * HOUR, simulator)
    simulator.requests.clear()
    succeeded(project.load_here())
    assert f"{BUSY_HOUR:%Y%m%dT%H}" not in asked_for(simulator)


def test_a_file_that_comes_36_hours_late_is_found_by_the_last_look_after_a_week_and_no_later_run_asks(
    project: Project, simulator: Simulator
) -> None:
    late_one = next(member for member in MEMBERS if len(files_of(member.hour)) > 1)
    simulator.archive = Archive([member for member in MEMBERS if member != late_one])
    for age in (9, 26, 36):
        project.set_clock(late_one.hour + age * HOUR, simulator)
        succeeded(project.load_here())
    simulator.archive = Archive(MEMBERS)
    for days, count in ((4, len(MEMBERS) - 1), (8, len(MEMBERS))):
        project.set_clock(late_one.hour + days * 24 * HOUR, simulator)
        succeeded(project.load_here())
        assert project.query("SELECT COUNT(DISTINCT _archive_file) FROM bronze.events") == [(count,)]
    project.set_clock(late_one.hour + 9 * 24 * HOUR, simulator)
    simulator.requests.clear()
    succeeded(project.load_here())
    assert f"{late_one.hour:%Y%m%dT%H}" not in asked_for(simulator)


def files_of(hour: datetime) -> list[Member]:
    return [member for member in MEMBERS if member.hour == hour]


def test_a_warehouse_from_before_the_last_look_does_not_get_it_for_its_history(
    project: Project, simulator: Simulator
) -> None:
    old = {"recheck_hour": f"{END.isoformat()}", "proof_hour": f"{END.isoformat()}"}
    project.set_clock(END + 30 * 24 * HOUR, simulator)
    with project.entered():
        (settings,) = load_projects()
    row = LedgerRow("default", START, "loaded", 1, 1, 1, 0, "x", 1, None, START + 3 * HOUR, START + 3 * HOUR)
    work = Planner(settings, {START: row}).new_hours(Cursors.read(old, settings, {START: row}), START)
    assert (work.size, work.rechecks) == (0, 0)


# --- R4: power cuts


def test_every_file_is_synced_before_the_ledger_says_that_it_is_there(project: Project) -> None:
    synced: set[Path] = set()

    def sync(path: Path) -> None:
        synced.add(path)

    with (
        mock.patch("amplitude_source.lake.storage.sync_path", sync),
        mock.patch("dlt.Pipeline.normalize", side_effect=KeyboardInterrupt),
    ):
        assert project.load_here("--end", hour_text(BUSY_HOUR)).returncode != 0
    assert {project.lake, *project.lake.rglob("*")} <= {project.root / path for path in synced}


@pytest.mark.parametrize("left", ["half a load", "empty state"])
def test_a_work_folder_that_a_power_cut_broke_is_dropped_with_a_sentence(project: Project, left: str) -> None:
    succeeded(project.load_here("--end", hour_text(START + 5 * HOUR)))
    folder = project.work / "pipelines/amplitude_duckdb"
    if left == "half a load":
        broken = folder / "load/normalized/1795000000.1"
        (broken / "new_jobs").mkdir(parents=True)
        (broken / "load_package_state.json").touch()
        (broken / "schema.json").touch()
    else:
        (folder / "state.json").write_bytes(b"")
    result = succeeded(project.load_here())
    assert ("The last run was interrupted" in result.stderr) == (left == "half a load")
    assert_bronze_holds(project, MEMBERS, LAST)


# --- R6: rows that do not count


def left_by_a_kill(project: Project, load_id: str) -> None:
    """The rows of an hour once more, under a load that never finished."""
    with duckdb.connect(str(project.database)) as connection:
        copy = f"SELECT * REPLACE ('{load_id}' AS _dlt_load_id) FROM bronze"
        connection.execute(f"INSERT INTO bronze.events {copy}.events WHERE _export_hour = ?", [BUSY_HOUR])
        connection.execute(f"INSERT INTO bronze.export_hours {copy}.export_hours WHERE export_hour = ?", [BUSY_HOUR])


@pytest.mark.parametrize("load_id", ["1500000000.5", "9900000000.5"], ids=["older", "newer"])
def test_what_a_killed_reload_left_goes_with_the_next_run_whatever_that_loads(loaded: Project, load_id: str) -> None:
    left_by_a_kill(loaded, load_id)
    assert rows(loaded) > ALL_ROWS
    succeeded(loaded.load_here("--gaps"))
    assert_bronze_holds_after(loaded)


def assert_bronze_holds_after(project: Project) -> None:
    assert rows(project) == ALL_ROWS
    ((hours, distinct),) = project.query("SELECT COUNT(*), COUNT(DISTINCT export_hour) FROM bronze.export_hours")
    assert hours == distinct


def test_without_leftovers_no_load_is_looked_at(loaded: Project) -> None:
    with mock.patch("amplitude_source.bronze.cleanup.finished_loads", side_effect=AssertionError):
        assert "No gaps" in succeeded(loaded.load_here("--gaps")).stdout


# --- R8: manifests


def flipped(text: bytes, place: int) -> bytes:
    return text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]


def test_one_flipped_bit_anywhere_in_a_manifest_is_noticed_and_the_other_hours_come(loaded: Project) -> None:
    path, others = manifest(loaded), ALL_ROWS - sum(m.rows for m in MEMBERS if m.hour == BUSY_HOUR)
    text = path.read_bytes()
    for place in Random(1).sample(range(len(text)), 4):
        path.write_bytes(flipped(text, place))
        loaded.database.unlink()
        message = sentence(loaded.load_here("--replay"))
        assert hour_text(BUSY_HOUR) in message, place
        assert rows(loaded) == others
    succeeded(loaded.load_here(*reload_of()))
    assert rows(loaded) == ALL_ROWS
    loaded.database.unlink()
    succeeded(loaded.load_here("--replay"))
    assert rows(loaded) == ALL_ROWS


@pytest.mark.parametrize("damage", first_lands([b"\xff\xfe", b""], [b"[]", b'{"exported_at": 1}']), ids=repr)
def test_an_unreadable_manifest_blocks_no_hour_and_a_reload_mends_it(loaded: Project, damage: bytes) -> None:
    manifest(loaded).write_bytes(damage)
    loaded.database.unlink()
    assert "is damaged" in sentence(loaded.load_here("--replay"))
    assert rows(loaded) < ALL_ROWS
    succeeded(loaded.load_here())
    assert_bronze_holds(loaded, MEMBERS, LAST)


def test_a_manifest_under_another_name_is_noticed(loaded: Project) -> None:
    path = manifest(loaded)
    path.rename(path.with_name("hour=_4.json"))
    loaded.database.unlink()
    assert "hour=_4.json is not the name of a manifest" in sentence(loaded.load_here("--replay"))


def test_manifests_without_a_checksum_of_their_own_stay_readable(loaded: Project) -> None:
    for path in loaded.lake.rglob("hour=*.json"):
        fields = json.loads(path.read_bytes())
        del fields["sha256"]
        path.write_text(json.dumps(fields, indent=2))
    loaded.database.unlink()
    succeeded(loaded.load_here("--replay"))
    assert rows(loaded) == ALL_ROWS


# --- R2, R5: the archive beside the ledger


def test_verify_finds_a_whole_archive_whole(loaded: Project, simulator: Simulator) -> None:
    result = succeeded(loaded.load_here("archive", "verify"))
    final = loaded.query("SELECT COUNT(*) FROM bronze.export_hours WHERE status <> 'pending'")[0][0]
    assert f"{final} hours of the archive were compared" in result.stdout
    assert asked_for(simulator) == set()
    assert "archive" not in succeeded(loaded.load_here("status")).stdout


@pytest.mark.parametrize(
    "damage", first_lands(["one bit", "emptied"], ["no file", "gone", "no manifest"], ["other content"])
)
def test_verify_fetches_what_is_missing_or_rotten_and_loads_nothing_twice(loaded: Project, damage: str) -> None:
    archived = loaded.archived()
    match damage:
        case "emptied":
            for path in loaded.lake.rglob("*.json*"):
                path.write_bytes(b"")
        case "gone":
            shutil.rmtree(loaded.lake)
        case "one bit":
            member_path(loaded).write_bytes(flipped(member_path(loaded).read_bytes(), 200))
        case "no file":
            member_path(loaded).unlink()
        case "no manifest":
            manifest(loaded).unlink()
        case "other content":
            with duckdb.connect(str(loaded.database)) as connection:
                connection.execute("UPDATE bronze.export_hours SET sha256 = 'x' WHERE export_hour = ?", [BUSY_HOUR])
    result = succeeded(loaded.load_here("archive", "verify"))
    assert "warning: The archive lacks or has damaged" in result.stderr
    assert "were fetched from Amplitude again" in result.stdout
    assert loaded.archived() == archived
    assert_bronze_holds_after(loaded)
    assert "warning" not in succeeded(loaded.load_here("archive", "verify")).stderr


def test_verify_names_what_amplitude_no_longer_has_and_keeps_it_in_bronze(
    loaded: Project, simulator: Simulator
) -> None:
    member_path(loaded).write_bytes(b"")
    simulator.archive = Archive([member for member in MEMBERS if member.hour != BUSY_HOUR])
    message = sentence(loaded.load_here("archive", "verify"))
    assert "Amplitude does not have them any more" in message
    assert hour_text(BUSY_HOUR) in message
    assert rows(loaded) == ALL_ROWS


def test_status_looks_at_a_sample_of_the_archive(loaded: Project) -> None:
    shutil.rmtree(loaded.lake)
    result: Result = loaded.load_here("status")
    assert result.returncode == 3
    assert "its manifest is missing" in result.stdout
    assert "archive verify" in result.stdout
    assert json.loads(loaded.load_here("status", "--json").stdout)["archive"][0]["project"] == "default"


def test_an_hour_that_amplitude_lost_is_not_archived_as_empty(loaded: Project, simulator: Simulator) -> None:
    """Else a replay would take it for an hour without data."""
    shutil.rmtree(loaded.lake)
    simulator.archive = Archive([member for member in MEMBERS if member.hour != BUSY_HOUR])
    succeeded(loaded.load_here(*reload_of()))
    assert list(loaded.lake.rglob("hour=*.json")) == []
    assert rows(loaded) == ALL_ROWS
