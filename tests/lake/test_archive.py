"""The archive: what Amplitude sent, byte for byte, under keys that the members' names alone decide."""

import gzip
import io
import json
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import pytest
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.storages import FilesystemConfiguration
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_source.errors import AmplitudeError
from amplitude_source.export.exported import exported_files
from amplitude_source.lake.archive import Archive, ExportHour, IncompleteHourError, Member, MemberName, check
from support.members import export_row, gzip_lines, member_name

HOUR = datetime(2026, 6, 1, 5)
ASKED = datetime(2026, 6, 2, 12, 30)
LINES = [export_row() for _ in range(3)]
GOOD = gzip_lines(*LINES)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def archive(lake: Path) -> Archive:
    return Archive(resolve_configuration(FilesystemConfiguration(bucket_url=str(lake))), "web")


def member(data: bytes, partition: int = 0, app: int = 100, hour: datetime = HOUR) -> Member:
    def opened() -> IO[bytes]:
        return io.BytesIO(data)

    return Member(parsed(member_name(hour, partition, app)), opened)


def parsed(name: str) -> MemberName:
    found = MemberName.parse(name)
    assert found, f"{name} is a member's name"
    return found


def files(lake: Path) -> dict[str, bytes]:
    """Everything in the project's part of the lake by its path, but for the manifests."""
    root = lake / "raw/project=web"
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {path.name for path in lake.rglob("*")} <= {"raw", "project=web"} | {path.name for path in root.rglob("*")}
    return {path: data for path, data in found.items() if not path.startswith("hours/")}


def manifest(lake: Path, hour: datetime = HOUR) -> dict[str, object]:
    path = lake / f"raw/project=web/hours/date={hour:%Y-%m-%d}/hour={hour:%H}.json"
    fields: dict[str, object] = json.loads(path.read_text())
    return fields


def names(hour: ExportHour) -> list[str]:
    return [archived.name.name for archived in hour.members]


# --- names


@pytest.mark.parametrize(
    ("path", "hour", "app", "partition"),
    [
        ("100011471/100011471_2026-06-01_0#0.json.gz", datetime(2026, 6, 1, 0), 100011471, 0),
        ("100011471_2026-06-01_7#627.json.gz", datetime(2026, 6, 1, 7), 100011471, 627),
        ("any/depth/of/folders/1_2026-12-31_23#70.json.gz", datetime(2026, 12, 31, 23), 1, 70),
        ("1_2026-06-01_07#3.json.gz", datetime(2026, 6, 1, 7), 1, 3),
    ],
)
def test_a_member_name_tells_hour_app_and_partition(path: str, hour: datetime, app: int, partition: int) -> None:
    name = parsed(path)
    assert (name.hour, name.app, name.partition) == (hour, app, partition)
    assert name.name == path.rpartition("/")[2]


@pytest.mark.parametrize(
    "path",
    [
        "1_2026-06-01_24#0.json.gz",
        "1_2026-02-30_0#0.json.gz",
        "1_2026-06-01_0.json.gz",
        "1_2026-06-01_0#.json.gz",
        "1_2026-06-01_0#0.json",
        "1_2026-06-01_0#0.json.gz.unfinished",
        "x_2026-06-01_0#0.json.gz",
        "1_2026-06-01_0#0 (1).json.gz",
        "1_2026-06-01_123#0.json.gz",
        "readme.txt",
        "",
        "1_2026-06-01_0#0.json.gz\n",
    ],
)
def test_other_names_are_no_member_names(path: str) -> None:
    assert MemberName.parse(path) is None


def test_members_sort_by_hour_then_app_then_partition_as_numbers_not_as_text() -> None:
    shuffled = [
        "2_2026-06-01_9#0.json.gz",
        "10_2026-06-01_9#0.json.gz",
        "2_2026-06-01_10#0.json.gz",
        "2_2026-06-01_9#10.json.gz",
        "2_2026-06-01_9#2.json.gz",
    ]
    assert [name.name for name in sorted(map(parsed, shuffled))] == [
        "2_2026-06-01_9#0.json.gz",
        "2_2026-06-01_9#2.json.gz",
        "2_2026-06-01_9#10.json.gz",
        "10_2026-06-01_9#0.json.gz",
        "2_2026-06-01_10#0.json.gz",
    ]


# --- storing


def test_members_are_stored_byte_for_byte_under_keys_of_app_date_and_hour(archive: Archive, lake: Path) -> None:
    second = gzip.compress(b'{"other": 1}\n', compresslevel=1)
    stored = archive.store_hour(HOUR, [member(second, partition=70), member(GOOD)], ASKED)
    folder = "app=100/date=2026-06-01/hour=05"
    assert files(lake) == {
        f"{folder}/100_2026-06-01_5#0.json.gz": GOOD,
        f"{folder}/100_2026-06-01_5#70.json.gz": second,
    }
    assert names(stored) == ["100_2026-06-01_5#0.json.gz", "100_2026-06-01_5#70.json.gz"]
    assert [archived.size for archived in stored.members] == [len(GOOD), len(second)]


def test_storing_an_hour_twice_leaves_the_lake_and_the_checksums_as_they_were(archive: Archive, lake: Path) -> None:
    first = archive.store_hour(HOUR, [member(GOOD)], ASKED)
    before = files(lake)
    second = archive.store_hour(HOUR, [member(GOOD)], ASKED)
    assert files(lake) == before
    assert [m.sha256 for m in second.members] == [m.sha256 for m in first.members]


def test_members_that_are_no_longer_sent_are_removed_when_the_hour_is_stored_again(
    archive: Archive, lake: Path
) -> None:
    other_hour = datetime(2026, 6, 1, 6)
    archive.store_hour(HOUR, [member(GOOD, partition) for partition in (0, 1, 2)], ASKED)
    archive.store_hour(other_hour, [member(GOOD, 9, hour=other_hour)], ASKED)
    archive.store_hour(HOUR, [member(GOOD, 1)], ASKED)
    assert sorted(files(lake)) == [
        "app=100/date=2026-06-01/hour=05/100_2026-06-01_5#1.json.gz",
        "app=100/date=2026-06-01/hour=06/100_2026-06-01_6#9.json.gz",
    ]


def test_what_a_killed_run_left_unfinished_is_removed_when_the_hour_is_stored_again(
    archive: Archive, lake: Path
) -> None:
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    (target,) = files(lake)
    (lake / f"raw/project=web/{target}.unfinished").write_bytes(GOOD[:10])
    assert names(archive.read_hour(HOUR)) == ["100_2026-06-01_5#0.json.gz"], "unfinished is no member"
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    assert list(files(lake)) == [target]


def test_an_empty_hour_is_remembered_by_a_manifest_without_members(archive: Archive, lake: Path) -> None:
    archive.store_hour(HOUR, [], ASKED)
    assert files(lake) == {}
    assert manifest(lake).items() >= {"exported_at": "2026-06-02T12:30:00", "sent": None, "members": {}}.items()
    assert archive.hours() == [HOUR]
    assert archive.read_hour(HOUR) == ExportHour(HOUR, [], ASKED)
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    assert names(archive.read_hour(HOUR)) == ["100_2026-06-01_5#0.json.gz"]


def test_an_hour_that_is_not_available_yet_leaves_no_manifest(archive: Archive, lake: Path) -> None:
    stored = archive.store_hour(HOUR, [], ASKED, is_final=False)
    assert (stored.members, stored.is_final) == ([], False)
    assert files(lake) == {}
    assert archive.hours() == []


def test_an_hour_that_amplitude_no_longer_has_keeps_its_members_and_its_manifest(archive: Archive, lake: Path) -> None:
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    before = files(lake), manifest(lake)
    assert names(archive.store_hour(HOUR, [], ASKED + timedelta(days=9))) == ["100_2026-06-01_5#0.json.gz"]
    assert (files(lake), manifest(lake)) == before


def test_files_of_another_app_belong_to_the_hour_too(archive: Archive, lake: Path) -> None:
    other = gzip_lines(export_row(app=77))
    archive.store_hour(HOUR, [member(GOOD, 0), member(GOOD, 1)], ASKED)
    both = archive.store_hour(HOUR, [member(other, 3, app=77)], ASKED)
    assert names(both) == ["77_2026-06-01_5#3.json.gz", "100_2026-06-01_5#0.json.gz", "100_2026-06-01_5#1.json.gz"]
    again = archive.store_hour(HOUR, [member(GOOD, 1)], ASKED)
    assert names(again) == ["77_2026-06-01_5#3.json.gz", "100_2026-06-01_5#1.json.gz"]
    assert sorted(files(lake).values()) == sorted([other, GOOD])
    assert names(archive.read_hour(HOUR)) == names(again)
    with again.members[0].member.open() as opened:
        assert opened.read() == other


def test_an_hour_whose_other_apps_member_broke_in_the_archive_is_refused(archive: Archive, lake: Path) -> None:
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    (target,) = files(lake)
    (lake / "raw/project=web" / target).write_bytes(GOOD[:-4])
    with pytest.raises(AmplitudeError, match=r"100_2026-06-01_5#0\.json\.gz is no complete gzip file"):
        archive.store_hour(HOUR, [member(GOOD, app=77)], ASKED)


def test_the_archive_gives_back_every_hour_with_its_members_and_their_bytes(archive: Archive) -> None:
    hours = [HOUR, datetime(2026, 6, 1, 6), datetime(2026, 6, 2, 0)]
    stored = {hour: archive.store_hour(hour, [member(GOOD, n, hour=hour) for n in (0, 7)], ASKED) for hour in hours}
    assert archive.hours() == hours
    for hour in hours:
        again = archive.read_hour(hour)
        assert again == replace(stored[hour], members=again.members)
        assert [(m.name, m.size, m.sha256) for m in again.members] == [
            (m.name, m.size, m.sha256) for m in stored[hour].members
        ]
        with again.members[0].member.open() as opened:
            assert opened.read() == GOOD


def test_an_archive_that_was_never_written_has_no_hours(archive: Archive) -> None:
    assert archive.hours() == []
    assert HOUR not in archive


def test_the_archive_knows_which_hours_it_holds(archive: Archive) -> None:
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    assert HOUR in archive
    assert HOUR + timedelta(hours=1) not in archive
    assert HOUR + timedelta(days=1) not in archive


def test_what_is_sent_again_byte_for_byte_is_known_and_nothing_else(archive: Archive) -> None:
    two = [member(GOOD, 0), member(GOOD, 1)]
    assert not archive.holds(HOUR, two)
    archive.store_hour(HOUR, two, ASKED)
    assert archive.holds(HOUR, two[::-1])
    assert not archive.holds(HOUR, two[:1])
    assert not archive.holds(HOUR, [*two, member(GOOD, 2)])
    assert not archive.holds(HOUR, [two[0], member(gzip_lines(export_row()), 1)])
    assert archive.holds(HOUR, []), "what Amplitude no longer has is no change"


def test_an_hour_that_was_empty_is_known_until_something_is_sent(archive: Archive) -> None:
    assert not archive.holds(HOUR, [])
    archive.store_hour(HOUR, [], ASKED)
    assert archive.holds(HOUR, [])
    assert not archive.holds(HOUR, [member(GOOD)])


# --- hours that are not whole


class KilledError(BaseException):
    """A run that ends without a chance to tidy up."""


@pytest.mark.parametrize("moves", range(3))
def test_an_hour_that_a_killed_run_left_half_replaced_is_not_taken_for_a_whole_one(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """Killed before the first, the second or the third of the moves that replace two members and the manifest."""
    old, new = gzip_lines(export_row()), [member(GOOD, 0), member(GOOD, 1)]
    archive.store_hour(HOUR, [member(old, 0), member(old, 1)], ASKED)
    move, left = Path.replace, iter(range(moves))

    def killed(source: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KilledError
        return move(source, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KilledError):
        archive.store_hour(HOUR, new, ASKED)
    monkeypatch.undo()
    if moves == 0:
        assert [m.size for m in archive.read_hour(HOUR).members] == [len(old), len(old)], "the old one is whole"
    else:
        with pytest.raises(IncompleteHourError, match=r"2026-06-01T05 is not whole.*--start 2026-06-01T05"):
            archive.read_hour(HOUR)
    assert not archive.holds(HOUR, new)
    archive.store_hour(HOUR, new, ASKED)
    assert [m.size for m in archive.read_hour(HOUR).members] == [len(GOOD), len(GOOD)]


@pytest.mark.parametrize("data", [None, GOOD[:-4], gzip_lines(export_row())], ids=["gone", "cut", "another"])
def test_a_member_that_is_not_the_one_that_was_archived_is_refused(
    archive: Archive, lake: Path, data: bytes | None
) -> None:
    archive.store_hour(HOUR, [member(GOOD)], ASKED)
    path = lake / "raw/project=web/app=100/date=2026-06-01/hour=05/100_2026-06-01_5#0.json.gz"
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(IncompleteHourError):
        archive.read_hour(HOUR)


# --- broken members


def wrong_checksum(data: bytes) -> bytes:
    return data[:-8] + bytes(byte ^ 0xFF for byte in data[-8:-4]) + data[-4:]


def wrong_length(data: bytes) -> bytes:
    return data[:-4] + (5).to_bytes(4, "little")


BROKEN = {
    "an empty file": b"",
    "no gzip": b'{"uuid": 1}\n',
    "half a header": GOOD[:6],
    "only a header": GOOD[:10],
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "cut before the checksum": GOOD[:-8],
    "cut by one byte": GOOD[:-1],
    "wrong checksum": wrong_checksum(GOOD),
    "wrong length": wrong_length(GOOD),
    "garbage after gzip": GOOD + b"garbage",
    "half a second stream": GOOD + GOOD[:-3],
    "garbage inside": GOOD[:40] + bytes(40) + GOOD[80:],
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_member_is_refused_with_one_sentence_and_leaves_nothing_behind(
    archive: Archive, lake: Path, data: bytes
) -> None:
    with pytest.raises(AmplitudeError) as caught:
        archive.store_hour(HOUR, [member(data)], ASKED)
    message = str(caught.value)
    assert message.count("\n") == 0
    assert "100_2026-06-01_5#0.json.gz" in message
    assert "2026-06-01T05" in message
    assert files(lake) == {}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_member_that_broke_in_the_archive_is_refused_when_it_is_read(data: bytes) -> None:
    with pytest.raises(AmplitudeError, match="no complete gzip file"):
        check(member(data))


@pytest.mark.parametrize("order", ["the good one first", "the broken one first"])
def test_an_hour_with_one_broken_member_leaves_the_archive_as_it_was(archive: Archive, lake: Path, order: str) -> None:
    """Half an hour in the archive would be taken for the whole one by `--replay`."""
    old = gzip_lines(export_row())
    archive.store_hour(HOUR, [member(old, 0), member(old, 1)], ASKED)
    before = files(lake)
    good, broken = (0, 1) if order == "the good one first" else (1, 0)
    with pytest.raises(AmplitudeError):
        archive.store_hour(HOUR, [member(GOOD, good), member(GOOD[:-3], broken)], ASKED)
    assert files(lake) == before


def test_a_new_hour_with_one_broken_member_is_not_in_the_archive_at_all(archive: Archive) -> None:
    with pytest.raises(AmplitudeError):
        archive.store_hour(HOUR, [member(GOOD, 0), member(GOOD[:-3], 1)], ASKED)
    assert archive.hours() == [], "--replay would load half an hour as if it were whole"


def test_a_source_that_breaks_off_while_it_is_copied_leaves_nothing_behind(archive: Archive, lake: Path) -> None:
    class BreaksOff(io.RawIOBase):
        def read(self, _size: int = -1) -> bytes:
            raise KeyboardInterrupt

    def opened() -> IO[bytes]:
        return BreaksOff()  # type: ignore[return-value]  # has what is called of it

    with pytest.raises(KeyboardInterrupt):
        archive.store_hour(HOUR, [Member(parsed("100_2026-06-01_5#0.json.gz"), opened)], ASKED)
    assert files(lake) == {}


def test_a_gzip_file_of_several_streams_is_whole(archive: Archive, lake: Path) -> None:
    data = GOOD + gzip_lines(export_row()) + gzip.compress(b"")
    archive.store_hour(HOUR, [member(data)], ASKED)
    assert list(files(lake).values()) == [data]


def test_a_highly_compressed_member_is_checked_to_its_end_in_bounded_pieces() -> None:
    data = gzip.compress(bytes(40 << 20))
    assert check(member(data)).size == len(data)
    with pytest.raises(AmplitudeError, match="no complete gzip file"):
        check(member(wrong_checksum(data)))


@settings(deadline=None)
@given(
    parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=3), cut=st.integers(1, 40), level=st.integers(0, 9)
)
def test_any_gzip_file_is_accepted_whole_and_refused_cut(parts: list[bytes], cut: int, level: int) -> None:
    data = b"".join(gzip.compress(part, level) for part in parts)
    assert check(member(data)).size == len(data)
    shortened = data[: max(0, len(data) - min(cut, len(gzip.compress(parts[-1], level)) - 1))]
    with pytest.raises(AmplitudeError):
        check(member(shortened))


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_bytes_are_accepted_exactly_when_python_can_gunzip_them(data: bytes) -> None:
    def gunzips() -> bool:
        try:
            gzip.decompress(data)
        except (EOFError, OSError, zlib.error):
            return False
        return bool(data)

    if gunzips():
        check(member(data))
    else:
        with pytest.raises(AmplitudeError):
            check(member(data))


def test_the_archive_of_one_warehouse_can_be_loaded_as_a_folder_of_another(archive: Archive, lake: Path) -> None:
    archive.store_hour(HOUR, [member(GOOD, 0), member(GOOD, 12)], ASKED)
    archive.store_hour(datetime(2026, 6, 1, 6), [], ASKED)
    assert {hour: [m.name.name for m in members] for hour, members in exported_files(lake).hours.items()} == {
        HOUR: ["100_2026-06-01_5#0.json.gz", "100_2026-06-01_5#12.json.gz"]
    }
