"""Rows: each line of a member ends once, in events with every value kept or in the rejected rows with a reason."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplitude_source.lake import archive
from amplitude_source.rows import lines, typer
from amplitude_source.rows.typer import column_name
from amplitude_source.tables import EXPORT_TYPES, LOAD_ID, ODD_VALUES, ORIGIN_TYPES, REQUIRED_KEYS
from support.assertions import is_same
from support.members import export_row, member_name
from support.rows import (
    DLT_COLUMNS,
    HOUR,
    BronzeTables,
    Row,
    columns_of_unknown_keys,
    compact,
    event_of,
    member,
    normalize,
    odd_values,
    read,
    read_lines,
    read_rows,
    reasons,
    value_of,
)

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


def test_an_object_with_an_odd_part_is_no_value_of_a_text() -> None:
    """Two of them that differ in it alone would be one insert_id, and so one event."""
    line = compact(export_row(city="CITY")).replace(b'"CITY"', b'{"a":1e999,"b":1}')
    event = event_of(line)
    assert (event["city"], odd_values(event)) == (None, {"city": {"a": "1e999", "b": 1}})


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
