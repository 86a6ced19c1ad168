"""Whose a line is, and what is left of a file: the others' lines stay, byte for byte."""

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.storages import FilesystemConfiguration

from amplitude_source.errors import AmplitudeError
from amplitude_source.lake import erased as erased_module
from amplitude_source.lake.archive import Archive, IncompleteHourError, Manifest, Member, MemberName
from amplitude_source.lake.erased import Erased, Found, Hasher, Id, Unfinished, nobody
from amplitude_source.lake.privacy import PrivacySettings
from support.members import export_row, gzip_lines, member_name

KEY, OTHER_KEY = "a-secret-that-nobody-may-see", "another-secret-of-somebody-else"
PRIVACY = PrivacySettings(hash_key=KEY)
HOUR, ASKED = datetime(2026, 6, 1, 5), datetime(2026, 6, 4, 12)


def persons(*ids: Id, privacy: PrivacySettings = PRIVACY) -> Erased:
    empty = nobody(privacy, KEY)
    return empty.with_hashes(empty.hasher.of(name) for id_ in ids for name in empty.names_of(id_))


SOMEBODY = persons(Id("user_id", "ann"), Id("amplitude_id", "9000007"))


def row(**values: Any) -> bytes:
    return json.dumps(export_row(**values)).encode()


@pytest.mark.parametrize(
    ("line", "is_theirs"),
    [
        (row(user_id="ann"), True),
        (row(amplitude_id=9000007), True),
        (row(user_id="bob", amplitude_id=9000007), True),
        (row(user_id="bob", amplitude_id=90000070), False),
        (row(user_id="9000007", amplitude_id=8), False),
        (row(user_id="Ann"), False),
        (row(user_id=None), False),
        (row(user_properties={"user_id": "ann", "amplitude_id": 9000007}), False),
        (b'{"user_id" : "\\u0061nn"}', True),
        (b'{"user_id":"bob","user_id":"ann"}', True),
        (b'{"amplitude_id":"9000007"}', True),
        (b'{"amplitude_id":9000007,"n":NaN}', True),
        (b'{"amplitude_id":8,"event_properties":{"user_id":"ann","n":1e999}}', False),
        (b'{"user_id":"ann","x":"\xff"}', True),
        (b'{"user_id":"ann", broken', True),
        (b'no json "amplitude_id": 9000007 at all', True),
        (b'{"user_id":"anna", broken', False),
        (b'{"user_id":"ann","deep":' + b"[" * 600 + b"]" * 600 + b"}", True),
        (b"", False),
        (b'["ann", 7]', False),
    ],
)  # fmt: skip
def test_a_line_is_a_persons_by_its_own_ids(line: bytes, is_theirs: bool) -> None:
    assert SOMEBODY.owns(line) == is_theirs


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n"])
def test_other_lines_stay_byte_for_byte_however_the_text_is_cut(size: int, ending: bytes) -> None:
    lines = [
        b"\n",
        row(user_id="bob") + b" \r\n",
        row(user_id="ann") + b"\n",
        b"broken\n",
        row(amplitude_id=9000007) + b"\n",
    ]
    text = b"".join(lines) + row(user_id="eve") + ending
    found = Found()
    pieces = (text[start : start + size] for start in range(0, len(text), size))
    assert b"".join(SOMEBODY.kept(pieces, found)) == b"".join([lines[0], lines[1], lines[3], row_end(text, ending)])
    assert found.total() == 2


def row_end(text: bytes, ending: bytes) -> bytes:
    return text.removesuffix(ending).rpartition(b"\n")[2] + ending


def test_the_beginning_of_a_line_that_is_too_long_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erased_module, "MAX_LINE_BYTES", 100)
    theirs = b'{"user_id":"ann","x":"' + b"x" * 500 + b'"}\n'
    others = b'{"user_id":"bob","x":"' + b"x" * 500 + b'"}\n'
    text = others + theirs + others
    pieces = [text[start : start + 30] for start in range(0, len(text), 30)]
    assert b"".join(SOMEBODY.kept(pieces, Found())) == others + others


def test_a_hashed_user_id_is_found_as_amplitude_sends_it_and_as_the_archive_has_it() -> None:
    privacy = PrivacySettings(hash=["user_id"], hash_key=KEY)
    found = persons(Id("user_id", "ann"), privacy=privacy)
    hashed = privacy.keyed_hash("a test").hashed("ann")
    assert found.owns(row(user_id="ann"))
    assert found.owns(row(user_id=hashed))
    only_hashed = nobody(privacy, KEY)
    only_hashed = only_hashed.with_hashes([only_hashed.hasher.of(Id("user_id", hashed))])
    assert only_hashed.owns(row(user_id="ann")), "as bronze knows them, they come from Amplitude"
    assert not found.owns(row(user_id="bob"))


def test_hashes_show_no_id_and_differ_by_key_and_kind() -> None:
    ids = [Id("user_id", "7"), Id("amplitude_id", "7")]
    hashes = {Hasher(key).of(id_) for key in (KEY, OTHER_KEY) for id_ in ids}
    assert len(hashes) == 4
    assert {len(hash_) for hash_ in hashes} == {64}


# --- the archive


def lake_at(folder: Path) -> FilesystemConfiguration:
    return resolve_configuration(FilesystemConfiguration(bucket_url=str(folder)))


def opened(folder: Path, key: str = KEY) -> Archive:
    return Archive(lake_at(folder), "web", PrivacySettings(hash_key=key))


def member(folder: Path, partition: int, *lines: bytes, place: bool = False) -> Member:
    path = folder / member_name(HOUR, partition)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip_lines(*lines))
    name = MemberName.parse(path.name)
    assert name
    return Member(name, lambda: path.open("rb"), str(path) if place else "")


LINES = {
    0: (row(user_id="ann"), row(user_id="bob"), row(user_id="ann", amplitude_id=9000007)),
    1: (row(user_id="eve"),),
    2: (row(amplitude_id=9000007),),
}
KEPT = {0: (LINES[0][1],), 1: LINES[1], 2: ()}


def stored(tmp_path: Path, place: bool = False) -> Path:
    """A lake with an hour of three files; Ann is about to be erased."""
    archive = opened(tmp_path / "lake")
    members = [member(tmp_path / "sent", number, *lines, place=place) for number, lines in LINES.items()]
    archive.store_hour(HOUR, members, ASKED)
    begin(archive)
    return tmp_path / "lake"


def begin(archive: Archive) -> None:
    assert archive.erasures
    archive.erasures.note(Unfinished("first", ASKED.isoformat(), "1", sorted(SOMEBODY.hashes), {}))


def texts(lake: Path) -> dict[str, bytes]:
    return {path.name: gzip.decompress(path.read_bytes()) for path in sorted(lake.rglob("*.json.gz"))}


def expected() -> dict[str, bytes]:
    return {member_name(HOUR, number): b"".join(line + b"\n" for line in lines) for number, lines in KEPT.items()}


def assert_purged(lake: Path) -> None:
    hour = opened(lake).read_hour(HOUR)
    assert texts(lake) == expected()
    assert [each.erased for each in hour.members] == [2, 0, 1]
    assert opened(lake).verify(HOUR) == hour.sha256
    assert list(lake.rglob("*.unfinished")) == []


def test_an_hour_is_rewritten_without_the_lines_and_files_without_any_stay_as_they_are(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    untouched = next(lake.rglob(member_name(HOUR, 1))).read_bytes()
    opened(lake).purge(HOUR)
    assert_purged(lake)
    assert next(lake.rglob(member_name(HOUR, 1))).read_bytes() == untouched
    (noted,) = opened(lake).erasures.all_rewritten()  # type: ignore[union-attr]  # there are settings
    assert noted.erased == {member_name(HOUR, 0): 2, member_name(HOUR, 2): 1}
    assert opened(lake).announced() == [HOUR], "the warehouse has to take it in"
    opened(lake).purge(HOUR)
    assert_purged(lake)


class KilledError(BaseException):
    pass


def kills() -> Iterator[Any]:
    yield mock.patch.object(erased_module.ErasedFolder, "note_hour", side_effect=KilledError)
    yield mock.patch.object(Archive, "announce", side_effect=KilledError)
    yield mock.patch("amplitude_source.lake.storage.LocalUploads.commit", half_committed)
    yield mock.patch.object(Archive, "_write_manifest", side_effect=KilledError)


def half_committed(uploads: Any) -> None:
    """The first of the files takes its place."""
    first = uploads._targets[0]
    if first.name.endswith(".json.gz"):
        first.with_name(f"{first.name}.unfinished").replace(first)
        raise KilledError
    for target in uploads._targets:
        target.with_name(f"{target.name}.unfinished").replace(target)
    uploads._targets.clear()


@pytest.mark.parametrize(
    "number", range(4), ids=["before the note", "after it", "between two files", "before the manifest"]
)
def test_an_hour_that_a_kill_left_half_rewritten_is_finished_without_amplitude(tmp_path: Path, number: int) -> None:
    lake = stored(tmp_path)
    with [*kills()][number], pytest.raises(KilledError):
        opened(lake).purge(HOUR)
    opened(lake).purge(HOUR)
    assert_purged(lake)


def test_a_file_that_is_neither_the_old_nor_the_new_one_stops_it(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    next(lake.rglob(member_name(HOUR, 1))).write_bytes(gzip_lines(row(user_id="mallory")))
    with pytest.raises(IncompleteHourError, match="is not the file that was archived"):
        opened(lake).purge(HOUR)


def test_what_comes_anew_passes_without_the_persons_and_is_known_as_the_same(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    members = [member(tmp_path / "sent", number, *lines) for number, lines in LINES.items()]
    hour = opened(lake).store_hour(HOUR, members, ASKED)
    assert texts(lake) == expected()
    assert hour.erased_rows == 3
    assert b"".join(b"".join(each.text()) for each in hour.members) == b"".join(expected().values())
    assert opened(lake).holds(HOUR, members), "a look at Amplitude's files finds no change"
    assert opened(lake).read_hour(HOUR).erased_rows == 3


def test_files_in_a_bucket_of_ones_own_are_copied_only_if_they_lose_lines(tmp_path: Path) -> None:
    lake = stored(tmp_path, place=True)
    assert texts(lake) == {}
    opened(lake).purge(HOUR)
    expected_copies = {name: text for name, text in expected().items() if name != member_name(HOUR, 1)}
    assert texts(lake) == expected_copies
    (noted,) = opened(lake).erasures.all_rewritten()  # type: ignore[union-attr]  # there are settings
    assert noted.elsewhere == [str(tmp_path / "sent" / member_name(HOUR, number)) for number in (0, 2)]
    members = [member(tmp_path / "sent", number, *lines, place=True) for number, lines in LINES.items()]
    assert opened(lake).store_hour(HOUR, members, ASKED).erased_rows == 3
    assert texts(lake) == expected_copies
    assert opened(lake).read_hour(HOUR).erased_rows == 3


def test_a_restored_file_brings_nobody_back(tmp_path: Path) -> None:
    """A backup has the hour with its manifest as it was before."""
    lake = stored(tmp_path)
    paths = [path for path in lake.rglob("*") if path.is_file() and "/erased/" not in str(path)]
    backup = {path: path.read_bytes() for path in paths}
    opened(lake).purge(HOUR)
    archive = opened(lake)
    assert archive.erasures
    unfinished = archive.erasures.unfinished()
    assert unfinished
    archive.erasures.certify(unfinished, {"files": 2})
    archive.erasures.close()
    for path, data in backup.items():
        path.write_bytes(data)
    assert_purged(lake)


def test_another_key_or_none_is_refused_once_there_is_a_list(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    with pytest.raises(AmplitudeError, match="HASH_KEY is not the key with which"):
        opened(lake, OTHER_KEY)
    with pytest.raises(AmplitudeError, match="HASH_KEY, which the list of erased persons needs, is missing"):
        Archive(lake_at(lake), "web", PrivacySettings())


def test_a_list_that_is_lost_or_damaged_is_refused(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    archive = opened(lake)
    assert archive.erasures
    unfinished = archive.erasures.unfinished()
    assert unfinished
    archive.erasures.certify(unfinished, {})
    archive.erasures.close()
    (persons_file,) = lake.rglob("persons.json")
    text = persons_file.read_text()
    persons_file.write_text(text[:-9])
    with pytest.raises(AmplitudeError, match="is damaged"):
        opened(lake)
    persons_file.unlink()
    with pytest.raises(AmplitudeError, match=r"persons.json is missing in the lake"):
        opened(lake)
    persons_file.write_text(text)
    assert opened(lake).read_hour(HOUR).erased_rows == 3


def test_files_that_no_manifest_names_go(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    left = next(lake.rglob(member_name(HOUR, 0))).with_name(member_name(HOUR, 9))
    left.write_bytes(gzip_lines(LINES[0][0]))
    half = left.with_name(f"{left.name}.unfinished")
    half.write_bytes(b"half a file")
    archive = opened(lake)
    (searched,) = archive.search(SOMEBODY)
    archive.remove_strays(searched.paths)
    assert not left.exists()
    assert not half.exists()
    assert archive.read_hour(HOUR).erased_rows == 3


def test_a_renamed_project_has_the_persons_of_both_names(tmp_path: Path) -> None:
    lake = stored(tmp_path)
    archive = opened(lake)
    assert archive.erasures
    unfinished = archive.erasures.unfinished()
    assert unfinished
    archive.erasures.certify(unfinished, {})
    other = Archive(lake_at(lake), "shop", PRIVACY)
    assert other.erasures
    bob = persons(Id("user_id", "bob"))
    noted = Unfinished("first", ASKED.isoformat(), "1", sorted(bob.hashes), {})
    other.erasures.note(noted)
    other.erasures.certify(noted, {})
    other.erasures.close()
    Archive(lake_at(lake), "shop").take_over("web")
    merged = Archive(lake_at(lake), "shop", PRIVACY).erasures
    assert merged
    found = merged.persons()
    assert found
    assert found.hashes == SOMEBODY.hashes | bob.hashes


def test_manifests_of_before_there_were_erased_lines_are_written_as_they_were() -> None:
    old = Manifest(ASKED, "x", {member_name(HOUR): "y"}, {}, {})
    assert [*json.loads(old.text(HOUR))] == ["exported_at", "sent", "members", "sha256"]
    assert Manifest.parse(old.text(HOUR), HOUR) == old
    new = old._replace(erased={member_name(HOUR): 2})
    assert Manifest.parse(new.text(HOUR), HOUR) == new
    with pytest.raises(ValueError, match="checksum"):
        Manifest.parse(new.text(HOUR).replace(b": 2", b": 3"), HOUR)
