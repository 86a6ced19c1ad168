"""Privacy: what a rule names never gets past the door, what none names stays as it is, and no line gets lost."""

import gzip
import hashlib
import hmac
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pytest
from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplitude_source.errors import AmplitudeError
from amplitude_source.lake import privacy
from amplitude_source.lake.archive import ArchivedMember, Member, MemberName
from amplitude_source.lake.privacy import MAX_LINE_BYTES, Effects, PrivacySettings, Redactor
from amplitude_source.rows.lines import LineReader
from amplitude_source.rows.typer import RowTyper
from amplitude_source.tables import EXPORT_TYPES, REQUIRED_KEYS
from support.members import export_row, member_name

KEY = "0123456789abcdef"  # as short as may be
SETTINGS = "SOURCES__AMPLITUDE__PRIVACY"
Row = dict[str, Any]


def redactor(**rules: Any) -> Redactor:
    found = PrivacySettings(**rules).redactor()
    assert found, "there are rules"
    return found


def redacted(text: bytes, **rules: Any) -> bytes:
    """The text that an export's text becomes."""
    return gzip.decompress(b"".join(redactor(**rules).redact([text])))


def redacted_line(line: bytes, **rules: Any) -> bytes:
    (found, rest) = redacted(line + b"\n", **rules).split(b"\n")
    assert rest == b""
    return found


def redacted_row(row: Row, **rules: Any) -> Row:
    found: Row = json.loads(redacted_line(json.dumps(row).encode(), **rules))
    return found


def shortened(value: object) -> str:
    """A parameter's name in the report."""
    return repr(value)[:40]


def hashed(text: str | bytes) -> str:
    return hmac.new(KEY.encode(), text.encode() if isinstance(text, str) else text, hashlib.sha256).hexdigest()


# --- what rules do


def test_a_dropped_value_goes_with_its_key() -> None:
    row = {"user_id": "u", "ip_address": "192.0.2.1", "user_properties": {"email": "a@b.c", "plan": "pro"}}
    assert redacted_row(row, drop=["ip_address", "user_properties/email"]) == {
        "user_id": "u",
        "user_properties": {"plan": "pro"},
    }


def test_a_nulled_value_leaves_its_key() -> None:
    row = {"user_id": "u", "location_lat": 52.5, "user_properties": {"email": "a@b.c", "plan": "pro"}}
    assert redacted_row(row, null=["location_lat", "user_properties/email"]) == {
        "user_id": "u",
        "location_lat": None,
        "user_properties": {"email": None, "plan": "pro"},
    }


def test_a_hashed_value_is_its_hmac_under_the_key() -> None:
    row = {"user_id": "Łódź", "user_properties": {"email": "a@b.c", "plan": "pro"}}
    assert redacted_row(row, hash=["user_id", "user_properties/email"], hash_key=KEY) == {
        "user_id": hashed("Łódź"),
        "user_properties": {"email": hashed("a@b.c"), "plan": "pro"},
    }


def test_all_kinds_of_rules_work_side_by_side_in_one_object() -> None:
    properties = {"a": {"b": 1, "c": 2, "d": 3, "e": 4}}
    rules = {"drop": ["user_properties/a/b"], "null": ["user_properties/a/c"], "hash": ["user_properties/a/d"]}
    found = redacted_row({"user_properties": properties}, **rules, hash_key=KEY)
    assert found == {"user_properties": {"a": {"c": None, "d": hashed("3"), "e": 4}}}


def test_the_same_value_has_the_same_hash_wherever_it_stands_and_however_it_is_typed() -> None:
    row = {
        "user_id": "17",
        "device_id": "d",
        "event_properties": {"id": 17, "by": ["17"]},
        "user_properties": {"id": "d"},
    }
    rules = ["user_id", "device_id", "event_properties/id", "event_properties/by", "user_properties/id"]
    found = redacted_row(row, hash=rules, hash_key=KEY)
    assert found["user_id"] == found["event_properties"]["id"] == found["event_properties"]["by"][0] == hashed("17")
    assert found["device_id"] == found["user_properties"]["id"] == hashed("d")


def test_another_key_gives_another_hash() -> None:
    one, other = (redacted_row({"user_id": "u"}, hash=["user_id"], hash_key=key) for key in (KEY, KEY + "!"))
    assert one != other


def test_null_and_the_empty_text_have_no_hash() -> None:
    row: Row = {"user_id": "", "device_id": None, "user_properties": {}, "groups": []}
    assert redacted_row(row, hash=[*row], hash_key=KEY) == row


@pytest.mark.parametrize("number", ["1.10", "-0.0", "12345678901234567890123", "1E400", "true", "false", "7"])
def test_a_number_or_boolean_is_hashed_by_its_text(number: str) -> None:
    line = b'{"event_properties":{"n":%b}}' % number.encode()
    found = json.loads(redacted_line(line, hash=["event_properties/n"], hash_key=KEY))
    assert found == {"event_properties": {"n": hashed(number)}}


def test_of_lists_and_objects_every_leaf_is_hashed() -> None:
    row = {
        "user_properties": {"emails": ["a", ["b"], {"work": "c", "none": None}], "plan": "pro"},
        "groups": {"x": "y"},
    }
    found = redacted_row(row, hash=["user_properties/emails", "groups"], hash_key=KEY)
    emails = [hashed("a"), [hashed("b")], {"work": hashed("c"), "none": None}]
    assert found == {"user_properties": {"emails": emails, "plan": "pro"}, "groups": {"x": hashed("y")}}


def test_as_deep_as_a_row_is_understood_it_is_hashed() -> None:
    levels = 253
    line = b'{"groups":%b"x"%b}' % (b"[" * levels, b"]" * levels)
    assert redacted_line(line, hash=["groups"], hash_key=KEY) == line.replace(b"x", hashed("x").encode())


def test_a_rule_holds_for_each_element_of_a_list_and_of_lists_in_it() -> None:
    cart = [{"name": "a", "price": 1}, [{"name": "b"}], "name", {"price": 2}]
    found = redacted_row({"event_properties": {"cart": cart}}, drop=["event_properties/cart/name"])
    assert found == {"event_properties": {"cart": [{"price": 1}, [{}], "name", {"price": 2}]}}


def test_escapes_reach_keys_with_slashes_and_tildes() -> None:
    row = {"user_properties": {"a/b": 1, "a~b": 2, "~1": 3, "a": {"b": 4}}}
    rules = [f"user_properties/{key}" for key in ("a~1b", "a~0b", "~01")]
    assert redacted_row(row, drop=rules) == {"user_properties": {"a": {"b": 4}}}


@pytest.mark.parametrize(
    "properties", [None, "email", 17, True, [], {}, ["email"], {"Email": "x"}, {"": {"email": "x"}}]
)
def test_a_path_that_is_not_in_a_row_does_nothing(properties: object) -> None:
    row = {"city": "x", "user_properties": properties}
    assert redacted_row(row, null=["user_properties/email/x", "dma"]) == row
    assert redacted_row(row, drop=["user_properties/email", "dma"]) == row


def test_the_profile_takes_what_locates_a_person_and_leaves_country_and_region() -> None:
    row = {key: 1.5 if type_ == "double" else "x" for key, type_ in EXPORT_TYPES.items()}
    found = redacted_row(row, profile="ip_and_location")
    nulled = {key for key, value in found.items() if value is None}
    assert nulled == {"ip_address", "location_lat", "location_lng", "city", "dma"}
    assert {key: value for key, value in found.items() if key not in nulled} == {
        key: value for key, value in row.items() if key not in nulled
    }


def test_the_profile_and_rules_of_ones_own_add_up() -> None:
    row = {"ip_address": "192.0.2.1", "user_id": "u", "language": "de"}
    found = redacted_row(row, profile="ip_and_location", hash=["user_id"], drop=["language"], hash_key=KEY)
    assert found == {"ip_address": None, "user_id": hashed("u")}


# --- what no rule names


@pytest.mark.parametrize(
    "value",
    [
        *("1.10", "-0", "-0.0", "0.0", "1E400", "-1e-400", "1.0E-5", "1e5", "12345678901234567890123", "52.0"),
        *("1" * 5000, "0." + "1" * 5000, "18446744073709551616", "0.1", "5e-324", "true", "null"),
        *('"東京 🎉"', '"\x7f"', '"\u2028"', '"\\u0000"', '"\\u001f"', '"\\"\\\\/"', '""'),
    ],
    ids=shortened,
)
def test_a_value_that_no_rule_names_keeps_its_text(value: str) -> None:
    line = f'{{"city":"x","event_properties":{{"b":{value},"a":[{value}]}},"user_id":"u"}}'.encode()
    assert redacted_line(line, null=["city"]) == line.replace(b'"x"', b"null")


def test_texts_mean_the_same_however_they_were_escaped() -> None:
    line = rb'{ "city" : "x", "event_properties" : {"\u0061" : "\u6771\ud83c\udf89\/\n"} }'
    assert redacted_line(line, drop=["city"]) == '{"event_properties":{"a":"東🎉/\\n"}}'.encode()


class Number(NamedTuple):
    """A number as it is written."""

    text: str


def written(value: Any, is_ascii: bool = False, blank: str = "") -> str:
    """JSON text of a value with numbers as they are written."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        inner = (
            f"{json.dumps(k, ensure_ascii=is_ascii)}:{blank}{written(v, is_ascii, blank)}" for k, v in value.items()
        )
        return "{" + f",{blank}".join(inner) + "}"
    if isinstance(value, list):
        return f"[{blank}" + f",{blank}".join(written(element, is_ascii, blank) for element in value) + "]"
    return json.dumps(value, ensure_ascii=is_ascii)


def parsed(text: bytes) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


RULES = {
    ("user_id",): "hash",
    ("ip_address",): "drop",
    ("city",): "null",
    ("user_properties", "email"): "hash",
    ("user_properties", "a/~b", "0"): "drop",
    ("event_properties", "é"): "null",
    ("groups",): "hash",
}
LISTS = {
    action: [
        "/".join(key.replace("~", "~0").replace("/", "~1") for key in path) for path in RULES if RULES[path] == action
    ]
    for action in ("drop", "null", "hash")
}
KEYS = sorted({key for path in RULES for key in path} | {"other", ""})
number_texts = st.sampled_from(
    ["7", "0.1", "1.10", "-0", "-0.0", "1E400", "12345678901234567890123", "1" * 5000, "52.0"]
)
odd_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | texts | (number_texts | odd_numbers).map(Number),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=4),
    max_leaves=8,
)
rows = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def expected(value: Any, path: tuple[str, ...] = (), is_hashed: bool = False) -> Any:
    """What the rules say, written down a second time: from each value to the rule for its path."""
    if isinstance(value, list):
        return [expected(element, path, is_hashed) for element in value]
    if isinstance(value, dict):
        found = {}
        for key, inner in value.items():
            action = None if is_hashed else RULES.get((*path, key))
            if action != "drop":
                found[key] = None if action == "null" else expected(inner, (*path, key), is_hashed or action == "hash")
        return found
    if not is_hashed or value is None or value == "":
        return value
    return hashed(value if isinstance(value, str) else written(value))


@MANY
@given(row=rows, is_ascii=st.booleans(), blank=st.sampled_from(["", " "]))
def test_any_row_comes_out_as_the_rules_say_and_else_as_written(row: Row, is_ascii: bool, blank: str) -> None:
    found = redacted_line(written(row, is_ascii, blank).encode(), **LISTS, hash_key=KEY)
    assert written(parsed(found)) == written(expected(row))


secrets = st.recursive(
    st.just("SECRET") | st.just(Number("31415926535")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@MANY
@given(row=rows, hidden=st.lists(secrets, min_size=len(RULES), max_size=len(RULES)), is_ascii=st.booleans())
def test_nothing_of_a_value_that_a_rule_names_comes_out(row: Row, hidden: list[Any], is_ascii: bool) -> None:
    for path, secret in zip(RULES, hidden, strict=True):
        level = row
        for key in path[:-1]:
            level[key] = level = level[key] if isinstance(level.get(key), dict) else {}
        level[path[-1]] = secret
    found = redacted_line(written(row, is_ascii).encode(), **LISTS, hash_key=KEY)
    assert b"SECRET" not in found
    assert b"31415926535" not in found


# --- what the rules did


def effects_of(rows: list[Row], **rules: Any) -> Effects:
    return redactor(**rules).try_on([[json.dumps(row).encode() + b"\n" for row in rows]])


def test_effects_count_keys_and_values_by_rule() -> None:
    rows: list[Row] = [
        {"user_id": "a", "city": None, "event_properties": {"cart": [{"email": "x"}, {"email": ""}]}},
        {"user_id": "", "language": "de"},
    ]
    rules = {"hash": ["user_id", "event_properties/cart/email"], "null": ["city"], "drop": ["language"]}
    effects = effects_of(rows, **rules, hash_key=KEY)
    assert effects.rows == 2
    counts = zip((rule.path for rule in effects.rules), effects.met, effects.values, strict=True)
    assert {path: (met, values) for path, met, values in counts} == {
        "user_id": (2, 1),
        "event_properties/cart/email": (2, 1),
        "city": (1, 0),
        "language": (1, 1),
    }
    assert effects.by_action() == {"hash": 2, "null": 0, "drop": 1}
    assert effects.unmet() == []


def test_effects_add_up_over_the_members_of_a_load() -> None:
    rules = redactor(drop=["city", "idfa"])
    one, other = (rules.try_on([[text]]) for text in (b'{"city":"x"}\n{}', b'{"city":null}\nno row'))
    both = one + other
    assert (both.rows, both.met, both.values) == (3, [2, 0], [1, 0])


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("userid", "user_id"),
        ("UserId", "user_id"),
        ("USER_ID", "user_id"),
        ("insert_id", "$insert_id"),
        ("ip", "ip_address"),
        ("lat", "location_lat"),
        ("email", "user_properties/email"),
        ("user_properties/emial", "user_properties/email"),
        ("user_property/email", "user_properties/email"),
        ("event_properties/user_id", "user_id"),
        ("user_properties/a/b", "user_properties/a~1b"),
        ("event_properties/carts/name", "event_properties/cart/name"),
        ("event_properties/cart/0/name", "event_properties/cart/name"),
        ("zzz", None),
        ("user_properties/zzz", None),
    ],
)
def test_a_rule_that_met_no_key_names_the_nearest_one(path: str, meant: str | None) -> None:
    row: Row = dict.fromkeys(EXPORT_TYPES)
    row |= {"user_properties": {"email": "e", "a/b": 1}, "event_properties": {"cart": [{"name": "n"}]}}
    (sentence,) = effects_of([row], null=[path]).unmet()
    hint = f"; did you mean {meant}?" if meant else "."
    assert sentence == f"{SETTINGS}__NULL: {path!r} is in none of 1 rows, so the rule did nothing{hint}"


def test_a_rule_that_is_spelled_right_is_reported_without_a_hint() -> None:
    assert effects_of([{"user_id": "u", "citys": "x"}], null=["city"], profile=None).unmet() == [
        f"{SETTINGS}__NULL: 'city' is in none of 1 rows, so the rule did nothing."
    ]


def test_a_profile_and_a_load_without_rows_are_not_reported() -> None:
    assert effects_of([{"user_id": "u"}], profile="ip_and_location").unmet() == []
    assert effects_of([], null=["userid"]).unmet() == []


def test_keys_are_sampled_only_until_every_rule_has_met_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "SAMPLED_ROWS", 3)
    rows: list[Row] = [{"city": "x", f"key_{number}": 1} for number in range(9)]
    assert effects_of(rows, null=["city"]).sample == {"city": {}, "key_0": {}}
    assert effects_of(rows, null=["town"]).sample == {"city": {}, "key_0": {}, "key_1": {}, "key_2": {}}


def test_a_misspelled_column_is_doubted_before_anything_is_loaded() -> None:
    settings = PrivacySettings(hash=["userid", "new_column", "user_property/x"], null=["city"], hash_key=KEY)
    assert settings.doubts() == [
        f"{SETTINGS}__HASH: {path!r} begins with no known column of Amplitude's export; did you mean {meant}?"
        for path, meant in [("userid", "user_id"), ("user_property/x", "user_properties/x")]
    ]


# --- lines

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


@configspec
class Source(BaseConfiguration):
    """As the source's settings hold the rules."""

    privacy: PrivacySettings = None  # type: ignore[assignment]  # dlt resolves it


def resolved() -> PrivacySettings:
    return resolve_configuration(Source(), sections=("sources", "amplitude")).privacy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that dlt takes for the project."""
    run_context, before = Container()[PluggableRunContext], Path.cwd()
    (tmp_path / ".dlt").mkdir()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.chdir(before)
    run_context.reload(str(before))


def reload(project: Path) -> None:
    Container()[PluggableRunContext].reload(str(project))


@pytest.mark.usefixtures("project")
def test_without_settings_there_is_no_redactor() -> None:
    assert resolved().redactor() is None
    assert PrivacySettings(hash_key=KEY).redactor() is None


def test_rules_come_from_dlts_files(project: Path) -> None:
    section = "[sources.amplitude.privacy]\n"
    rules = 'profile = "ip_and_location"\ndrop = ["idfa", "adid"]\nnull = ["language"]\nhash = ["user_id"]\n'
    (project / ".dlt/config.toml").write_text(section + rules)
    (project / ".dlt/secrets.toml").write_text(f'{section}hash_key = "{KEY}"\n')
    reload(project)
    assert dict(resolved()) == {
        "profile": "ip_and_location",
        "drop": ["idfa", "adid"],
        "null": ["language"],
        "hash": ["user_id"],
        "hash_key": KEY,
    }
    assert resolved().redactor()


def test_rules_come_from_the_environment_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".dlt/config.toml").write_text('[sources.amplitude.privacy]\ndrop = ["idfa"]\nhash = ["groups"]\n')
    reload(project)
    monkeypatch.setenv(f"{SETTINGS}__HASH", '["user_id", "user_properties/email"]')
    monkeypatch.setenv(f"{SETTINGS}__HASH_KEY", KEY)
    found = resolved()
    assert (found.drop, found.hash, found.hash_key) == (["idfa"], ["user_id", "user_properties/email"], KEY)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"profile": "gdpr"}, "PROFILE", "there is no 'gdpr'; write one of these: ip_and_location"),
    *(
        ({"drop": [path]}, "DROP", "is no path")
        for path in ("", "/", "/city", "city/", "groups//a", "groups/~2", "~", 7)
    ),
    ({"drop": ["city"], "null": ["city"]}, "NULL", "'city' falls under 'city' of SOURCES__AMPLITUDE__PRIVACY__DROP"),
    ({"drop": ["city", "city"]}, "DROP", "'city' falls under 'city' of SOURCES__AMPLITUDE__PRIVACY__DROP"),
    ({"null": ["groups/a/b", "a"], "drop": ["groups/a", "groups/b"]}, "NULL", "'groups/a/b' falls under 'groups/a'"),
    ({"hash": ["groups"], "null": ["groups/a"], "hash_key": KEY}, "NULL", "'groups/a' falls under 'groups'"),
    ({"profile": "ip_and_location", "drop": ["city"]}, "DROP", "of SOURCES__AMPLITUDE__PRIVACY__PROFILE too"),
    ({"hash": ["user_id"]}, "HASH_KEY", "is missing or shorter than 16 characters"),
    ({"hash": ["user_id"], "hash_key": ""}, "HASH_KEY", "is missing or shorter"),
    ({"hash": ["user_id"], "hash_key": KEY[1:]}, "HASH_KEY", "is missing or shorter"),
    ({"drop": ["city"], "hash_key": KEY[1:]}, "HASH_KEY", "is missing or shorter"),
    *(
        ({action: [path], "hash_key": KEY}, action.upper(), f"{path!r} is what no row can be loaded without")
        for path in (*REQUIRED_KEYS, "uuid/x")
        for action in ("drop", "null", "hash")
    ),
    *(
        ({"hash": [key], "hash_key": KEY}, "HASH", f"{key!r} is a {type_}, which a hash is not")
        for key, type_ in EXPORT_TYPES.items()
        if type_ not in ("text", "json") and key not in REQUIRED_KEYS
    ),
    *(
        ({action: [path]}, action.upper(), f"{path!r} tells the copies of an event; put it into {SETTINGS}__HASH")
        for path in ("device_id", "$insert_id")
        for action in ("drop", "null")
    ),
    ({"drop": ["user_id/email"]}, "DROP", "'user_id/email' leads into user_id, which has no values inside"),
    ({"hash": ["session_id/x"], "hash_key": KEY}, "HASH", "'session_id/x' leads into session_id"),
]


@pytest.mark.parametrize(("rules", "name", "cause"), WRONG)
def test_a_setting_that_cannot_be_followed_is_told_in_one_sentence_that_names_it(
    rules: dict[str, Any], name: str, cause: str
) -> None:
    with pytest.raises(AmplitudeError) as error:
        PrivacySettings(**rules).redactor()
    sentence = str(error.value)
    assert sentence.startswith(f"{SETTINGS}__{name}")
    assert cause in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert KEY[1:] not in sentence


def test_the_key_shows_nowhere() -> None:
    rules = PrivacySettings(hash=["user_id"], hash_key=KEY)
    assert KEY not in f"{rules!r} {rules} {rules.redactor()!r}"
