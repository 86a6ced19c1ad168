"""The command, end to end against the simulated Amplitude: bronze holds what was exported, whatever happened."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import dlt
import duckdb
import pytest
from dlt.common.schema import Schema
from dlt.load.load import Load

from amplitude_source import source
from amplitude_source.bronze.destinations import DUCKDB_CONFIG
from amplitude_source.rest.numbers import MEASURES
from amplitude_source.rows import lines
from amplitude_source.settings import HOUR, hours_between
from amplitude_source.tables import EXPORT_TYPES
from simulator.archive import Archive
from simulator.faults import EVENTS_LIST
from simulator.server import Simulator
from support.assertions import is_same, rows_that_do_not_count, take_all_hours
from support.loads import (
    BUSY_HOUR,
    END,
    MEMBERS,
    START,
    asked_hours,
    assert_no_half_hour,
    assert_same_as_one_load,
    assert_whole,
    bronze,
    exported,
    ledger,
    made,
    normalize,
    replaced,
    revision,
    rows_by_hour,
    status_rows,
    write_members,
)
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text, member_name
from support.project import Project, sentence, succeeded

# --- what lands in bronze


def test_the_first_load_from_the_command_line_holds_each_exported_row_once(
    project: Project, simulator: Simulator
) -> None:
    result = succeeded(project.load())
    assert f"{simulator.archive.row_count:,} rows in bronze.events, 0 in bronze.rejected_rows" in result.stdout
    keys = [(row["_archive_file"], row["_archive_row"]) for row in bronze(project)]
    assert sorted(keys) == sorted(exported(MEMBERS))
    assert {path.name for path in project.work.iterdir()} == {"lock", "pipelines"}, "no download is left behind"
    assert not list(project.lake.rglob("*.unfinished"))


def test_the_uuids_and_hours_in_bronze_are_those_that_were_exported(loaded: Project) -> None:
    stored = Counter((row["uuid"], row["_export_hour"]) for row in bronze(loaded))
    sent = Counter((str(row["uuid"]), m.hour) for m in MEMBERS for row in exported([m]).values())
    assert stored == sent


def test_every_value_of_every_key_is_found_again_in_its_column(loaded: Project) -> None:
    sent = exported(MEMBERS)
    for row in Random(7).sample(bronze(loaded), 200):
        line = sent[row["_archive_file"], row["_archive_row"]]
        assert {*EXPORT_TYPES} <= {*line}, "the simulator sends all keys"
        different = {k: (v, row[normalize(k)]) for k, v in line.items() if not is_same(k, v, row[normalize(k)])}
        assert not different


def test_a_key_that_joins_half_way_becomes_a_column_and_is_null_before(loaded: Project) -> None:
    sent = exported(MEMBERS)
    stored = {(r["_archive_file"], r["_archive_row"]): r["user_geo_source"] for r in bronze(loaded)}
    assert stored == {key: row.get("user_geo_source") for key, row in sent.items()}
    assert any(stored.values())


def test_a_key_that_became_a_column_is_told_and_recorded_once_with_its_first_value(project: Project) -> None:
    result = succeeded(project.load_here())
    assert "New columns in bronze.events: user_geo_source" in result.stdout
    ((table, column, key, type_, example, file, row),) = project.query(
        "SELECT table_name, column_name, key, data_type, example, _archive_file, _archive_row "
        "FROM bronze.schema_changes"
    )
    assert (table, column, key, type_) == ("events", "user_geo_source", "user_geo_source", "text")
    assert exported(MEMBERS)[file, row]["user_geo_source"] == example
    assert "New columns" not in succeeded(project.load_here("--replay")).stdout
    assert len(project.query("FROM bronze.schema_changes")) == 1


def test_a_finished_load_leaves_no_rows_in_the_work_folder(project: Project) -> None:
    succeeded(project.load_here("--end", hour_text(START + 5 * HOUR)))
    assert [path for kind in ("parquet", "gz", "zip") for path in project.work.rglob(f"*.{kind}")] == []


def test_without_a_new_key_there_is_no_schema_change(project: Project) -> None:
    succeeded(project.load_here("--end", hour_text(START + HOUR)))
    assert project.query("FROM bronze.schema_changes") == []


def test_times_are_timestamps_without_zone_and_nested_values_text(loaded: Project) -> None:
    types = {name: type_ for name, type_, *_ in loaded.query("DESCRIBE bronze.events")}
    for key, type_ in EXPORT_TYPES.items():
        expected = {
            "timestamp": "TIMESTAMP",
            "json": "VARCHAR",
            "text": "VARCHAR",
            "bigint": "BIGINT",
            "double": "DOUBLE",
            "bool": "BOOLEAN",
        }[type_]
        assert types[normalize(key)] == expected, key
    assert types["_export_hour"] == "TIMESTAMP"


def test_the_lake_holds_what_amplitude_sent_byte_for_byte(loaded: Project) -> None:
    assert {p.name: p.read_bytes() for p in loaded.lake.rglob("*.json.gz")} == {m.file_name: m.data for m in MEMBERS}


def test_the_ledger_has_each_hour_of_the_range_with_its_files_bytes_and_rows(loaded: Project) -> None:
    found = ledger(loaded)
    newest = END + 9 * HOUR
    assert sorted(found) == hours_between(START, newest)
    for hour, (status, files, size, rows, rejected, sha256, revision_) in found.items():
        members = [member for member in MEMBERS if member.hour == hour]
        expected = "loaded" if members else "pending" if hour > newest - 4 * HOUR else "empty"
        assert (status, files, size, rows) == (
            expected,
            len(members),
            sum(len(m.data) for m in members),
            sum(m.rows for m in members),
        )
        assert (rejected, bool(sha256), revision_) == (0, bool(members), 1)


def test_the_event_list_is_kept_as_a_snapshot(loaded: Project, simulator: Simulator) -> None:
    inactive = loaded.query("SELECT value FROM bronze.events_list WHERE non_active")
    assert {value for (value,) in inactive} == simulator.inactive_event_types


def test_numbers_are_kept_of_days_that_have_begun_everywhere(loaded: Project) -> None:
    numbers = loaded.query(
        "SELECT measure, MIN(event_date), MAX(event_date), SUM(value) > 0 FROM bronze.daily_numbers "
        "WHERE detail = '(all)' GROUP BY ALL ORDER BY ALL"
    )
    days = START.date(), (END - timedelta(days=1)).date()
    assert numbers == [(measure, *days, True) for measure in sorted(measure.name for measure in MEASURES)]


# --- running again


def test_a_second_load_loads_nothing_twice_and_writes_to_data_alone(loaded: Project, simulator: Simulator) -> None:
    def outside_of_data() -> set[Path]:
        return {path for path in loaded.root.rglob("*") if "data" not in path.relative_to(loaded.root).parts}

    before, files = bronze(loaded), outside_of_data()
    succeeded(loaded.load_here())
    assert bronze(loaded) == before
    assert asked_hours(simulator) == hours_between(END + 6 * HOUR, END + 9 * HOUR)
    assert outside_of_data() == files
    assert os.listdir(loaded.env["HOME"]) == []


def test_start_and_end_load_just_these_hours_and_leave_the_cursor(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here("--end", hour_text(START + 5 * HOUR)))
    succeeded(project.load_here("--start", hour_text(START + 30 * HOUR), "--end", hour_text(START + 31 * HOUR)))
    assert sorted(ledger(project)) == [*hours_between(START, START + 5 * HOUR), START + 30 * HOUR, START + 31 * HOUR]
    shutil.rmtree(project.work)
    simulator.requests.clear()
    succeeded(project.load_here("--end", hour_text(START + 8 * HOUR)))
    assert asked_hours(simulator) == hours_between(START + 6 * HOUR, START + 8 * HOUR)


def test_pending_hours_are_loaded_once_amplitude_has_them(
    project: Project, simulator: Simulator, loaded_data: Path
) -> None:
    """Amplitude's two hours are not guaranteed: here it has the newest hours only at the second run."""
    noon = START + timedelta(days=1, hours=12)
    project.set_clock(noon, simulator)
    simulator.now = noon - 5 * HOUR
    succeeded(project.load_here())
    assert {hour for hour, row in ledger(project).items() if row[0] == "pending"} <= {
        *hours_between(noon - 7 * HOUR, noon - 3 * HOUR)
    }
    assert any(row[0] == "pending" for row in ledger(project).values())
    project.set_clock(END + timedelta(hours=12), simulator)
    succeeded(project.load_here())
    assert_same_as_one_load(project, loaded_data)


def test_without_new_hours_only_the_keys_are_tried(project: Project, simulator: Simulator) -> None:
    project.env["SOURCES__AMPLITUDE__SETTLE_HOURS"] = "0"
    project.set_clock(START + 18 * HOUR, simulator)
    succeeded(project.load_here())
    simulator.requests.clear()
    assert "Nothing new" in succeeded(project.load_here()).stdout
    assert [request.path for request in simulator.requests] == [EVENTS_LIST]
    refused = succeeded(project.load_here(SOURCES__AMPLITUDE__API_KEY="another"))
    assert "warning: " in refused.stderr
    assert "refuses the keys (HTTP 403" in refused.stderr


@pytest.mark.slow
def test_a_long_load_commits_in_parts_and_a_plain_run_continues(
    project: Project, simulator: Simulator, loaded_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = simulator.archive
    cut = [made(BUSY_HOUR, member.data[:-9]) for member in MEMBERS if member.hour == BUSY_HOUR]
    simulator.archive = Archive(replaced(BUSY_HOUR, *cut))
    with monkeypatch.context() as patch:
        patch.setattr(source, "ROWS_PER_LOAD", 150)
        patch.setattr(lines, "BLOCK_BYTES", 60_000)  # only full blocks count towards a load
        assert member_name(BUSY_HOUR) in sentence(project.load_here())
    assert sorted(ledger(project)) == hours_between(START, BUSY_HOUR - HOUR)
    assert len(project.query("SELECT DISTINCT _dlt_load_id FROM bronze.events")) > 1
    assert_no_half_hour(project)
    simulator.archive = good
    simulator.requests.clear()
    succeeded(project.load_here())
    assert min(asked_hours(simulator)) == BUSY_HOUR
    assert_same_as_one_load(project, loaded_data)


STEPS: dict[str, list[Any]] = {
    "dlt.Pipeline.extract": [KeyboardInterrupt],
    "dlt.Pipeline.normalize": [KeyboardInterrupt],
    "dlt.Pipeline.load": [KeyboardInterrupt],
    "amplitude_source.cli.loads.remove_superseded": [None, KeyboardInterrupt],  # the second, after the load
}


@pytest.mark.slow
def test_runs_stopped_in_each_step_leave_no_half_hour_and_are_healed(project: Project) -> None:
    last = START + 14 * HOUR
    for step, effects in STEPS.items():
        with mock.patch(step, side_effect=effects):
            result = project.load_here("--end", hour_text(last))
        assert (result.returncode, "a plain re-run continues" in result.stderr) == (130, True), result.stderr
        assert_no_half_hour(project)
    assert_whole(project, last)
    succeeded(project.load_here("--start", hour_text(START), "--end", hour_text(last)))
    assert_whole(project, last)


def stopped_for_the_export() -> Callable[..., None]:
    """dlt's `complete_package` that is interrupted for the load that has the ledger."""
    complete_package = Load.complete_package

    def stops(self: Load, load_id: str, schema: Schema, aborted: bool = False) -> None:
        if "export_hours" in schema.data_table_names():
            raise KeyboardInterrupt
        complete_package(self, load_id, schema, aborted)

    return stops


def test_a_load_that_was_stopped_before_dlt_had_it_as_finished_is_loaded_again(project: Project) -> None:
    """The ledger's file can be in place before those of the events are, for dlt copies tables side by side."""
    last = START + 14 * HOUR
    with mock.patch("dlt.load.load.Load.complete_package", stopped_for_the_export()):
        assert project.load_here("--end", hour_text(last)).returncode == 130
    with duckdb.connect(str(project.database)) as connection:
        connection.execute("DELETE FROM bronze.events WHERE _archive_row % 2 = 0")
    succeeded(project.load_here("--end", hour_text(last)))
    assert_whole(project, last)


def test_an_hour_keeps_what_it_had_until_its_reload_is_finished(loaded: Project, simulator: Simulator) -> None:
    hour, before = ("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR)), ledger(loaded)
    simulator.archive = Archive(replaced(BUSY_HOUR, made(BUSY_HOUR, gzip_lines(export_row()))))
    with mock.patch("dlt.load.load.Load.complete_package", stopped_for_the_export()):
        assert loaded.load_here(*hour).returncode == 130
    assert "missing" not in status_rows(succeeded(loaded.load_here("status")))
    assert status_rows(loaded.load_here("status"))["loaded"][5] == f"{sum(row[3] for row in before.values()):,}"
    succeeded(loaded.load_here(*hour))
    assert (rows_by_hour(loaded)[BUSY_HOUR], revision(loaded, BUSY_HOUR)) == (1, 2)
    assert not rows_that_do_not_count(loaded)


def test_what_a_reload_replaced_goes_with_the_next_run(loaded: Project) -> None:
    before = rows_by_hour(loaded)
    with mock.patch(
        "amplitude_source.cli.loads.remove_superseded", side_effect=[None, KeyboardInterrupt]
    ):  # the second, after the load
        hour = ("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR))
        assert loaded.load_here(*hour).returncode == 130
    assert rows_by_hour(loaded)[BUSY_HOUR] == 2 * before[BUSY_HOUR]
    assert "No gaps" in succeeded(loaded.load_here("--gaps")).stdout
    assert rows_by_hour(loaded) == before


def test_ctrl_c_while_dlt_loads_is_no_fault_but_a_stop(project: Project) -> None:
    """dlt wraps it in an exception of its own."""
    with mock.patch("dlt.load.load.Load.complete_package", stopped_for_the_export()):
        result = project.load_here("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR))
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == "Stopped; a plain re-run continues."


@pytest.mark.slow  # 200 MB of JSON
def test_rows_too_wide_for_a_vector_in_duckdbs_memory_are_loaded(project: Project, simulator: Simulator) -> None:
    text = "".join(Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=200_000))
    wide = ({"text": text[start : start + 100_000]} for start in range(2_000))
    simulator.archive = Archive(
        replaced(BUSY_HOUR, made(BUSY_HOUR, gzip_lines(*(export_row(event_properties=p) for p in wide))))
    )
    succeeded(project.load("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR)))
    assert project.query("SELECT COUNT(*), MIN(LENGTH(event_properties)) FROM bronze.events") == [(2_000, 100_011)]


# --- losing things


def test_a_work_folder_newer_than_the_database_hides_nothing_missing(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here("--end", hour_text(START + 14 * HOUR)))
    project.database.unlink()
    shutil.rmtree(project.lake)
    simulator.requests.clear()
    succeeded(project.load_here("--end", hour_text(START + 14 * HOUR)))
    assert asked_hours(simulator) == hours_between(START, START + 14 * HOUR)
    assert_whole(project, START + 14 * HOUR)


def test_what_the_archive_holds_is_not_downloaded_again_for_a_new_database(
    project: Project, simulator: Simulator
) -> None:
    succeeded(project.load_here("--end", hour_text(START + 14 * HOUR)))
    project.database.unlink()
    simulator.requests.clear()
    succeeded(project.load_here("--end", hour_text(START + 20 * HOUR)))
    assert asked_hours(simulator) == hours_between(START + 15 * HOUR, START + 20 * HOUR)
    assert_whole(project, START + 20 * HOUR)


def test_an_hour_that_is_not_whole_in_the_archive_is_downloaded_again(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here("--end", hour_text(BUSY_HOUR)))
    project.database.unlink()
    next(project.lake.rglob(f"date={BUSY_HOUR:%Y-%m-%d}/hour={BUSY_HOUR:%H}/*.json.gz")).unlink()
    simulator.requests.clear()
    succeeded(project.load_here("--end", hour_text(BUSY_HOUR)))
    assert asked_hours(simulator) == [BUSY_HOUR]
    assert_whole(project, BUSY_HOUR)


def test_a_checkout_that_was_moved_loads_into_its_own_database(project: Project) -> None:
    hours = (hour_text(BUSY_HOUR), hour_text(BUSY_HOUR + HOUR))
    succeeded(project.load_here("--start", hours[0], "--end", hours[0]))
    moved = Project(project.root.rename(project.root.with_name("moved")), project.env)
    succeeded(moved.load_here("--start", hours[1], "--end", hours[1]))
    assert sorted(ledger(moved)) == [BUSY_HOUR, BUSY_HOUR + HOUR]


# --- replay


# No keys, and a host that nobody has.
WITHOUT_API = {
    "SOURCES__AMPLITUDE__API_KEY": "",
    "SOURCES__AMPLITUDE__SECRET_KEY": "",
    "SOURCES__AMPLITUDE__BASE_URL": "http://127.0.0.1:1",
}


def test_replay_rebuilds_bronze_and_ledger_from_the_lake_without_the_api(loaded: Project, loaded_data: Path) -> None:
    loaded.database.unlink()
    succeeded(loaded.load_here("--replay", **WITHOUT_API))
    assert_same_as_one_load(loaded, loaded_data)


def test_a_folder_of_exported_files_is_loaded_and_archived_without_the_api(
    project: Project, simulator: Simulator, loaded_data: Path
) -> None:
    """A folder tells nothing of the hours without a file: the first of them is where the API is asked from."""
    exports = [member for member in MEMBERS if member.hour <= START + 30 * HOUR]
    write_members(project.root / "exports", exports)
    succeeded(project.load_here("--replay", "exports", **WITHOUT_API))
    assert project.query("SELECT value, non_active FROM bronze.events_list") == [], "silver reads it, so it is there"
    assert project.query("SELECT event_date, value FROM bronze.daily_numbers") == [], "so is this"
    assert {p.name: p.read_bytes() for p in project.lake.rglob("*.json.gz")} == {m.file_name: m.data for m in exports}
    succeeded(project.load_here())
    first_unknown = next(hour for hour in hours_between(START, END) if hour not in {m.hour for m in MEMBERS})
    assert min(asked_hours(simulator)) == first_unknown
    assert_same_as_one_load(project, loaded_data)


def test_a_replay_changes_nothing_but_removes_what_a_stopped_load_left(loaded: Project, loaded_data: Path) -> None:
    with duckdb.connect(str(loaded.database)) as connection:
        left = "SELECT * REPLACE ('1.5' AS _dlt_load_id) FROM bronze.events WHERE _archive_row < 9"
        connection.execute(f"INSERT INTO bronze.events {left}")
    result = succeeded(loaded.load_here("--replay"))
    assert "changed" not in result.stdout
    assert_same_as_one_load(loaded, loaded_data)


def test_files_of_a_second_app_join_the_hour_of_the_first(loaded: Project, tmp_path: Path) -> None:
    other = made(BUSY_HOUR, gzip_lines(export_row(app=77)), app=77)
    succeeded(loaded.load_here("--replay", str(write_members(tmp_path / "other", [other]))))
    rows = sum(member.rows for member in MEMBERS)
    assert Counter(row["app"] for row in bronze(loaded)) == {SMALL_PRODUCT.app: rows, 77: 1}
    assert (ledger(loaded)[BUSY_HOUR][3], revision(loaded, BUSY_HOUR)) == (rows_by_hour(loaded)[BUSY_HOUR], 2)


# --- hours that change


def test_an_hour_that_changed_replaces_its_rows_and_says_what_to_restate(loaded: Project, simulator: Simulator) -> None:
    rows = [export_row(city="Łódź"), export_row()]
    simulator.archive = Archive(replaced(BUSY_HOUR, made(BUSY_HOUR, gzip_lines(*rows), partition=3)))
    untouched = [row for row in bronze(loaded) if row["_export_hour"] != BUSY_HOUR]
    take_all_hours(loaded)
    result = succeeded(loaded.load_here("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR)))
    stored = [row for row in bronze(loaded) if row["_export_hour"] == BUSY_HOUR]
    assert [row["uuid"] for row in stored] == [row["uuid"] for row in rows]
    assert [row for row in bronze(loaded) if row["_export_hour"] != BUSY_HOUR] == untouched
    assert revision(loaded, BUSY_HOUR) == 2
    assert f"--start '{BUSY_HOUR}' --end '{BUSY_HOUR + HOUR}'" in result.stdout
    assert [
        p.name
        for p in loaded.lake.rglob("*.json.gz")
        if f"date={BUSY_HOUR:%Y-%m-%d}/hour={BUSY_HOUR:%H}" in p.as_posix()
    ] == [member_name(BUSY_HOUR, 3)]


def test_an_hour_that_lost_all_its_rows_is_emptied_in_bronze(loaded: Project, simulator: Simulator) -> None:
    simulator.archive = Archive(replaced(BUSY_HOUR, made(BUSY_HOUR, gzip_lines())))
    before = rows_by_hour(loaded)
    succeeded(loaded.load_here("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR)))
    after = rows_by_hour(loaded)
    assert after[BUSY_HOUR] == 0
    assert after + Counter({BUSY_HOUR: before[BUSY_HOUR]}) == before
    assert (ledger(loaded)[BUSY_HOUR][0], ledger(loaded)[BUSY_HOUR][3]) == ("loaded", 0)
    assert revision(loaded, BUSY_HOUR) == 2


@pytest.mark.parametrize("is_archived", [True, False])
def test_an_hour_that_amplitude_no_longer_has_is_kept(
    loaded: Project, simulator: Simulator, loaded_data: Path, is_archived: bool
) -> None:
    """From the archive, or, where that was lost too, as it is in bronze."""
    simulator.archive = Archive(replaced(BUSY_HOUR))
    if not is_archived:
        shutil.rmtree(loaded.lake)
    result = succeeded(loaded.load_here("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR)))
    assert ("1 hours are gone from Amplitude and were kept" in result.stdout) == (not is_archived)
    assert "changed" not in result.stdout
    assert_same_as_one_load(loaded, loaded_data)


def test_rejected_rows_are_kept_and_reported_until_the_hour_is_mended(project: Project, simulator: Simulator) -> None:
    """Bad lines stop no load: each is kept and counted. Too many of them in an hour give an exit code of their own."""
    good, bad = export_row(session_id="seven"), export_row(event_time="2022:05:27 01:02:50.047099")
    lines = (b"{not json", good, bad, b"[]")
    simulator.archive = Archive(replaced(BUSY_HOUR, made(BUSY_HOUR, gzip_lines(*lines))))
    result = project.load_here("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR))
    assert result.returncode == 5
    assert f"error: 1 hours from {hour_text(BUSY_HOUR)} to {hour_text(BUSY_HOUR)} have more than 10%" in result.stderr
    shown = project.load_here("status", "--json", SOURCES__AMPLITUDE__START_HOUR=hour_text(BUSY_HOUR))
    assert shown.returncode == 5
    assert json.loads(shown.stdout)["rejecting"] == [{"project": "default", "hour": hour_text(BUSY_HOUR)}]
    assert "more than 10%" in project.load_here("status").stdout
    allowed = {"SOURCES__AMPLITUDE__START_HOUR": hour_text(BUSY_HOUR), "SOURCES__AMPLITUDE__MAX_REJECTED_SHARE": "0.75"}
    allowed["SOURCES__AMPLITUDE__FRESHNESS_HOURS"] = "50"
    succeeded(project.load_here("status", **allowed))
    wrong = project.load_here("status", SOURCES__AMPLITUDE__MAX_REJECTED_SHARE="75")
    assert "MAX_REJECTED_SHARE is 75; write a number from 0 to 1." in sentence(wrong)
    assert "3 in bronze.rejected_rows" in result.stdout
    assert "SELECT reason, COUNT(*) FROM bronze.rejected_rows GROUP BY reason" in result.stdout
    assert [(row["uuid"], row["_archive_row"]) for row in bronze(project)] == [(good["uuid"], 2)]
    rejected = project.query(
        "SELECT _archive_row, reason, value, line, _export_hour, _archive_file FROM bronze.rejected_rows ORDER BY 1"
    )
    assert [row["_odd_values"] for row in bronze(project)] == ['{"session_id":"seven"}']
    origin = (BUSY_HOUR, member_name(BUSY_HOUR))
    assert [row[4:] for row in rejected] == [origin] * 3
    assert [row[0] for row in rejected] == [1, 3, 4]
    assert [row[3] for row in rejected] == ["{not json", json.dumps(bad), "[]"]
    assert [row[1] for row in rejected] == ["no JSON", "event_time is no timestamp", "no JSON object"]
    assert rejected[1][2] == bad["event_time"]
    assert ledger(project)[BUSY_HOUR][3:5] == (1, 3)
    simulator.archive = Archive(MEMBERS)
    succeeded(project.load_here("--start", hour_text(BUSY_HOUR), "--end", hour_text(BUSY_HOUR)))
    assert project.query("SELECT COUNT(*) FROM bronze.rejected_rows") == [(0,)]
    assert ledger(project)[BUSY_HOUR][4] == 0
    assert_no_half_hour(project)


def noting(config: dict[str, bool | int | str], noted: list[dict[str, bool | int | str]]) -> Callable[..., object]:
    """dlt's load, which first notes what the configuration is."""
    load = dlt.Pipeline.load

    def load_and_note(pipeline: dlt.Pipeline, **options: Any) -> object:
        noted.append({**config})
        return load(pipeline, **options)

    return load_and_note


def test_long_lines_load_without_the_compression_that_is_slow_with_them(project: Project, simulator: Simulator) -> None:
    """22,000 lines of 12 KB took 39 s with it, and 7 s without."""
    for text, left_out in (("x" * 9_000, "dict_fsst"), ("x", "")):
        rows = [export_row(event_properties={"text": text}) for _ in range(50)]
        simulator.archive = Archive([made(START, gzip_lines(*rows))])
        of_loads: list[dict[str, bool | int | str]] = []
        with mock.patch("dlt.Pipeline.load", noting(DUCKDB_CONFIG, of_loads)):
            succeeded(project.load_here("--start", hour_text(START), "--end", hour_text(START)))
        assert of_loads[0]["disabled_compression_methods"] == left_out
        assert "memory_limit" not in DUCKDB_CONFIG, "queries after a load have the little memory of one"
        assert project.query("SELECT COUNT(*) FROM bronze.events") == [(50,)]
