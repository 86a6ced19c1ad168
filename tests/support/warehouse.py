"""Silver and gold of a checkout: building them, reading them, and what the oracle says they must hold."""

import copy
import functools
import json
import re
import runpy
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
from sqlglot import exp
from sqlmesh import Context, macro, signal
from sqlmesh.core.config import Config, DuckDBConnectionConfig
from sqlmesh.core.console import NoopConsole, set_console
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.model import Model
from sqlmesh.utils import UniqueKeyDict, yaml
from sqlmesh.utils.cache import FileCache
from sqlmesh.utils.concurrency import NodeExecutionFailedError

import oracle
from amplitude_source.charts.properties import read_properties
from amplitude_source.settings import HOUR
from amplitude_source.transform.duckdb_connection import DuckDBFile
from oracle import acquisition as oracle_acquisition
from oracle import activity as oracle_activity
from oracle import behaviour as oracle_behaviour
from oracle import new_users as oracle_new_users
from oracle import people as oracle_people
from oracle import retention as oracle_retention
from oracle.properties import declared_value
from simulator.catalog import INACTIVE_EVENT_TYPES
from support.project import REPOSITORY, Project
from support.shared_models import fingerprint

# Each table that the oracle computes too, with the columns that both have, in the oracle's order.
ORACLE_TABLES = {
    "silver.events": "project, app, uuid, export_hour, event_date",
    "silver.user_aliases": "project, app, amplitude_id, canonical_amplitude_id",
    "silver.user_days": "project, app, amplitude_id, event_date, events, active_events",
    "silver.users": (
        "project, app, amplitude_id, canonical_amplitude_id, first_seen_at, last_seen_at, events, active_days, user_id"
    ),
    "silver.sessions": (
        "project, app, amplitude_id, session_id, session_started_at, session_ended_at, session_date, session_seconds, "
        "events, is_longer_than_a_day"
    ),
}
# Everything that a rebuild must give again.
BUILT_TABLES = (
    *ORACLE_TABLES,
    "silver.merges",
    "silver.user_devices",
    "silver.devices",
    "silver.event_types",
    "silver.event_properties",
    "silver.first_events",
    "silver.user_property_changes",
    "silver.group_states",
    "silver.property_values",
    "silver.apps",
    "silver.export_hours",
    "(SELECT * EXCLUDE load_id FROM gold.export_hours_taken)",
    "silver.user_device_hours",
    "silver.user_hours",
    "silver.segment_days",
    "silver.segment_sessions",
    "gold.daily_metrics",
    "gold.new_users_daily",
    "gold.lifecycle_daily",
    "gold.lifecycle_weekly",
    "gold.lifecycle_monthly",
    "gold.stickiness_weekly",
    "gold.stickiness_monthly",
    "gold.events",
    "gold.event_values",
    "gold.payments",
    "gold.event_adoption_daily",
    "gold.session_paths",
    "silver.export_repeats",
    "gold.export_reconciliation",
    "gold.retention_calendar",
    "gold.retention_24h",
    "gold.acquisition",
    "gold.users",
    "gold.property_catalogue",
    "gold.days",
    "gold.hours",
    "gold.experiment_exposures",
)

# Modules with `tables(truth, charts)`: what is built on the tables above.
ORACLES: tuple[ModuleType, ...] = (
    oracle_people,
    oracle_activity,
    oracle_behaviour,
    oracle_retention,
    oracle_acquisition,
    oracle_new_users,
)
CHARTS = oracle.Charts()
STANDARD_MACROS = {
    name: each for name, each in macro.get_registry().items() if each.func.__module__.startswith("sqlmesh.")
}
"""SQLMesh's own, without those of test modules that were imported before."""

Rows = list[tuple[Any, ...]]

LAYERS = ("silver", "gold")

DEFAULT = "default"
"""The Amplitude project that is loaded; BLOG is put beside it (`add_to_blog`)."""
BLOG = "blog"

# An hour's status, and that of its load as dlt writes it, in a ledger of `hours_let_through`.
LEDGER_LETTERS = {
    "L": ("loaded", 0),
    "E": ("empty", 0),
    "P": ("pending", 0),
    "R": ("retired", 0),
    "U": ("loaded", 1),
}


def set_charts(project: Project, charts: oracle.Charts) -> None:
    """Writes the variables that charts go by into the project's configuration."""
    path = project.root / "sqlmesh/config.yaml"
    config = path.read_text()
    for name, value in vars(charts).items():
        variable = {"timezone": "reporting_timezone"}.get(name, name)
        config, count = re.subn(
            rf"(?m)^  {variable}: .*$", f"  {variable}: {json.dumps(value)}".replace("\\", r"\\"), config
        )
        assert count == 1, f"config.yaml has no variable {variable}, or more than one"
    path.write_text(config)


def plan(
    project: Project,
    *,
    restate: Collection[str] = (),
    start: str | None = None,
    environment: str | None = None,
    models: Collection[str] = (),
    comments: bool = False,
) -> None:
    """`sqlmesh plan --auto-apply`, in this process; of production unless an environment is named.

    Args:
        project: the checkout.
        restate: models to build anew.
        start: from when on.
        environment: of SQLMesh.
        models: to build, with all that they are made of; by default every model.
        comments: whether tables and columns get their comments in DuckDB, a statement each.
    """
    with opened(project, comments=comments) as context:
        context.plan(
            environment,
            auto_apply=True,
            no_prompts=True,
            skip_tests=True,
            restate_models=restate or None,
            start=start,
            select_models=[f"+{name}" for name in models] or None,
        )


def stored_models(project: Project) -> list[str]:
    """The models whose rows are stored, and those that read bronze; all others are views on these alone."""
    with opened(project) as context:
        return [model.name for model in context.models.values() if not model.kind.is_view or reads_bronze(model)]


def reads_bronze(model: Model) -> bool:
    """Whether a model reads anything besides silver and gold."""
    return any(exp.to_table(name, dialect=model.dialect).db.lower() not in LAYERS for name in model.depends_on or ())


def run(project: Project) -> None:
    """`sqlmesh run`, in this process."""
    with opened(project) as context:
        context.run()


def leave_out(project: Project, tables: Collection[str]) -> None:
    """Removes models that no other one is made of, such as lifecycle.sql, which has three, with each of their names."""
    for layer, table in (name.split(".") for name in tables):
        folder = project.root / "sqlmesh/models" / layer
        for name in {table, table.rpartition("_")[0]}:
            for path in folder.rglob(f"{name}.sql"):
                path.unlink()


def add_column(project: Project) -> None:
    """Adds the column newest_export_hour to silver.apps, of which SQLMesh knows that no other model is built anew."""
    path = project.root / "sqlmesh/models/silver/activity/apps.sql"
    head, select, columns = path.read_text().rpartition("SELECT\n")
    column = "  apps.last_export_hour::TIMESTAMPNTZ AS newest_export_hour, /* The same as last_export_hour */\n"
    path.write_text(f"{head}{select}{column}{columns}")


def fails(project: Project, audit: str) -> bool:
    """Whether a standalone audit finds something."""
    with opened(project) as context:
        return not context.audit("2026-06-01", "2026-06-02", models=iter([audit]))


class FailingConsole(NoopConsole):
    """Tells why a model failed, which SQLMesh's exception does not."""

    def log_failed_models(self, errors: list[NodeExecutionFailedError[Any]]) -> None:
        assert not errors, "\n".join(f"{error.node}: {error.__cause__}" for error in errors)


@functools.cache
def parsed(unit_tests: str) -> dict[str, Any]:
    return yaml.load(unit_tests)


def forget_macros() -> None:
    """Forget the macros of the checkout before.

    SQLMesh keeps macros that a module has registered since, and would take them for a library's, and the models that
    use them for changed.
    """
    macro.set_registry(UniqueKeyDict(macro.registry_name, **STANDARD_MACROS))
    for name in [name for name in sys.modules if name.partition(".")[0] == "macros"]:
        del sys.modules[name]


@contextmanager
def opened(project: Project, *, comments: bool = False) -> Iterator[Context]:
    """SQLMesh's context of a checkout. It keeps DuckDB files by name for the whole process: names are absolute.

    Each context reads the unit tests anew, which nobody runs here, for over a second: a text is parsed once a process.
    And so is each optimized query, which SQLMesh reads from its cache three times a plan. Its many copies of queries
    are made by `copied`. DuckDB gets no comments unless asked for, because a fifteenth of a plan's time goes into them,
    and one thread, because a sixth goes into sharing out the few rows of a test.
    """
    forget_macros()
    with (
        project.entered({"DESTINATION__DUCKDB__CREDENTIALS": str(project.database)}),
        mock.patch("sqlmesh.core.loader.yaml_load", lambda source, **_: parsed(source)),
        mock.patch.object(Config, "fingerprint", property(fingerprint)),
        mock.patch.object(FileCache, "get", cached),
        mock.patch("sqlglot.expressions.core.deepcopy", copied),
        mock.patch.object(DuckDBEngineAdapter, "comments_enabled", comments),
        mock.patch.object(DuckDBFile, "_connect", connect_with_one_thread),
    ):
        set_console(FailingConsole())
        context = Context(paths=[str(project.root)])
        try:
            yield context
        finally:
            context.close()


connect_with_all_threads = DuckDBFile._connect


def connect_with_one_thread(file: DuckDBFile, **options: object) -> duckdb.DuckDBPyConnection:
    connection = connect_with_all_threads(file, **options)
    connection.execute("SET threads = 1")
    return connection


def copied(value: Any) -> Any:
    """What `deepcopy` gives, in half the time for what most nodes of a query carry: a dict or list of plain values."""
    values = value.values() if type(value) is dict else value if type(value) is list else (value,)
    return copy.copy(value) if PLAIN.issuperset(map(type, values)) else copy.deepcopy(value)


PLAIN = frozenset({bool, int, str, type(None)})

OPTIMIZED_QUERIES = "optimized_query"
"""The folder of SQLMesh's cache whose files are named by what they are made of; nothing changes an entry."""
cached_in_file = FileCache.get
cached_here: dict[Path, Any] = {}


def cached(cache: FileCache[Any], name: str, entry_id: str = "") -> Any:
    """An entry of SQLMesh's cache; an optimized query is read from its file once a process."""
    path = cache._cache_entry_path(name, entry_id)
    if entry := cached_here.get(path):
        return entry
    entry = cached_in_file(cache, name, entry_id)
    if entry and cache._path.name == OPTIMIZED_QUERIES:
        cached_here[path] = entry
    return entry


def hours_let_through(ledger: Iterable[tuple[str, str]], hours: int) -> int:
    """How many of so many hours the gate before silver lets through, by a ledger as (project, a letter an hour)."""
    start = datetime(2026, 6, 1, tzinfo=UTC)
    batch = [(start + hour * HOUR, start + (hour + 1) * HOUR) for hour in range(hours)]
    adapter = DuckDBConnectionConfig().create_engine_adapter()
    adapter.execute("CREATE SCHEMA bronze")
    adapter.execute("CREATE TABLE bronze._dlt_loads (load_id TEXT, status BIGINT, inserted_at TIMESTAMPTZ)")
    columns = "project TEXT, export_hour TIMESTAMP, status TEXT, _dlt_load_id TEXT"
    adapter.execute(f"CREATE TABLE bronze.export_hours ({columns})")
    for number, (name, letters) in enumerate(ledger):
        for (hour, _), letter in zip(batch, letters, strict=False):
            if letter in LEDGER_LETTERS:
                status, load_status = LEDGER_LETTERS[letter]
                load_id = f"{number}-{load_status}"
                adapter.execute(
                    f"INSERT INTO bronze._dlt_loads SELECT '{load_id}', {load_status}, NULL"
                    f" WHERE NOT EXISTS (FROM bronze._dlt_loads WHERE load_id = '{load_id}')"
                )
                values = name, f"{hour:%Y-%m-%d %H:%M:%S}", status, load_id
                adapter.execute(f"INSERT INTO bronze.export_hours VALUES {values}")
    registered = signal.get_registry()
    gate = runpy.run_path(str(REPOSITORY / "sqlmesh/signals/export_hours.py"))["export_hours_landed"]
    signal.set_registry(registered)  # SQLMesh would take the gate of this run for that of the next checkout
    assert gate(batch, SimpleNamespace(engine_adapter=adapter))
    return len(batch)  # SQLMesh goes on with what is left of it


def tables(project: Project) -> dict[str, Rows]:
    """Every table of silver and gold, sorted."""
    return {name: project.query(f"SELECT * FROM {name} ORDER BY ALL") for name in BUILT_TABLES}


def assert_same_tables(got: dict[str, Rows], expected: dict[str, Rows]) -> None:
    for name, rows in expected.items():
        assert_same_rows(name, got[name], rows)


def add_to_blog(project: Project, first: datetime, last: datetime) -> None:
    """Writes to bronze what loads of another Amplitude project would: these hours as the first one has them.

    App and ids are the same, but each third row is not there, so that people log in and repeat themselves elsewhere.
    """
    with duckdb.connect(str(project.database)) as connection:
        hours = {"blog": BLOG, "first": first, "last": last}
        connection.execute(
            """
            INSERT INTO bronze.events BY NAME
            SELECT * REPLACE ($blog AS _project)
            FROM bronze.events
            WHERE _project <> $blog AND _export_hour BETWEEN $first AND $last AND _archive_row % 3 <> 0
            """,
            hours,
        )
        connection.execute(
            """
            INSERT INTO bronze.export_hours BY NAME
            SELECT * REPLACE (
                $blog AS project,
                (SELECT COUNT(*) FROM bronze.events WHERE _project = $blog AND _export_hour = export_hour)
                AS loaded_rows
            )
            FROM bronze.export_hours
            WHERE project <> $blog AND export_hour BETWEEN $first AND $last
            """,
            hours,
        )


def list_event_types_of_blog(project: Project, hour: datetime, inactive: Collection[str]) -> None:
    """Writes to bronze the other project's event list as of an hour, with its own inactive types."""
    with duckdb.connect(str(project.database)) as connection:
        connection.execute(
            """
            INSERT INTO bronze.events_list BY NAME
            SELECT DISTINCT ON (value)
                * REPLACE ($blog AS _project, $hour AS _effective_hour, list_contains($inactive, value) AS non_active)
            FROM bronze.events_list
            WHERE _project <> $blog
            """,
            {"blog": BLOG, "hour": hour, "inactive": list(inactive)},
        )


def exported(project: Project) -> dict[str, oracle.Span]:
    """By project, its first export hour, and the last one up to which every project has all its hours."""
    ledger = project.query("SELECT project, export_hour, status <> 'pending' FROM bronze.export_hours")
    firsts = {name: min(hour for other, hour, _ in ledger if other == name) for name, _, _ in ledger}
    finished = {(name, hour) for name, hour, is_finished in ledger if is_finished}
    hour = min(firsts.values())
    while all((name, hour) in finished for name, first in firsts.items() if first <= hour):
        hour += HOUR
    return {name: (first, hour - HOUR) for name, first in firsts.items()}


def exported_rows(members: Iterable[Path]) -> list[oracle.Row]:
    """The rows of the Amplitude project that is loaded."""
    return [row for path in members for row in readable(path)]


def rows_of_blog(rows: Iterable[oracle.Row], first: datetime) -> list[oracle.Row]:
    """What `add_to_blog` made of them; the oracle counts a member's lines from 0, bronze from 1."""
    return [replace(row, project=BLOG) for row in rows if row.hour >= first and (row.position + 1) % 3]


def assert_equals_oracle(
    project: Project,
    members: Iterable[Path],
    charts: oracle.Charts = CHARTS,
    inactive: Collection[str] = INACTIVE_EVENT_TYPES,
    merges: Collection[oracle.Merge] = (),
    deleted: Collection[str] = (),
    without: Collection[str] = (),
) -> None:
    """Compares every table that the oracle computes, row for row, except those that were left out (`without`)."""
    rows = exported_rows(members)
    truth = oracle.compute(rows, {DEFAULT: inactive}, charts.timezone, merges, deleted, exported(project))
    assert_equals_truth(project, truth, charts, without)
    assert_accounted_for(project, rows, truth)
    coverage = "SELECT export_hour, loaded_rows FROM gold.export_coverage WHERE loaded_rows > 0"
    assert_same_rows("gold.export_coverage", project.query(coverage), Counter(row.hour for row in rows).items())


def assert_has_declared_properties(project: Project) -> None:
    """Compares the columns of declared properties with the JSON that they are read from."""
    declared = read_properties(project.root).variable()
    sources = ("event_properties", "user_properties", "groups", "group_properties")
    plain = [each for each in declared if each["type"] != "list"]
    columns = ", ".join(
        [
            "project",
            "app",
            "uuid",
            *(f"silver.{name}" for name in sources),
            *(f"gold.{each['column']}" for each in plain),
        ]
    )
    joined = "FROM gold.events AS gold JOIN silver.events AS silver USING (project, app, uuid)"
    values_of = "SELECT project, app, uuid, column_name, LIST(value ORDER BY value) FROM gold.event_values GROUP BY ALL"
    lists = {tuple(key): tuple(values) for *key, values in project.query(values_of)}
    for project_, app, uuid, *row in project.query(f"SELECT {columns} {joined}"):
        values = dict(zip(sources, (json.loads(text or "null") for text in row), strict=False))
        assert row[len(sources) :] == [declared_value(each, values) for each in plain], values
        for each in declared:
            if each["type"] == "list":
                assert lists.get((project_, app, uuid, each["column"])) == declared_value(each, values), values


def assert_accounted_for(project: Project, rows: Iterable[oracle.Row], truth: oracle.Truth) -> None:
    """Compares, by day of the export, the rows that were exported, the events among them and the repeats."""
    loaded = Counter((row.project, row.hour.date()) for row in rows)
    events = Counter((event.project, event.export_hour.date()) for event in truth.events)
    name = "gold.export_reconciliation"
    got = project.query(f"SELECT project, export_date, loaded_rows, events, repeats FROM {name} WHERE loaded_rows > 0")
    assert_same_rows(name, got, [(*day, count, events[day], count - events[day]) for day, count in loaded.items()])


def assert_equals_truth(
    project: Project, truth: oracle.Truth, charts: oracle.Charts = CHARTS, without: Collection[str] = ()
) -> None:
    """Compares every table of the truth, row for row, except those that were left out (`without`)."""
    expected: dict[str, Iterable[tuple[Any, ...]]] = {
        "silver.events": [
            (event.project, event.app, event.uuid, event.export_hour, event.event_date) for event in truth.events
        ],
        "silver.user_aliases": truth.user_aliases,
        "silver.user_days": truth.user_days,
        "silver.users": truth.users,
        "silver.sessions": truth.sessions,
    }
    for name, columns in ORACLE_TABLES.items():
        assert_same_rows(name, project.query(f"SELECT {columns} FROM {name}"), expected[name])
    for module in ORACLES:
        for name, (row_type, rows) in module.tables(truth, charts).items():
            if name in without:
                continue
            assert_same_rows(name, project.query(f"SELECT {', '.join(row_type._fields)} FROM {name}"), rows)


def readable(path: Path) -> Iterator[oracle.Row]:
    """A member's rows; none where its lines are no JSON."""
    try:
        yield from oracle.read_members(DEFAULT, [path])
    except ValueError:
        return


def assert_same_rows(name: str, got: Iterable[tuple[Any, ...]], expected: Iterable[tuple[Any, ...]]) -> None:
    got_rows, expected_rows = sorted(map(rounded, got)), sorted(map(rounded, expected))
    assert got_rows == expected_rows, (
        f"{name}: {len(got_rows)} rows instead of {len(expected_rows)}; "
        f"surplus, for example {sorted({*got_rows} - {*expected_rows})[:3]}; "
        f"lacking, for example {sorted({*expected_rows} - {*got_rows})[:3]}"
    )


def rounded(row: tuple[Any, ...]) -> tuple[str, ...]:
    """Text of every value, which sorts where NULLs occur; averages agree to a millionth.

    Two sums in another order may lie on either side of a half, to which averages come: so none is rounded there.
    """
    return tuple(f"{value + 1.23e-10:.6f}" if isinstance(value, float) else str(value) for value in row)
