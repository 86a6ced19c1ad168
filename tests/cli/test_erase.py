"""`erase`: nothing of a person is left in a file or a table, all else is as it was, and no load brings them back.

Silver and gold are in warehouse/test_erasure.py, single files of the archive in lake/test_erased.py.
"""

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest

from amplitude_source.cli.erasure import Erasure
from amplitude_source.lake.archive import Archive
from amplitude_source.lake.erased import ErasedFolder
from simulator.server import Simulator
from support.assertions import rows_that_do_not_count
from support.loads import BUSY_HOUR
from support.members import SMALL_PRODUCT, hour_text
from support.persons import traces
from support.project import Project, sentence, succeeded
from support.warm import WarmPython

KEY = {"SOURCES__AMPLITUDE__PRIVACY__HASH_KEY": "a-secret-that-nobody-may-see"}
ROWS = [row for _, rows in SMALL_PRODUCT.rows() for row in rows]
ANONYMOUS = {row["amplitude_id"] for row in ROWS if not row["user_id"]}
USER = Counter(str(row["user_id"]) for row in ROWS if row["user_id"] and row["amplitude_id"] in ANONYMOUS).most_common(
    1
)[0][0]
"""Who has events without a user_id, too: from before the login."""
AMPLITUDE_IDS = sorted({int(str(row["amplitude_id"])) for row in ROWS if row["user_id"] == USER})
THEIRS = {row["uuid"] for row in ROWS if row["amplitude_id"] in AMPLITUDE_IDS}
OTHERS = {row["uuid"] for row in ROWS} - THEIRS
assert len(THEIRS) > sum(row["user_id"] == USER for row in ROWS)
BRONZE = "SELECT * EXCLUDE (_dlt_load_id, _archive_row) FROM bronze.events ORDER BY ALL"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_waiting")]


@pytest.fixture
def held(loaded: Project) -> Project:
    """A project that has loaded the product, with the person in tables of Amplitude's answers, too."""
    loaded.env |= KEY
    with duckdb.connect(str(loaded.database)) as connection:
        for id_ in (AMPLITUDE_IDS[0], 1):
            connection.execute(
                "INSERT INTO bronze.merge_ids BY NAME SELECT ? AS amplitude_id, ? AS merged_amplitude_id, 'default' AS "
                "_project, TIMESTAMP '2026-06-01' AS _effective_hour, 'x' AS _dlt_load_id",
                [id_ * 10, id_],
            )
            connection.execute(
                "INSERT INTO bronze.cohort_members BY NAME SELECT 'c' AS cohort_id, ? AS amplitude_id, 'default' AS "
                "_project, 'x' AS _dlt_load_id",
                [id_],
            )
    return loaded


IDS = [USER, *map(str, AMPLITUDE_IDS)]


def assert_erased(project: Project) -> None:
    assert traces(project, IDS) == []
    assert {uuid for (uuid,) in project.query("SELECT uuid FROM bronze.events")} == OTHERS
    assert rows_that_do_not_count(project) == []
    ((loaded, erased),) = project.query("SELECT SUM(loaded_rows), SUM(erased_rows) FROM bronze.export_hours")
    assert (loaded, erased) == (len(OTHERS), len(THEIRS))
    assert project.query("SELECT amplitude_id FROM bronze.merge_ids") == [(10,)]
    assert project.query("SELECT amplitude_id FROM bronze.cohort_members") == [(1,)]


def certificates(project: Project) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(project.lake.rglob("erased/2*.json"))]


def test_nothing_of_a_person_is_left_and_all_else_is_as_it_was(held: Project) -> None:
    spilled = held.database.with_name("amplitude.duckdb.tmp") / "duckdb_temp_storage_DEFAULT-0.tmp"
    spilled.parent.mkdir()
    spilled.write_text(USER)
    others = held.query(f"FROM ({BRONZE}) WHERE list_contains(?, uuid) ORDER BY ALL", [sorted(OTHERS)])
    result = succeeded(held.load_here("erase", "--user-id", USER))
    assert_erased(held)
    assert held.query(BRONZE) == others
    (certificate,) = certificates(held)
    assert certificate["rows_before"] == {
        "archive": len(THEIRS),
        "bronze.cohort_members": 1,
        "bronze.events": len(THEIRS),
        "bronze.merge_ids": 1,
    }
    assert set(certificate["rows_after"].values()) == {0}
    assert sum(file["erased_rows"] for file in certificate["files"]) == len(THEIRS)
    text = result.stdout + result.stderr + json.dumps(certificate)
    assert [id_ for id_ in IDS if id_ in text] == []


def test_no_replay_reload_or_answer_brings_the_person_back(held: Project, simulator: Simulator) -> None:
    succeeded(held.load_here("erase", "--amplitude-id", f"{AMPLITUDE_IDS[0]}", "--user-id", USER))
    succeeded(held.load_here("--replay"))
    assert_erased(held)
    span = "--start", hour_text(SMALL_PRODUCT.start), "--end", hour_text(BUSY_HOUR)
    succeeded(held.load_here(*span))
    assert_erased(held)
    simulator.deletion_jobs = [
        {
            "day": "2026-06-20",
            "status": "submitted",
            "amplitude_ids": [{"amplitude_id": id_} for id_ in (5, *AMPLITUDE_IDS)],
        }
    ]
    held.env["SOURCES__AMPLITUDE__COHORTS"] = '["all"]'
    simulator.cohort_polls = 0
    only = [argument for name in ("deletion_jobs", "user_identities") for argument in ("--only", name)]
    succeeded(held.load_here(*only))
    assert held.query("SELECT amplitude_id FROM bronze.deletion_jobs") == [(5,)]
    assert traces(held, IDS) == []
    held.database.unlink()
    shutil.rmtree(held.work)
    succeeded(held.load_here("--replay"))
    assert {uuid for (uuid,) in held.query("SELECT uuid FROM bronze.events")} == OTHERS
    assert traces(held, IDS) == []


def test_a_dry_run_shows_counts_and_changes_nothing(held: Project) -> None:
    before = {path: path.read_bytes() for path in held.lake.rglob("*") if path.is_file()}
    result = succeeded(held.load_here("erase", "--user-id", USER, "--dry-run"))
    assert f"Archive: {len(THEIRS):,} rows in" in result.stdout
    assert f"bronze.events: {len(THEIRS):,} rows." in result.stdout
    assert "Nothing was changed." in result.stdout
    assert {path: path.read_bytes() for path in held.lake.rglob("*") if path.is_file()} == before
    assert held.query("SELECT COUNT(*) FROM bronze.events") == [(len(ROWS),)]


def test_a_misspelled_id_a_missing_key_and_nobody_are_refused(held: Project) -> None:
    assert f"Nothing is held of user_id {USER[:-1]} in" in sentence(held.load_here("erase", "--user-id", USER[:-1]))
    assert held.load_here("erase").returncode == 2
    del held.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"]
    assert "PRIVACY__HASH_KEY, which the list of erased" in sentence(held.load_here("erase", "--user-id", USER))
    assert held.query("SELECT COUNT(*) FROM bronze.events") == [(len(ROWS),)]
    held.env |= KEY
    succeeded(held.load_here("erase", "--user-id", USER))
    assert "erased already" in succeeded(held.load_here("erase", "--user-id", USER)).stdout
    held.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"] = "another-secret-of-somebody"
    assert "is not the key with which" in sentence(held.load_here("--replay"))


def test_deletion_jobs_say_who_goes_unless_they_can_be_revoked(held: Project, simulator: Simulator) -> None:
    others = [id_ for id_ in {int(str(row["amplitude_id"])) for row in ROWS} if id_ not in AMPLITUDE_IDS]
    simulator.deletion_jobs = [
        {"day": "2026-06-20", "status": "done", "amplitude_ids": [{"amplitude_id": id_} for id_ in AMPLITUDE_IDS]},
        {"day": "2026-07-01", "status": "staging", "amplitude_ids": [{"amplitude_id": others[0]}]},
    ]
    result = succeeded(held.load_here("erase", "--from-deletion-jobs"))
    assert "1 users of deletion jobs that can be revoked are left alone." in result.stdout
    assert {uuid for (uuid,) in held.query("SELECT uuid FROM bronze.events")} == OTHERS
    simulator.deletion_jobs = []
    assert "No deletion job" in succeeded(held.load_here("erase", "--from-deletion-jobs")).stdout


def steps() -> Iterator[tuple[str, AbstractContextManager[object]]]:
    yield "after the note", mock.patch.object(Erasure, "_rewrite_archive", side_effect=KeyboardInterrupt)
    yield "in the archive", mock.patch.object(Archive, "_write_manifest", side_effect=KeyboardInterrupt)
    yield "before bronze", mock.patch.object(Erasure, "_reload_hours", side_effect=KeyboardInterrupt)
    yield "in a load", mock.patch("dlt.Pipeline.load", side_effect=KeyboardInterrupt)
    yield "before the tables", mock.patch.object(Erasure, "_delete_rows", side_effect=KeyboardInterrupt)
    yield "before the copies", mock.patch.object(Erasure, "_remove_copies", side_effect=KeyboardInterrupt)
    yield "before the file", mock.patch("shutil.copymode", side_effect=KeyboardInterrupt)
    yield "before the certificate", mock.patch.object(ErasedFolder, "certify", side_effect=KeyboardInterrupt)
    yield "after it", mock.patch.object(ErasedFolder, "close", side_effect=KeyboardInterrupt)


def test_an_erasure_that_is_killed_at_every_step_is_finished_by_the_next(held: Project) -> None:
    first: tuple[str, ...] = ("erase", "--user-id", USER)
    for name, kill in steps():
        with kill:
            assert held.load_here(*first).returncode == 130, name
        first = ("erase",)
    assert "was interrupted and is finished first" in succeeded(held.load_here("erase")).stdout
    assert_erased(held)
    (certificate,) = certificates(held)
    assert sum(file["erased_rows"] for file in certificate["files"]) == len(THEIRS)
    assert certificate["rows_before"]["bronze.events"] == len(THEIRS)
    assert not [*held.lake.rglob("erased/unfinished.json")]
    assert held.load_here("erase").returncode == 2, "nothing is left to be finished"


@pytest.mark.nightly
def test_a_database_that_was_restored_loses_the_person_again(held: Project, tmp_path: Path) -> None:
    shutil.copy(held.database, tmp_path / "backup")
    succeeded(held.load_here("erase", "--user-id", USER))
    shutil.copy(tmp_path / "backup", held.database)
    succeeded(held.load_here("erase", "--user-id", USER))
    assert_erased(held)


def test_a_load_after_a_kill_says_so_and_brings_nobody_back(held: Project) -> None:
    with mock.patch.object(Archive, "_write_manifest", side_effect=KeyboardInterrupt):
        assert held.load_here("erase", "--user-id", USER).returncode == 130
    assert "An erasure was interrupted" in succeeded(held.load_here()).stderr
    assert "An erasure was interrupted" in succeeded(held.load_here("--replay")).stderr
    assert {uuid for (uuid,) in held.query("SELECT uuid FROM bronze.events")} == OTHERS
    succeeded(held.load_here("erase"))
    assert_erased(held)
    assert "interrupted" not in held.load_here().stderr


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_times_leave_what_one_run_leaves(held: Project, seed: int) -> None:
    chance = random.Random(seed)
    with WarmPython() as python:
        for _ in range(6):
            python.start(held, "erase", "--user-id", USER)
            time.sleep(chance.random() * 3)
            python.kill()
    result = held.load_here("erase", "--user-id", USER)
    assert result.returncode == 0, result.stderr
    assert_erased(held)
    assert sum(file["erased_rows"] for each in certificates(held) for file in each["files"]) == len(THEIRS)


@pytest.mark.nightly
def test_two_persons_one_after_the_other_each_have_a_certificate(held: Project) -> None:
    """The clock stands still between them."""
    other = next(row for row in ROWS if row["user_id"] and row["amplitude_id"] not in AMPLITUDE_IDS)
    succeeded(held.load_here("erase", "--user-id", USER))
    succeeded(held.load_here("erase", "--user-id", str(other["user_id"])))
    both = certificates(held)
    assert len(both) == 2
    gone = [row for row in ROWS if row["user_id"] == other["user_id"] or row["amplitude_id"] == other["amplitude_id"]]
    sums = sorted(sum(file["erased_rows"] for file in each["files"]) for each in both)
    assert sums == sorted([len(THEIRS), len(gone)])
    left = {user for (user,) in held.query("SELECT DISTINCT user_id FROM bronze.events")}
    assert left.isdisjoint({USER, other["user_id"]})
    assert traces(held, IDS) == []


def test_all_that_is_held_of_one_person_is_written_to_files(held: Project, tmp_path: Path) -> None:
    del held.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"]
    folder = tmp_path / "person"
    succeeded(held.load_here("export-user", "--user-id", USER, "--to", str(folder)))
    files = {path.name: path.read_text().splitlines() for path in folder.glob("*.jsonl")}
    assert {json.loads(line)["uuid"] for line in files["archive.jsonl"]} == THEIRS
    assert {json.loads(line)["uuid"] for line in files["bronze.events.jsonl"]} == THEIRS
    assert len(files["bronze.merge_ids.jsonl"]) == len(files["bronze.cohort_members.jsonl"]) == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["lines"] == {name: len(lines) for name, lines in files.items()}
    assert held.load_here("export-user", "--user-id", USER, "--to", str(folder)).returncode == 2, "it is there"
    assert "Nothing is held" in sentence(held.load_here("export-user", "--user-id", "x", "--to", str(folder) + "2"))


def test_bronze_as_files_loses_the_person_too(project: Project) -> None:
    project.env |= KEY
    files = ("--destination", "filesystem")
    succeeded(project.load_here(*files))
    result = succeeded(project.load_here("erase", "--user-id", USER, *files))
    assert "Erased" in result.stdout
    pattern = str(project.lake / "bronze/events/*.parquet").replace("'", "''")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT DISTINCT uuid FROM read_parquet('{pattern}')").fetchall()
        every = connection.execute(f"SELECT * FROM read_parquet('{pattern}')").fetchall()
    assert {uuid for (uuid,) in found} == OTHERS
    assert not [id_ for id_ in IDS if any(id_ in str(value) for row in every for value in row)]
    succeeded(project.load_here("--replay", *files))
    with duckdb.connect() as connection:
        assert {
            uuid for (uuid,) in connection.execute(f"SELECT uuid FROM read_parquet('{pattern}')").fetchall()
        } == OTHERS
