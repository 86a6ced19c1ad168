"""Exported files in a folder: whatever could be one is read, or named."""

import bz2
import gzip
import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from amplitude_source.errors import AmplitudeError
from amplitude_source.export import zips
from amplitude_source.export.exported import exported_files
from amplitude_source.export.zips import UnreadZipError, is_whole_zip, open_entry, zip_entries
from amplitude_source.lake.archive import check
from support.members import export_row, gzip_lines
from support.project import Project, sentence, succeeded

HOUR = datetime(2026, 6, 1, 9)
NAME = "1_2026-06-01_9#2.json.gz"
ROWS = [export_row(app=1) for _ in range(12)]
GOOD = gzip_lines(*ROWS)
TEXT = gzip.decompress(GOOD)
MERGE = json.dumps(
    {"scope": 7, "merge_time": 0, "merge_server_time": 0, "amplitude_id": 1, "merged_amplitude_id": 2}
).encode()
Content = bytes | dict[str, bytes]


def write(path: Path, data: Content = GOOD) -> None:
    """Write a file, or a zip of files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_of(data) if isinstance(data, dict) else data)


def zip_of(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def texts(folder: Path) -> dict[datetime, dict[str, bytes]]:
    """The text of each member as it is loaded, by hour and name."""
    return {
        hour: {each.name.name: b"".join(check(each, 1 << 20).text()) for each in members}
        for hour, members in exported_files(folder).hours.items()
    }


def refusal(folder: Path) -> str:
    with pytest.raises(AmplitudeError) as caught:
        exported_files(folder)
    return str(caught.value)


def test_exported_files_are_found_at_any_depth_and_grouped_by_hour_in_order(tmp_path: Path) -> None:
    for path in ("b/1_2026-06-01_10#0.json.gz", "1_2026-06-01_9#10.json.gz", f"a/x/y/{NAME}"):
        write(tmp_path / path)
    write(tmp_path / "a/readme.txt", b"{}")
    found = exported_files(tmp_path).hours
    assert {hour: [m.name.name for m in members] for hour, members in found.items()} == {
        HOUR: [NAME, "1_2026-06-01_9#10.json.gz"],
        HOUR + timedelta(hours=1): ["1_2026-06-01_10#0.json.gz"],
    }
    assert list(found) == sorted(found)


def named(value: str | Content) -> str:
    """The path, and of what lies there its kind alone, because a zip's bytes hold the time it was made at."""
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("1_2026-06-01_9#2.json", TEXT),
        ("1_2026-06-01_9#2.json", TEXT.rstrip(b"\n")),
        ("1_2026-06-01_9#2.json", GOOD),
        ("1_2026-06-01_9#2.json.gz", TEXT),
        ("1_2026-06-01_9#2.JSON.GZ", GOOD),
        ("1_2026-06-01_09#2.json.gz", GOOD),
        ("1_2026-06-01_9%232.json.gz", GOOD),
        ("1_2026-06-01_9%25232.json.gz", GOOD),
        ("1_2026-06-01_9#2 (1).json.gz", GOOD),
        ("1_2026-06-01_9#2.json (1).gz", GOOD),
        ("1_2026-06-01_9#2.json(3).gz", GOOD),
        ("1_2026-06-01_9#2 copy.json.gz", GOOD),
        ("1_2026-06-01_9#2.json - Copy.gz", GOOD),
        ("Copy of 1_2026-06-01_9#2.json.gz", GOOD),
        ("1_2026-06-01_9#2.json.gz.1", GOOD),
        ("export.zip", {f"1/{NAME}": GOOD}),
        ("EXPORT.ZIP", {f"1/{NAME}": GOOD}),
        ("export", {f"1/{NAME}": GOOD}),
        ("export (1).zip", {"1/1_2026-06-01_9#2.json": TEXT, f"__MACOSX/1/._{NAME}": b"\0", "1/.DS_Store": b"\0"}),
    ],
    ids=named,
)
def test_a_file_is_read_whatever_tools_made_of_its_name(tmp_path: Path, path: str, data: Content) -> None:
    write(tmp_path / "below" / path, data)
    ((hour, members),) = texts(tmp_path).items()
    assert (hour, [*members]) == (HOUR, [NAME])
    assert members[NAME].strip() == TEXT.strip()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("notes.json.gz", GOOD),
        ("1_2026-06-01_24#0.json.gz", GOOD),
        ("1_2026-06-01_9_2.json.gz", GOOD),
        ("1_2026-06-01_9#2.json.gz.part", GOOD),
        ("1_2026-06-01_9#2.json.gz.crdownload", b""),
        ("1_2026-06-01_9#2.json.bak", TEXT),
        ("1_2026-06-01.json", TEXT),
        ("events.jsonl", TEXT),
        ("events", TEXT),
        ("events.json", b"[" + TEXT),
        ("export", GOOD),
        ("export.tar.bz2", bz2.compress(TEXT)),
        ("export.zip", b"PK\3\4" + bytes(100)),
        ("export.zip", GOOD),
        ("export.zip", zip_of({NAME: GOOD})[:-30]),
        ("export.zip", {"notes.json.gz": GOOD}),
        ("export.zip", {"inner.zip": zip_of({NAME: GOOD})}),
        ("1_2026-06-01_9#3.json", TEXT[:-10]),
        ("1_2026-06-01_9_complete.json.gz", GOOD),
    ],
    ids=named,
)
def test_what_could_be_an_export_and_is_not_read_is_named(tmp_path: Path, path: str, data: Content) -> None:
    write(tmp_path / NAME)
    write(tmp_path / "a" / path, data)
    message = refusal(tmp_path)
    assert "could be exports and cannot be read" in message
    assert str(tmp_path / "a" / path) in message


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (f"._{NAME}", b"\0\5\x16\7"),
        (f"__MACOSX/{NAME}", b"\0\5\x16\7"),
        (".DS_Store", b"\0"),
        ("readme.txt", b"how to"),
        ("package.json", b'{"name": "x"}'),
        ("book.xlsx", {"xl/workbook.xml": b"<x/>"}),
    ],
)
def test_what_is_no_export_is_left_out(tmp_path: Path, path: str, data: Content) -> None:
    write(tmp_path / NAME)
    write(tmp_path / "a" / path, data)
    assert texts(tmp_path) == {HOUR: {NAME: TEXT}}


def test_linked_files_and_folders_are_read_once_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / NAME)
    write(tmp_path / "elsewhere/1_2026-06-01_9#3.json.gz")
    folder = tmp_path / "exports"
    (folder / "a").mkdir(parents=True)
    (folder / "a/loop").symlink_to(folder)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / NAME).symlink_to(tmp_path / "elsewhere" / NAME)
    assert texts(folder) == {HOUR: {NAME: TEXT, "1_2026-06-01_9#3.json.gz": TEXT}}


def test_a_link_to_nothing_and_a_folder_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / NAME)
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):  # root may read everything
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    message = refusal(tmp_path)
    assert f"{tmp_path}/closed (Permission denied)" in message
    assert f"{tmp_path}/lost (No such file or directory)" in message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({f"a/{NAME}": GOOD}, {f"b/{NAME}": gzip.compress(TEXT, 1)}),
        ({NAME: GOOD}, {"1_2026-06-01_9#2 (1).json.gz": GOOD}),
        ({NAME: GOOD}, {"1_2026-06-01_9%232.json.gz": GOOD}),
        ({NAME: GOOD}, {"1_2026-06-01_9#2.json": TEXT}),
        ({NAME: GOOD}, {"1_2026-06-01_9#2.json": TEXT[: len(TEXT) // 3]}),
        ({NAME: GOOD}, {"1_2026-06-01_9#2.json": b""}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_copies_count_once_and_a_gzip_file_goes_before_a_half_done_gunzip(
    tmp_path: Path, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    for path, data in (one | other).items():
        write(tmp_path / path, data)
    assert texts(tmp_path) == {HOUR: {NAME: TEXT}}


def test_a_zip_and_a_file_of_it_count_once(tmp_path: Path) -> None:
    write(tmp_path / "export.zip", {NAME: GOOD, "1_2026-06-01_9#3.json.gz": GOOD})
    write(tmp_path / NAME)
    assert texts(tmp_path) == {HOUR: {NAME: TEXT, "1_2026-06-01_9#3.json.gz": TEXT}}


@pytest.mark.parametrize("path", [f"b/{NAME}", "a/1_2026-06-01_9#2 (1).json.gz", "a/1_2026-06-01_9#2.json"])
def test_two_files_of_one_name_with_different_rows_are_both_named(tmp_path: Path, path: str) -> None:
    write(tmp_path / "a" / NAME)
    other = TEXT + TEXT
    write(tmp_path / path, other if path.endswith(".json") else gzip.compress(other))
    message = refusal(tmp_path)
    assert str(tmp_path / path) in message
    assert str(tmp_path / "a" / NAME) in message


def test_an_empty_file_is_no_hour_without_rows(tmp_path: Path) -> None:
    write(tmp_path / "1_2026-06-01_9#2.json", b"")
    with pytest.raises(AmplitudeError, match="it ends too early"):
        texts(tmp_path)


@pytest.mark.parametrize("data", [b"", gzip.compress(b"", mtime=0), b"\n"], ids=["nothing", "gzip", "line end"])
def test_a_complete_file_marks_an_hour_that_has_no_data(tmp_path: Path, data: bytes) -> None:
    write(tmp_path / NAME)
    for hour in (9, 10):
        write(tmp_path / f"1_2026-06-01_{hour}_complete", data)
    write(tmp_path / "complete", b"")
    assert texts(tmp_path) == {HOUR: {NAME: TEXT}, HOUR + timedelta(hours=1): {}}


def test_files_of_merged_users_are_found_beside_those_of_events(tmp_path: Path) -> None:
    write(tmp_path / "1" / NAME)
    write(tmp_path / "-7/-7_2026-06-01_9.json.gz", gzip.compress(MERGE))
    write(tmp_path / "export.zip", {"-7_2026-06-01_10.json": MERGE, "-7_2026-06-01_9.json.gz": gzip.compress(MERGE)})
    assert sorted(source.name for source in exported_files(tmp_path).merges) == [
        "-7_2026-06-01_10.json",
        "-7_2026-06-01_9.json.gz",
    ]


def _missing(folder: Path) -> Path:
    return folder / "missing"


def _without_files(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _with_other_files(folder: Path) -> Path:
    write(folder / "other/notes.txt", b"notes")
    return folder / "other"


@pytest.mark.parametrize("make", [_missing, _without_files, _with_other_files])
def test_a_folder_without_exported_files_is_refused_by_name(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    assert f"{folder}: no exported files below it" in refusal(folder)


def test_a_folder_of_events_and_merges_is_replayed_into_both_tables(project: Project) -> None:
    folder = project.root / "exports"
    write(folder / "export.zip", {f"1/{NAME}": GOOD})
    write(folder / "1_2026-06-01_9#3.json", json.dumps(export_row(app=1)).encode())
    write(folder / "-7_2026-06-01_9.json.gz", gzip.compress(MERGE))
    result = succeeded(project.load_here("--replay", str(folder)))
    assert "1 merges of users read, 1 of them new" in result.stdout
    assert project.query("SELECT COUNT(*) FROM bronze.events") == [(13,)]
    assert project.query("SELECT amplitude_id, merged_amplitude_id FROM bronze.merge_ids") == [(1, 2)]
    (project.root / "-7_2026-06-01_10.json").write_bytes(MERGE.replace(b'"amplitude_id": 1', b'"amplitude_id": 3'))
    assert "1 of them new" in succeeded(project.load_here("load-merges", "-7_2026-06-01_10.json")).stdout
    write(folder / "1_2026-06-01_9#4.json.gz.part")
    assert "#4.json.gz.part" in sentence(project.load_here("--replay", str(folder)))


# --- zips


def zip_by(method: int, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(NAME, data)
    return file.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_small_zip_that_would_fill_memory_is_refused_unread(tmp_path: Path, method: int) -> None:
    path = tmp_path / "export.zip"
    write(path, zip_by(method, bytes(16 << 20)))
    assert path.stat().st_size < 10_000
    with pytest.raises(UnreadZipError, match="is compressed by method"):
        zip_entries(path)
    assert not is_whole_zip(path)


def test_entries_of_a_zip_are_opened_without_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the directory anew for each entry takes a time that grows with the square of their number."""
    path = tmp_path / "export.zip"
    write(path, {f"{number}.json.gz": b"%d" % number for number in range(2_000)})
    entries = zip_entries(path)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    for number, entry in enumerate(entries):
        with open_entry(path, entry) as file:
            assert file.read() == b"%d" % number


def test_a_zip_with_too_large_a_directory_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_DIRECTORY_BYTES", 100)
    path = tmp_path / "export.zip"
    write(path, {NAME: GOOD})
    assert zip_entries(path)
    write(path, {NAME: GOOD, "other": b""})
    with pytest.raises(UnreadZipError, match=r"its directory has \d+ bytes"):
        zip_entries(path)


def test_a_zip_whose_entries_share_their_bytes_is_refused(tmp_path: Path) -> None:
    """Overlapping entries make a small zip a large one."""
    data = zip_of({"a": bytes(range(256)) * 40, "b": bytes(range(256)) * 40})
    at = data.rindex(b"PK\1\2")
    path = tmp_path / "export.zip"
    write(path, data[: at + 20] + struct.pack("<L", len(data)) + data[at + 24 :])
    assert not is_whole_zip(path)


def test_a_zip_says_beforehand_that_an_entry_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "FREE_TEXT_BYTES", 1 << 20)
    path = tmp_path / "export.zip"
    write(path, {NAME: bytes(2 << 20)})
    assert re.search("unzips to more than 500 times its size", refusal(tmp_path))
