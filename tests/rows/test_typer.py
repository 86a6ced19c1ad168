"""Rows: each line of a member ends once, in events with every value kept or in the rejected rows with a reason."""

import gzip
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplitude_source.lake import archive
from amplitude_source.lake.archive import ArchivedMember, Member, MemberName
from amplitude_source.rows import lines, parquet, typer
from amplitude_source.rows.lines import Block, LineReader
from amplitude_source.rows.parquet import EventsWriter
from amplitude_source.rows.typer import RowTyper, column_name
from amplitude_source.tables import EXPORT_TYPES, LOAD_ID, ODD_VALUES, ORIGIN_TYPES, REQUIRED_KEYS
from support.assertions import is_same
from support.members import export_row, member_name

HOUR = datetime(2026, 6, 1, 5)
NAME = member_name(HOUR)
normalize = NamingConvention().normalize_identifier
DLT_COLUMNS = {"_dlt_id", LOAD_ID}
Row = dict[str, Any]


def member(data: bytes, name: str = NAME) -> ArchivedMember:
    def opened() -> IO[bytes]:
        return io.BytesIO(gzip.compress(data, compresslevel=1))

    parsed = MemberName.parse(name)
    assert parsed
    return ArchivedMember(Member(parsed, opened), size=0, sha256="", sent_sha256="")


class BronzeTables(NamedTuple):
    """What a block becomes."""

    events: pa.Table
    rejected: pa.Table


def read(*members: ArchivedMember, columns: Iterable[str] = ()) -> list[BronzeTables]:
    """All blocks of the members, the last one included, where `bronze.events` has these columns besides its own."""
    return [
        BronzeTables(in_order(pa.concat_tables(rows.events, promote_options="default")), rows.rejected)
        for rows in RowTyper(normalize, columns, "a load").type_all(blocks(members))
    ]


def blocks(members: Iterable[ArchivedMember]) -> Iterator[Block]:
    reader = LineReader("web")
    for each in members:
        yield from reader.read(each)
    yield reader.block()


def in_order(events: pa.Table) -> pa.Table:
    """As in the members; odd rows are typed after the others."""
    return events.sort_by([(name, "ascending") for name in ORIGIN_TYPES])


def read_lines(*lines: bytes) -> BronzeTables:
    (batch,) = read(member(b"".join(line + b"\n" for line in lines)))
    return batch


def read_rows(*rows: Row) -> BronzeTables:
    return read_lines(*(json.dumps(row).encode() for row in rows))


def value_of(key: str, value: object) -> object:
    """What a value of a key becomes; the row must not be rejected, and nothing of it be odd."""
    event = event_of(json.dumps(export_row(**{key: value})).encode())
    assert event[ODD_VALUES] is None
    return event[normalize(key)]


def event_of(line: bytes) -> Row:
    """What a line becomes, which must not be rejected."""
    batch = read_lines(line)
    assert batch.rejected.to_pylist() == []
    events: list[Row] = batch.events.to_pylist()
    assert len(events) == 1
    return events[0]


def odd_values(event: Row) -> Any:
    return json.loads(event[ODD_VALUES] or "{}")


def reasons(batch: BronzeTables) -> list[str]:
    return [str(reason) for reason in batch.rejected["reason"].to_pylist()]


# --- types


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("session_id", 0, 0),
        ("session_id", -1, -1),
        ("session_id", 2**63 - 1, 2**63 - 1),
        ("session_id", -(2**63), -(2**63)),
        ("amplitude_id", 9007199254740993, 9007199254740993),
        ("location_lat", 0.1, 0.1),
        ("location_lat", 52, 52.0),
        ("location_lng", -1.5e-7, -1.5e-7),
        ("location_lng", 1.7976931348623157e308, 1.7976931348623157e308),
        ("is_attribution_event", True, True),
        ("is_attribution_event", False, False),
        ("client_event_time", "2026-06-01 23:59:59.999999", datetime(2026, 6, 1, 23, 59, 59, 999999)),
        ("client_event_time", "2026-06-01 00:00:00.5", datetime(2026, 6, 1, 0, 0, 0, 500000)),
        ("client_event_time", "2026-06-01 00:00:00", datetime(2026, 6, 1)),
        ("client_event_time", "2024-02-29 12:00:00.000001", datetime(2024, 2, 29, 12, 0, 0, 1)),
        ("client_event_time", "1970-01-01 00:00:00.000000", datetime(1970, 1, 1)),
        ("client_event_time", "2026-03-29 02:30:00.000000", datetime(2026, 3, 29, 2, 30)),
        ("city", "東京", "東京"),
        ("city", "", ""),
        ("city", "null", "null"),
        ("city", 'O\'Neill "x" \\ \t', 'O\'Neill "x" \\ \t'),
        ("city", "a\0b", "a\0b"),
        ("city", "  blanks  ", "  blanks  "),
        ("version_name", 3, "3"),
        ("data", {}, "{}"),
        ("plan", [], "[]"),
        ("groups", {"company": ["Müller & Söhne"]}, '{"company":["Müller & Söhne"]}'),
        ("amplitude_attribution_ids", ["a", "b"], '["a","b"]'),
    ],
)
def test_a_value_that_fits_its_column_is_kept_as_it_is(key: str, value: object, stored: object) -> None:
    assert value_of(key, value) == stored


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("session_id", 7.9),
        ("session_id", 7.0),
        ("session_id", 2**63),
        ("session_id", -(2**63) - 1),
        ("session_id", True),
        ("session_id", "seven"),
        ("session_id", ""),
        ("session_id", "1e3"),
        ("session_id", " 7"),
        ("session_id", [7]),
        ("session_id", {}),
        ("location_lat", "north"),
        ("location_lat", ""),
        ("location_lat", True),
        ("location_lat", "NaN"),
        ("location_lat", "Infinity"),
        ("location_lat", [1.0]),
        ("is_attribution_event", 1),
        ("is_attribution_event", "yes"),
        ("is_attribution_event", "TRUE"),
        ("is_attribution_event", ""),
        ("client_event_time", "2026-02-30 00:00:00.000000"),
        ("client_event_time", "2026-06-01T00:00:00"),
        ("client_event_time", "2026-06-01 00:00:00+02:00"),
        ("client_event_time", "2026-06-01 00:00:00.123456789"),
        ("client_event_time", "2026-06-01"),
        ("client_event_time", "yesterday"),
        ("client_event_time", ""),
        ("client_event_time", 1780000000000),
        ("client_event_time", {}),
    ],
)
def test_a_value_that_does_not_fit_is_kept_beside_its_row_and_its_column_is_null(key: str, value: object) -> None:
    row = export_row(**{key: value}, event_properties={"price": 1.5})
    event = event_of(json.dumps(row).encode())
    assert (event[normalize(key)], odd_values(event)) == (None, {key: value})
    assert (event["uuid"], json.loads(event["event_properties"])) == (row["uuid"], {"price": 1.5})


def test_times_with_colons_in_the_date_keep_their_events() -> None:
    """As of 27 May 2022: cal-itp/data-infra#1542, airbyte#13266."""
    odd = "2022:05:27 01:02:50.047099"
    batch = read_lines(
        *(compact(export_row(processed_time=time)) for time in (None, odd, "2022-05-27 01:02:50.047099"))
    )
    assert batch.rejected.num_rows == 0
    assert batch.events["processed_time"].to_pylist() == [None, None, datetime(2022, 5, 27, 1, 2, 50, 47099)]
    assert batch.events[ODD_VALUES].to_pylist() == [None, f'{{"processed_time":"{odd}"}}', None]


HALF = b'"half \\ud83d"'
BIG = 10**40


@pytest.mark.parametrize(
    ("key", "value", "stored", "odd"),
    [
        ("city", HALF, None, {"city": r"half \ud83d"}),
        ("city", b'"half \xf0\x9f"', None, {"city": r"half \udcf0\udc9f"}),
        (
            "event_properties",
            b'{"a":1,"b":%b}' % HALF,
            {"a": 1, "b": None},
            {"event_properties": {"b": r"half \ud83d"}},
        ),
        ("event_properties", b'{"a":1,%b:2}' % HALF, {"a": 1}, {"event_properties": {r"half \ud83d": 2}}),
        ("event_properties", b'{"a":[1,%b]}' % HALF, {"a": None}, {"event_properties": {"a": [1, r"half \ud83d"]}}),
        ("event_properties", b'{"a":1e999,"b":1.50}', {"a": None, "b": 1.5}, {"event_properties": {"a": "1e999"}}),
        ("user_properties", b'{"a":%d}' % BIG, {"a": None}, {"user_properties": {"a": str(BIG)}}),
        ("groups", b'{"a":NaN}', {"a": None}, {"groups": {"a": "NaN"}}),
        ("location_lat", b"1e999", None, {"location_lat": "1e999"}),
        ("location_lat", b"-Infinity", None, {"location_lat": "-Infinity"}),
        ("session_id", b"%d" % BIG, None, {"session_id": str(BIG)}),
        ("city", b'"a","city":"b"', None, {"city": ["a", "b"]}),
        ("city", b'"a",%b:"b"' % HALF, "a", {r"half \ud83d": "b"}),
        ("city", b'"a","' + b"k" * 2000 + b'":"b"', "a", {"k" * 2000: "b"}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_value_that_no_parser_holds_is_kept_as_text_and_its_neighbours_stay(
    key: str, value: bytes, stored: object, odd: object
) -> None:
    row = export_row(**{key: "VALUE"}, language="German")
    event = event_of(compact(row).replace(b'"VALUE"', value))
    found = event[normalize(key)]
    assert (json.loads(found) if isinstance(stored, dict) else found) == stored
    assert (odd_values(event), event["language"], event["uuid"]) == (odd, "German", row["uuid"])


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_an_odd_value_as_deep_as_may_be_keeps_its_row(start: bytes, end: bytes) -> None:
    value = start * 499 + rb'"\ud800"' + end * 499
    event = event_of(json.dumps(export_row()).encode()[:-1] + b',"deep":%b}' % value)
    assert event[ODD_VALUES].count("\\\\ud800") == 1


def test_odd_values_of_both_kinds_stand_in_one_object() -> None:
    line = compact(export_row(session_id="x", city="CITY")).replace(b'"CITY"', HALF)
    assert odd_values(event_of(line)) == {"city": r"half \ud83d", "session_id": "x"}


@pytest.mark.parametrize("value", ["", "2022:05:27 01:02:50.047099", "2026-06-01T00:00:00", 1780000000000, {}])
def test_a_misfit_in_a_required_key_rejects_the_row_with_reason_and_value(value: object) -> None:
    row = export_row(event_time=value, a_new_key=1)
    batch = read_rows(row)
    (rejected,) = batch.rejected.to_pylist()
    text = value if isinstance(value, str) else json.dumps(value)
    assert (rejected["reason"], rejected["value"]) == ("event_time is no timestamp", text)
    assert json.loads(rejected["line"]) == row
    assert (batch.events.num_rows, columns_of_unknown_keys(batch)) == (0, {}), "its keys become no columns"


def test_every_null_and_every_missing_key_that_is_not_required_is_null() -> None:
    full = export_row()
    required = {key: full[key] for key in REQUIRED_KEYS}
    batch = read_rows(full, required)
    assert batch.rejected.num_rows == 0
    for event in batch.events.to_pylist():
        filled = {column for column, value in event.items() if value is not None}
        assert filled == {*required, *ORIGIN_TYPES, LOAD_ID}


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_a_row_without_a_required_key_is_rejected(key: str) -> None:
    missing, null = export_row(), export_row(**{key: None})
    del missing[key]
    assert reasons(read_rows(missing, null)) == [f"{key} is missing"] * 2


def test_an_empty_object_is_rejected() -> None:
    (reason,) = reasons(read_lines(b"{}"))
    assert reason.removesuffix(" is missing") in REQUIRED_KEYS


def test_a_rejected_row_does_not_touch_its_neighbours() -> None:
    rows = [export_row(amplitude_id=value) for value in (1, "x", 2, 3.5, 3)]
    batch = read_rows(*rows)
    assert batch.events["amplitude_id"].to_pylist() == [1, 2, 3]
    assert batch.events["_archive_row"].to_pylist() == [1, 3, 5]
    assert batch.rejected["_archive_row"].to_pylist() == [2, 4]


def test_events_have_one_schema_whatever_the_values_are() -> None:
    assert read_rows().events.schema == read_rows(export_row(session_id=1, groups={"a": []})).events.schema


def test_times_have_no_zone_and_nested_values_are_text() -> None:
    schema = read_rows(export_row()).events.schema
    assert schema.field("event_time").type == pa.timestamp("us")
    assert schema.field("event_properties").type == pa.string()


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


def compact(row: Row) -> bytes:
    """As Amplitude writes it."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


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


# --- unknown keys


def columns_of_unknown_keys(batch: BronzeTables) -> dict[str, list[str]]:
    known = {*map(normalize, EXPORT_TYPES), *ORIGIN_TYPES, LOAD_ID, ODD_VALUES}
    return {name: batch.events[name].to_pylist() for name in batch.events.column_names if name not in known}


SPELLINGS = [
    *("user_geo_source", "userGeoSource", "it's", 'say "hi"', '"', "größe", "東京", "🎉", "a.b", "$price", "a$b"),
    *("$.a", "a[0]", "[0]", "*", "a/b~c", "~1", "/", "with blanks in it", " ", "\t", "back\\slash", "{}", "select"),
    *("-- comment", "%s", "x" * 300, "1st", "UUID", "Event_Time", "insert_id", "_insert_id", "fields", "batch", "line"),
    *("reason", "values", "Line", "$line", "$reason", "$doubt", "$fields", "$0", "", "\0", "nul\0inside", "blank"),
    *("_export_hour", "_archive_file", "_Archive_Row", "_dlt_load_id", "_dlt_id"),
    *("$export_hour", "$archive_file", "$archive_row", "$dlt_load_id", "$dlt_id", "$odd_values", "$odd", "$value"),
]


@pytest.mark.parametrize("key", SPELLINGS)
def test_an_unknown_key_of_any_spelling_gets_a_column_of_its_own(key: str) -> None:
    batch = read_rows(export_row(**{key: "value"}))
    assert batch.rejected.num_rows == 0
    found = columns_of_unknown_keys(batch)
    assert list(found.values()) == [["value"]], f"{key!r}: {found}"
    (column,) = found
    assert column not in DLT_COLUMNS, f"{column} belongs to dlt"
    assert normalize(column) == column, "dlt would rename it"
    (event,) = batch.events.to_pylist()
    assert event["_export_hour"] == HOUR
    assert event["_archive_file"] == NAME


@pytest.mark.parametrize(
    "keys",
    [
        ["Plan", "PLAN"],
        ["theme", "Theme", "THEME"],
        ["a b", "a_b", "a.b", "aB"],
        ["a$b", "a_b"],
        ["$price", "_price", "price"],
        ["é", "è", "🎉", "*"],
        ["insert_id", "Insert_ID", "$Insert_ID"],
        ["straße", "STRASSE", "strasse"],
        ["İ", "i", "I"],
        ["x_2", "x", "X"],
        ["", " ", "\0", "\0\0", "blank", "Blank"],
    ],
)
def test_keys_that_are_one_name_to_the_warehouse_get_a_column_each(keys: list[str]) -> None:
    row = export_row(**{key: f"value of {key}" for key in keys}, plan={"known": True})
    batch = read_rows(row)
    assert batch.rejected.num_rows == 0
    found = columns_of_unknown_keys(batch)
    assert sorted(values[0] for values in found.values()) == sorted(f"value of {key}" for key in keys)
    assert batch.events["plan"].to_pylist() == ['{"known":true}']


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("user_geo_source", "user_geo_source"),
        ("x_2", "x_2"),
        ("$price", "_price"),
        ("Theme", "theme_efb52e"),
        ("with blanks", "with_blanks_f06ff6"),
        ("_price", "_price_983cd7"),
        ("", "blank_e3b0c4"),
    ],
)
def test_a_key_that_is_not_its_column_is_told_apart_by_a_hash(key: str, column: str) -> None:
    """Bronze has these names: another one would put a key into two columns."""
    assert column_name(key, normalize) == column


def test_values_of_unknown_keys_are_text_as_in_the_json() -> None:
    values = {"t": "x", "n": 12345678901234567890123, "f": 0.1, "b": False, "o": {"a": [1]}, "nothing": None}
    found = columns_of_unknown_keys(read_rows(export_row(**values)))
    assert found == {
        "t": ["x"],
        "n": ["12345678901234567890123"],
        "f": ["0.1"],
        "b": ["false"],
        "o": ['{"a":[1]}'],
        "nothing": [None],
    }


# --- any rows


texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda t: t.isoformat(" ", "microseconds"))
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "timestamp": times,
    "text": texts,
    "json": nested,
}


def good_rows() -> st.SearchStrategy[Row]:
    optional = {key: st.none() | FITTING[type_] for key, type_ in EXPORT_TYPES.items()}
    required = {key: FITTING[EXPORT_TYPES[key]] for key in REQUIRED_KEYS}
    return st.fixed_dictionaries(required, optional={k: v for k, v in optional.items() if k not in required})


def any_rows() -> st.SearchStrategy[Row]:
    known = st.dictionaries(st.sampled_from(list(EXPORT_TYPES)), nested, max_size=4)
    return st.builds(lambda good, odd: {**good, **odd}, good_rows(), known)


unknown_keys = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda key: key not in EXPORT_TYPES)
A_FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lines_by_row(batches: Sequence[BronzeTables]) -> Iterator[tuple[int, Row | None, Row | None]]:
    """For each row number: its event and its rejected row, of which there must be one."""
    events = {e["_archive_row"]: e for batch in batches for e in batch.events.to_pylist()}
    rejected = {r["_archive_row"]: r for batch in batches for r in batch.rejected.to_pylist()}
    counts = Counter([*events, *rejected])
    assert set(counts.values()) <= {1}, "a line counts once"
    for number in sorted(counts):
        yield number, events.get(number), rejected.get(number)


@settings(A_FEW, max_examples=15)
@given(rows=st.lists(good_rows(), max_size=4))
def test_rows_with_values_of_the_right_types_all_become_events_with_these_values(rows: list[Row]) -> None:
    batch = read_rows(*rows)
    assert reasons(batch) == []
    for row, event in zip(rows, batch.events.to_pylist(), strict=True):
        different = [key for key in EXPORT_TYPES if not is_same(key, row.get(key), event[normalize(key)])]
        assert not different, {key: (row.get(key), event[normalize(key)]) for key in different}


@A_FEW
@given(
    rows=st.lists(any_rows(), min_size=1, max_size=4),
    ascii_only=st.booleans(),
    separators=st.sampled_from([(", ", ": "), (",", ":")]),
)
def test_any_row_ends_in_events_as_it_was_or_in_rejected_with_a_reason(
    rows: list[Row], ascii_only: bool, separators: tuple[str, str]
) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only, separators=separators).encode() for row in rows]
    ends = list(lines_by_row([read_lines(*lines)]))
    assert [number for number, *_ in ends] == list(range(1, len(rows) + 1))
    for row, (_, event, rejected) in zip(rows, ends, strict=True):
        if rejected:
            assert rejected["reason"].partition(" ")[0] in {*REQUIRED_KEYS, "a"}
            assert json.loads(rejected["line"]) == row
            continue
        assert event
        odd = odd_values(event)
        for key in EXPORT_TYPES:
            stored, value = event[normalize(key)], row.get(key)
            if key in odd and stored is None:
                assert is_as_shown(odd[key], value), (key, value, odd)
            else:
                assert key in odd or is_same(key, value, stored), (key, value, stored)


def is_as_shown(shown: object, value: object) -> bool:
    """Whether an odd value says what the row said; numbers may be spelled another way, or as texts."""
    return shown == value or json.dumps(shown).replace('"', "") == json.dumps(value).replace('"', "")


@A_FEW
@given(lines=st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and line not in (b"", b"\r"))))
def test_any_bytes_end_in_rejected_with_a_reason(lines: list[bytes]) -> None:
    ends = list(lines_by_row([read_lines(*lines)]))
    assert len(ends) == len(lines)
    assert all(rejected and rejected["reason"] for _, _, rejected in ends)


@A_FEW
@given(
    values=st.dictionaries(
        unknown_keys, st.integers(-(10**38) + 1, 10**38 - 1) | texts | st.booleans() | nested, max_size=6
    ),
    repeat=st.integers(1, 3),
)
def test_unknown_keys_get_a_column_each_with_their_values(values: Row, repeat: int) -> None:
    batch = read_rows(*([export_row(**values)] * repeat))
    assert reasons(batch) == []
    found = columns_of_unknown_keys(batch)
    assert len(found) == len(values)
    unmatched = list(found.values())
    for key, value in values.items():
        column = next((c for c in unmatched if all(is_same(key, value, stored) for stored in c)), None)
        assert column is not None, f"{key!r}: no column holds {value!r}: {found}"
        unmatched.remove(column)


@A_FEW
@given(keys=st.sets(unknown_keys | st.text("$_aAb1 .\0", max_size=4), max_size=8))
def test_columns_of_unknown_keys_are_names_of_their_own_and_belong_to_no_other_key(keys: set[str]) -> None:
    columns = [column_name(key, normalize) for key in keys]
    taken = {*map(normalize, EXPORT_TYPES), *ORIGIN_TYPES, *DLT_COLUMNS, ODD_VALUES}
    assert len({*columns} - taken) == len(keys), dict(zip(keys, columns, strict=True))
    assert [column for column in columns if normalize(column) != column] == []


LINES: dict[str, Callable[[], bytes]] = {
    "row": lambda: json.dumps(export_row()).encode() + b"\n",
    "row and carriage return": lambda: json.dumps(export_row()).encode() + b"\r\n",
    "misfit": lambda: json.dumps(export_row(amplitude_id="x")).encode() + b"\n",
    "no JSON": lambda: b"no JSON\n",
    "blank": lambda: b" \n",
    "empty": lambda: b"\n",
    "empty with carriage return": lambda: b"\r\n",
}


@settings(A_FEW, max_examples=15)
@given(
    parts=st.lists(
        st.tuples(st.lists(st.sampled_from(list(LINES)), max_size=7), st.booleans()), min_size=1, max_size=4
    ),
    batch_bytes=st.integers(1, 5000),
    stretch_bytes=st.integers(1, 15000),
    read_bytes=st.integers(1, 3000),
)
def test_no_line_is_lost_or_doubled_wherever_batches_and_reads_end(
    parts: list[tuple[list[str], bool]], batch_bytes: int, stretch_bytes: int, read_bytes: int
) -> None:
    members, expected = [], []
    for number, (kinds, ends_in_newline) in enumerate(parts):
        text = b"".join(LINES[kind]() for kind in kinds)
        name = member_name(HOUR, number)
        members.append(member(text if ends_in_newline else text.removesuffix(b"\n"), name))
        are_events = [kind.startswith("row") for kind in kinds if not kind.startswith("empty")]
        expected += [(name, row, is_event) for row, is_event in enumerate(are_events, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", batch_bytes)
        patch.setattr(typer, "STRETCH_BYTES", stretch_bytes)
        patch.setattr(archive, "PIECE_BYTES", read_bytes)
        batches = read(*members)
    found = [
        (row["_archive_file"], row["_archive_row"], table is batch.events)
        for batch in batches
        for table in batch
        for row in table.select(list(ORIGIN_TYPES)).to_pylist()
    ]
    assert sorted(found) == expected
