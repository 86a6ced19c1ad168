"""Privacy rules hold in every line of an export, however odd it is."""

import gzip
import hashlib
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import IO

import pyarrow as pa
import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import given
from hypothesis import strategies as st

from amplitude_source.lake import privacy
from amplitude_source.lake.archive import ArchivedMember, Member, MemberName
from amplitude_source.lake.privacy import MAX_LINE_BYTES
from amplitude_source.rows.lines import LineReader
from amplitude_source.rows.typer import RowTyper
from amplitude_source.tables import EXPORT_TYPES, REQUIRED_KEYS
from support.members import export_row, member_name
from support.redaction import KEY, MANY, Row, hashed, redacted, redacted_line, redactor, shortened

LEVELS = 498  # within two more: as deep as a row may be


def nested(levels: int, inner: bytes = b"") -> bytes:
    return b"[" * levels + inner + b"]" * levels


NOT_UNDERSTOOD = [
    (b"a@b.c", "no JSON"),
    (b'{"email": "a@b.c"', "no JSON"),
    (b'{"email": "a@b.c"}{}', "no JSON"),
    (b'{"email": "a@b.c", "n": 01}', "no JSON"),
    (b'{"email": "a@b.c\x01"}', "no JSON"),
    (b'\xef\xbb\xbf{"email": "a@b.c"}', "no JSON"),
    (b"  ", "no JSON"),
    ('{"email": "a@b.c"}'.encode("utf-16"), "no JSON"),
    (b'["a@b.c"]', "no JSON object"),
    (b'"a@b.c"', "no JSON object"),
    (b"4917212345", "no JSON object"),
    (b"null", "no JSON object"),
    (b"[]", "no JSON object"),
    (b'["a@b.c\\ud800"]', "no JSON object"),
    (b'{"email": "a@b.c", "deep": %b}' % nested(500), "nested too deeply"),
    (b'{"email": "a@b.c", "deep": %b' % (b"[" * 200_000), "nested too deeply"),
]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (rb'{"city":"x","t":"a \ud83d b","u":[1.50,"\ud800"]}', rb'{"t":"a \ud83d b","u":[1.50,"\ud800"]}'),
        (rb'{"t":"\ude00 \u00e9","city":"x\ud83d"}', rb'{"t":"\ude00 \u00e9"}'),
        (b'{"t":"caf\xe9","city":"x"}', rb'{"t":"caf\udce9"}'),
        (b'{"n":NaN,"m":[-Infinity,1E400],"city":"x"}', b'{"n":NaN,"m":[-Infinity,1E400]}'),
        (b'{"a":1,"city":"x","a":{"b":2,"b":2.0},"city":"y"}', b'{"a":1,"a":{"b":2,"b":2.0}}'),
        (b'{"a":%b,"city":"x"}' % nested(LEVELS, rb'"\ud800"'), b'{"a":%b}' % nested(LEVELS, rb'"\ud800"')),
        (rb'{"t":{"a\ud83d":1,"b":true},"city":"x"}', rb'{"t":{"a\ud83d":1,"b":true}}'),
    ],
    ids=shortened,
)
def test_a_line_with_an_odd_value_keeps_all_that_no_rule_names(line: bytes, found: bytes) -> None:
    assert redacted_line(line, drop=["city"]) == found


ODD_PEOPLE = b'{"email":"a@b.c","user_properties":{"email":%b,"plan":NaN},"email":["a@b.c"],"user_id":7}'


@pytest.mark.parametrize("email", [rb'"a@b.c\ud83d"', b'"a@b.c\xff"', b'{"a@b.c":NaN}', b'1,"email":"a@b.c"'])
def test_rules_hold_in_a_line_with_odd_values(email: bytes) -> None:
    rules = {"drop": ["email"], "null": ["user_id"], "hash": ["user_properties/email"], "hash_key": KEY}
    found = redacted_line(ODD_PEOPLE % email, **rules)
    assert found.startswith(b'{"user_properties":{"email":')
    assert found.endswith(b',"plan":NaN},"user_id":null}')
    assert b'"a@b.c' not in found or b"{" in email
    effects = redactor(**rules).try_on([[ODD_PEOPLE % email]])
    assert (effects.met, effects.values) == ([2, 1, 2], [2, 1, 2]) if b"1," in email else ([2, 1, 1], [2, 1, 1])


def test_half_of_a_character_is_hashed_by_its_utf8() -> None:
    found = json.loads(redacted_line(rb'{"user_id":"u\ud83d","n":NaN}', hash=["user_id", "n"], hash_key=KEY))
    assert found == {"user_id": hashed("u\ud83d".encode("utf-8", "surrogatepass")), "n": hashed("NaN")}


def test_a_broken_key_beside_a_rule_keeps_its_row_without_its_value() -> None:
    """A rule for `é` does not match the key of a client that sent Latin-1."""
    line = b'{"user_properties":{"\xe9":"a@b.c","plan":"pro"},"event_properties":{"\xe9":"x"}}'
    found = json.loads(redacted_line(line, drop=["user_properties/é"]))
    withheld = "withheld by the privacy rules: its key has half of a character"
    assert found == {
        "user_properties": {"\udce9": withheld, "plan": "pro"},
        "event_properties": {"\udce9": "x"},
    }


@pytest.mark.parametrize(("line", "reason"), NOT_UNDERSTOOD, ids=shortened)
def test_a_line_not_understood_is_withheld_with_reason_and_keyed_hash(line: bytes, reason: str) -> None:
    text = b'{"city":"x"}\n%b\n{"city":"y"}\n' % line
    before, found, after, rest = redacted(text, drop=["email"], hash_key=KEY).split(b"\n")
    assert (before, after, rest) == (b'{"city":"x"}', b'{"city":"y"}', b"")
    said = f"withheld by the privacy rules: {reason}, {len(line)} bytes, HMAC-SHA256 {hashed(line)}"
    assert json.loads(found) == said


@pytest.mark.parametrize(("line", "reason"), NOT_UNDERSTOOD, ids=shortened)
def test_without_a_key_a_withheld_line_leaves_no_hash_by_which_it_could_be_guessed(line: bytes, reason: str) -> None:
    found = redacted_line(line, drop=["email"])
    assert json.loads(found) == f"withheld by the privacy rules: {reason}, {len(line)} bytes"


def test_a_line_is_held_up_to_the_limit_and_withheld_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fits, too_long = b'{"user_id":"12"}', b'{"user_id":"123"}'
    monkeypatch.setattr(privacy, "MAX_LINE_BYTES", len(fits))
    pieces = [fits[:5], fits[5:] + b"\n" + too_long[:5], too_long[5:] + b"\n" + too_long + b"\n" + fits]
    output = redactor(drop=["city"], hash_key=KEY).redact(pieces)
    withheld = f"withheld by the privacy rules: too long, 17 bytes, HMAC-SHA256 {hashed(too_long)}"
    assert gzip.decompress(b"".join(output)).split(b"\n") == [fits, *[json.dumps(withheld).encode()] * 2, fits]


def test_the_memory_for_a_line_is_bounded_however_long_it_is() -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"city":"'
        for _ in range(200):
            yield b"x" * (1 << 20)
        yield b'"}\n{"city":"x"}'

    tracemalloc.start()
    try:
        output = b"".join(redactor(drop=["city"], hash_key=KEY).redact(pieces()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    withheld, after = gzip.decompress(output).split(b"\n")
    assert b"too long, 209715211 bytes" in withheld
    assert after == b"{}"
    assert peak < MAX_LINE_BYTES + (4 << 20)


def test_what_is_done_is_handed_on_before_the_text_ends() -> None:
    noise = hashlib.shake_128(b"noise").hexdigest(1 << 20)
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        for start in range(0, len(noise), 1 << 12):
            read += 1
            yield b'{"city":"%b"}\n' % noise[start : start + (1 << 12)].encode()

    output = redactor(drop=["dma"]).redact(pieces())
    sizes = [len(next(output)) for _ in range(3)]
    assert read < 300, "of 512"
    assert max(sizes) < 1 << 18


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"\r\n",
        b'\n\n{"a":1}\n\r\n\n{"b":2}',
        b'{"a":1}\r\n{"b":2}\r\n',
        b'{"a":1}',
        b'{"a":1}\r',
        b'{"a":1}\n',
        b"{}\n{}",
    ],
)
def test_line_ends_and_empty_lines_stay_as_they_are(text: bytes) -> None:
    assert redacted(text, drop=["city"]) == text


@MANY
@given(
    lines=st.lists(
        st.sampled_from(
            [b'{"user_id":"\xc3\xa9"}', b'{"city": 1.10}', b"", b"\r", b'{"city":1}\r', b"no JSON", b"\xff"]
        )
    ),
    cuts=st.lists(st.integers(0, 100)),
)
def test_the_bytes_are_the_same_wherever_the_pieces_end(lines: list[bytes], cuts: list[int]) -> None:
    text = b"\n".join(lines)
    rules = redactor(hash=["user_id"], drop=["city"], hash_key=KEY)
    pieces = [text[start:end] for start, end in pairwise([0, *sorted(cuts), len(text) + 100])]
    cut = b"".join(rules.redact(pieces))
    assert cut == b"".join(rules.redact([text]))
    assert gzip.decompress(cut).count(b"\n") == text.count(b"\n"), "a line for a line"


@MANY
@given(lines=st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)))
def test_any_bytes_come_out_line_by_line_as_json(lines: list[bytes]) -> None:
    found = redacted(b"\n".join(lines), drop=["city"]).split(b"\n")
    for line, output in zip(lines or [b""], found, strict=True):
        assert output == line if line in (b"", b"\r") else json.loads(output)


def test_the_same_text_gives_the_same_gzip_bytes() -> None:
    line = b'{"user_id":"u","city":"x"}\n' * 1000
    one, other = (b"".join(redactor(hash=["user_id"], hash_key=KEY).redact([line])) for _ in range(2))
    assert one == other
    flags, time = one[3], one[4:8]
    assert (flags, time) == (0, bytes(4))


# --- in the warehouse


def typed_rows(data: bytes) -> tuple[list[Row], list[Row]]:
    """The events and the rejected rows of a member."""

    def opened() -> IO[bytes]:
        return io.BytesIO(data)

    name = MemberName.parse(member_name(datetime(2026, 6, 1, 5)))
    assert name
    reader = LineReader("web")
    blocks = [*reader.read(ArchivedMember(Member(name, opened), size=0, sha256="", sent_sha256="")), reader.block()]
    (result,) = RowTyper(NamingConvention().normalize_identifier, [], "a load").type_all(iter(blocks))
    events = pa.concat_tables(result.events, promote_options="default")
    return events.sort_by("_archive_row").to_pylist(), result.rejected.to_pylist()


def test_redacted_rows_and_withheld_lines_keep_their_own_numbers() -> None:
    person = {"ip_address": "192.0.2.1", "location_lat": 52.5, "user_id": "u", "device_id": "d", "$insert_id": "i"}
    row = export_row(**person, user_properties={"email": "a@b.c", "n": 1.5}, new_key="new", country="Poland")
    lines = [b'["a@b.c"]', json.dumps(row).encode(), b"", b"a@b.c", json.dumps(row).encode() + b"\r"]
    rules = redactor(
        profile="ip_and_location",
        hash=["user_id", "device_id", "$insert_id", "user_properties/email"],
        drop=["new_key"],
        hash_key=KEY,
    )
    events, rejected = typed_rows(b"".join(rules.redact([b"\n".join(lines)])))
    assert [event["_archive_row"] for event in events] == [2, 4]
    for event in events:
        assert (event["ip_address"], event["location_lat"], event["country"]) == (None, None, "Poland")
        assert [event[key] for key in ("user_id", "device_id", "_insert_id")] == [hashed(text) for text in "udi"]
        assert json.loads(event["user_properties"]) == {"email": hashed("a@b.c"), "n": 1.5}
        assert "new_key" not in event
    assert [each["_archive_row"] for each in rejected] == [1, 3]
    assert {each["reason"] for each in rejected} == {"no JSON object"}
    assert all(each["line"].startswith('"withheld by the privacy rules: no JSON') for each in rejected)


@pytest.mark.parametrize(
    "odd",
    [
        rb'"event_properties":{"t":"a \ud83d","plan":"pro"}',
        rb'"user_properties":{"t":["\ude00"],"n":1.50},"city":"\ud800"',
        rb'"event_properties":{"\ud83d":1,"plan":"pro"}',
        b'"event_properties":{"t":"\xe9"}',
        b'"event_properties":{"n":NaN}',
        b'"event_properties":{"n":1e999}',
        b'"event_properties":{"n":%b}' % nested(LEVELS - 1, rb'"\ud800"'),
        b'"event_properties":{"n":%b}' % nested(300),
        b'"new":1,"new":2',
        b'"session_id":"seven"',
        rb'"event_type":"\ud83d"',
    ],
    ids=shortened,
)
def test_an_odd_value_costs_a_row_no_more_than_it_does_without_rules(odd: bytes) -> None:
    plain = json.dumps(export_row(language="de"), separators=(",", ":")).encode()
    key = odd.partition(b":")[0]
    line = plain.replace(key + b":null", odd) if key + b":null" in plain else plain[:-1] + b"," + odd + b"}"
    events, rejected = typed_rows(gzip.compress(line.replace(b'"language":"de"', b'"language":null')))
    assert typed_rows(b"".join(redactor(null=["language"]).redact([line]))) == (events, rejected)
    assert len(events) == (0 if key == b'"event_type"' else 1)


def test_every_column_that_may_be_hashed_still_fits_its_type() -> None:
    types = {key: type_ for key, type_ in EXPORT_TYPES.items() if key not in REQUIRED_KEYS}
    columns = [key for key, type_ in types.items() if type_ in ("text", "json")]
    row = export_row(**dict.fromkeys(columns, "value"))
    events, rejected = typed_rows(b"".join(redactor(hash=columns, hash_key=KEY).redact([json.dumps(row).encode()])))
    assert rejected == []
    stored = [events[0][NamingConvention().normalize_identifier(key)] for key in columns]
    assert {value.strip('"') for value in stored} == {hashed("value")}


# --- settings
