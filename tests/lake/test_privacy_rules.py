"""Privacy rules take out of a row what they name, and nothing else."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_source.lake import privacy
from amplitude_source.lake.privacy import Effects, PrivacySettings
from amplitude_source.tables import EXPORT_TYPES
from support.redaction import KEY, MANY, SETTINGS, Row, hashed, redacted_line, redacted_row, redactor, shortened


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
