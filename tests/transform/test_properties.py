"""Properties as typed columns: sqlmesh/properties.yaml, the columns that it makes, and what is said of its faults."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from sqlglot import exp

from amplitude_source.charts.properties import FILE, Property, read_properties
from amplitude_source.errors import AmplitudeError
from oracle.properties import as_declared, list_values
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.project import REPOSITORY, SQLMESH, Project, make_project

KEYS = (
    "plain",
    "[Amplitude] Page Path",
    "a.b",
    "a/b",
    "a~1",
    "it's",
    'sa"id',
    "back\\slash",
    "0",
    "*",
    "$price",
    "ü 😀",
)
TYPES = ("text", "number", "boolean", "timestamp")
ODD = {
    f"column_{number}_{type_}": {"from": "event", "property": key, "type": type_}
    for number, key in enumerate(KEYS)
    for type_ in (TYPES[number % len(TYPES)],)
}
VALUE_TYPES = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}

DECLARED = """\
total: {from: event, type: number}
plan: {from: user, description: "The plan */ of 'them'"}
orders: {from: user, type: number}
path: {from: event, property: "[Amplitude] Page Path"}
company: {from: group, group_type: company}
seats: {from: group, group_type: company, property: seats, type: number}
never_sent: {from: event, type: timestamp}
"""


def write(root: Path, text: str) -> None:
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text(text, encoding="utf-8")


# --- the columns


@pytest.fixture(scope="module")
def odd_columns(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[duckdb.DuckDBPyConnection]:
    """A view `columns` of the odd properties, over a table `events` as gold.events has it."""
    with Simulator(product) as simulator:
        project = make_project(tmp_path_factory.mktemp("odd"), simulator)
        write(project.root, json.dumps(ODD, ensure_ascii=False))
        with warehouse.opened(project) as context:
            query = context.get_model("gold.events", raise_if_missing=True).render_query_or_raise()
    columns = [each for each in query.selects if each.output_name.lower() in ODD]
    assert [each.output_name.lower() for each in columns] == [*ODD]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Kolkata'")  # the view is an analyst's, whatever their session's zone
        connection.execute("CREATE TABLE events (event_properties JSON)")
        select = exp.select(*columns).from_("events")
        connection.execute(f"CREATE VIEW columns AS {select.sql('duckdb')}")
        yield connection


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=9),
    st.sampled_from(["1_000", "inf", "NaN", " 1", "1e5", "1e999", "0x1", "true", "TRUE", ""]),
    st.datetimes().map(str),
    st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(timezone(timedelta(hours=-3)))).map(datetime.isoformat),
    st.dates().map(str),
)


@pytest.mark.slow
@given(values=st.lists(SCALARS, min_size=len(KEYS), max_size=len(KEYS)))
def test_every_key_is_found_and_a_value_that_does_not_fit_its_type_is_null(
    odd_columns: duckdb.DuckDBPyConnection, values: list[Any]
) -> None:
    odd_columns.execute("DELETE FROM events")
    odd_columns.execute("INSERT INTO events VALUES (?)", [json.dumps(dict(zip(KEYS, values, strict=True)))])
    (row,) = odd_columns.execute("SELECT * FROM columns").fetchall()
    for got, value, declared in zip(row, values, ODD.values(), strict=True):
        assert got == as_declared(value, declared["type"]) or float(got) == value, "DuckDB writes 1e16 out"


LISTS = {"plain": "plain", "dotted": "a.b", "deep": "a.b.c", "quoted": 'it\'s.say "hi"', "number": "0.0"}
KEYS_OF_LISTS = sorted({part for name in LISTS.values() for part in (name, *name.split("."), "a.b")})
VALUES = SCALARS.filter(lambda value: not isinstance(value, float))
INNER = st.one_of(VALUES, st.lists(VALUES, max_size=2))
OBJECTS = st.dictionaries(st.sampled_from(KEYS_OF_LISTS), INNER, max_size=3)


@pytest.fixture(scope="module")
def list_values_of(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[duckdb.DuckDBPyConnection]:
    """The query of gold.event_values as a view `event_values`, over a table of events."""
    declared = {name: {"from": "event", "property": key, "type": "list"} for name, key in LISTS.items()}
    with Simulator(product) as simulator:
        project = make_project(tmp_path_factory.mktemp("lists"), simulator)
        write(project.root, json.dumps(declared))
        with warehouse.opened(project) as context:
            query = context.get_model("gold.event_values", raise_if_missing=True).render_query_or_raise()
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS amplitude; CREATE SCHEMA amplitude.silver")
        connection.execute(
            "CREATE TABLE amplitude.silver.events (project TEXT, app BIGINT, uuid TEXT, event_properties JSON)"
        )
        connection.execute(f"CREATE VIEW event_values AS {query.sql('duckdb')}")
        yield connection


@pytest.mark.slow
@given(
    properties=st.dictionaries(
        st.sampled_from(KEYS_OF_LISTS), st.one_of(INNER, OBJECTS, st.lists(st.one_of(VALUES, OBJECTS), max_size=3))
    )
)
def test_a_list_has_the_values_that_amplitude_splits_a_property_into(
    list_values_of: duckdb.DuckDBPyConnection, properties: dict[str, Any]
) -> None:
    list_values_of.execute("DELETE FROM amplitude.silver.events")
    list_values_of.execute("INSERT INTO amplitude.silver.events VALUES ('p', 1, 'a', ?)", [json.dumps(properties)])
    rows = list_values_of.execute("SELECT column_name, value FROM event_values").fetchall()
    expected = [(name, text) for name, key in LISTS.items() for text in list_values(key, properties) or ()]
    assert sorted(rows) == sorted(expected)


@pytest.mark.slow
def test_declared_properties_are_columns_of_events_and_users_and_the_catalogue_says_what_was_sent(
    loaded: Project,
) -> None:
    write(loaded.root, DECLARED)
    warehouse.plan(loaded, models=("gold.events", "gold.users", "gold.property_catalogue"), comments=True)
    columns = "SELECT event_properties, user_properties, groups, total, plan, orders, path, company, seats, never_sent"
    rows = loaded.query(f"{columns} FROM gold.events")
    assert len(rows) > 500
    for event, user, groups, *got in rows:
        event_, user_, groups_ = (json.loads(text) if text else {} for text in (event, user, groups))
        company = groups_.get("company", [None])[0]
        expected = [event_.get("total"), user_.get("plan"), user_.get("orders"), event_.get("[Amplitude] Page Path")]
        assert got == [*expected, company, len(company) if company else None, None]
    assert {company for *_, company, _, _ in rows} > {None}, "no event has a group, so nothing was compared"
    users = loaded.query("SELECT user_properties, plan, orders FROM gold.users")
    assert {plan for _, plan, _ in users} == {None, "free", "pro"}
    for properties, *got in users:
        user_ = json.loads(properties) if properties else {}
        assert got == [user_.get("plan"), user_.get("orders")]
    declared = "SELECT column_name, SUM(carriers) > 0, SUM(misfits) FROM gold.property_catalogue"
    assert loaded.query(f"{declared} WHERE NOT column_name IS NULL GROUP BY ALL ORDER BY ALL") == [
        ("never_sent", False, 0),
        ("orders", True, 0),
        ("path", True, 0),
        ("plan", True, 0),
        ("seats", True, 0),
        ("total", True, 0),
    ]
    assert_catalogue_is_right(loaded)
    comments = "SELECT comment FROM duckdb_columns() WHERE schema_name = 'GOLD' AND table_name = 'EVENTS'"
    assert loaded.query(f"{comments} AND column_name IN ('PLAN', 'SEATS') ORDER BY column_name") == [
        ("The plan * / of 'them'",),
        ("The group's property seats, NULL where it is no number",),
    ]


def assert_catalogue_is_right(project: Project) -> None:
    """Compares the rows of events' and groups' properties with a count in plain Python."""
    sent: dict[tuple[str | None, ...], list[tuple[str, str, datetime]]] = defaultdict(list)
    possible: dict[tuple[str | None, ...], set[str]] = defaultdict(set)
    columns = "uuid, event_type, event_time, event_properties, group_properties"
    for uuid, event_type, time, properties, groups in project.query(f"SELECT {columns} FROM silver.events"):
        owners = [("event", None, event_type, uuid, json.loads(properties or "{}"))] + [
            ("group", group_type, "(all)", group, of_group)
            for group_type, of_type in json.loads(groups or "{}").items()
            for group, of_group in of_type.items()
        ]
        for *owner, carrier, values in owners:
            possible[*owner].add(carrier)
            for name, value in values.items():
                sent[*owner, name, VALUE_TYPES[type(value)]].append((carrier, json.dumps(value), time))
    expected = set()
    for key, values in sent.items():
        carriers, texts, times = ({*each} for each in zip(*values, strict=True))
        share = len(carriers) / len(possible[key[:3]])
        expected.add((*key, len(carriers), share, len(texts - {"null"}), min(times), max(times)))
    key_columns = "owner, group_type, event_type, property, value_type"
    columns = f"{key_columns}, carriers, carriers_share, distinct_values, first_seen_at, last_seen_at"
    got = project.query(f"SELECT {columns} FROM gold.property_catalogue WHERE owner <> 'user' AND value_type <> 'none'")
    assert len(got) > 20
    assert {"event", "group"} == {owner for owner, *_ in got}
    assert {*got} == expected


def test_the_guides_example_is_right_and_names_all_keys_and_types(tmp_path: Path) -> None:
    guide = (REPOSITORY / "docs/guides/properties.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    write(tmp_path, "".join(examples))
    assert len(read_properties(tmp_path).variable()) == 7
    words = {*TYPES, *(field.alias or name for name, field in Property.model_fields.items())}
    assert {word for word in words if f"`{word}`" not in guide} == set()


@pytest.mark.slow
def test_a_property_that_is_declared_later_rebuilds_no_table(loaded: Project) -> None:
    models = ("gold.events", "gold.users", "gold.property_catalogue")
    warehouse.plan(loaded, models=models)
    tables = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'SILVER_TABLES' ORDER BY ALL"
    before = loaded.query(tables)
    write(loaded.root, DECLARED)
    warehouse.plan(loaded, models=models)
    assert loaded.query(tables) == before
    assert loaded.query("SELECT COUNT(DISTINCT plan) FROM gold.events") == [(2,)]


# --- what is wrong in the file


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("price: {from: event, typ: number}", 1, "price.typ means nothing here; did you mean type?"),
        ("price:\n  from: evnt", 2, "price.from is 'evnt'; did you mean event?"),
        (
            "price:\n  from: event\n  type: money",
            3,
            "price.type is 'money'; write text, number, boolean, timestamp, list.",
        ),
        ("a: {from: user}\nprice: {type: number}", 2, "price.from is missing."),
        ("price: number", 1, "price is 'number': write keys and their values below it."),
        ("price: {from: event, property: 5}", 1, "price.property is 5: input should be a valid string."),
        ("price: {from: event, property: ''}", 1, "price.property is '': string should have at least 1 character."),
        (
            "Price: {from: event}",
            1,
            "'Price' is no name for a column: write small letters, digits and _, a letter first.",
        ),
        ("a: {from: user}\norder: {from: event}", 2, "'order' is a word of SQL: choose another name for the column."),
        ("a: {from: group}", 1, "a: a property of a group needs its group_type, such as company."),
        ("a: {from: group, group_type: b, type: list}", 1, "a: a list is a property of the event or of the user, and"),
        ("a: {from: user, group_type: b}", 1, "a: group_type is for groups; a property of the user has none."),
        ("a: {from: user, property: b}\nb: {from: user}", 2, "b is the property that a is already."),
        ("a: {from: user}\na: {from: event}", 2, 'found duplicate key "a"'),
        ("path: {from: event, property: [Amplitude] Page}", 1, "texts with brackets, colons or % need quotes."),
        ("- price", 1, "the file is ['price']: write keys and their values below it."),
    ],
)
def test_a_fault_is_one_sentence_with_the_line_and_the_nearest_word(
    tmp_path: Path, text: str, line: int, sentence: str
) -> None:
    write(tmp_path, text)
    with pytest.raises(AmplitudeError, match=re.escape(sentence)) as raised:
        read_properties(tmp_path)
    assert str(raised.value).startswith(f"{FILE}, line {line}: ")


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n"])
def test_no_file_and_one_without_entries_declare_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path, text)
    assert read_properties(tmp_path).variable() == []


@pytest.mark.slow
def test_a_column_that_gold_events_has_is_refused(loaded: Project) -> None:
    write(loaded.root, "plan: {from: user}\ncountry: {from: event}\n")
    result = loaded.run(*SQLMESH, "plan", "--auto-apply", "--no-prompts")
    assert result.returncode != 0
    assert f"{FILE}, line 2: gold.events has a column country already" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        (DECLARED, True),
        ("{}", True),
        ("price: {from: event, typ: number}", False),
        ("price: {from: evnt}", False),
        ("price: {type: number}", False),
        ("Price: {from: event}", False),
    ],
)
def test_an_editor_is_told_the_same_by_the_schema(tmp_path: Path, text: str, is_right: bool) -> None:
    schema = json.loads((REPOSITORY / "sqlmesh/schemas/properties.json").read_text())
    assert Draft202012Validator(schema).is_valid(YAML(typ="safe").load(text)) == is_right
    write(tmp_path, text)
    with nullcontext() if is_right else pytest.raises(AmplitudeError):
        read_properties(tmp_path)
