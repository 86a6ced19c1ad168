"""Funnels over many small histories whose events lie within seconds of each other: equal to the oracle, row for row."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from amplitude_source.charts.book import compiled
from amplitude_source.charts.definitions import Part, Segment, Words
from amplitude_source.charts.funnel import Funnel
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, SQL_TYPES, USER_COLUMNS, Vocabulary
from oracle import App
from oracle import charts as oracle_charts
from oracle.chart_funnels import funnel
from oracle.charts import Days, Happening
from support.chart_world import EXAMPLES

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 4)
APPS = 150
DAYS = Days(ZoneInfo("UTC"), 0, FIRST, LAST, (datetime(2026, 6, 1), datetime(2026, 6, 4, 23)))
COLUMNS = ("platform", "country", "session_id")
CONDITIONS = {
    "platform = 'Web'": lambda row: row["platform"] == "Web",
    "platform IN ('iOS', 'Android')": lambda row: row["platform"] == "iOS",
    "platform = 'iOS' AND session_id > 1": lambda row: row["platform"] == "iOS" and row["session_id"] == 2,
    "session_id = 1": lambda row: row["session_id"] == 1,
}
EXCLUSIVE = [
    ("platform = 'Web'", "platform IN ('iOS', 'Android')"),
    ("platform = 'Web'", "platform = 'iOS' AND session_id > 1"),
]
OWN = [{"event": "A", "where": "platform = 'Web'"}, {"event": "B"}]
WORDS = Words(Vocabulary(EVENT_COLUMNS, USER_COLUMNS))
WORDS = Words(
    WORDS.vocabulary,
    {"Own": [Part.model_validate(part, context=WORDS) for part in OWN]},
    {"web": Segment.model_validate({"where": "platform = 'Web'"}, context=WORDS)},
)
SPOKEN = oracle_charts.Words(
    CONDITIONS, {"Own": OWN}, {"web": lambda event, _: bool(event.values["platform"] == "Web")}
)


def history(app: App, chance: random.Random) -> Iterator[Happening]:
    """A few events of two users: bursts, ties, seconds to the microsecond, and pauses of minutes and days."""
    for user in (1, 2):
        time, first = datetime(2026, 6, 1, 10), None
        for _ in range(chance.randint(2, 9)):
            steps = [0, 0.000001, 0.3, 0.7, 1, 1, 1.000001, 2, 2.5, 6, 30, 300, 90_000]
            time += timedelta(seconds=chance.choice(steps))
            if time.date() > LAST:
                break
            name = chance.choice("AABBC") if chance.random() < 0.85 else "Inactive"
            hour = time.replace(minute=0, second=0, microsecond=0)
            values = {
                "platform": chance.choice(["Web", "iOS", None]),
                "country": chance.choice(["Chile", "Spain"]),
                "session_id": chance.choice([1, 1, 2, None]),
            }
            uuid = f"{chance.random()}"
            first = first or (time.date(), hour)
            is_first_day = time.date() == first[0]
            yield Happening(
                app, user, name, name != "Inactive", uuid, time, time.date(), hour, is_first_day, first, None, values
            )


class Histories:
    """Gold with the histories of many apps."""

    def __init__(self) -> None:
        chance = random.Random(7)
        self.events = {("p", number): [*history(("p", number), chance)] for number in range(APPS)}
        self._connection = duckdb.connect()
        columns = ", ".join(f"{name} {SQL_TYPES[kind].removesuffix('NTZ')}" for name, kind in EVENT_COLUMNS.items())
        apps = f"SELECT 'p' AS project, app FROM RANGE({APPS}) AS apps(app)"
        self._connection.execute(f"""
            CREATE SCHEMA gold; CREATE SCHEMA silver;
            CREATE TABLE gold.events (project TEXT, app BIGINT, uuid TEXT, is_before_export BOOLEAN, {columns});
            CREATE TABLE silver.apps AS
              SELECT *, DATE '{FIRST}' AS first_date, DATE '{LAST}' AS frontier_date,
                TIMESTAMP '{DAYS.span[1]}' AS reached_hour
              FROM ({apps});
            CREATE TABLE gold.days AS
              SELECT project, app, day::DATE AS date, day AS starts_at, day + INTERVAL 1 DAY AS ends_at,
                TRUE AS is_complete, DATE_TRUNC('week', day)::DATE AS week, DATE_TRUNC('month', day)::DATE AS month,
                DATE_TRUNC('quarter', day)::DATE AS quarter
              FROM ({apps}), GENERATE_SERIES(TIMESTAMP '{FIRST}', TIMESTAMP '{LAST}', INTERVAL 1 DAY) AS days(day);
        """)
        rows = [
            (*app, event.uuid, False, event.time, event.date, event.hour, event.type, event.is_active, event.user)
            + tuple(event.values[name] for name in COLUMNS)
            for app, own in self.events.items()
            for event in own
        ]
        names = "project, app, uuid, is_before_export, event_time, event_date, event_hour, event_type, is_active"
        self._connection.executemany(
            f"INSERT INTO gold.events ({names}, canonical_amplitude_id, {', '.join(COLUMNS)}) "
            f"VALUES ({', '.join('?' * len(rows[0]))})",
            rows,
        )

    def answer(self, chart: Funnel) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The chart's rows by their keys."""
        query = compiled(chart, WORDS)
        rows = self._connection.execute(query.for_engine("duckdb")).fetchall()
        places = [[each.name for each in query.columns].index(name) for name in query.keys]
        answer = {
            tuple(row[place] for place in places): tuple(v for n, v in enumerate(row) if n not in places)
            for row in rows
        }
        assert len(answer) == len(rows), f"{query.keys} are no key"
        return answer

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def histories() -> Iterator[Histories]:
    built = Histories()
    yield built
    built.close()


PARTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["A", "B", "C", "A", "B", "C", "Own", "_active", "_all", "_new", "Inactive"])},
    optional={"where": st.sampled_from([*CONDITIONS])},
)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A funnel as its file would have it; some mean nothing."""
    steps = draw(st.lists(PARTS, min_size=2, max_size=4))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "order": st.sampled_from(["this", "any", "exact", "exact"]),
        "within": st.sampled_from(["1 second", "2 seconds", "7 seconds", "1 minute", "1 hour", "3 days"]),
        "exclude": st.lists(exclusions(len(steps)), min_size=1, max_size=2),
        "hold_constant": st.sampled_from([["session_id"], ["country"], ["session_id", "platform"]]),
        "show": st.sampled_from(["conversion_over_time", "time_to_convert"]),
        "by": st.sampled_from([["platform"], ["platform", "country"]]),
        "segments": st.sampled_from([["web"], ["(all)", "web"]]),
        "since": st.dates(FIRST, LAST),
        "until": st.dates(FIRST, LAST),
    }
    spec = {"type": "funnel", "steps": steps}
    return spec | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


@st.composite
def exclusions(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    between = {"between": draw(st.lists(st.integers(1, steps), min_size=2, max_size=2, unique=True).map(sorted))}
    return {"event": draw(st.sampled_from(["A", "B", "C", "Inactive"]))} | (between if draw(st.booleans()) else {})


def assert_equals(got: Mapping[Any, Sequence[Any]], expected: Mapping[Any, Sequence[Any]], spec: object) -> None:
    assert got.keys() == expected.keys(), spec
    wrong = {key: (got[key], row) for key, row in expected.items() if got[key] != pytest.approx(row)}
    assert wrong == {}, spec


@settings(max_examples=EXAMPLES, deadline=None)
@given(spec=specs())
def test_a_funnel_over_dense_histories_equals_the_oracle(histories: Histories, spec: dict[str, Any]) -> None:
    try:
        chart = Funnel.model_validate(spec, context=WORDS)
    except ValidationError:
        assume(False)
    expected = funnel(spec, histories.events, dict.fromkeys(histories.events, DAYS), SPOKEN, EXCLUSIVE)
    assert_equals(histories.answer(chart), expected, spec)
