"""Silver and gold end to end: equal to the oracle, however the export arrives."""

import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import oracle
from oracle import activity
from simulator.catalog import INACTIVE_EVENT_TYPES
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.members import export_row, gzip_lines, hour_text, member_name
from support.project import SQLMESH, Project, make_project
from support.week import WEEK, copy_week, settle

HOUR = timedelta(hours=1)


@pytest.fixture
def product() -> Product:
    """A week, thinly peopled, so that many small runs stay quick."""
    return WEEK


def load(project: Project, *arguments: str) -> None:
    result = project.load_here(*arguments)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def built(project: Project, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has loaded and planned the week."""
    copy_week(project, simulator, tmp_path_factory)
    return project


def span(first: datetime, last: datetime) -> tuple[str, ...]:
    return "--start", f"{first:%Y-%m-%dT%H}", "--end", f"{last:%Y-%m-%dT%H}"


def archived(project: Project) -> list[Path]:
    return sorted(project.lake.rglob("*.json.gz"))


def test_silver_and_gold_of_one_plan_equal_the_oracle(tmp_path: Path) -> None:
    """The history of two weeks; that of the demo's thirty days is compared in simulator/test_demo.py."""
    with Simulator(Product(seed=9, days=14, events_per_day=300)) as simulator:
        project = make_project(tmp_path, simulator)
        settle(project, simulator)
        load(project)
    warehouse.plan(project)
    warehouse.assert_equals_oracle(project, archived(project))
    verdicts = "SELECT measure, COUNT(*) FROM gold.reconciliation_daily WHERE verdict = 'equal' AND detail = '(all)'"
    of_users = "AND measure IN ('active_users', 'new_users') GROUP BY ALL ORDER BY ALL"
    assert project.query(f"{verdicts} {of_users}") == [("active_users", 13), ("new_users", 13)]


def runs_of(project: Project, simulator: Simulator, hours: int) -> Iterator[datetime]:
    """Loads the product in steps of so many hours, as time goes on; gives the end of each step."""
    end = simulator.product.start
    while end < simulator.product.end:
        end += hours * HOUR
        project.set_clock(end + 9 * HOUR, simulator)
        load(project, "--end", f"{end - HOUR:%Y-%m-%dT%H}")
        yield end


@pytest.mark.slow
@pytest.mark.nightly
def test_slices_in_any_order_with_replays_give_what_one_run_gives(project: Project, simulator: Simulator) -> None:
    """With the demo's traits; test_increments.py draws others, of which one comes before each landing."""
    settle(project, simulator)
    build_shuffled(project, simulator, random.Random(1), slices=3)
    warehouse.assert_equals_oracle(project, archived(project))


def build_shuffled(project: Project, simulator: Simulator, chance: random.Random, slices: int) -> None:
    """Loads slices of hours in a random order, some of them twice or from the archive, and runs SQLMesh at random."""
    product = simulator.product
    hours = (product.end - product.start) // HOUR
    cuts = [0, *sorted(chance.sample(range(1, hours), slices - 1)), hours]
    order = [(product.start + low * HOUR, product.start + (high - 1) * HOUR) for low, high in pairwise(cuts)]
    chance.shuffle(order)
    load(project, *span(*order[0]))
    warehouse.plan(project)
    for first, last in order[1:]:
        load(project, *span(first, last))
        if chance.random() < 0.3:
            load(project, "--replay", *span(first, last)) if chance.random() < 0.5 else load(
                project, *span(first, last)
            )
        if chance.random() < 0.5:
            warehouse.run(project)
    load(project)  # brings the event list, which slices do not
    warehouse.run(project)


@pytest.mark.slow
@pytest.mark.nightly
def test_a_hole_holds_back_what_follows_until_it_is_filled(project: Project, simulator: Simulator) -> None:
    settle(project, simulator)
    start, end = simulator.product.start, simulator.product.end
    hole = start + 30 * HOUR
    load(project, *span(start, hole - HOUR))
    load(project, *span(hole + HOUR, end - HOUR))
    warehouse.plan(project)
    assert project.query("SELECT MAX(export_hour) < ? FROM silver.events", [hole]) == [(True,)]
    assert project.query("SELECT export_hour FROM gold.export_coverage WHERE status = 'missing'") == [(hole,)]
    load(project)
    warehouse.run(project)
    warehouse.assert_equals_oracle(project, archived(project))


@pytest.mark.slow
def test_two_projects_with_the_same_app_and_ids_stay_apart_and_wait_for_each_other(
    project: Project, simulator: Simulator
) -> None:
    """One begins later, which holds back nothing, then is behind for a while; each has inactive types of its own."""
    settle(project, simulator)
    start, last = simulator.product.start, simulator.product.end - HOUR
    first, behind = start + 20 * HOUR, start + 90 * HOUR
    load(project, "--end", hour_text(last))
    warehouse.add_to_blog(project, first, behind)
    warehouse.list_event_types_of_blog(project, first, {"Order Paid"})
    warehouse.plan(project)
    shop = warehouse.exported_rows(archived(project))
    rows = [*shop, *warehouse.rows_of_blog(shop, first)]
    inactive = {warehouse.DEFAULT: INACTIVE_EVENT_TYPES, warehouse.BLOG: {"Order Paid"}}
    warehouse.assert_equals_truth(
        project,
        oracle.compute([row for row in rows if row.hour <= behind], inactive, exported=warehouse.exported(project)),
    )
    unasked = "SELECT project, MIN(export_hour), MAX(export_hour) FROM gold.export_coverage WHERE status = 'pending'"
    assert project.query(f"{unasked} GROUP BY ALL") == [(warehouse.BLOG, behind + HOUR, last)]
    warehouse.add_to_blog(project, behind + HOUR, last)
    warehouse.list_event_types_of_blog(project, behind + HOUR, {"session_start"})
    warehouse.run(project)
    inactive[warehouse.BLOG] = {"session_start"}
    warehouse.assert_equals_truth(project, oracle.compute(rows, inactive, exported=warehouse.exported(project)))


@pytest.mark.slow
def test_a_project_added_later_is_taken_in_by_restating_and_alone(built: Project) -> None:
    project, first = built, WEEK.start + 20 * HOUR
    ((last,),) = project.query("SELECT MAX(export_hour) FROM gold.export_hours_taken")
    alone = warehouse.tables(project)
    warehouse.add_to_blog(project, first, last)
    warehouse.list_event_types_of_blog(project, first, {"Order Paid"})
    warehouse.plan(project, restate=["silver.events"], start=f"{first}")
    shop = warehouse.exported_rows(archived(project))
    inactive = {warehouse.DEFAULT: INACTIVE_EVENT_TYPES, warehouse.BLOG: {"Order Paid"}}
    warehouse.assert_equals_truth(
        project,
        oracle.compute([*shop, *warehouse.rows_of_blog(shop, first)], inactive, exported=warehouse.exported(project)),
    )
    beside = {
        name: [row for row in rows if row[0] != warehouse.BLOG] for name, rows in warehouse.tables(project).items()
    }
    warehouse.assert_same_tables(beside, alone)


@pytest.mark.parametrize(
    ("ledger", "hours"),
    [
        pytest.param([], 0, id="nothing was loaded"),
        pytest.param([("shop", "LELE")], 4, id="an empty hour is there"),
        pytest.param([("shop", "LL-L")], 2, id="a hole"),
        pytest.param([("shop", "-LLL")], 0, id="the first hour is not there"),
        pytest.param([("shop", "LLP")], 2, id="a pending hour"),
        pytest.param([("shop", "LLPP"), ("shop", "--E")], 3, id="a pending hour that became final"),
        pytest.param([("shop", "LLLL"), ("shop", "LL")], 4, id="hours that were loaded twice"),
        pytest.param([("shop", "LLUL")], 2, id="an hour of an unfinished load"),
        pytest.param([("shop", "LLLL"), ("shop", "-U")], 4, id="an hour that an unfinished load has once more"),
        pytest.param([("shop", "LLLL"), ("blog", "LEEL")], 4, id="two projects"),
        pytest.param([("shop", "LLLL"), ("blog", "LE")], 2, id="a project is behind"),
        pytest.param([("shop", "LE"), ("blog", "LLLL")], 2, id="the other is behind"),
        pytest.param(
            [("shop", "LLLL"), ("shop", "-L"), ("blog", "L")], 1, id="a project has twice what the other lacks"
        ),
        pytest.param([("shop", "LLLL"), ("blog", "L-LL")], 1, id="a hole in one project"),
        pytest.param([("shop", "L-LL"), ("blog", "LLLL")], 1, id="a hole in the other"),
        pytest.param([("shop", "LLLL"), ("blog", "LPLL")], 1, id="a pending hour in one project"),
        pytest.param([("shop", "LLLL"), ("blog", "LULL")], 1, id="an hour of an unfinished load in one project"),
        pytest.param([("shop", "LLLL"), ("blog", "--LL")], 4, id="a project begins later"),
        pytest.param([("shop", "LLLL"), ("blog", "--L")], 3, id="a project begins later and is behind"),
        pytest.param([("shop", "LLLL"), ("blog", "--P")], 2, id="a project begins with a pending hour"),
        pytest.param([("shop", "LLLL"), ("blog", "-UU")], 4, id="a project has no finished load"),
        pytest.param([("shop", "LL"), ("blog", "--LL")], 2, id="a project ends where another begins"),
        pytest.param([("shop", "-LLL"), ("blog", "LLLL"), ("news", "--E")], 3, id="three projects"),
        pytest.param([("shop", "LLLL"), ("blog", "LR")], 4, id="a project is retired"),
        pytest.param([("shop", "LLLL"), ("blog", "L"), ("blog", "-R"), ("blog", "-L")], 2, id="one comes back"),
    ],
)
def test_an_hour_goes_through_when_every_project_that_has_begun_has_it(
    ledger: list[tuple[str, str]], hours: int
) -> None:
    """A letter an hour: loaded, empty, pending, retired, or loaded by an unfinished load; - where it was not asked."""
    assert warehouse.hours_let_through(ledger, 4) == hours


@pytest.mark.slow
@pytest.mark.nightly
def test_an_event_type_that_becomes_inactive_or_active_again_counts_so_for_all_time(
    project: Project, simulator: Simulator
) -> None:
    types = [{"session_start", "session_end"}, {"session_start", "Order Paid"}]
    for number, _ in enumerate(runs_of(project, simulator, 84)):
        warehouse.run(project) if number else warehouse.plan(project)
        simulator.inactive_event_types = types[number]
    settle(project, simulator)
    load(project)
    warehouse.run(project)
    warehouse.assert_equals_oracle(project, archived(project), inactive=types[1])


@pytest.mark.slow
def test_an_hour_with_another_content_is_restated_by_the_printed_command(built: Project, tmp_path: Path) -> None:
    project = built
    largest = max(archived(project), key=lambda path: path.stat().st_size)
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / largest.name).write_bytes(gzip_lines(b"no JSON any more"))
    result = project.load_here("--replay", str(folder))
    command = re.search(r"sqlmesh plan --restate-model (\S+) --start '(.+?)' --end '(.+?)'", result.stdout)
    assert command, result.stdout
    warehouse.plan(project, restate=[command[1]], start=command[2])
    warehouse.assert_equals_oracle(project, archived(project))


def test_every_table_is_built_before_its_hours_count_as_taken_in(project: Project) -> None:
    with warehouse.opened(project) as context:
        tables = {
            model.name.lower() for model in context.models.values() if model.kind.is_incremental or model.kind.is_full
        }
        before = {
            context.models[name].name.lower()
            for name in context.dag.upstream('"AMPLITUDE"."GOLD"."EXPORT_HOURS_TAKEN"')
            if name in context.models
        }
    # Which hours repeat is counted once a day, only for gold.export_reconciliation.
    assert tables - before == {"gold.export_hours_taken", "silver.export_repeats"}, (
        "depends_on of gold.export_hours_taken lacks a table"
    )


REST = "it goes by when Amplitude was asked; test_reconciliation.py compares it with Amplitude's numbers"
LISTS = "it is a view of Amplitude's lists alone; tests/charts/test_answers_in_silver.py looks at it"
# Models that `warehouse.BUILT_TABLES` leaves out, so that nothing compares them with a rebuild.
NOT_COMPARED = {
    "silver.user_moves": "it is a log of runs, so it depends on how the hours were split into runs",
    "gold.export_coverage": "it is a view of the ledger alone, which differs by when hours were asked for",
    "gold.pipeline_runs": "it is a view of the runs, of which each makes a row",
    "gold.reconciliation_daily": REST,
    "gold.proven_days": REST,
    "silver.amplitude_numbers": REST,
    "silver.own_numbers": REST,
    "silver.zone_matches": REST,
    "silver.annotations": LISTS,
    "silver.cohorts": LISTS,
    "silver.cohort_members": LISTS,
    "silver.experiments": LISTS,
    "gold.export_hours_taken": "it is compared without the loads' ids",
    "gold.charts": "it is a list of files",
}


def test_every_model_is_compared_with_a_rebuild_or_excused(project: Project) -> None:
    with warehouse.opened(project) as context:
        models = {m.name.lower() for m in context.models.values() if not (m.kind.is_external or m.kind.is_seed)}
    assert models - {*warehouse.BUILT_TABLES} == {*NOT_COMPARED}, "add new models to warehouse.BUILT_TABLES"


@pytest.mark.slow
@pytest.mark.nightly
def test_a_project_with_a_new_name_is_what_it_was_under_the_old_one(built: Project) -> None:
    project = built
    before = warehouse.tables(project)
    for key in ("API_KEY", "SECRET_KEY"):
        project.env[f"SOURCES__AMPLITUDE__PROJECTS__WEB__{key}"] = project.env.pop(f"SOURCES__AMPLITUDE__{key}")
    result = project.load_here("rename-project", "default", "web")
    command = re.search(r"sqlmesh plan --restate-model (\S+) --start '(.+?)'", result.stdout)
    assert command, result.stdout + result.stderr
    warehouse.plan(project, restate=[command[1]], start=command[2])
    renamed = {
        name: [tuple("web" if value == "default" else value for value in row) for row in rows]
        for name, rows in before.items()
    }
    warehouse.assert_same_tables(warehouse.tables(project), renamed)
    assert project.load_here("archive", "verify").returncode == 0
    assert project.load_here("status").returncode == 0


@pytest.mark.slow
def test_exports_of_several_apps_and_years_load_and_no_session_is_minus_one(project: Project, tmp_path: Path) -> None:
    """The shapes that real exports have had: 49 keys in 2020, groups, an id that is no UUID, an event ten days late."""
    hours = [datetime(2020, 11, 24, 9), datetime(2020, 12, 1, 19), datetime(2021, 1, 2, 15)]
    old = {key: value for key, value in export_row(app=1, session_id=-1).items() if key not in KEYS_SINCE_2020}
    rows = [
        old | {"groups": {"[Segment] Group": ["g"]}, "group_properties": {"[Segment] Group": {"g": {}}}},
        export_row(app=2, insert_id="Order Paid:1", session_id=-1),
        export_row(app=3, session_id=1608751516812, event_time="2020-12-23 19:25:16.820000"),
    ]
    folder = tmp_path / "exports"
    folder.mkdir()
    for hour, row in zip(hours, rows, strict=True):
        row["server_upload_time"] = f"{hour:%Y-%m-%d %H}:59:58.880000"
        (folder / member_name(hour, app=int(str(row["app"])))).write_bytes(gzip_lines(row))
    project.env["SOURCES__AMPLITUDE__START_HOUR"] = "2020-11-24T09"
    load(project, "--replay", str(folder))
    load(project, "declare-empty", *span(hours[0], hours[2]))
    warehouse.plan(project, models=("silver.sessions",))
    assert project.query("SELECT app, session_id FROM silver.sessions") == [(3, 1608751516812)]
    assert project.query("SELECT app, session_id FROM silver.events ORDER BY app") == [
        (1, None),
        (2, None),
        (3, 1608751516812),
    ]


KEYS_SINCE_2020 = {"$insert_key", "data_type", "global_user_properties", "partner_id", "plan", "source_id"}


def test_sqlmesh_in_the_folder_of_the_models_refers_to_the_root(project: Project) -> None:
    """There it would not have the settings, and would build with others."""
    result = project.run(*SQLMESH, "-p", "sqlmesh", "plan", "--auto-apply")
    assert result.returncode == 1
    assert "start-sqlmesh-in-the-root-of-the-repository" in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.nightly
def test_kills_at_random_points_change_nothing_in_the_end(project: Project, simulator: Simulator) -> None:
    """`kill -9` of the load and of SQLMesh, again and again; test_state.py kills at chosen points."""
    chance = random.Random(0)
    plan = *SQLMESH, "plan", "--auto-apply", "--no-prompts", "--skip-tests"
    for number, end in enumerate((simulator.product.start + 100 * HOUR, simulator.product.end)):
        project.set_clock(end + 9 * HOUR, simulator)
        build = (*SQLMESH, "run") if number else plan
        for _ in range(3):
            project.kill_after(chance.uniform(1.0, 4.5), "pipelines/amplitude.py")
        assert project.load().returncode == 0
        for _ in range(3):
            project.kill_after(chance.uniform(3.0, 9.0), *build)
        result = project.run(*build)
        assert result.returncode == 0, result.stdout + result.stderr
    bronze = project.query("SELECT COUNT(*), COUNT(DISTINCT (_archive_file, _archive_row)) FROM bronze.events")
    assert bronze == [(simulator.archive.row_count,) * 2]
    warehouse.assert_equals_oracle(project, archived(project))


@pytest.mark.slow
def test_a_stale_export_and_a_missing_hour_are_warned_of(project: Project, simulator: Simulator) -> None:
    start, end = simulator.product.start, simulator.product.start + 30 * HOUR
    project.set_clock(end + timedelta(days=1), simulator)
    load(project, *span(start, start + 20 * HOUR))
    load(project, *span(start + 22 * HOUR, end - HOUR))
    warehouse.plan(project, models=("silver.events", "gold.export_coverage"))
    warned_of = {"export_is_fresh", "no_hour_is_missing"}
    assert {name for name in warned_of if warehouse.fails(project, name)} == warned_of
    load(project, "--gaps")
    load(project, *span(end, end + 20 * HOUR))
    assert {name for name in warned_of if warehouse.fails(project, name)} == set()


@pytest.mark.slow
def test_an_edited_gold_model_is_built_alone_in_dev_and_compared(built: Project) -> None:
    project = built
    model = project.root / "sqlmesh/models/gold/charts/daily_metrics.sql"
    new_users = "COALESCE(totals.new_users, 0)"
    assert model.read_text().count(new_users) == 1, f"the model has no {new_users} to edit: choose another column"
    model.write_text(model.read_text().replace(new_users, f"2 * {new_users}"))
    with warehouse.opened(project) as context:
        plan = context.plan("dev", auto_apply=True, no_prompts=True, skip_tests=True)
        assert [snapshot.name for snapshot in plan.new_snapshots] == ['"AMPLITUDE"."GOLD"."DAILY_METRICS"']
        assert [item.snapshot_id.name for item in plan.missing_intervals] == ['"AMPLITUDE"."GOLD"."DAILY_METRICS"']
        (diff,) = context.table_diff("prod", "dev", select_models=["gold.daily_metrics"], show=False)
        rows = diff.row_diff()
    changed = rows.column_stats.loc[rows.column_stats["pct_match"] < 100].index
    assert [column.lower() for column in changed] == ["new_users"]
    assert (rows.s_only_count, rows.t_only_count) == (0, 0)
    assert rows.join_count == project.query("SELECT COUNT(*) FROM gold.daily_metrics")[0][0]


@pytest.mark.slow
def test_a_warehouse_made_anew_owes_nothing_to_the_one_before(project: Project, simulator: Simulator) -> None:
    """SQLMesh's files of snapshots would have said where the tables of the first one lie."""
    settle(project, simulator)
    models = ("gold.daily_metrics",)
    load(project, "--end", hour_text(simulator.product.end - 24 * HOUR))
    warehouse.plan(project, models=models)
    warehouse.add_column(project)
    warehouse.plan(project, models=models)  # what depends on it keeps its tables
    project.database.unlink()
    load(project)
    warehouse.plan(project, models=models)
    warehouse.plan(project, restate=["silver.events"], start=f"{simulator.product.start}", models=models)
    rows = warehouse.exported_rows(archived(project))
    truth = oracle.compute(rows, {warehouse.DEFAULT: INACTIVE_EVENT_TYPES}, exported=warehouse.exported(project))
    _, expected = activity.tables(truth, warehouse.CHARTS)[models[0]]
    got = project.query(f"SELECT {', '.join(activity.SegmentMetrics._fields)} FROM {models[0]}")
    warehouse.assert_same_rows(models[0], got, expected)
