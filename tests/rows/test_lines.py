"""Lines of a member: each is one row, and no other; where it came from stays with it."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amplitude_source.lake import archive
from amplitude_source.rows import lines, parquet, typer
from amplitude_source.rows.lines import Block
from amplitude_source.rows.parquet import EventsWriter
from amplitude_source.rows.typer import column_name
from amplitude_source.tables import EXPORT_TYPES
from support.members import export_row
from support.rows import HOUR, NAME, BronzeTables, Row, compact, member, normalize, read, read_lines, read_rows, reasons

# --- lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "no JSON"),
        (b"{", "no JSON"),
        (b'{"uuid": "u"} trailing', "no JSON"),
        (b'{"uuid": "u"}{"uuid": "v"}', "no JSON"),
        (b'{"location_lat": NaN}', "uuid is missing"),
        (b'{"event_type": "\xff\xfe"}', "no JSON"),
        (b'{"event_type": "\\ud800"}', "no JSON"),
        (b'\xef\xbb\xbf{"uuid": "u"}', "no JSON"),
        (b"\x00", "no JSON"),
        (b"  ", "no JSON"),
        (b" \t\r", "no JSON"),
        (b"[1, 2]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"17", "no JSON object"),
        (b"null", "no JSON object"),
    ],
)
def test_a_line_that_is_no_row_is_rejected_and_kept(line: bytes, reason: str) -> None:
    good = json.dumps(export_row()).encode()
    batch = read_lines(good, line, good)
    assert batch.events["_archive_row"].to_pylist() == [1, 3]
    (rejected,) = batch.rejected.to_pylist()
    assert rejected["reason"] == reason
    assert rejected["line"] == line.decode("utf-8", "backslashreplace").rstrip("\r")
    assert (rejected["_export_hour"], rejected["_archive_file"], rejected["_archive_row"]) == (HOUR, NAME, 2)


PECULIAR = {
    "a trailing comma": ("groups", b'{"a": [1,]}'),
    "no number": ("groups", b'{"a": nan}'),
    "NaN": ("groups", b'{"a": NaN}'),
    "too large a number": ("groups", b'{"a": 1e999}'),
    "infinity in a new key": ("new_key", b"-Inf"),
    "Infinity in a new key": ("new_key", b"-Infinity"),
    "a text with NaN": ("city", b'"NaN and Infinity"'),
    "a new key": ("new_key", b'"new"'),
    "a misfit": ("session_id", b'"x"'),
    "the same key twice": ("city", b'"a", "city": "b"'),
    "a new key twice": ("new_key", b'"a", "new_key": "b"'),
    "a missing required key": ("uuid", b"null"),
}
FEWER_KEYS = {key: value for key, value in export_row().items() if key not in ("plan", "city")}


@pytest.mark.parametrize("odd", PECULIAR)
@pytest.mark.parametrize(
    "neighbour",
    [
        b"{",
        b"[]",
        b"\xff",
        json.dumps(export_row()).encode(),
        json.dumps(FEWER_KEYS).encode(),
        json.dumps(export_row(another_key=1)).encode(),
        json.dumps(FEWER_KEYS | {"another_key": 1, "one_more": 2}).encode(),
        json.dumps(export_row(Plan=1)).encode(),
    ],
)
def test_what_becomes_of_a_line_does_not_depend_on_its_neighbours(odd: str, neighbour: bytes) -> None:
    """DuckDB takes more for JSON than the standard does: a rebuild must not reject what the runs took."""
    key, value = PECULIAR[odd]
    line = json.dumps(export_row(**{key: "VALUE"})).encode().replace(b'"VALUE"', value)
    alone = what_becomes_of_the_second(read_lines(b"", line))
    assert what_becomes_of_the_second(read_lines(neighbour, line)) == alone
    assert what_becomes_of_the_second(read_lines(neighbour, line, neighbour)) == alone


@pytest.mark.parametrize("odd", PECULIAR)
def test_a_line_as_amplitude_writes_it_becomes_what_it_becomes_with_blanks(odd: str) -> None:
    """The first is typed the fast way, the other never is."""
    key, value = PECULIAR[odd]
    row = export_row(**{key: "VALUE"})
    lines = [line.replace(b'"VALUE"', value) for line in (compact(row), json.dumps(row).encode())]
    fast, slow = (what_becomes_of_the_second(read_lines(b"", line)) for line in lines)
    assert fast == slow


SOME_VALUES = {
    "bigint": 7,
    "bool": True,
    "double": 1.5,
    "json": {"a": [1, None]},
    "text": "München",
    "timestamp": "2026-06-01 05:00:00.000001",
}
WITH_ALL_VALUES = {key: SOME_VALUES[type_] for key, type_ in EXPORT_TYPES.items()}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("before", [20, 21])  # so that it is the first of its batch, or not
@pytest.mark.parametrize("odd", [*PECULIAR, "a value of every key"])
def test_a_key_that_had_no_value_so_far_is_read_when_it_has_one(odd: str, before: int) -> None:
    key, value = PECULIAR.get(odd, ("city", b'"Bonn"'))
    row = export_row(**{**({} if odd in PECULIAR else WITH_ALL_VALUES), key: "VALUE"})
    line = compact(row).replace(b'"VALUE"', value)
    batches = read(member(b"\n".join([*[compact(export_row())] * before, line, compact(export_row(city="Ulm"))])))
    assert len(batches) > 4, "more than are typed before the first tells which keys have values"
    assert what_becomes_of(before + 1, *batches) == what_becomes_of(1, read_lines(line))
    assert [event["city"] for event in what_becomes_of(before + 2, *batches)[0]] == ["Ulm"]


@pytest.mark.parametrize("end", [b"x", b"}", b" {}", b",", b"\0"])
def test_a_line_that_goes_on_after_its_row_is_rejected(end: bytes) -> None:
    batch = read_lines(compact(export_row()), compact(export_row()) + end)
    assert (batch.events.num_rows, reasons(batch)) == (1, ["no JSON"])


def test_lines_as_amplitude_writes_them_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = {"a": [1, 2.5, 'O\'Neill "x" \\ München']}
    row = export_row(
        city="L'Aquila, München", location_lat=52.5, is_attribution_event=True, event_properties=properties
    )
    monkeypatch.setattr(typer, "shape_query", lambda *_: "SELECT ERROR('a second look')")
    (event,) = read_lines(compact(row)).events.to_pylist()
    assert (event["city"], json.loads(event["event_properties"])) == (row["city"], properties)


def test_a_key_with_a_column_since_an_earlier_load_costs_no_second_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = compact(export_row(a_key="x", aKey="y"))
    monkeypatch.setattr(typer, "shape_query", lambda *_: "SELECT ERROR('a second look')")
    monkeypatch.setattr(typer, "odd_query", lambda *_: "SELECT ERROR('a third look')")
    columns = ["a_key", column_name("aKey", normalize)]
    (batch,) = read(member(line), columns=columns)
    assert [batch.events[column].to_pylist() for column in columns] == [["x"], ["y"]]


@pytest.mark.parametrize(
    "text", ['"', "\\", '\\"', "\\\\", '","country":"', '"}', 'null,"country":null', "\n", "\u2028", "null"]
)
def test_a_text_that_looks_like_json_is_kept_as_it_is(text: str) -> None:
    batch = read_lines(compact(export_row()), compact(export_row(city=text)), compact(export_row(data={"a": text})))
    assert batch.events["city"].to_pylist() == [None, text, None]
    assert json.loads(batch.events["data"].to_pylist()[2]) == {"a": text}


def what_becomes_of_the_second(batch: BronzeTables) -> tuple[list[Row], list[str]]:
    """Its event, NULLs left out, or the reason why it is none. (An empty first line does not count as one.)"""
    return what_becomes_of(max(1, min(2, batch.events.num_rows + batch.rejected.num_rows)), batch)


def what_becomes_of(row: int, *batches: BronzeTables) -> tuple[list[Row], list[str]]:
    """The event of a row of the member, NULLs left out, or the reason why it is none."""
    events = [event for batch in batches for event in batch.events.to_pylist() if event["_archive_row"] == row]
    values = [{k: v for k, v in event.items() if v is not None and k != "_archive_row"} for event in events]
    rejected = [each for batch in batches for each in batch.rejected.to_pylist() if each["_archive_row"] == row]
    return values, [each["reason"] for each in rejected]


def test_a_required_key_that_comes_twice_rejects_its_row() -> None:
    twice = json.dumps(export_row()).encode()[:-1] + b', "event_type": "again"}'
    assert reasons(read_lines(twice)) == ["a key comes twice"]
    assert reasons(read_lines(json.dumps(export_row()).encode(), twice)) == ["a key comes twice"]


def test_a_new_key_in_place_of_a_known_one_is_not_overlooked() -> None:
    """As many keys as in the first line are not the same keys."""
    other = {("mystery" if key == "plan" else key): value for key, value in export_row(plan="x").items()}
    batch = read_rows(export_row(), other)
    assert batch.events["mystery"].to_pylist() == [None, "x"]


def test_white_space_before_a_row_is_as_good_as_after_it() -> None:
    row = json.dumps(export_row()).encode()
    assert reasons(read_lines(b"  " + row, b" \t" + row, row + b" \t")) == []


def test_a_line_nested_too_deeply_ends_in_events_or_rejected_and_stops_nothing() -> None:
    deep = b'{"event_properties": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    good = json.dumps(export_row()).encode()
    batch = read_lines(good, deep, good)
    assert batch.events.num_rows + batch.rejected.num_rows == 3


def test_empty_lines_are_skipped_and_not_counted() -> None:
    good = json.dumps(export_row()).encode()
    batch = read_lines(b"", good, b"\r", b"", good, b"")
    assert batch.events["_archive_row"].to_pylist() == [1, 2]
    assert batch.rejected.num_rows == 0


def test_lines_may_end_in_carriage_return_and_line_feed() -> None:
    bad = export_row(amplitude_id="x")
    batch = read_lines(
        json.dumps(export_row(city="Łódź")).encode() + b"\r", json.dumps(bad).encode() + b"\r", b"broken\r"
    )
    assert batch.events["city"].to_pylist() == ["Łódź"]
    assert sorted(batch.rejected["line"].to_pylist()) == ["broken", json.dumps(bad)]


def test_the_last_line_needs_no_line_feed() -> None:
    (batch,) = read(member(json.dumps(export_row()).encode()))
    assert batch.events.num_rows == 1


def test_a_member_without_lines_gives_no_rows() -> None:
    (batch,) = read(member(b""))
    assert (batch.events.num_rows, batch.rejected.num_rows) == (0, 0)


# --- where rows come from


def lines_of(rows: Iterable[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two or three rows each."""
    monkeypatch.setattr(archive, "PIECE_BYTES", 256)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 2 * len(lines_of([export_row()])))
    monkeypatch.setattr(typer, "STRETCH_BYTES", 1)


@pytest.mark.usefixtures("small_batches")
def test_batches_go_over_the_ends_of_members_and_hours_and_each_row_keeps_its_origin() -> None:
    sizes = {"1_2026-06-01_5#0.json.gz": 1, "1_2026-06-01_5#7.json.gz": 7, "1_2026-06-01_6#0.json.gz": 1}
    members = [
        member(lines_of(export_row(uuid=f"{name}-{n + 1}") for n in range(size)), name) for name, size in sizes.items()
    ]
    batches = read(*members)
    spans = [set(batch.events["_archive_file"].to_pylist()) for batch in batches]
    assert any(len(names) > 1 for names in spans), "a batch holds rows of several members"
    assert sum("1_2026-06-01_5#7.json.gz" in names for names in spans) > 1, "a member's rows lie in several batches"
    events = pa.concat_tables([batch.events for batch in batches]).to_pylist()
    assert [(e["_archive_file"], e["_archive_row"]) for e in events] == [
        (name, n + 1) for name, size in sizes.items() for n in range(size)
    ]
    assert all(e["uuid"] == f"{e['_archive_file']}-{e['_archive_row']}" for e in events)
    assert [e["_export_hour"].hour for e in events] == [5] * 8 + [6]


@pytest.mark.usefixtures("small_batches")
def test_a_key_that_comes_up_in_a_later_batch_gets_its_column_from_there_on() -> None:
    first, *_, last = read(member(lines_of([*(export_row() for _ in range(6)), export_row(user_geo_source="ip")])))
    assert "user_geo_source" not in first.events.column_names
    assert last.events["user_geo_source"].to_pylist()[-1] == "ip"


@pytest.mark.parametrize("line", [b"no json at all, but a long line", json.dumps(export_row()).encode()])
def test_a_batch_is_handed_over_as_soon_as_it_has_its_bytes(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file must not pile up in memory, whether its lines fit or not."""
    monkeypatch.setattr(archive, "PIECE_BYTES", len(line))
    monkeypatch.setattr(lines, "BLOCK_BYTES", 3 * len(line))
    monkeypatch.setattr(typer, "STRETCH_BYTES", 1)
    batches = read(member((line + b"\n") * 20))
    sizes = [batch.events.num_rows + batch.rejected.num_rows for batch in batches]
    assert sum(sizes) == 20
    assert max(sizes) <= 4


def test_a_line_longer_than_a_batch_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PIECE_BYTES", 100)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 300)
    monkeypatch.setattr(typer, "STRETCH_BYTES", 1)
    batches = read(member(lines_of([export_row(city="x" * 2000), export_row(city="y")])))
    assert [city for batch in batches for city in batch.events["city"].to_pylist()] == ["x" * 2000, "y"]


@pytest.mark.parametrize("number", [0, 1, 5, 100])
@pytest.mark.usefixtures("small_batches")
def test_a_fault_while_a_batch_is_typed_reaches_the_reader(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typing runs in threads: an exception there must not pass for a batch without rows."""
    untouched, calls = typer.without_broken_text, itertools.count()

    def fails(block: Block) -> tuple[pa.RecordBatch, pa.Table]:
        if next(calls) == number:
            raise MemoryError("no room")
        return untouched(block)

    monkeypatch.setattr(typer, "without_broken_text", fails)
    with pytest.raises(MemoryError, match="no room"):
        read(member(lines_of(export_row() for _ in range(300))))


def test_a_line_that_would_get_lost_ends_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = typer.typed

    def loses_one(*args: Any) -> tuple[pa.Table, pa.ChunkedArray]:
        events, reasons = complete(*args)
        return events.slice(1), reasons

    monkeypatch.setattr(typer, "typed", loses_one)
    with pytest.raises(RuntimeError, match="3 lines became 2 rows"):
        read_rows(export_row(), export_row(), export_row())


def test_files_from_before_a_key_came_up_get_its_column_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dlt would write all of them anew, as one."""
    monkeypatch.setattr(parquet, "ROWS_PER_FILE", 2)
    narrow, wide = pa.table({"n": [1, 2, 3, 4, 5]}), pa.table({"n": [6], "late": ["x"]})
    writer = EventsWriter(tmp_path)
    writer.write(narrow)
    writer.write(wide)
    written = writer.close()
    tables = [pq.read_table(file.path) for file in written]
    assert [table.schema for table in tables] == [file.schema for file in written] == [wide.schema] * 4
    assert [file.rows for file in written] == [table.num_rows for table in tables] == [2, 2, 1, 1]
    assert pa.concat_tables(tables).to_pydict() == {"n": [1, 2, 3, 4, 5, 6], "late": [None] * 5 + ["x"]}
    assert {*tmp_path.iterdir()} == {file.path for file in written}


def test_large_rows_are_fewer_to_a_group_of_a_parquet_file_and_small_ones_fill_it(tmp_path: Path) -> None:
    for size, groups in ((100_000, 4), (100, 1)):
        writer = EventsWriter(tmp_path)
        for _ in range(20):
            writer.write(pa.table({"text": ["x" * size] * 20}))
        (file,) = writer.close()
        assert file.rows == 400
        assert pq.ParquetFile(file.path).num_row_groups == groups, f"rows of {size:,} bytes"
