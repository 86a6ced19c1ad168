"""Amplitude's own export to a bucket as the source of hours: the same rows as from the API, once, with nothing missing.

The bucket is a folder in most tests, and S3 where that matters.
"""

import gzip
import random
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from amplitude_source.export.bucket import periods
from simulator.server import Simulator
from support import warehouse
from support.assertions import rows_that_do_not_count
from support.exported import APP, LAST, URL, mark, write, write_member, write_merges
from support.loads import (
    BUSY_HOUR,
    END,
    MEMBERS,
    START,
    assert_no_half_hour,
    assert_same_as_one_load,
    bronze,
    final_hours,
    ledger,
    revision,
    write_members,
)
from support.members import export_row, gzip_lines, hour_text
from support.project import COMMAND, REPOSITORY, Project, sentence, succeeded
from support.s3 import Refusal, S3Server

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
LAKE = "SOURCES__AMPLITUDE__LAKE__BUCKET_URL"


def put(s3: S3Server, bucket: str, folder: Path, prefix: str = "") -> None:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        s3.client("s3").put_object(
            Bucket=bucket, Key=f"{prefix}{path.relative_to(folder).as_posix()}", Body=path.read_bytes()
        )


def status_of(project: Project, hour: datetime) -> str:
    return str(ledger(project)[hour][0])


@pytest.fixture
def bucket(project: Project) -> Path:
    """A folder that Amplitude exported all hours to, set as the project's source; with a blank in its name."""
    folder = write(project.root.parent / "amplitude export")
    project.env[URL] = str(folder)
    return folder


@pytest.fixture
def project_of_bucket(project: Project, bucket: Path) -> Project:
    """The project, where a test has nothing to do with the folder itself."""
    assert project.env[URL] == str(bucket)
    return project


def exports_asked(simulator: Simulator) -> int:
    return sum(request.path.endswith("/export") for request in simulator.requests)


# --- the same rows


def test_a_bucket_gives_what_the_api_gives_and_the_api_is_not_asked_for_hours(
    project_of_bucket: Project, simulator: Simulator, loaded_data: Path
) -> None:
    project = project_of_bucket
    succeeded(project.load_here())
    assert_same_as_one_load(project, loaded_data)
    assert exports_asked(simulator) == 0
    assert project.query("SELECT COUNT(*) > 0 FROM bronze.events_list") == [(True,)], "the small endpoints are asked"


@pytest.mark.parametrize(
    ("lake", "prefix"),
    [pytest.param("folder", "", marks=pytest.mark.nightly), ("S3", "exports/amplitude/")],
)
def test_the_same_from_s3_whatever_folder_amplitude_writes_to(
    project: Project, s3: S3Server, loaded_data: Path, tmp_path: Path, lake: str, prefix: str
) -> None:
    name = s3.new_bucket()
    put(s3, name, write(tmp_path / "made"), f"{prefix}below/")
    s3.client("s3").put_object(Bucket=name, Key=f"{prefix}a note.txt", Body=b"not an export")
    env = s3.env(s3.new_bucket())
    project.env |= {**env, URL: f"s3://{name}/{prefix}".rstrip("/")}
    if lake == "folder":
        del project.env[LAKE]
    succeeded(project.load_here())
    assert_same_as_one_load(project, loaded_data)
    succeeded(project.load_here("archive", "verify"))
    for file in (project.root / "data").glob("amplitude.duckdb*"):
        file.unlink()
    succeeded(project.load_here("--replay"))
    assert bronze(project) == bronze(Project(loaded_data.parent))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 6))])
def test_changes_of_the_source_and_kills_at_random_points_lose_and_double_nothing(
    project: Project, simulator: Simulator, loaded_data: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    bucket = tmp_path / "bucket"
    times = sorted(chance.sample([START + number * HOUR for number in range(9, 84)], 5))
    for time in [*times, END + 12 * HOUR]:
        project.set_clock(time, simulator)
        write(bucket, last=min(time - 3 * HOUR, LAST))
        for _ in range(chance.choice([0, 1, 2])):
            choose(project, bucket, chance)
            project.kill_after(chance.uniform(1.5, 4), COMMAND)
            assert_no_half_hour(project)
        choose(project, bucket, chance)
        succeeded(project.load())
    assert_same_as_one_load(project, loaded_data)


@pytest.mark.nightly
def test_silver_and_gold_of_hours_from_both_sources_equal_the_oracle(
    project: Project, simulator: Simulator, tmp_path: Path
) -> None:
    """The source changes in mid-history and back, with a kill of each load, and SQLMesh takes the hours in between."""
    bucket, chance = tmp_path / "bucket", random.Random(7)
    for number, time in enumerate((START + 26 * HOUR, START + 51 * HOUR, END + 12 * HOUR)):
        project.set_clock(time, simulator)
        write(bucket, last=min(time - 3 * HOUR, LAST))
        project.env.pop(URL, None)
        if number == 1:
            project.env[URL] = str(bucket)
        project.kill_after(chance.uniform(1.5, 4), COMMAND)
        succeeded(project.load())
        warehouse.run(project) if number else warehouse.plan(project)
    members = write_members(tmp_path / "members", MEMBERS)
    warehouse.assert_equals_oracle(project, sorted(members.rglob("*.json.gz")))


def choose(project: Project, bucket: Path, chance: random.Random) -> None:
    """One source or the other."""
    project.env.pop(URL, None)
    if chance.random() < 0.5:
        project.env[URL] = str(bucket)


def test_an_hour_that_comes_in_other_files_from_the_other_source_has_each_row_once(
    project: Project, bucket: Path, simulator: Simulator
) -> None:
    """A second look, by the API, at hours that came from a bucket which cuts them into other files."""
    members = [member for member in MEMBERS if member.hour == BUSY_HOUR]
    lines = [line for member in members for line in gzip.decompress(member.data).splitlines()]
    for member in members:
        (bucket / member.name).unlink()
    for number, part in enumerate((lines[::2], lines[1::2])):
        write_member(bucket, BUSY_HOUR, gzip_lines(*part), partition=number + 40)
    project.set_clock(BUSY_HOUR + 4 * HOUR, simulator)
    succeeded(project.load_here())
    count = project.query("SELECT COUNT(*), COUNT(DISTINCT uuid) FROM bronze.events")
    del project.env[URL]
    project.set_clock(BUSY_HOUR + 26 * HOUR, simulator)
    succeeded(project.load_here())
    assert revision(project, BUSY_HOUR) == 2
    assert rows_that_do_not_count(project) == []
    upto = f"_export_hour <= '{BUSY_HOUR + HOUR}'"
    assert project.query(f"SELECT COUNT(*), COUNT(DISTINCT uuid) FROM bronze.events WHERE {upto}") == count


# --- which hours are done


def test_without_keys_the_hours_load_and_one_line_says_what_is_left_out(project_of_bucket: Project) -> None:
    project = project_of_bucket
    del project.env["SOURCES__AMPLITUDE__API_KEY"], project.env["SOURCES__AMPLITUDE__SECRET_KEY"]
    result = succeeded(project.load_here())
    assert result.stderr.count("There are no keys for Amplitude's API") == 1
    assert len(bronze(project)) == sum(member.rows for member in MEMBERS)


def test_an_hour_without_its_mark_waits_and_is_named_and_counts_once_it_has_it(
    project: Project, bucket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark(bucket, BUSY_HOUR).unlink()
    succeeded(project.load_here())
    assert status_of(project, BUSY_HOUR) == "pending"
    assert f"{bucket} has files of {hour_text(BUSY_HOUR)} without Amplitude's mark" in caplog.text
    mark(bucket, BUSY_HOUR).touch()
    succeeded(project.load_here())
    assert status_of(project, BUSY_HOUR) == "loaded"


def test_an_hour_with_a_mark_and_no_file_is_empty_and_one_with_neither_is_pending(
    project: Project, bucket: Path
) -> None:
    empty = next(hour for hour in (START + number * HOUR for number in range(24)) if not mark_only(hour))
    mark(bucket, empty + 48 * HOUR)
    succeeded(project.load_here())
    assert status_of(project, empty) == "empty"
    assert status_of(project, LAST + HOUR) == "pending"


def mark_only(hour: datetime) -> bool:
    return any(member.hour == hour for member in MEMBERS)


def test_without_any_marks_an_hour_counts_when_it_has_settled_and_a_later_one_is_there(
    project: Project, tmp_path: Path, simulator: Simulator
) -> None:
    bucket = write(tmp_path / "bucket", last=BUSY_HOUR, marks=False)
    project.env[URL] = str(bucket)
    project.set_clock(BUSY_HOUR + 8 * HOUR, simulator)
    succeeded(project.load_here())
    assert status_of(project, BUSY_HOUR) == "pending", "others of its files may come"
    assert {status_of(project, hour) for hour in final_hours(project)} == {"loaded", "empty"}
    assert max(final_hours(project)) == BUSY_HOUR - HOUR
    write_member(bucket, BUSY_HOUR + HOUR, gzip_lines(export_row()))
    succeeded(project.load_here())
    assert status_of(project, BUSY_HOUR) == "loaded"
    assert status_of(project, BUSY_HOUR + HOUR) == "pending"


def test_a_backfill_that_is_under_way_makes_no_hour_empty(project: Project, tmp_path: Path) -> None:
    """The present is exported already, with marks; the past arrives from its beginning on."""
    bucket = write(tmp_path / "bucket", first=END, last=LAST)
    write(bucket, first=START, last=BUSY_HOUR - HOUR)
    project.env[URL] = str(bucket)
    succeeded(project.load_here())
    assert [hour for hour, row in ledger(project).items() if row[0] == "empty" and BUSY_HOUR <= hour < END] == []
    assert status_of(project, BUSY_HOUR) == "pending"


def test_a_file_that_comes_after_the_mark_is_found_by_the_second_look(
    project: Project, bucket: Path, simulator: Simulator, loaded_data: Path
) -> None:
    late = next(member for member in MEMBERS if member.hour == BUSY_HOUR)
    (bucket / late.name).unlink()
    project.set_clock(BUSY_HOUR + 4 * HOUR, simulator)
    succeeded(project.load_here())
    (bucket / late.name).write_bytes(late.data)
    project.set_clock(END + 12 * HOUR, simulator)
    succeeded(project.load_here())
    assert bronze(project) == bronze(Project(loaded_data.parent))


# --- the archive


def test_the_archive_refers_to_the_files_and_has_copies_where_privacy_rules_change_them(
    project_of_bucket: Project,
) -> None:
    project = project_of_bucket
    succeeded(project.load_here())
    assert project.archived() == {}
    shutil.rmtree(project.root / "data")
    project.env["SOURCES__AMPLITUDE__PRIVACY__HASH"] = '["user_id"]'
    project.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"] = "x" * 32
    succeeded(project.load_here())
    assert project.archived().keys() == {member.file_name for member in MEMBERS}


def test_copies_that_the_api_brought_go_once_the_manifest_has_their_places_in_the_bucket(
    project: Project, simulator: Simulator, tmp_path: Path
) -> None:
    project.set_clock(BUSY_HOUR + 4 * HOUR, simulator)
    succeeded(project.load_here())
    assert member_of(project, BUSY_HOUR)
    bucket = write(tmp_path / "bucket")
    write_member(bucket, BUSY_HOUR, gzip_lines(export_row()), partition=999)
    project.env[URL] = str(bucket)
    project.set_clock(BUSY_HOUR + 27 * HOUR, simulator)
    succeeded(project.load_here())
    assert revision(project, BUSY_HOUR) == 2
    assert not member_of(project, BUSY_HOUR)
    assert "compared" in succeeded(project.load_here("archive", "verify")).stdout


def member_of(project: Project, hour: datetime) -> list[Path]:
    return [*project.lake.glob(f"raw/**/date={hour:%Y-%m-%d}/hour={hour:%H}/*.json.gz")]


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(gzip_lines(export_row()))])
def test_a_file_of_the_bucket_that_is_gone_or_another_is_told_and_the_warehouse_keeps_its_rows(
    project: Project, bucket: Path, harm: Callable[[Path], object]
) -> None:
    succeeded(project.load_here())
    count = len(bronze(project))
    file = next(member for member in MEMBERS if member.hour == BUSY_HOUR)
    harm(bucket / file.name)
    result = project.load_here("archive", "verify")
    assert hour_text(BUSY_HOUR) in result.stderr
    assert count - len(bronze(project)) in (0, sum(m.rows for m in MEMBERS if m.hour == BUSY_HOUR) - 1)


def test_without_the_bucket_an_archive_on_s3_is_read_with_the_lakes_own_credentials_and_else_one_sentence_tells(
    project: Project, s3: S3Server, tmp_path: Path
) -> None:
    name = s3.new_bucket()
    put(s3, name, write(tmp_path / "made"))
    project.env |= s3.env(s3.new_bucket())
    del project.env[LAKE]
    project.env[URL] = f"s3://{name}"
    succeeded(project.load_here())
    del project.env[URL]
    told = sentence(project.load_here("--replay"))
    assert f"refers to files in s3://{name}" in told
    assert URL in told


# --- merges


def test_merged_users_come_by_themselves_once_and_with_the_hours(project: Project, bucket: Path) -> None:
    write_merges(bucket, START, (1, 2), (3, 2))
    write_merges(bucket, LAST, (4, 2))
    succeeded(project.load_here())
    merges = "SELECT amplitude_id, merged_amplitude_id FROM bronze.merge_ids ORDER BY ALL"
    assert project.query(merges) == [(1, 2), (3, 2), (4, 2)]
    write_merges(bucket, LAST - HOUR, (5, 2))  # later than its hour
    mark(bucket, LAST + HOUR).touch()
    succeeded(project.load_here())
    assert project.query(merges) == [(1, 2), (3, 2), (4, 2), (5, 2)]


def test_a_merge_file_that_cannot_be_read_holds_its_hours_back_so_that_no_merge_is_missed_once_it_is_mended(
    project: Project, bucket: Path
) -> None:
    write_merges(bucket, START, (1, 2))
    file = bucket / f"-7/-7_{START:%Y-%m-%d}_{START.hour}.json.gz"
    good = file.read_bytes()
    file.write_bytes(gzip_lines(b"no JSON"))
    assert f"{file}, line 1: no JSON; nothing was loaded" in sentence(project.load_here())
    assert not project.query("FROM duckdb_tables() WHERE table_name = 'events'")
    file.write_bytes(good)
    succeeded(project.load_here())
    assert project.query("SELECT amplitude_id FROM bronze.merge_ids") == [(1,)]
    assert len(bronze(project)) == sum(member.rows for member in MEMBERS)


# --- several projects


def test_a_bucket_of_several_projects_needs_the_number_of_this_one(project: Project, bucket: Path) -> None:
    write_member(bucket, START, gzip_lines(export_row(app=42)), app=42)
    told = sentence(project.load_here())
    assert f"files of several projects (42, {APP})" in told
    assert "SOURCES__AMPLITUDE__EXPORT_APP" in told
    told = sentence(project.load_here(SOURCES__AMPLITUDE__EXPORT_APP="43"))
    assert "has no files of project 43" in told
    succeeded(project.load_here(SOURCES__AMPLITUDE__EXPORT_APP=str(APP)))
    assert project.query("SELECT DISTINCT app FROM bronze.events") == [(APP,)]


def test_each_project_has_a_bucket_or_the_api(project: Project, bucket: Path, loaded_data: Path) -> None:
    keys = {name: project.env.pop(f"SOURCES__AMPLITUDE__{name}") for name in ("API_KEY", "SECRET_KEY")}
    del project.env[URL]
    for name in ("WEB", "SHOP"):
        project.env |= {f"SOURCES__AMPLITUDE__PROJECTS__{name}__{key}": value for key, value in keys.items()}
    project.env["SOURCES__AMPLITUDE__PROJECTS__SHOP__EXPORT_BUCKET_URL"] = str(bucket)
    succeeded(project.load_here())
    rows = project.query("SELECT _project, COUNT(*) FROM bronze.events GROUP BY ALL ORDER BY ALL")
    count = len(bronze(Project(loaded_data.parent)))
    assert rows == [("shop", count), ("web", count)]


# --- what is wrong


def test_a_folder_without_exported_files_is_named(project: Project, tmp_path: Path) -> None:
    project.env[URL] = str(tmp_path / "nowhere")
    assert "there are no exported files in" in sentence(project.load_here())


@pytest.mark.parametrize("url", ["ftp://host/exports", "https://bucket.s3.amazonaws.com/exports"])
def test_an_address_that_is_no_bucket_is_refused_with_the_setting(project: Project, url: str) -> None:
    told = sentence(project.load_here(**{URL: url}))
    assert told.startswith(f"{URL}: write a folder, s3://bucket/prefix or gs://bucket/prefix, not {url}")


def test_a_broken_file_is_named_and_the_hours_before_it_load(project: Project, bucket: Path) -> None:
    file = bucket / next(member.name for member in MEMBERS if member.hour == BUSY_HOUR)
    file.write_bytes(file.read_bytes()[:-3])
    told = sentence(project.load_here())
    assert f"{file.name} is no complete gzip file" in told
    assert max(final_hours(project)) == BUSY_HOUR - HOUR


def test_a_copy_of_a_file_below_the_same_folder_is_refused_because_its_rows_would_come_twice(
    project: Project, bucket: Path
) -> None:
    file = next(member for member in MEMBERS if member.hour == BUSY_HOUR)
    (bucket / "backup").mkdir()
    (bucket / "backup" / file.file_name).write_bytes(file.data)
    told = sentence(project.load_here())
    assert f"{bucket / file.name} and {bucket / 'backup' / file.file_name} are one file of Amplitude's" in told
    assert not project.query("FROM duckdb_tables() WHERE table_name = 'events'")


def test_a_bucket_of_another_project_is_refused_once_hours_are_loaded(project: Project, tmp_path: Path) -> None:
    succeeded(project.load_here("--end", hour_text(BUSY_HOUR)))
    other = tmp_path / "other"
    write_member(other, BUSY_HOUR + HOUR, gzip_lines(export_row(app=42)), app=42)
    told = sentence(project.load_here(**{URL: str(other)}))
    assert f"files of project 42, and what is loaded so far is of {APP}: correct {URL}" in told


def test_a_bucket_that_may_not_be_listed_is_named_with_the_right(
    project: Project, s3: S3Server, tmp_path: Path
) -> None:
    name = s3.new_bucket()
    put(s3, name, write(tmp_path / "made", last=START))
    project.env |= {**s3.env(s3.new_bucket()), URL: f"s3://{name}"}
    s3.fault = lambda asked, _body: Refusal(403, "AccessDenied") if asked.bucket == name else None
    assert f"AWS refuses s3:ListBucket on s3://{name}/" in sentence(project.load_here())


def test_copies_in_many_folders_are_no_source(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amplitude_source.export.bucket.MOST_FOLDERS", 3)
    for number in range(5):
        write_member(tmp_path / f"copies/{number}", START, gzip_lines(export_row()))
    project.env[URL] = str(tmp_path / "copies")
    assert "more than 3 folders" in sentence(project.load_here())


def test_a_run_lists_the_newest_days_of_a_long_history_and_not_all_of_it(
    project: Project, s3: S3Server, tmp_path: Path
) -> None:
    name = s3.new_bucket()
    put(s3, name, write(tmp_path / "made"))
    env = s3.env(s3.new_bucket())
    project.env |= {**env, URL: f"s3://{name}"}
    succeeded(project.load_here())
    s3.asked.clear()
    succeeded(project.load_here())
    listed = [asked.key for asked in s3.asked if asked.call == "ListObjectsV2" and asked.bucket == name]
    days = [f"{APP}/{APP}_2026-06-03", f"{APP}/{APP}_2026-06-04"]
    assert sorted({key for key in listed if key}) == days, "of the hours that are open, events and merges"
    assert len(listed) < 8


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([START, START + 30 * HOUR], ["2026-06-01", "2026-06-02"]),
        ([START + number * HOUR for number in range(96)], ["2026-06"]),
        ([START - HOUR, *(START + number * HOUR for number in range(96))], ["2026-05-31", "2026-06"]),
        ([], []),
    ],
)
def test_a_few_days_are_listed_one_by_one_and_many_by_the_month(hours: list[datetime], expected: list[str]) -> None:
    assert periods(hours) == expected


# --- replay


def test_a_bucket_is_replayed_as_it_is_with_its_merges_and_marks(
    project: Project, s3: S3Server, loaded_data: Path, tmp_path: Path
) -> None:
    made = write(tmp_path / "made")
    write_merges(made, START, (1, 2))
    name = s3.new_bucket()
    put(s3, name, made, "of amplitude/")
    project.env |= s3.env(s3.new_bucket())
    del project.env[LAKE]
    succeeded(project.load_here("--replay", f"s3://{name}/of amplitude"))
    assert bronze(project) == bronze(Project(loaded_data.parent))
    assert project.query("SELECT amplitude_id FROM bronze.merge_ids") == [(1,)]
    assert status_of(project, LAST) == "empty"


def test_a_copy_of_a_bucket_is_a_folder_that_replay_takes(project: Project, loaded_data: Path, tmp_path: Path) -> None:
    made = write(tmp_path / "made")
    succeeded(project.load_here("--replay", str(made)))
    assert_same_as_one_load(project, loaded_data)


def test_what_cannot_be_replayed_from_s3_is_named(project: Project, s3: S3Server) -> None:
    name = s3.new_bucket()
    project.env |= s3.env(s3.new_bucket())
    s3.client("s3").put_object(Bucket=name, Key="all.zip", Body=b"PK\3\4")
    assert f"s3://{name}/all.zip (it is a zip: fetch it to a folder first)" in sentence(
        project.load_here("--replay", f"s3://{name}")
    )
    result = project.load_here("--replay", "gcs://bucket")
    assert (result.returncode, "write a folder, a zip, s3://bucket/prefix or gs://" in result.stderr) == (2, True)


def test_the_simulator_writes_a_bucket(project: Project, tmp_path: Path) -> None:
    arguments = ("--days", "3", "--events-per-day", "200")
    result = project.run("-m", "simulator", "export", str(tmp_path / "made"), *arguments, PYTHONPATH=str(REPOSITORY))
    assert f"2026-06-03T23 lie in {tmp_path / 'made'}" in succeeded(result).stdout
    names = {path.name for path in (tmp_path / "made").rglob("*.json.gz")}
    assert names == {member.file_name for member in MEMBERS}
