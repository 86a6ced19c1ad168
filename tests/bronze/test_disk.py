"""A disk, a right, an encoding or a locale that fails: one sentence with the setting, and nothing half-written."""

import contextlib
import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import duckdb
import pytest

from amplitude_source.bronze.disk import Place, disk_fault
from amplitude_source.environment import print_anything
from amplitude_source.errors import AmplitudeError
from amplitude_source.text_files import check_toml
from amplitude_source.transform import sqlmesh_config
from amplitude_source.transform.duckdb_connection import say_if_full
from support.assertions import assert_nothing_left
from support.members import hour_text
from support.project import Project, sentence, succeeded

WORK, LAKE = "SOURCES__AMPLITUDE__WORK_DIR", "SOURCES__AMPLITUDE__LAKE__BUCKET_URL"
DATABASE = "DESTINATION__DUCKDB__CREDENTIALS"
NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UMLAUT = '# "Müll"\n'


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes, as if its disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def made(project: Project, name: str, content: bytes = b"in the way") -> None:
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _work_is_a_file(project: Project) -> dict[str, str]:
    made(project, "data/work")
    return {}


def _folder_of_work_is_a_file(project: Project) -> dict[str, str]:
    made(project, "occupied")
    return {WORK: "occupied/inner"}


def _work_cannot_be_made(_: Project) -> dict[str, str]:
    return {WORK: "/proc/work"}  # not even by root


def _folder_of_the_database_is_a_file(project: Project) -> dict[str, str]:
    made(project, "db")
    return {DATABASE: "db/amplitude.duckdb"}


def _database_is_a_folder(project: Project) -> dict[str, str]:
    project.database.mkdir(parents=True)
    return {}


def _database_is_another_file(project: Project) -> dict[str, str]:
    made(project, "data/amplitude.duckdb", b"no database" * 1000)
    return {}


def _database_cannot_be_made(_: Project) -> dict[str, str]:
    return {DATABASE: "/proc/amplitude.duckdb"}


def _lake_is_a_file(project: Project) -> dict[str, str]:
    made(project, "data/lake")
    return {}


def _lake_cannot_be_made(_: Project) -> dict[str, str]:
    return {LAKE: "/proc/lake"}


@pytest.mark.parametrize(
    ("prepare", "parts"),
    [
        (_work_is_a_file, ["data/work cannot be used (File exists): remove the file", WORK]),
        (_folder_of_work_is_a_file, ["occupied/inner cannot be used (Not a directory): remove the file", WORK]),
        (_work_cannot_be_made, ["/proc/work cannot be used (No such file or directory)", WORK]),
        (_folder_of_the_database_is_a_file, ["/db cannot be used (File exists): remove the file", DATABASE]),
        (_database_is_a_folder, ["amplitude.duckdb", "Is a directory", DATABASE]),
        (_database_is_another_file, ["amplitude.duckdb", "not a valid DuckDB database file", DATABASE]),
        (_database_cannot_be_made, ["/proc/amplitude.duckdb", DATABASE]),
        (_lake_is_a_file, ["data/lake", "Not a directory", "remove the file", LAKE]),
        (_lake_cannot_be_made, ["/proc/lake", "No such file or directory", LAKE]),
    ],
)
def test_a_place_that_cannot_be_used_is_named_with_its_setting(
    project: Project, prepare: Callable[[Project], dict[str, str]], parts: list[str]
) -> None:
    message = sentence(project.load_here("--end", hour_text(project.first_hour), **prepare(project)))
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (10, ["A file cannot be written (File too large): make room on its disk", f"{WORK} (", f"{LAKE} ("]),
        (8 << 10, ["amplitude.duckdb", "File too large", DATABASE]),
        (40 << 10, ["amplitude.duckdb", "File too large", DATABASE]),
    ],
)
def test_after_a_full_disk_that_is_named_a_plain_run_loads_everything(
    project: Project, size: int, parts: list[str]
) -> None:
    end = hour_text(project.first_hour)
    with files_up_to(size):
        message = sentence(project.load_here("--end", end))
    assert [part for part in parts if part not in message] == [], message
    succeeded(project.load_here("--end", end))
    assert_nothing_left(project)


ROOT = Path("/srv/warehouse")
KNOWN = [
    Place(WORK, ROOT / "data/scratch"),
    Place(LAKE, ROOT / "data/lake"),
    Place(DATABASE, ROOT / "data/amplitude.duckdb"),
    Place("TMPDIR", Path("/scratch")),
]


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/warehouse/data/scratch/lock"),
            "/srv/warehouse/data/scratch/lock cannot be used (Permission denied): give this user the right to read and "
            f"write there, or set {WORK} to another.",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/srv/warehouse/data"),
            "/srv/warehouse/data cannot be used (Read-only file system): give this user the right to read and write "
            f"there, or set {WORK} to another.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/scratch/dlt/x"),
            "/scratch/dlt/x cannot be used (No space left on device): make room on its disk, or set TMPDIR to another.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/home/me/exports.zip"),
            "/home/me/exports.zip cannot be used (Permission denied): give this user the right to read and write "
            "there, or choose another.",
        ),
        (
            duckdb.TransactionException(
                "TransactionContext Error: Failed to commit: Could not write file "
                '"/srv/warehouse/data/amplitude.duckdb.wal": No space left on device'
            ),
            "TransactionContext Error: Failed to commit: Could not write file "
            '"/srv/warehouse/data/amplitude.duckdb.wal": No space left on device. '
            f"{DATABASE} names it: check its folder, its rights and the room on its disk.",
        ),
        (
            duckdb.IOException("IO Error: No files found that match /srv/warehouse/data/scratch/typed/0.parquet"),
            "IO Error: No files found that match /srv/warehouse/data/scratch/typed/0.parquet. "
            f"{WORK} names it: check its folder, its rights and the room on its disk.",
        ),
        (duckdb.BinderException("Binder Error: there is no column x"), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None),
        (ValueError("/srv/warehouse/data/scratch"), None),
    ],
)
def test_an_error_of_the_disk_names_the_setting_of_its_path(error: Exception, found: str | None) -> None:
    assert disk_fault(error, KNOWN) == found


def test_an_error_without_a_path_names_the_place_whose_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Place, "is_full", lambda place: place.setting == LAKE)
    message = disk_fault(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KNOWN)
    assert message == (
        "A file cannot be written (No space left on device): make room on its disk, or change "
        f"{LAKE} (/srv/warehouse/data/lake)."
    )


@pytest.mark.parametrize("is_full", [True, False])
def test_sqlmesh_names_the_setting_when_it_fails_on_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_full: bool
) -> None:
    monkeypatch.setattr(Place, "is_full", lambda _: is_full)
    command = click.Context(click.Command("plan"))
    command.call_on_close(partial(say_if_full, ROOT / "data/amplitude.duckdb"))
    with pytest.raises(SystemExit), command:
        sys.exit(1)  # as SQLMesh does once it has said that the plan failed
    said = f"Error: The disk of {ROOT}/data/amplitude.duckdb has no room left: make some, or set {DATABASE} to another."
    assert capsys.readouterr().err == f"{said}\n" * is_full


# --- text


@pytest.mark.parametrize("name", [".env", "sqlmesh/config.yaml"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_a_file_of_settings_that_is_not_utf8_is_named_by_the_tools_that_read_it(
    project: Project, name: str, encoding: str
) -> None:
    path = project.root / name
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_bytes(f"{text}{UMLAUT}".encode(encoding))
    line = text.count("\n") + 1 if encoding == "latin-1" else 1
    expected = f"{path} is not text in UTF-8 (line {line}): save it in that encoding."
    if name == ".env":
        assert sentence(project.load_here("status")) == expected
    with project.entered(), pytest.raises(AmplitudeError) as error:
        sqlmesh_config.project_config(project.root, "plan")
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (UMLAUT.encode("latin-1"), "is not text in UTF-8 (line 1)"),
        (UMLAUT.encode("utf-16"), "is not text in UTF-8 (line 1)"),
        ("\ufeff[sources]\n".encode(), "begins with a byte order mark"),
        (b"[sources.amplitude]\nregion = eu\n", "is no TOML: Invalid value (at line 2, column 10)"),
    ],
)
def test_a_toml_file_that_dlt_cannot_read_is_named(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "secrets.toml"
    path.write_bytes(content)
    with pytest.raises(AmplitudeError) as error:
        check_toml(path)
    assert str(error.value).startswith(f"{path} {part}")


@pytest.mark.parametrize("name", ["secrets.toml", "config.toml"])
def test_the_command_checks_the_files_of_dlt_before_dlt_reads_them(project: Project, name: str) -> None:
    path = project.root / ".dlt" / name
    path.write_bytes(UMLAUT.encode("latin-1"))
    assert sentence(project.load("status")).startswith(f"{path} is not text in UTF-8")


@pytest.mark.parametrize("place", [".env", "environment"])
def test_a_value_that_the_locale_lacks_is_named_with_the_mend(project: Project, place: str) -> None:
    if place == ".env":
        (project.root / ".env").write_text(f"{WORK}=data/wörk\n", encoding="utf-8")
        env = NO_UTF8
    else:
        env = NO_UTF8 | {WORK: "data/wörk"}
    message = sentence(project.load("status", **env))
    assert message == f"{WORK} has characters that are not in this locale's ascii: set PYTHONUTF8=1 and run again."


def test_output_that_the_terminal_lacks_is_printed_by_its_codes(project: Project) -> None:
    result = project.load("--start", "Jänner", PYTHONIOENCODING="ascii")
    assert sentence(result).startswith(r"--start: 'J\xe4nner' is not an hour")


def test_a_value_that_is_not_utf8_is_named(project: Project) -> None:
    message = sentence(project.load_here("status", **{WORK: "data/w\udcf6rk"}))
    assert message == f"{WORK} is not text in UTF-8: write it anew."


def test_streams_that_are_no_terminal_files_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_anything()
    assert capsys.readouterr().err == ""
