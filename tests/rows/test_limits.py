"""Hostile and absurd input: whatever stands in a file, each of its lines is a row or rejected, and memory is flat.

The fuzz test runs 30 examples; `HYPOTHESIS_EXAMPLES=20000 pytest tests/rows/test_limits.py -k fuzz` goes on for longer.
"""

import gzip
import io
import json
import os
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import IO, Any, cast

import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplitude_source.lake import archive
from amplitude_source.lake.archive import ArchivedMember, Member, MemberName, ZipBombError, check
from amplitude_source.rows import lines, queries, rejects, typer
from amplitude_source.rows.lines import LineReader
from amplitude_source.rows.typer import RowTyper
from amplitude_source.tables import EXPORT_TYPES, LOAD_ID, ODD_VALUES
from support.members import export_row, member_name

HOUR = datetime(2026, 6, 1, 5)
normalize = NamingConvention().normalize_identifier
Row = dict[str, Any]
Origin = tuple[str, int]


def name_of(partition: int) -> MemberName:
    name = MemberName.parse(member_name(HOUR, partition))
    assert name
    return name


def member(open_: Callable[[], IO[bytes]], partition: int = 0) -> ArchivedMember:
    return ArchivedMember(Member(name_of(partition), open_), size=0, sha256="", sent_sha256="")


def gzipped(data: bytes, partition: int = 0) -> ArchivedMember:
    return member(partial(io.BytesIO, gzip.compress(data, 1)), partition)


def read(*members: ArchivedMember, columns: tuple[str, ...] = ()) -> tuple[dict[Origin, Row], dict[Origin, Row]]:
    """The events and the rejected rows of members, by file and row."""

    def blocks() -> Iterator[lines.Block]:
        reader = LineReader("web")
        for each in members:
            yield from reader.read(each)
        yield reader.block()

    events: list[Row] = []
    refused: list[Row] = []
    for part in RowTyper(normalize, columns, "a load").type_all(blocks()):
        events += [row for table in part.events for row in table.to_pylist()]
        refused += part.rejected.to_pylist()
    found = by_origin(events), by_origin(refused)
    assert not found[0].keys() & found[1].keys()
    return found


def by_origin(found: list[Row]) -> dict[Origin, Row]:
    result = {(row["_archive_file"], row["_archive_row"]): row for row in found}
    assert len(result) == len(found), "a line becomes one row"
    return result


def reasons(*texts: bytes, columns: tuple[str, ...] = ()) -> list[str | None]:
    """Why each line is rejected; None for an event. An ordinary row stands before, between and after them."""
    plain = json.dumps(export_row()).encode()
    all_lines = [plain, *(line for text in texts for line in (text, plain))]
    events, refused = read(gzipped(b"\n".join(all_lines)), columns=columns)
    file = name_of(0).name
    assert all((file, number) in events for number in range(1, len(all_lines) + 1, 2)), "its neighbours are loaded"
    return [refused[file, n]["reason"] if (file, n) in refused else None for n in range(2, len(all_lines), 2)]


def line(**values: object) -> bytes:
    return json.dumps(export_row(**values)).encode()


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """A row with a property nested so deep."""
    return line(event_properties="?").replace(b'"?"', (opening * depth + closing * depth).encode())


# --- what is refused, and what is not


def test_a_line_that_is_too_long_is_rejected_and_the_others_keep_their_numbers() -> None:
    long = line(event_properties={"x": "y" * lines.MAX_LINE_BYTES})
    fits = line(event_properties={"x": "y" * (1 << 20)})
    reason = f"longer than {lines.MAX_LINE_BYTES:,} bytes"
    assert reasons(long, fits, long) == [reason, None, reason]


class Endless(io.RawIOBase):
    """A gzip file of one line of so many bytes."""

    def __init__(self, size: int, filling: bytes) -> None:
        self._left = size
        self._filling = filling * (1 << 20)
        self._zlib = zlib.compressobj(0, wbits=31)

    def read(self, _size: int = -1) -> bytes:
        packed = b""
        while not packed and self._left >= 0:
            part = self._filling[: self._left]
            self._left -= len(self._filling)
            packed = self._zlib.compress(part) if self._left >= 0 else self._zlib.compress(part) + self._zlib.flush()
        return packed


@pytest.mark.parametrize("filling", [b"x", b" ", b"["], ids=repr)
def test_memory_stays_flat_for_a_line_of_200_mb(filling: bytes) -> None:
    tracemalloc.start()
    endless = member(lambda: cast(IO[bytes], Endless(200 << 20, filling)))
    events, refused = read(endless, gzipped(line(), 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(events), len(refused)] == [1, 1]
    assert peak < 120 << 20


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (nested(100_000), rejects.TOO_DEEP),
        (nested(100_000, '{"a":', "}").replace(b":}", b":1}"), rejects.TOO_DEEP),
        (b"[" * 100_000 + b"]" * 100_000, rejects.TOO_DEEP),
        (b"[" * 100_000, rejects.TOO_DEEP),
        (line(event_type="half \ud800"), "no JSON"),
        (line(event_type="x").replace(b'"x"', b'"\x00"'), "no JSON"),
        (line(event_type="x").replace(b'"x"', b'"\xff"'), "no JSON"),
        (line(amplitude_id=12345678901234567890123), "amplitude_id is no bigint"),
        (line(event_time="0000-00-00 00:00:00"), "event_time is no timestamp"),
        (line(event_time="2026-02-30 00:00:00"), "event_time is no timestamp"),
        (line(event_time="2026-06-01 24:00:00"), "event_time is no timestamp"),
        (line(event_time="infinity"), "event_time is no timestamp"),
        (line(event_time="10000000-01-01 00:00:00"), "event_time is no timestamp"),
        (b"\xef\xbb\xbf" + line(), "no JSON"),
        (line().decode().encode("utf-16"), "no JSON"),
        (b"[]", queries.NO_OBJECT),
        (b"{}", "uuid is missing"),
        (b"null", queries.NO_OBJECT),
    ],
    ids=lambda value: repr(value)[-40:],
)
def test_what_cannot_be_a_row_is_rejected_with_its_reason(text: bytes, reason: str) -> None:
    (found,) = reasons(text.replace(b"\n", b" "))
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "text",
    [
        nested(400),
        line(**{f"key{n}": n for n in range(100_000)}),
        line(**{"k" * 2000: 1}),
        line(location_lat=0).replace(b'"location_lat": 0', b'"location_lat": 1e999'),
        line(city="half \ud800"),
        line(event_properties={"text": "\u2028 \u0000".replace("\u0000", "")}),
        line(event_properties={"text": "x" * (10 << 20)}),
        line(event_properties={"id": 12345678901234567890123}),
        line(event_time="9999-12-31 23:59:59.999999"),
        line(user_properties={"[{" * 400: "]" * 400}),
    ],
    ids=lambda value: repr(value)[-40:],
)
def test_what_is_only_odd_is_loaded(text: bytes) -> None:
    assert reasons(text) == [None]


@pytest.mark.slow
def test_a_thousand_new_keys_become_columns_and_others_stand_beside() -> None:
    new = [line(**{f"new_{n}": n}) for n in range(1000)]
    assert reasons(*new) == [None] * 1000
    crowded = tuple(f"taken_{n}" for n in range(typer.MAX_COLUMNS - len(EXPORT_TYPES) - 10))
    events, refused = read(gzipped(b"\n".join([line(one_more=1), *new[:20]])), columns=crowded)
    assert not refused
    texts = [events[name_of(0).name, number][ODD_VALUES] for number in range(1, 22)]
    assert texts[0] is None
    assert texts[-1] == '{"new_19":19}'


# --- zip bombs


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(size >> 20)] + [packer.flush()])


@pytest.mark.parametrize(
    ("limit", "value", "data", "reason"),
    [
        ("FREE_TEXT_BYTES", 8 << 20, bomb(64 << 20), "unzips to more than 500 times its size"),
        ("MAX_TEXT_BYTES", 8 << 20, gzip.compress(random.Random(1).randbytes(9 << 20), 1), "8,388,608 bytes"),
        ("MAX_STREAMS", 100, gzip.compress(b"") * 101, "more than 100 gzip streams"),
    ],
)
def test_a_zip_bomb_is_refused_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, data: bytes, reason: str
) -> None:
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(ZipBombError, match=reason) as caught:
        check(Member(name_of(0), partial(io.BytesIO, data)))
    assert "2026-06-01T05" in str(caught.value)


# --- whatever it is


class Number(str):
    """A number as it stands in JSON."""

    __slots__ = ()


def as_read(text: str) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


def is_equal(found: Any, expected: Any) -> bool:
    """Whether two JSON values say the same; numbers as far as doubles and integers hold them."""
    if isinstance(expected, Number) and isinstance(found, Number):
        return Decimal(found) == Decimal(expected) or (
            float(found) == float(expected) and "." in found + expected + "e"
        )
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(is_equal(found[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(is_equal, found, expected))
    return type(found) is type(expected) and bool(found == expected)


def holds(value: Any, type_: str, expected: Any) -> bool:
    """Whether a column of this type holds a JSON value."""
    if value is None or expected is None:
        return value is expected
    match type_:
        case "bigint":
            return isinstance(expected, str) and Decimal(expected) == value
        case "double":
            return isinstance(expected, str) and float(expected) == value
        case "bool":
            return expected in (value, str(value).lower())
        case "timestamp":
            return isinstance(expected, str) and datetime.fromisoformat(expected) == value
        case "json":
            return is_equal(as_read(value), expected) or value == expected
    if isinstance(expected, Number):
        return is_equal(Number(value), expected)
    return value == expected if isinstance(expected, str) else is_equal(as_read(value), expected)


numbers = st.sampled_from(
    ["0", "-0", "1.10", "1e3", "1E400", "1e-400", "7.9", "9007199254740993", "12345678901234567890", "0.1", "NaN", "-1"]
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
times = st.sampled_from(["2026-06-01 10:00:00.5", "2026-06-01 10:00:00", "0000-00-00", "epoch", "2026-06-01", ""])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A line: a row with odd values, other keys, odd numbers, and a few bytes changed."""
    keys = st.sampled_from([*EXPORT_TYPES, "new", "New", "$new", "_project", "", "a/b", "~", "plan ", "ключ"])
    changes = draw(st.dictionaries(keys, values | times, max_size=4))
    row = export_row(uuid=str(draw(st.uuids())), amplitude_id=17) | changes
    text = json.dumps(
        row, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    )
    if draw(st.booleans()):
        text = text.replace("null", draw(numbers), draw(st.integers(0, 3)))
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=2)):
        raw[place : place + draw(st.integers(0, 2))] = bytes([byte])
    return bytes(raw).replace(b"\n", b" ")


@pytest.mark.slow  # some ten seconds
@settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(texts() | st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")), min_size=1, max_size=6))
def test_fuzz_each_line_is_an_event_or_rejected_whatever_is_beside_it(
    found: list[bytes],
) -> None:
    found = [text for text in found if text.strip(b"\r")]  # empty lines are no rows, and do not count
    plain = json.dumps(export_row()).encode()
    one_by_one = [read(gzipped(text, partition)) for partition, text in enumerate(found)]
    together = read(gzipped(b"\n".join([plain, *found, plain]), 0))
    for partition, text in enumerate(found):
        alone, beside = (name_of(partition).name, 1), (name_of(0).name, partition + 2)
        (event,), (refused,) = ([kind.get(alone)] for kind in one_by_one[partition])
        assert (event is None) != (refused is None), text
        if refused:
            assert refused["reason"]
            assert together[1][beside]["reason"] == refused["reason"], text
            continue
        assert event
        for column in event.keys() - {"_archive_file", "_archive_row"}:
            assert same_value(together[0][beside].get(column), event[column]), (column, text)
        check_values(event, text)


def same_value(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


def check_values(event: Row, text: bytes) -> None:
    odd = json.loads(event[ODD_VALUES] or "{}")
    expected = as_read(text.decode("utf-8", "surrogateescape"))
    columns = {
        key: typer.column_name(key, normalize) if key not in EXPORT_TYPES else normalize(key)
        for key in expected
        if key.encode("utf-8", "backslashreplace").decode() == key
    }
    for key, column in columns.items():
        if key in odd:
            assert event.get(column) is None or EXPORT_TYPES.get(key, "json") == "json", (key, text)
        else:
            assert holds(event[column], EXPORT_TYPES.get(key, "text"), expected[key]), (key, event[column], text)
    filled = {column for column, value in event.items() if value is not None}
    assert filled <= {
        *columns.values(),
        "_project",
        "_export_hour",
        "_archive_file",
        "_archive_row",
        LOAD_ID,
        ODD_VALUES,
    }
