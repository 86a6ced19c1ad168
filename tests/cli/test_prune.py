"""`archive prune`: old files leave the lake, and no command takes their hours for missing, empty or damaged."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from amplitude_source.cli.erasure import Erasure
from amplitude_source.settings import HOUR
from simulator.archive import Archive, Member
from simulator.server import Simulator
from support.assertions import assert_bronze_holds, rows_that_do_not_count, take_all_hours
from support.loads import asked_hours, bronze, ledger
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text, member_name
from support.persons import traces
from support.project import Project, sentence, succeeded

RETENTION = "SOURCES__AMPLITUDE__LAKE__RETENTION_DAYS"
KEY = {"SOURCES__AMPLITUDE__PRIVACY__HASH_KEY": "a-secret-that-nobody-may-see"}
MEMBERS = list(SMALL_PRODUCT.members())
START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
LIMIT = END + 12 * HOUR - 48 * HOUR
"""Before it lie the hours that go after two days."""
OLD = sorted({member.hour for member in MEMBERS if member.hour < LIMIT})
FILES = [member for member in MEMBERS if member.hour < LIMIT]
PRUNE = ("archive", "prune")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_waiting")]


@pytest.fixture
def aged(loaded: Project) -> Project:
    """A project whose files may lie in the lake for two days."""
    loaded.env |= {RETENTION: "2"}
    return loaded


@pytest.fixture
def pruned(aged: Project) -> Project:
    """A project without its old files."""
    succeeded(aged.load_here(*PRUNE))
    return aged


def member_hours(project: Project) -> set[datetime]:
    """The hours that have files in the lake."""
    return {member.hour for member in MEMBERS if member.file_name in project.archived()}


def lake_files(project: Project) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in project.lake.rglob("*") if path.is_file()}


def manifest_path(project: Project, hour: datetime) -> Path:
    return project.lake / f"raw/project=default/hours/date={hour:%Y-%m-%d}/hour={hour:%H}.json"


def test_a_dry_run_counts_what_would_go_and_changes_nothing(aged: Project) -> None:
    before = lake_files(aged)
    result = succeeded(aged.load_here(*PRUNE, "--dry-run"))
    assert f"{len(OLD)} hours ({hour_text(OLD[0])} to {hour_text(OLD[-1])}) would be removed" in result.stdout
    assert f"{len(FILES)} files with {sum(len(member.data) for member in FILES) / 1e6:,.1f} MB" in result.stdout
    assert lake_files(aged) == before


def test_old_files_go_and_nothing_else_changes_or_is_asked_again(aged: Project, simulator: Simulator) -> None:
    before = lake_files(aged)
    assert f"{len(FILES)} files" in succeeded(aged.load_here(*PRUNE)).stdout
    kept = {member.file_name for member in MEMBERS if member.hour >= LIMIT}
    assert aged.archived().keys() == kept
    manifests = {manifest_path(aged, hour) for hour in OLD}
    after = lake_files(aged)
    assert {path for path in after if after[path] != before[path]} == manifests
    assert all(json.loads(path.read_bytes())["removed_at"] for path in manifests)
    assert "Nothing to remove" in succeeded(aged.load_here(*PRUNE)).stdout
    take_all_hours(aged)
    assert "missing" not in succeeded(aged.load_here("status")).stdout
    simulator.requests.clear()
    succeeded(aged.load_here())
    assert not {*asked_hours(simulator)} & {hour for hour in OLD if hour < END - 24 * HOUR}
    result = succeeded(aged.load_here("archive", "verify"))
    assert f"Retention has removed the files of {len(OLD)} of them" in result.stdout
    assert not {*asked_hours(simulator)} & {hour for hour in OLD if hour < END - 24 * HOUR}
    assert aged.archived().keys() == kept


def test_a_replay_names_what_it_leaves_as_it_is_in_bronze(pruned: Project, caplog: pytest.LogCaptureFixture) -> None:
    before = bronze(pruned)
    succeeded(pruned.load_here("--replay"))
    assert f"removed the files of {len(OLD)} hours from the lake on " in caplog.text
    assert "They stay as they are in the warehouse." in caplog.text
    assert bronze(pruned) == before


def test_a_lost_warehouse_is_filled_from_amplitude_and_never_in_silence(
    pruned: Project, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    pruned.database.unlink()
    message = sentence(pruned.load_here("--replay"))
    span = f"--start {hour_text(OLD[0])} --end {hour_text(OLD[-1])}"
    assert "The warehouse lacks them" in message
    assert message.endswith(span)
    assert ledger(pruned).keys() & {*OLD} == set()
    simulator.requests.clear()
    succeeded(pruned.load_here())
    assert "This warehouse lacks them, so Amplitude is asked for them again." in caplog.text
    assert {*OLD} <= {*asked_hours(simulator)}
    assert_bronze_holds(pruned, MEMBERS, END + 9 * HOUR)


def test_an_hour_that_is_nowhere_any_more_is_refused_and_not_declared_empty(
    pruned: Project, simulator: Simulator
) -> None:
    pruned.database.unlink()
    simulator.archive = Archive([])
    for arguments in (("--end", hour_text(OLD[0])), ("declare-empty", *span(OLD[0]))):
        assert f"Retention removed the files of hour {hour_text(OLD[0])}" in sentence(pruned.load_here(*arguments))
    manifest_path(pruned, OLD[0]).unlink()  # as the sentence says
    succeeded(pruned.load_here("declare-empty", *span(OLD[0])))
    assert ledger(pruned)[OLD[0]][0] == "empty"


def span(hour: datetime) -> tuple[str, ...]:
    return "--start", hour_text(hour), "--end", hour_text(hour)


def test_an_hour_that_amplitude_lost_stays_in_bronze_and_a_changed_one_comes_back(
    pruned: Project, simulator: Simulator
) -> None:
    before = bronze(pruned)
    simulator.archive = Archive([member for member in MEMBERS if member.hour != OLD[0]])
    assert "1 hours are gone from Amplitude" in succeeded(pruned.load_here(*span(OLD[0]))).stdout
    assert bronze(pruned) == before
    name = member_name(OLD[1], 9)
    late = Member(f"{SMALL_PRODUCT.app}/{name}", OLD[1], gzip_lines(export_row()), Counter(click=1))
    simulator.archive = Archive([*MEMBERS, late])
    succeeded(pruned.load_here(*span(OLD[1])))
    assert len(bronze(pruned)) == len(before) + 1
    assert member_hours(pruned) == {OLD[1]} | {member.hour for member in MEMBERS if member.hour >= LIMIT}
    assert "a change of theirs is not loaded yet" in succeeded(pruned.load_here(*PRUNE)).stderr
    succeeded(pruned.load_here())
    assert "1 hours" in succeeded(pruned.load_here(*PRUNE)).stdout
    assert member_hours(pruned) == {member.hour for member in MEMBERS if member.hour >= LIMIT}


STATES = {
    "DELETE FROM bronze.export_hours WHERE export_hour = ?": "does not have them",
    "UPDATE bronze.export_hours SET status = 'pending' WHERE export_hour = ?": "has them as pending",
    "UPDATE bronze.export_hours SET sha256 = 'x' WHERE export_hour = ?": "has loaded other files",
    "DELETE FROM bronze.events WHERE _export_hour = ? AND _archive_row = 1": "not as many rows",
    "UPDATE bronze._dlt_loads SET status = 1 WHERE ? IS NOT NULL": "does not have them",
}
"""What bronze may be like, by a statement, and the words for it."""


IN_LANDING = ("DELETE FROM bronze.events", "UPDATE bronze._dlt_loads")
"""Of which ledger and rows disagree; test_prune_hours.py has the others as well."""


@pytest.mark.parametrize(
    "statement",
    [pytest.param(each, marks=() if each.startswith(IN_LANDING) else pytest.mark.nightly) for each in STATES],
)
def test_an_hour_that_bronze_does_not_hold_as_it_counts_stays(aged: Project, statement: str) -> None:
    with duckdb.connect(str(aged.database)) as connection:
        connection.execute(statement, [OLD[2]])
    result = aged.load_here(*PRUNE)
    assert result.returncode == int("pending" not in statement), result.stderr
    assert STATES[statement] in result.stderr
    assert OLD[2] in member_hours(aged)
    assert (OLD[3] in member_hours(aged)) == ("_dlt_loads" in statement)


def test_each_warehouse_that_the_settings_name_must_hold_an_hour(aged: Project) -> None:
    before = aged.archived()
    aged.env["DESTINATION__SNOWFLAKE__CREDENTIALS__HOST"] = "an-account"
    assert "snowflake cannot be asked for its hours, so nothing is removed" in sentence(aged.load_here(*PRUNE))
    assert aged.archived() == before
    assert "Without a warehouse the lake is all there is" in sentence(
        aged.load_here(*PRUNE, "--destination", "filesystem")
    )
    del aged.env["DESTINATION__SNOWFLAKE__CREDENTIALS__HOST"]
    (aged.lake / "bronze/events").mkdir(parents=True)
    (aged.lake / "bronze/events/1.2.3.parquet").touch()
    assert "bronze as files" in sentence(aged.load_here(*PRUNE))
    assert aged.archived() == before


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (RETENTION, None, "RETENTION_DAYS is not set, so the lake keeps all files"),
        (RETENTION, "0", "write 1 or more, not 0; leave it out to keep all files"),
        (RETENTION, "-3", "write 1 or more, not -3"),
        (RETENTION, "a month", "'a month' is not of the type"),
        (f"{RETENTION[:-1]}", "3", f"{RETENTION}"),
        ("SOURCES__AMPLITUDE__RETENTION_DAYS", "3", f"{RETENTION}"),
    ],
)
def test_a_value_or_a_name_that_means_nothing_is_named(aged: Project, name: str, value: str | None, words: str) -> None:
    del aged.env[RETENTION]
    before = aged.archived()
    message = sentence(aged.load_here(*PRUNE, **({name: value} if value else {})))
    assert words in message
    assert RETENTION in message
    assert aged.archived() == before


# --- erased persons

ROWS = [(hour, row) for hour, rows in SMALL_PRODUCT.rows() for row in rows]
OF_USERS = {
    user: {hour for hour, row in ROWS if row["user_id"] == user} for user in {row["user_id"] for _, row in ROWS}
}
USER = str(
    max((user for user in OF_USERS if user and max(OF_USERS[user]) >= LIMIT), key=lambda user: len(OF_USERS[user]))
)
"""Who has events in hours that went, and in others."""
AMPLITUDE_IDS = {row["amplitude_id"] for _, row in ROWS if row["user_id"] == USER}
THEIRS = {row["uuid"]: hour for hour, row in ROWS if row["amplitude_id"] in AMPLITUDE_IDS}
IDS = [USER, *map(str, AMPLITUDE_IDS)]


def assert_erased(project: Project, rejected: int) -> None:
    """Nothing of the person is left, all others are there, and the ledger counts both."""
    assert traces(project, IDS) == []
    assert {row["uuid"] for row in bronze(project)} == {row["uuid"] for _, row in ROWS} - THEIRS.keys()
    assert rows_that_do_not_count(project) == []
    (sums,) = project.query("SELECT SUM(loaded_rows), SUM(rejected_rows), SUM(erased_rows) FROM bronze.export_hours")
    assert sums == (len(ROWS) - len(THEIRS), 0, len(THEIRS) + rejected)


def steps() -> Iterator[tuple[str, AbstractContextManager[object]]]:
    yield "before the rows", mock.patch("amplitude_source.cli.erasure.delete_lines", side_effect=KeyboardInterrupt)
    yield "among them", mock.patch("amplitude_source.bronze.unarchived.NEW_COUNTS", "no SQL")
    yield "after them", mock.patch.object(Erasure, "_delete_rows", side_effect=KeyboardInterrupt)


def test_a_person_leaves_the_hours_whose_files_are_gone_whatever_is_killed(aged: Project, simulator: Simulator) -> None:
    broken = f'{{"user_id":"{USER}", broken'.encode()
    first = next(member for member in MEMBERS if member.hour == OLD[0])
    name = member_name(OLD[0], 9)
    late = Member(f"{SMALL_PRODUCT.app}/{name}", OLD[0], gzip_lines(broken), Counter())
    simulator.archive = Archive([*MEMBERS, late])
    aged.env |= KEY | {"SOURCES__AMPLITUDE__MAX_REJECTED_SHARE": "1"}
    succeeded(aged.load_here(*span(first.hour)))
    succeeded(aged.load_here())  # which sees that the change is loaded
    assert aged.query("SELECT line FROM bronze.rejected_rows") == [(broken.decode(),)]
    succeeded(aged.load_here(*PRUNE))
    take_all_hours(aged)
    others = {row["uuid"]: row for row in bronze(aged)}
    arguments: tuple[str, ...] = ("erase", "--user-id", USER)
    assert "so rows of theirs are in the tables alone" in succeeded(aged.load_here(*arguments, "--dry-run")).stdout
    with mock.patch("amplitude_source.cli.erasure.run_program"):
        for step, kill in steps():
            with kill:
                assert aged.load_here(*arguments).returncode in (1, 130), step
            arguments = ("erase",)
        succeeded(aged.load_here("erase"))
    assert_erased(aged, rejected=1)
    for row in bronze(aged):  # files that were written anew have other numbers
        assert row | {"_archive_row": 0} == others[row["uuid"]] | {"_archive_row": 0}
    gone = {hour for hour in THEIRS.values() if hour < LIMIT} | {OLD[0]}
    (certificate,) = [json.loads(path.read_bytes()) for path in aged.lake.rglob("erased/2*.json")]
    assert certificate["hours_without_files"].keys() == {hour_text(hour) for hour in gone}
    assert certificate["rows_before"]["bronze.rejected_rows"] == 1
    restated = succeeded(aged.load_here("restate")).stdout
    assert f"--start '{min(gone)}'" in restated, "silver and gold have to take the hours in again"
    succeeded(aged.load_here(*span(max(gone))))
    assert_erased(aged, rejected=1)
    assert "missing" not in succeeded(aged.load_here("archive", "verify")).stdout


def test_an_erasure_that_was_interrupted_is_finished_before_files_go(aged: Project) -> None:
    aged.env |= KEY
    with mock.patch.object(Erasure, "_rewrite_archive", side_effect=KeyboardInterrupt):
        assert aged.load_here("erase", "--user-id", USER).returncode == 130
    before = aged.archived()
    assert "An erasure was interrupted" in sentence(aged.load_here(*PRUNE))
    assert aged.archived() == before


def test_a_person_of_hours_without_files_is_handed_out_from_the_tables(pruned: Project, tmp_path: Path) -> None:
    result = succeeded(pruned.load_here("export-user", "--user-id", USER, "--to", str(tmp_path / "person")))
    assert "lines in" in result.stdout
    uuids = [
        {json.loads(line)["uuid"] for line in (tmp_path / f"person/{name}.jsonl").read_text().splitlines()}
        for name in ("archive", "bronze.events")
    ]
    assert uuids == [{uuid for uuid, hour in THEIRS.items() if hour >= LIMIT}, {*THEIRS}]
