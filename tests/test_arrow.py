"""Rows: each line of a member ends once, in events with every value kept or in the rejected rows with a reason."""

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import IO, Any

import pyarrow as pa
import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplitude_source import arrow
from amplitude_source.archive import ArchivedMember, Member, MemberName
from amplitude_source.arrow import BronzeTables, RowReader
from amplitude_source.settings import EXPORT_COLUMNS, ORIGIN_COLUMNS
from conftest import export_row, is_same, member_name

HOUR = datetime(2026, 6, 1, 5)
NAME = member_name(HOUR)
normalize = NamingConvention().normalize_identifier
Row = dict[str, Any]


def member(data: bytes, name: str = NAME) -> ArchivedMember:
    def opened() -> IO[bytes]:
        return io.BytesIO(gzip.compress(data, compresslevel=1))

    parsed = MemberName.parse(name)
    assert parsed
    return ArchivedMember(Member(parsed, opened), size=0, sha256="")


def read(*members: ArchivedMember) -> list[BronzeTables]:
    """All batches of the members, the last one included."""
    reader = RowReader(normalize)
    return [*(batch for m in members for batch in reader.read(m)), reader.flush()]


def read_lines(*lines: bytes) -> BronzeTables:
    (batch,) = read(member(b"".join(line + b"\n" for line in lines)))
    return batch


def read_rows(*rows: Row) -> BronzeTables:
    return read_lines(*(json.dumps(row).encode() for row in rows))


def value_of(key: str, value: object) -> object:
    """What a value of a key becomes; the row must not be rejected."""
    batch = read_rows(export_row(**{key: value}))
    assert batch.rejected.to_pylist() == []
    (event,) = batch.events.to_pylist()
    return event[normalize(key)]


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
def test_a_value_that_does_not_fit_rejects_its_row_with_key_type_and_value(key: str, value: object) -> None:
    row = export_row(**{key: value})
    batch = read_rows(row)
    assert batch.events.num_rows == 0
    (rejected,) = batch.rejected.to_pylist()
    text = value if isinstance(value, str) else json.dumps(value)
    assert rejected["reason"] == f"{key} is no {EXPORT_COLUMNS[key]}: {text}"
    assert json.loads(rejected["line"]) == row


def test_every_null_and_every_missing_key_that_is_not_required_is_null() -> None:
    full = export_row()
    required = {key: full[key] for key in arrow.REQUIRED_KEYS}
    batch = read_rows(full, required)
    assert batch.rejected.num_rows == 0
    for event in batch.events.to_pylist():
        filled = {column for column, value in event.items() if value is not None}
        assert filled == {*required, *ORIGIN_COLUMNS}


@pytest.mark.parametrize("key", arrow.REQUIRED_KEYS)
def test_a_row_without_a_required_key_is_rejected(key: str) -> None:
    missing, null = export_row(), export_row(**{key: None})
    del missing[key]
    assert reasons(read_rows(missing, null)) == [f"{key} is missing"] * 2


def test_an_empty_object_is_rejected() -> None:
    (reason,) = reasons(read_lines(b"{}"))
    assert reason.removesuffix(" is missing") in arrow.REQUIRED_KEYS


def test_a_rejected_row_does_not_touch_its_neighbours() -> None:
    rows = [export_row(session_id=value) for value in (1, "x", 2, 3.5, 3)]
    batch = read_rows(*rows)
    assert batch.events["session_id"].to_pylist() == [1, 2, 3]
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
        (b'{"uuid": "u",}', "no JSON"),
        (b'{"uuid": "u"} trailing', "no JSON"),
        (b'{"uuid": "u"}{"uuid": "v"}', "no JSON"),
        (b'{"location_lat": NaN}', "no JSON"),
        (b'{"city": "\xff\xfe"}', "no JSON"),
        (b'{"city": "\\ud800"}', "no JSON"),
        (b'\xef\xbb\xbf{"uuid": "u"}', "no JSON"),
        (b"\x00", "no JSON"),
        (b"[1, 2]", "no JSON object but list"),
        (b'"text"', "no JSON object but str"),
        (b"17", "no JSON object but int"),
        (b"1.5", "no JSON object but float"),
        (b"true", "no JSON object but bool"),
        (b"null", "no JSON object but NoneType"),
    ],
)
def test_a_line_that_is_no_row_is_rejected_and_kept(line: bytes, reason: str) -> None:
    good = json.dumps(export_row()).encode()
    batch = read_lines(good, line, good)
    assert batch.events["_archive_row"].to_pylist() == [1, 3]
    (rejected,) = batch.rejected.to_pylist()
    assert rejected["reason"].startswith(reason)
    assert rejected["line"] == line.decode("utf-8", "backslashreplace")
    assert (rejected["_export_hour"], rejected["_archive_file"], rejected["_archive_row"]) == (HOUR, NAME, 2)


def test_a_line_nested_too_deeply_ends_in_events_or_rejected_and_stops_nothing() -> None:
    deep = b'{"event_properties": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    good = json.dumps(export_row()).encode()
    batch = read_lines(good, deep, good)
    assert batch.events.num_rows + batch.rejected.num_rows == 3


def test_blank_lines_are_skipped_and_not_counted() -> None:
    batch = read_lines(b"", json.dumps(export_row()).encode(), b"  ", b"\t\r", json.dumps(export_row()).encode(), b"")
    assert batch.events["_archive_row"].to_pylist() == [1, 2]
    assert batch.rejected.num_rows == 0


def test_lines_may_end_in_carriage_return_and_line_feed() -> None:
    bad = export_row(session_id="x")
    batch = read_lines(
        json.dumps(export_row(city="Łódź")).encode() + b"\r", json.dumps(bad).encode() + b"\r", b"broken\r"
    )
    assert batch.events["city"].to_pylist() == ["Łódź"]
    assert [str(line).rstrip() for line in batch.rejected["line"].to_pylist()] == ["broken", json.dumps(bad)]


def test_the_last_line_needs_no_line_feed() -> None:
    (batch,) = read(member(json.dumps(export_row()).encode()))
    assert batch.events.num_rows == 1


def test_a_member_without_lines_gives_no_rows() -> None:
    (batch,) = read(member(b""))
    assert (batch.events.num_rows, batch.rejected.num_rows) == (0, 0)


# --- where rows come from


@pytest.fixture
def batches_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "BATCH_ROWS", 3)


@pytest.mark.usefixtures("batches_of_three")
def test_batches_go_over_the_ends_of_members_and_hours() -> None:
    sizes = {"1_2026-06-01_5#0.json.gz": 2, "1_2026-06-01_5#7.json.gz": 5, "1_2026-06-01_6#0.json.gz": 1}
    members = [
        member(b"".join(json.dumps(export_row(uuid=f"{name}-{n}")).encode() + b"\n" for n in range(size)), name)
        for name, size in sizes.items()
    ]
    batches = read(*members)
    assert [batch.events.num_rows for batch in batches] == [3, 3, 2]
    events = pa.concat_tables([batch.events for batch in batches]).to_pylist()
    assert [(e["_archive_file"], e["_archive_row"]) for e in events] == [
        (name, n + 1) for name, size in sizes.items() for n in range(size)
    ]
    assert all(e["uuid"] == f"{e['_archive_file']}-{e['_archive_row'] - 1}" for e in events)
    assert [e["_export_hour"].hour for e in events] == [5] * 7 + [6]


@pytest.mark.usefixtures("batches_of_three")
def test_a_key_that_comes_up_in_a_later_batch_gets_its_column_from_there_on() -> None:
    rows = [export_row() for _ in range(3)] + [export_row(user_geo_source="ip")]
    first, second = read(member(b"".join(json.dumps(row).encode() + b"\n" for row in rows)))
    assert "user_geo_source" not in first.events.column_names
    assert second.events["user_geo_source"].to_pylist() == ["ip"]


def test_a_batch_is_given_once_its_lines_are_large_even_when_its_rows_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "BATCH_BYTES", 1000)
    rows = [export_row(city="x" * 600) for _ in range(3)]
    batches = read(member(b"".join(json.dumps(row).encode() + b"\n" for row in rows)))
    assert [batch.events.num_rows for batch in batches] == [1, 1, 1, 0]


def test_rejected_lines_alone_fill_a_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file that is no JSON must not pile up in memory."""
    monkeypatch.setattr(arrow, "BATCH_BYTES", 100)
    batches = read(member(b"no json at all, but a long line\n" * 40))
    assert max(batch.rejected.num_rows for batch in batches) <= 5
    assert sum(batch.rejected.num_rows for batch in batches) == 40


# --- unknown keys


def columns_of_unknown_keys(batch: BronzeTables) -> dict[str, list[str]]:
    known = {*map(normalize, EXPORT_COLUMNS), *ORIGIN_COLUMNS}
    return {name: batch.events[name].to_pylist() for name in batch.events.column_names if name not in known}


@pytest.mark.parametrize(
    "key",
    [
        "user_geo_source",
        "userGeoSource",
        "it's",
        'say "hi"',
        '"',
        "größe",
        "東京",
        "🎉",
        "a.b",
        "$price",
        "$.a",
        "a[0]",
        "[0]",
        "*",
        "a/b~c",
        "~1",
        "/",
        "with blanks in it",
        " ",
        "\t",
        "back\\slash",
        "{}",
        "select",
        "-- comment",
        "%s",
        "x" * 300,
        "1st",
        "UUID",
        "Event_Time",
        "insert_id",
        "_insert_id",
        "fields",
        "batch",
        "line",
        "reason",
        "values",
        "Line",
        "_export_hour",
        "_archive_file",
        "_Archive_Row",
        "_dlt_load_id",
        "_dlt_id",
        "",
        "\0",
        "nul\0inside",
    ],
)
def test_an_unknown_key_of_any_spelling_gets_a_column_of_its_own(key: str) -> None:
    batch = read_rows(export_row(**{key: "value"}))
    assert batch.rejected.num_rows == 0
    found = columns_of_unknown_keys(batch)
    assert list(found.values()) == [["value"]], f"{key!r}: {found}"
    (column,) = found
    assert not column.startswith("_dlt_"), f"{column} belongs to dlt"
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
        ["é", "è", "🎉", "*"],
        ["insert_id", "Insert_ID"],
        ["straße", "STRASSE", "strasse"],
        ["İ", "i", "I"],
        ["x_2", "x", "X"],
    ],
)
def test_keys_that_are_one_name_to_the_warehouse_get_a_column_each(keys: list[str]) -> None:
    row = export_row(**{key: f"value of {key}" for key in keys}, plan={"known": True})
    batch = read_rows(row)
    assert batch.rejected.num_rows == 0
    found = columns_of_unknown_keys(batch)
    assert sorted(values[0] for values in found.values()) == sorted(f"value of {key}" for key in keys)
    assert batch.events["plan"].to_pylist() == ['{"known":true}']


def test_the_column_of_a_key_does_not_depend_on_which_row_came_first() -> None:
    """Else two runs put one key into two columns, and a rebuild differs from what the runs gave."""
    rows = [export_row(Theme="upper"), export_row(theme="lower")]

    def columns(order: Sequence[Row]) -> set[tuple[str, str]]:
        found = columns_of_unknown_keys(read_rows(*order))
        return {(column, value) for column, values in found.items() for value in values if value}

    assert columns(rows) == columns(rows[::-1])


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
    optional = {key: st.none() | FITTING[type_] for key, type_ in EXPORT_COLUMNS.items()}
    required = {key: FITTING[EXPORT_COLUMNS[key]] for key in arrow.REQUIRED_KEYS}
    return st.fixed_dictionaries(required, optional={k: v for k, v in optional.items() if k not in required})


def any_rows() -> st.SearchStrategy[Row]:
    known = st.dictionaries(st.sampled_from(list(EXPORT_COLUMNS)), nested, max_size=4)
    return st.builds(lambda good, odd: {**good, **odd}, good_rows(), known)


# NUL and the empty key have a test of their own.
unknown_keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(
    lambda key: key not in EXPORT_COLUMNS
)
A_FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lines_by_row(batches: Sequence[BronzeTables]) -> Iterator[tuple[int, Row | None, Row | None]]:
    """For each row number: its event and its rejected row, of which there must be one."""
    events = {e["_archive_row"]: e for batch in batches for e in batch.events.to_pylist()}
    rejected = {r["_archive_row"]: r for batch in batches for r in batch.rejected.to_pylist()}
    counts = Counter([*events, *rejected])
    assert set(counts.values()) <= {1}, "a line counts once"
    for number in sorted(counts):
        yield number, events.get(number), rejected.get(number)


@A_FEW
@given(rows=st.lists(good_rows(), max_size=4))
def test_rows_with_values_of_the_right_types_all_become_events_with_these_values(rows: list[Row]) -> None:
    batch = read_rows(*rows)
    assert reasons(batch) == []
    for row, event in zip(rows, batch.events.to_pylist(), strict=True):
        different = [key for key in EXPORT_COLUMNS if not is_same(key, row.get(key), event[normalize(key)])]
        assert not different, {key: (row.get(key), event[normalize(key)]) for key in different}


@A_FEW
@given(rows=st.lists(any_rows(), min_size=1, max_size=4), ascii_only=st.booleans())
def test_any_row_ends_in_events_as_it_was_or_in_rejected_with_a_reason(rows: list[Row], ascii_only: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only).encode() for row in rows]
    ends = list(lines_by_row([read_lines(*lines)]))
    assert [number for number, *_ in ends] == list(range(1, len(rows) + 1))
    for row, (_, event, rejected) in zip(rows, ends, strict=True):
        if rejected:
            assert rejected["reason"]
            assert json.loads(rejected["line"]) == row
        else:
            assert event
            different = [key for key in EXPORT_COLUMNS if not is_same(key, row.get(key), event[normalize(key)])]
            assert not different, {key: (row.get(key), event[normalize(key)]) for key in different}


@A_FEW
@given(lines=st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and line.strip()), max_size=5))
def test_any_bytes_end_in_rejected_with_a_reason(lines: list[bytes]) -> None:
    ends = list(lines_by_row([read_lines(*lines)]))
    assert len(ends) == len(lines)
    assert all(rejected and rejected["reason"] for _, _, rejected in ends)


@A_FEW
@given(
    values=st.dictionaries(unknown_keys, st.integers() | texts | st.booleans() | nested, max_size=6),
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


@settings(A_FEW, max_examples=15)
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=4), batch_rows=st.integers(1, 6))
def test_no_row_is_lost_or_doubled_wherever_batches_end(sizes: list[int], batch_rows: int) -> None:
    rows = [[export_row() for _ in range(size)] for size in sizes]
    members = [
        member(b"".join(json.dumps(row).encode() + b"\n" for row in part), member_name(HOUR, number))
        for number, part in enumerate(rows)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow, "BATCH_ROWS", batch_rows)
        batches = read(*members)
    assert [uuid for batch in batches for uuid in batch.events["uuid"].to_pylist()] == [
        row["uuid"] for part in rows for row in part
    ]
    assert all(batch.events.num_rows <= batch_rows for batch in batches)
