"""A life of a warehouse on Snowflake, against the stand-in: the rows that DuckDB gives, and what is sent for them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import statements

import warehouse
from conftest import Project, export_row, gzip_lines, hour_text, make_project, member_name, succeeded
from simulator.archive import Archive, Member
from simulator.product import Product
from simulator.server import Simulator
from snowflake_standin import SnowflakeProject
from warehouse import Rows

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
SHOP = Product(seed=11, days=3, events_per_day=120)
MEMBERS = list(SHOP.members())
NEW_COLUMN = "MAX(last_export_hour)::TIMESTAMPNTZ AS newest_export_hour, /* The same as last_export_hour */\n"


@pytest.fixture
def product() -> Product:
    """Three days with late and repeated rows."""
    return SHOP


def test_a_warehouse_on_snowflake_has_at_any_time_the_rows_of_one_on_duckdb(
    tmp_path: Path, snowflake_project: SnowflakeProject, simulator: Simulator
) -> None:
    """Load and plan; an hour that changed, on which an audit fails; a new column, in development and then promoted.

    All that was sent for it keeps to the rules, and is that of the snapshots.
    """
    snowflake, local = snowflake_project, make_project(tmp_path / "local", simulator)
    both = (snowflake, local)
    first_days = ("--end", hour_text(SHOP.start + 47 * HOUR))
    for project in both:
        project.set_clock(SHOP.start + 57 * HOUR, simulator)
        succeeded(project.load_here(*first_days))
        warehouse.plan(project)
    assert_same_rows_on_both(snowflake, local)

    changed = MEMBERS[len(MEMBERS) // 4].hour
    simulator.archive = Archive(changed_members(changed))
    for project in both:
        project.set_clock(SHOP.end + 12 * HOUR, simulator)
        succeeded(project.load_here("--start", hour_text(changed), "--end", hour_text(changed)))
        succeeded(project.load_here())
        succeeded(project.load_here("load-merges", str(merges_of_two_users(local, tmp_path / "feed.json"))))
    with pytest.raises(AssertionError, match=r"EXPORT_RECONCILIATION.*Audits failed"):  # the old hour is in silver
        warehouse.run(snowflake)
    for project in both:
        warehouse.plan(project, restate=["silver.events"], start=str(changed))
    assert [name for name in all_tables(local) if not local.query(f"SELECT 1 FROM {name} LIMIT 1")] == []
    assert_same_rows_on_both(snowflake, local)

    add_column(snowflake)
    warehouse.plan(snowflake, environment="dev")
    assert "NEWEST_EXPORT_HOUR" in columns_of(snowflake, "SILVER__DEV", "APPS")
    assert "NEWEST_EXPORT_HOUR" not in columns_of(snowflake, "SILVER", "APPS")
    warehouse.plan(snowflake)
    assert snowflake.query("SELECT DISTINCT newest_export_hour = last_export_hour FROM silver.apps") == [(True,)]
    assert_same_rows_on_both(snowflake, local)

    assert {login["TIMEZONE"] for login in snowflake.snowflake.logins()} == {"UTC"}, "a session follows its account"
    sent = [statement.sql for statement in snowflake.snowflake.statements()]
    statements.assert_keep_to_the_rules(sent)
    statements.assert_are_those_of_the_snapshots(sent)


def changed_members(hour: object) -> list[Member]:
    """The product's members with other rows in one hour, which have a key more."""
    rows = [export_row(app=SHOP.app, amplitude_id=number, device_id=f"device {number}", new_key=1) for number in (1, 2)]
    other = next(member for member in MEMBERS if member.hour == hour)
    name = f"{SHOP.app}/{member_name(other.hour, 0, SHOP.app)}"
    return [each for each in MEMBERS if each.hour != hour] + [Member(name, other.hour, gzip_lines(*rows), other.events)]


def merges_of_two_users(project: Project, path: Path) -> Path:
    """A file of Amplitude's merge feed, which merges the last user into the first."""
    ((first, last),) = project.query("SELECT MIN(amplitude_id), MAX(amplitude_id) FROM silver.users")
    merge = {"amplitude_id": last, "merged_amplitude_id": first, "merge_event_time": 0, "merge_server_time": 0}
    path.write_text(json.dumps(merge))
    return path


def assert_same_rows_on_both(snowflake: SnowflakeProject, local: Project) -> None:
    """Every column of every table of silver and gold."""
    with local.opened():
        names = all_tables(local)
        columns = {name: names_of_columns(local, name) for name in names}
        queries = {name: f"SELECT {', '.join(columns[name])} FROM {name}" for name in names}
        expected = {name: local.query(query) for name, query in queries.items()}
    got = dict(zip(queries, snowflake.snowflake.queries(*queries.values()), strict=True))
    for name in names:
        warehouse.assert_same_rows(name, plain(got[name]), plain(expected[name]))


def plain(rows: Rows) -> Rows:
    """Objects of JSON with their keys in order, as Snowflake's VARIANT has them."""
    return [tuple(in_order(value) for value in row) for row in rows]


def in_order(value: object) -> object:
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except json.JSONDecodeError:
            return value
    return value


def all_tables(project: Project) -> list[str]:
    """Every table of silver and gold."""
    tables = "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE schema_name IN ('silver', 'gold')"
    return sorted(name.lower() for (name,) in project.query(tables))


def names_of_columns(project: Project, table: str) -> list[str]:
    return [name for name, *_ in project.query(f"DESCRIBE {table}")]


def columns_of(project: SnowflakeProject, schema: str, table: str) -> list[str]:
    rows = project.query(
        f"SELECT column_name FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = '{schema}' AND table_name = '{table}'"
    )
    return [name for (name,) in rows]


def add_column(project: Project) -> None:
    """Adds a column to silver.apps."""
    path = project.root / "sqlmesh/models/silver/apps.sql"
    text = path.read_text()
    place = text.rindex("SELECT\n") + len("SELECT\n")
    path.write_text(f"{text[:place]}  {NEW_COLUMN}{text[place:]}")
