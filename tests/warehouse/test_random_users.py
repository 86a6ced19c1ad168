"""Any user's settings and clock: a load, a plain `sqlmesh plan` and `run` give all of silver, and gold as the oracle.

Each user is drawn from a seed. `USERS=100 pytest tests/warehouse/test_random_users.py` draws a hundred; before a change
lands there is one.
"""

import contextlib
import io
import json
import os
import random
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
import time_machine
from sqlmesh.cli.main import cli

import oracle
from amplitude_source.transform.variables import NO_ZONES
from simulator.catalog import EVENT_TYPES, INACTIVE_EVENT_TYPES
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.charts import write_charts
from support.project import Project, make_project, succeeded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PREFIX = "SOURCES__AMPLITUDE__"
DAYS = 2
USERS = int(os.environ.get("USERS", "3"))
UNIT_TESTS_EVERY = 10  # they take longer than the rest

FOLDERS = ("plain", "my wh", "it's mine", "no #1: a {b}", "Größe 大")
HOUR_FORMATS = ("%Y-%m-%dT%H", "%Y-%m-%d %H", "%Y%m%dT%H", "%Y-%m-%dT%H:00", "%Y-%m-%dT%HZ")
PRIVACY: tuple[dict[str, str], ...] = (
    {},
    {"PROFILE": "ip_and_location"},
    {"DROP": '["user_properties/email"]', "NULL": '["language"]'},
    {"HASH": '["user_id", "device_id"]', "HASH_KEY": "0123456789abcdef0123456789abcdef"},
)


# What the simulator sends of them, and what nobody does.
EVENT_PROPERTIES = ("total", "items", "coupon", "[Amplitude] Page Path", "query", 'It\'s "odd" 100%', "a.b/c~d", "0")
USER_PROPERTIES = ("plan", "orders", "visits", "utm_source", "email", "ü \\ *")
TYPES = ("text", "number", "boolean", "timestamp", "list")
# A condition on a column of each type, and charts of each type.
CONDITIONS = {
    "text": "{} = 'it''s'",
    "number": "{} > 1",
    "boolean": "NOT {}",
    "timestamp": "{} > '2020-01-01'",
    "list": "{} IN ('a', 'it''s')",
}
CHARTS: tuple[dict[str, object], ...] = (
    {"type": "segmentation", "events": ["_new", "Interest"], "formula": "UNIQUES(B) / UNIQUES(A)", "interval": "week"},
    {"type": "segmentation", "events": ["_all"], "measure": "totals", "rolling_average": 2, "top": 3},
    {"type": "retention", "windows": "calendar", "interval": "month", "brackets": [0, "1-2"]},
    {"type": "usage_interval", "event": "Interest"},
    {"type": "lifecycle", "interval": "week"},
    {"type": "stickiness", "event": "Interest", "interval": "month"},
    {"type": "sessions", "measure": "length_distribution", "contains": "Interest", "interval": "month"},
    {"type": "funnel", "steps": ["Interest", "_active", "Order Completed"], "order": "exact", "within": "7 days"},
    {"type": "funnel", "steps": [*EVENT_TYPES[:3]], "order": "any", "show": "conversion_over_time"},
    {"type": "journeys", "from": "Interest", "collapse_repeats": True, "steps": 3},
)


@dataclass(frozen=True)
class User:
    """What a user has and sets."""

    products: dict[str, Product]
    starts: dict[str, datetime]
    charts: oracle.Charts
    folder: str
    properties: dict[str, dict[str, str]]
    """By their columns."""
    definitions: dict[str, object]
    chart_files: dict[str, dict[str, object]]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return max(product.end for product in self.products.values())


def user_of(seed: int) -> User:
    chance = random.Random(seed)
    zone = chance.choice(sorted(available_timezones() - NO_ZONES))
    start = first_day(chance, zone)
    names = chance.choice([["default"], ["default"], ["web", "ios_app"], ["a", "b2", "tv"]])
    products = {
        name: Product(
            seed=seed * 10 + number, start=start, days=DAYS, events_per_day=chance.choice([40, 90]), app=number
        )
        for number, name in enumerate(names, 1)
    }
    starts = {name: start + chance.choice([0, 0, 7, 26]) * HOUR for name in names}
    charts = oracle.Charts(
        timezone=zone,
        week_start=chance.choice(["monday", "sunday"]),
        attribution_window_days=chance.choice([0, 1, 30, 365]),
    )
    settings = {f"{PREFIX}PRIVACY__{name}": value for name, value in chance.choice(PRIVACY).items()}
    settings[f"{PREFIX}REGION"] = chance.choice(["us", "eu"])
    settings[f"{PREFIX}SETTLE_HOURS"] = chance.choice(["0", "6", "48"])
    properties = properties_of(chance)
    definitions, files = charts_of(chance, properties)
    return User(products, starts, charts, chance.choice(FOLDERS), properties, definitions, files, settings)


def properties_of(chance: random.Random) -> dict[str, dict[str, str]]:
    keys = [("event", name) for name in EVENT_PROPERTIES] + [("user", name) for name in USER_PROPERTIES]
    chosen = [
        {"from": source, "property": name, "type": chance.choice(TYPES)}
        for source, name in chance.sample(keys, chance.randint(0, 6))
    ]
    groups = [{}, {"property": "seats", "type": "number"}, {"property": "never sent"}]
    chosen += [
        {"from": "group", "group_type": "company", **each} for each in chance.sample(groups, chance.randint(0, 3))
    ]
    return {f"column_{number}": each for number, each in enumerate(chosen)}


def charts_of(
    chance: random.Random, properties: dict[str, dict[str, str]]
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Definitions and charts that use the user's columns."""
    types = {name: each.get("type", "text") for name, each in properties.items()}
    wheres = [CONDITIONS[type_].format(name) for name, type_ in types.items()] or ["country IS NULL"]
    interest = [EVENT_TYPES[0], {"event": EVENT_TYPES[1], "where": chance.choice(wheres)}]
    segments = {"it's me": {"where": chance.choice(wheres)}, "often": {"did": {"event": "Interest", "at_least": 2}}}
    columns = [name for name, type_ in types.items() if type_ not in ("timestamp", "list")] + ["country", "platform"]
    files = {
        f"chart_{number}": {
            **chart,
            "by": chance.sample(columns, chance.randint(0, 2)),
            "segments": chance.sample(["(all)", *segments], chance.randint(1, 3)),
        }
        for number, chart in enumerate(chance.sample(CHARTS, chance.randint(0, 3)))
    }
    return {"events": {"Interest": interest}, "segments": segments}, files


def first_day(chance: random.Random, zone: str) -> datetime:
    """A day of 2015 to 2035: any, before a leap day, a year's end, or before a clock in the zone is changed."""
    year = chance.randint(2015, 2035)
    days = [datetime(year, 1, 1) + number * DAY for number in range(364)]
    changes = [day for day in days if offset(zone, day) != offset(zone, day + DAY)]
    special = [[datetime(2024, 2, 28)], [datetime(2032, 2, 28)], [datetime(year - 1, 12, 31)], changes or days, days]
    return chance.choice(chance.choice(special))


def offset(zone: str, day: datetime) -> timedelta | None:
    return day.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset()


@contextlib.contextmanager
def set_up(user: User, folder: Path, chance: random.Random) -> Iterator[tuple[Project, list[Simulator]]]:
    """A checkout with the user's settings, and Amplitude with the user's projects."""
    with ExitStack() as stack:
        simulators = [
            stack.enter_context(Simulator(product, api_key=f"key-{name}", secret_key=f"secret-{name}"))
            for name, product in user.products.items()
        ]
        (folder / user.folder).mkdir()
        project = make_project(folder / user.folder, simulators[0])
        for name in ("API_KEY", "SECRET_KEY", "BASE_URL", "START_HOUR", "NOW"):
            del project.env[f"{PREFIX}{name}"]
        project.env |= user.settings
        project.env["SQLMESH__CACHE_DIR"] = str(project.root / ".cache")  # in 2035 all others have long expired
        dotenv = ""
        for name, simulator in zip(user.products, simulators, strict=True):
            prefix = PREFIX if name == "default" else f"{PREFIX}PROJECTS__{name.upper()}__"
            start = user.starts[name].strftime(chance.choice(HOUR_FORMATS))
            dotenv += f"{prefix}API_KEY=key-{name}\n{prefix}SECRET_KEY='secret-{name}'\n{prefix}START_HOUR={start}\n"
            dotenv += f"{prefix}BASE_URL={simulator.base_url}\n"
        (project.root / ".env").write_text(dotenv)
        warehouse.set_charts(project, user.charts)
        write_charts(
            project.root,
            {name: json.dumps(chart) for name, chart in user.chart_files.items()},
            properties=json.dumps(user.properties),
            definitions=json.dumps(user.definitions),
        )
        yield project, simulators


def sqlmesh(project: Project, *arguments: str) -> None:
    """`sqlmesh` in this process."""
    printed = io.StringIO()
    code: object = 0
    warehouse.forget_macros()
    with project.entered(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            cli(["-p", ".", *arguments], standalone_mode=False)  # its default is the folder of the first import
        except SystemExit as error:
            code = error.code
    assert not code, f"sqlmesh {' '.join(arguments)}: {code}\n{printed.getvalue()}"


def rows_of(project: Project, user: User) -> list[oracle.Row]:
    """What the archive of each project has."""
    return [
        row
        for name in user.products
        for path in (project.lake / f"raw/project={name}").rglob("*.json.gz")
        for row in oracle.read_members(name, [path])
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, USERS))])
def test_a_plan_and_a_run_of_any_user_equal_the_oracle(tmp_path: Path, seed: int) -> None:
    user, chance = user_of(seed), random.Random(-seed)
    with set_up(user, tmp_path, chance) as (project, simulators), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settled = user.end + (int(user.settings[f"{PREFIX}SETTLE_HOURS"]) + chance.randint(2, 60)) * HOUR
        early = max(user.end - chance.randint(13, 30) * HOUR, min(user.starts.values()) + 4 * HOUR)
        for number, present in enumerate((early, settled)):
            for simulator in simulators:
                simulator.now = present
            with time_machine.travel(present.replace(tzinfo=UTC) + timedelta(minutes=7)):
                succeeded(project.load_here())
                sqlmesh(project, *(("run",) if number else ("plan", "--auto-apply")))
        rows = rows_of(project, user)
        bronze = Counter(dict(project.query("SELECT _project, COUNT(*) FROM bronze.events GROUP BY ALL")))
        assert bronze == Counter(row.project for row in rows)
        assert project.query("SELECT COUNT(*) FROM gold.export_reconciliation WHERE difference <> 0") == [(0,)]
        inactive, exported = dict.fromkeys(user.products, INACTIVE_EVENT_TYPES), warehouse.exported(project)
        truth = oracle.compute(rows, inactive, user.charts.timezone, exported=exported)
        warehouse.assert_equals_truth(project, truth, user.charts)
        warehouse.assert_accounted_for(project, rows, truth)
        warehouse.assert_has_declared_properties(project)
        assert [name for (name,) in project.query("SELECT chart FROM gold.charts ORDER BY 1")] == [*user.chart_files]
        for name in user.chart_files:
            project.query(f"FROM gold.chart_{name}")  # without rows where nobody did it
        if seed % UNIT_TESTS_EVERY == 9:
            sqlmesh(project, "test")
