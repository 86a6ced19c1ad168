"""A shop's month as it is built and as the oracle knows it, and what random charts are drawn from."""

import json
import os
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import strategies as st

import oracle
from amplitude_source.charts.book import TYPES, Chart, compiled
from amplitude_source.charts.definitions import VIEW_TYPES, Words, read_words
from amplitude_source.charts.properties import read_properties
from oracle import charts as oracle_charts
from oracle.charts import Days, Happening
from simulator.catalog import INACTIVE_EVENT_TYPES
from simulator.cohorts import Cohort
from simulator.product import Product
from simulator.server import Simulator

from . import warehouse
from .charts import write_charts
from .project import Project, make_project, succeeded

EXAMPLES = int(os.environ.get("CHARTS", "16"))
"""How many charts are drawn a world."""
# Clocks change in St John's on 8 March, and a week, a month and a quarter begin within.
SHOP = Product(seed=5, start=datetime(2026, 3, 5), days=33, events_per_day=48, exposures=True)
PROPERTIES = """\
total: {from: event, type: number}
price: {from: event, property: $price, type: number}
coupon: {from: event}
plan: {from: user}
visits: {from: user, type: number}
company: {from: group, group_type: company}
tags: {from: user, type: list}
category: {from: event, type: list}
levels: {from: event, property: theme.levels, type: list}
"""
DEFINITIONS = """\
columns:
  size: {type: text, sql: "CASE WHEN total >= 100 THEN 'big' WHEN total < 100 THEN 'small' END"}
  is_regular: {type: boolean, sql: visits > 3}
  is_tagged: {type: boolean, sql: "tags = 'b'"}
events:
  Interest:
    - Product Viewed
    - {event: Product Added, where: platform = 'Web'}
    - {event: Product Added, where: price > 15}
segments:
  Germany: {where: country = 'Germany'}
  busy: {where: now.events > 30}
  buyers: {did: {event: Order Completed, where: total > 20, at_least: 2}}
  lately: {did: {event: Interest, at_least: 3, within_days: 6}}
  either: {any: [Germany, buyers]}
  both: {all: [busy, buyers]}
  nobody's: {none: [either, lately]}
  customers: {cohort: Customers}
  regulars: {cohort: regular1}
  strangers: {none: [regulars, customers]}
"""
CUSTOMERS, REGULARS = "buyers01", "regular1"
"""The cohorts of Amplitude that segments name, one by its name and one by its id."""
CONDITIONS: dict[str, Callable[[Any], bool]] = {
    "platform = 'Web'": lambda row: row["platform"] == "Web",
    "price > 15": lambda row: row["price"] is not None and row["price"] > 15,
    "total > 20": lambda row: row["total"] is not None and row["total"] > 20,
    "plan = 'pro' OR country LIKE '%a%' AND NOT platform IS NULL": lambda row: (
        row["plan"] == "pro" or ("a" in (row["country"] or "") and row["platform"] is not None)
    ),
    "size IN ('big', 'it''s') OR is_regular": lambda row: (
        row["size"] == "big" or (row["visits"] is not None and row["visits"] > 3)
    ),
    "tags = 'a' OR NOT category IN ('Lamps', 'Küche') OR levels IS NULL AND country = 'Germany'": lambda row: (
        "a" in (row["tags"] or ())
        or (row["category"] is not None and not {"Lamps", "Küche"} & {*row["category"]})
        or (row["levels"] is None and row["country"] == "Germany")
    ),
    "category <> 'Lamps' AND (levels IN ('1', 'true') OR NOT category IS NULL)": lambda row: (
        row["category"] is not None and "Lamps" not in row["category"]
    ),
    "COALESCE(visits, 0) + 1 > 2 AND now.amplitude_ids >= 1 AND LENGTH(LOWER(event_type)) > 0": lambda row: (
        (row["visits"] or 0) > 1
    ),
}
INTEREST = [
    {"event": "Product Viewed"},
    {"event": "Product Added", "where": "platform = 'Web'"},
    {"event": "Product Added", "where": "price > 15"},
]


def spoken_words(last_days: Mapping[oracle.App, date], members: Mapping[str, Collection[int]]) -> oracle_charts.Words:
    """The definitions as Python; some segments go by the newest day, or by the users of a cohort after merging."""

    def did(event: Happening, events: Collection[Happening], test: Callable[[Happening], bool], times: int) -> bool:
        return [other.user == event.user and test(other) for other in events].count(True) >= times

    def is_german(event: Happening, _: Collection[Happening]) -> bool:
        return bool(event.values["country"] == "Germany")

    def is_busy(event: Happening, _: Collection[Happening]) -> bool:
        return bool(event.values["now.events"] > 30)

    def is_customer(event: Happening, _: Collection[Happening]) -> bool:
        return event.values["canonical_amplitude_id"] in members[CUSTOMERS]

    def is_regular(event: Happening, _: Collection[Happening]) -> bool:
        return event.values["canonical_amplitude_id"] in members[REGULARS]

    def is_buyer(event: Happening, events: Collection[Happening]) -> bool:
        large = CONDITIONS["total > 20"]
        return did(event, events, lambda other: other.type == "Order Completed" and large(other.values), 2)

    def was_lately(event: Happening, events: Collection[Happening]) -> bool:
        oldest = last_days[event.app] - timedelta(days=5)
        return did(
            event, events, lambda o: o.date >= oldest and oracle_charts.takes({"event": "Interest"}, o, words), 3
        )

    words = oracle_charts.Words(
        CONDITIONS,
        {"Interest": INTEREST, "_view": [{"event": name} for name in VIEW_TYPES]},
        {
            "Germany": is_german,
            "busy": is_busy,
            "buyers": is_buyer,
            "lately": was_lately,
            "either": lambda event, events: is_german(event, events) or is_buyer(event, events),
            "both": lambda event, events: is_busy(event, events) and is_buyer(event, events),
            "nobody's": lambda event, events: (
                not (is_german(event, events) or is_buyer(event, events) or was_lately(event, events))
            ),
            "customers": is_customer,
            "regulars": is_regular,
            "strangers": lambda event, events: not (is_regular(event, events) or is_customer(event, events)),
        },
    )
    return words


SEGMENTS = (
    *("Germany", "busy", "buyers", "lately", "either", "both", "nobody's", "customers", "regulars", "strangers"),
)


ANSWERS = ("annotations", "cohorts", "cohort_members", "experiments")


READ = (
    *("gold.events", "gold.event_values", "gold.users", "gold.days", "gold.hours"),
    *("silver.event_types", "silver.cohorts", "silver.cohort_members"),
    *("gold.daily_metrics", "gold.experiment_exposures", "silver.annotations"),
)
"""What charts may read, and, in the last line, what else tests read of a world."""


def build_world(folder: Path, timezone: str, week_start: str) -> Path:
    """Loads the shop's month and plans; returns the project's folder.

    What the REST APIs have is loaded twice. Between the loads a cohort is computed anew, by ids from before merging,
    and an annotation and a flag are deleted.
    """
    with Simulator(SHOP) as simulator:
        project = make_project(folder, simulator)
        project.set_clock(SHOP.end, simulator)
        write_charts(project.root, properties=PROPERTIES, definitions=DEFINITIONS)
        warehouse.set_charts(project, oracle.Charts(timezone=timezone, week_start=week_start))
        project.env |= {
            "SOURCES__AMPLITUDE__REST_RESOURCES": json.dumps(["event_types", *ANSWERS]),
            "SOURCES__AMPLITUDE__COHORTS": json.dumps([CUSTOMERS, REGULARS]),
            "SOURCES__AMPLITUDE__EXPERIMENT_KEY": simulator.management_key,
            "SOURCES__AMPLITUDE__EXPERIMENT_URL": simulator.base_url,
        }
        simulator.cohort_polls = 0
        users = sorted({int(f"{row['amplitude_id']}") for _, rows in SHOP.rows() for row in rows})
        regulars = Cohort(REGULARS, "Regulars", {*users[::2]}, SHOP.end - timedelta(days=1))
        simulator.cohorts.append(regulars)
        succeeded(project.load_here("--end", f"{SHOP.end - timedelta(hours=9):%Y-%m-%dT%H}"))
        regulars.members, regulars.computed_at = {*users[::3]}, SHOP.end
        del simulator.annotations[0], simulator.flags[0]
        project.set_clock(SHOP.end + timedelta(hours=1), simulator)
        succeeded(project.load_here(*[argument for name in ANSWERS for argument in ("--only", name)]))
    warehouse.plan(project, models=READ)
    return project.root


def members_of_today(project: Project, truth: oracle.Truth) -> dict[str, set[int]]:
    """By cohort, its users after merging. Some have no event that is exported by now."""
    canonical = {user: own for (_, _, user), own in truth.canonical.items()}
    found: dict[str, set[int]] = {CUSTOMERS: set(), REGULARS: set()}
    for name, user in project.query("SELECT cohort_id, amplitude_id FROM bronze.cohort_members WHERE valid_to IS NULL"):
        found[name] |= {canonical[user]} if user in canonical else set()
    return found


class World:
    """A built warehouse, and what the oracle knows of it.

    Args:
        root: the folder of the project that `build_world` has made.
        timezone: the reporting time zone.
        week_start: the first day of a week.
    """

    def __init__(self, root: Path, timezone: str, week_start: str) -> None:
        project = Project(root)
        self.words: Words = read_words(project.root)
        zone, spans = ZoneInfo(timezone), warehouse.exported(project)
        rows = warehouse.exported_rows(sorted(project.lake.rglob("*.json.gz")))
        self.truth = truth = oracle.compute(rows, {"default": INACTIVE_EVENT_TYPES}, timezone, exported=spans)
        declared = read_properties(project.root).variable()
        self.events = derived(oracle_charts.happenings(truth, zone, declared))
        self.before_export = derived(oracle_charts.happenings(truth, zone, declared, before_export=True))
        first_day = 0 if week_start == "monday" else 6
        self.days = {
            app: Days(zone, first_day, truth.openings[app], truth.frontiers[app], spans[app[0]])
            for app in truth.openings
        }
        self.spoken = spoken_words(truth.frontiers, members_of_today(project, truth))
        assert (*self.words.segments,) == (*self.spoken.segments,) == SEGMENTS, "the oracle has other words"
        assert [part.model_dump(exclude_none=True) for part in self.words.events["Interest"]] == INTEREST
        self._connection = duckdb.connect(str(project.database), read_only=True)
        self._connection.execute("SET TimeZone = 'Asia/Tokyo'")  # whatever an analyst's session has

    def counted(self, spec: Mapping[str, Any]) -> dict[oracle.App, list[Happening]]:
        """The shown events, with those in the user's place whom a chart counts."""
        return oracle_charts.counted_by(spec.get("count_by", "canonical_amplitude_id"), self.events, self.before_export)

    def counted_before(self, spec: Mapping[str, Any]) -> dict[oracle.App, list[Happening]]:
        """The same of days before the export."""
        return oracle_charts.counted_by(spec.get("count_by", "canonical_amplitude_id"), self.before_export, self.events)

    def answer(self, chart: Chart) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The chart's rows by their keys."""
        query = compiled(chart, self.words)
        rows = self._connection.execute(query.for_engine("duckdb")).fetchall()
        answer = {row[: len(query.keys)]: row[len(query.keys) :] for row in rows}
        assert len(answer) == len(rows), f"{query.keys} are no key"
        return answer

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query in DuckDB's dialect."""
        return self._connection.execute(sql).fetchall()

    def close(self) -> None:
        self._connection.close()


def derived(events: Mapping[oracle.App, Collection[Happening]]) -> dict[oracle.App, list[Happening]]:
    return {app: [with_derived(event) for event in own] for app, own in events.items()}


def with_derived(event: Happening) -> Happening:
    total, visits = event.values["total"], event.values["visits"]
    size = None if total is None else "big" if total >= 100 else "small"
    return event._replace(
        values=dict(event.values)
        | {"size": size, "is_regular": None if visits is None else visits > 3}
        | {"is_tagged": None if event.values["tags"] is None else "b" in event.values["tags"]}
    )


EVENTS = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            [
                "Order Completed",
                "Product Viewed",
                "Interest",
                "_active",
                "_all",
                "_new",
                "_view",
                "Push Received",
                "Never it's",
            ]
        )
    },
    optional={"where": st.sampled_from([*CONDITIONS])},
)
COUNTED = st.sampled_from(["company", "country", "size", "now.events", "canonical_amplitude_id"])
DATES = st.dates(date(2026, 3, 1), date(2026, 4, 12))


def assert_equals(world: World, spec: dict[str, Any], expected: dict[tuple[Any, ...], tuple[Any, ...]]) -> None:
    got = world.answer(TYPES[spec["type"]].model_validate(spec, context=world.words))
    assert got.keys() == expected.keys(), spec
    assert {key: (got[key], row) for key, row in expected.items() if got[key] != pytest.approx(row)} == {}, spec
