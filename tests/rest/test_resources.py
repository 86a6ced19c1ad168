"""Amplitude's REST APIs in bronze: what comes, when it is due, and what happens if an answer is none."""

from datetime import timedelta
from itertools import cycle

import duckdb
import pytest

from amplitude_source.rest.resources import RESOURCES
from simulator import faults
from simulator.catalog import EVENT_TYPES
from simulator.faults import HTML, HTML_PAGE, Fault, FaultPlan, Reply
from simulator.server import Simulator
from support.members import SMALL_PRODUCT, hour_text
from support.project import Project, partly, sentence, succeeded

pytestmark = pytest.mark.slow

START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
NOON = END + timedelta(hours=12)
DAY = timedelta(days=1)
FIRST_HOUR = ("--end", hour_text(START))
WEB_PAGE = Reply(200, body=HTML_PAGE, content_type=HTML)
NEW_SHAPE = Reply(200, body=b'{"items": []}')
ALL_DAYS = (END - START).days

COHORT_DOWNLOAD = (faults.COHORT_STATUS, faults.COHORT_FILE)  # see test_cohorts.py
# By resource: the paths that it asks, and the tables that it fills.
PATHS = {
    "event_types": ([faults.EVENTS_LIST], ["events_list"]),
    "daily_numbers": ([faults.USER_COUNTS, faults.SEGMENTATION, faults.SESSIONS_PER_USER], ["daily_numbers"]),
    "annotations": (
        [faults.ANNOTATIONS, faults.ANNOTATION_CATEGORIES],
        ["annotations", "annotation_categories"],
    ),
    "cohorts": ([faults.COHORTS], ["cohorts"]),
    "cohort_members": ([faults.COHORT_REQUEST, faults.COHORT_STATUS, faults.COHORT_FILE], ["cohort_members"]),
    "taxonomy": ([faults.TAXONOMY_EVENTS, faults.TAXONOMY_USER_PROPERTIES], ["taxonomy"]),
    "user_identities": ([faults.USER_ACTIVITY], ["user_identities"]),
    "deletion_jobs": ([faults.DELETION_JOBS], ["deletion_jobs"]),
    "experiments": ([faults.EXPERIMENTS, faults.FLAGS], ["experiments"]),
}
REPLIES = (WEB_PAGE, NEW_SHAPE, Reply(200, body=b"[7]"), Reply(429), Reply(500))
EACH_PATH = [(name, path) for name, (paths, _) in PATHS.items() for path in paths if path not in COHORT_DOWNLOAD]
# Each reply at one path, and one reply at each path: the way to all of them is one.
EACH_FAULT = [
    *(("annotations", faults.ANNOTATIONS, reply) for reply in REPLIES),
    *((*each, reply) for each, reply in zip(EACH_PATH, cycle(REPLIES), strict=False)),
]


def a_job() -> dict[str, object]:
    user = {"amplitude_id": 7, "requester": "a@example.com", "requested_on_day": f"{END.date()}"}
    return {"day": f"{END.date()}", "status": "staging", "amplitude_ids": [user, user | {"amplitude_id": 8}]}


def outcomes(project: Project) -> dict[str, str]:
    return dict(project.query("SELECT resource, outcome FROM bronze.resource_loads"))


def contents(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables, without dlt's own columns."""
    tables = [table for _, names in PATHS.values() for table in names]
    return {
        table: project.query(f"SELECT COLUMNS(c -> c NOT LIKE '\\_dlt%' ESCAPE '\\') FROM bronze.{table} ORDER BY ALL")
        for table in tables
    }


def test_each_resource_is_tested_with_its_paths() -> None:
    assert PATHS.keys() == RESOURCES.keys()


def test_what_amplitude_has_is_in_bronze(asking: Project, simulator: Simulator) -> None:
    simulator.deletion_jobs = [a_job()]
    simulator.deleted_event_types = {EVENT_TYPES[3]}
    succeeded(asking.load_here())
    assert outcomes(asking) == dict.fromkeys(RESOURCES, "loaded")
    assert {row[0] for row in asking.query("SELECT value FROM bronze.events_list WHERE deleted")} == {EVENT_TYPES[3]}
    labels = {str(annotation["label"]) for annotation in simulator.annotations}
    assert {label for (label,) in asking.query("SELECT label FROM bronze.annotations")} == labels
    of_category = "bronze.annotation_categories AS categories ON categories.id = category_id"
    named = asking.query(f"SELECT category, name FROM bronze.annotations JOIN {of_category}")
    assert named
    assert all(category == name for category, name in named)
    sizes = {cohort.id: len(cohort.members) for cohort in simulator.cohorts}
    assert dict(asking.query("SELECT id, size FROM bronze.cohorts")) == sizes
    members = asking.query("SELECT cohort_id, amplitude_id FROM bronze.cohort_members WHERE valid_to IS NULL")
    assert sorted(members) == sorted((cohort.id, id_) for cohort in simulator.cohorts for id_ in cohort.members)
    types = asking.query("SELECT name, deleted FROM bronze.taxonomy WHERE kind = 'event_type' AND belongs_to = '(all)'")
    assert {name for name, _ in types} == {*EVENT_TYPES}
    assert {name for name, deleted in types if deleted} == {EVENT_TYPES[3]}
    prefixed = "SELECT COUNT(*) FROM bronze.taxonomy WHERE name LIKE 'gp:%' OR name LIKE 'grp:%'"
    assert asking.query(prefixed) == [(0,)]
    assert asking.query("SELECT amplitude_id, status FROM bronze.deletion_jobs ORDER BY 1") == [
        (7, "staging"),
        (8, "staging"),
    ]
    keys = [(kind, str(each["key"])) for kind, of_kind in experiments_of(simulator).items() for each in of_kind]
    assert sorted(asking.query("SELECT kind, key FROM bronze.experiments")) == sorted(keys)


def experiments_of(simulator: Simulator) -> dict[str, list[dict[str, object]]]:
    return {"experiment": simulator.experiments, "flag": simulator.flags}


def test_every_page_of_a_list_is_read(asking: Project, simulator: Simulator) -> None:
    first = simulator.experiments[0]
    simulator.experiments = [first | {"id": f"{number}", "key": f"test-{number}"} for number in range(7)]
    simulator.experiment_page = 3
    succeeded(asking.load_here("--only", "experiments"))
    assert asking.query("SELECT COUNT(*) FROM bronze.experiments WHERE kind = 'experiment'") == [(7,)]


def test_amplitude_s_numbers_are_kept_by_day_measure_and_event_type(asking: Project) -> None:
    succeeded(asking.load_here("--only", "daily_numbers"))
    days = asking.query("SELECT measure, COUNT(*) FROM bronze.daily_numbers WHERE detail = '(all)' GROUP BY 1")
    assert dict(days) == dict.fromkeys(
        ("active_users", "new_users", "events", "sessions_per_user", "average_session_seconds"), ALL_DAYS
    )
    by_type = asking.query(
        "SELECT event_date, SUM(value) FROM bronze.daily_numbers WHERE detail <> '(all)' GROUP BY 1 ORDER BY 1"
    )
    in_all = asking.query(
        "SELECT event_date, value FROM bronze.daily_numbers WHERE measure = 'events' AND detail = '(all)' ORDER BY 1"
    )
    assert by_type == in_all[-2:], "the two newest days by type"


def test_a_saved_chart_comes_with_the_numbers_and_a_wrong_id_leaves_them_alone(
    asking: Project, simulator: Simulator
) -> None:
    for name in ("activeus", "gone"):
        (asking.root / f"sqlmesh/charts/{name}.yaml").write_text(f"type: segmentation\namplitude_chart: '{name}'\n")
    result = succeeded(asking.load_here("--only", "daily_numbers"))
    assert "does not offer /api/3/chart/gone/query to this project (HTTP 404)" in result.stderr
    days = asking.query("SELECT detail, COUNT(*) FROM bronze.daily_numbers WHERE measure = 'saved_chart' GROUP BY 1")
    assert days == [("activeus", simulator.saved_charts["activeus"].days)]
    assert asking.query("SELECT COUNT(DISTINCT measure) FROM bronze.daily_numbers") == [(6,)]


def test_a_second_load_of_the_same_answers_changes_nothing(asking: Project, simulator: Simulator) -> None:
    succeeded(asking.load_here())
    before = contents(asking)
    again = RESOURCES.keys() - {"event_types"}  # whose snapshot would be for other hours of the export
    succeeded(asking.load_here(*[argument for name in again for argument in ("--only", name)]))
    assert contents(asking) == before
    assert [request.path for request in simulator.requests].count("/api/5/cohorts/request/buyers01") == 1


def test_all_but_the_event_list_is_asked_for_once_a_day(asking: Project, simulator: Simulator) -> None:
    asking.set_clock(NOON - DAY, simulator)
    succeeded(asking.load_here())
    simulator.requests.clear()
    asking.set_clock(NOON - DAY + timedelta(hours=2), simulator)
    succeeded(asking.load_here())
    assert {request.path for request in simulator.requests} == {faults.EXPORT, faults.EVENTS_LIST}
    asking.set_clock(NOON, simulator)
    succeeded(asking.load_here())
    asked = {request.path for request in simulator.requests}
    assert {faults.USER_COUNTS, faults.ANNOTATIONS, faults.EXPERIMENTS} <= asked


def test_only_asks_for_nothing_else(asking: Project, simulator: Simulator) -> None:
    succeeded(asking.load_here("--only", "annotations", "--only", "cohorts"))
    assert {request.path for request in simulator.requests} == {
        faults.ANNOTATIONS,
        faults.ANNOTATION_CATEGORIES,
        faults.COHORTS,
    }
    simulator.requests.clear()
    succeeded(asking.load_here("--only", "events", "--only", "taxonomy", *FIRST_HOUR))
    asked = {request.path for request in simulator.requests}
    assert {faults.EXPORT, faults.TAXONOMY_EVENTS} <= asked
    assert faults.USER_COUNTS not in asked


def test_the_settings_choose_resources(asking: Project) -> None:
    chosen = {"SOURCES__AMPLITUDE__REST_RESOURCES": '["annotations"]'}
    succeeded(asking.load_here(**chosen))
    assert outcomes(asking) == {"event_types": "loaded", "annotations": "loaded"}, "silver goes by the event list"
    misspelt = sentence(asking.load_here(SOURCES__AMPLITUDE__REST_RESOURCES='["anotations"]'))
    assert "SOURCES__AMPLITUDE__REST_RESOURCES: there is no 'anotations'; write annotations." in misspelt


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--only", "cohort"], "there is no 'cohort'. Did you mean 'cohorts'?"),
        (["--only", "x"], "there is no 'x'. The names are events, event_types, "),
        (["--only", "cohorts", "--gaps"], "add --only events"),
        (["--only", "cohorts", "--start", "2026-06-01"], "add --only events"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(asking: Project, arguments: list[str], named: str) -> None:
    result = asking.load_here(*arguments)
    assert result.returncode == 2
    assert named in result.stderr


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(("name", "path", "reply"), EACH_FAULT)
def test_an_answer_that_is_none_fails_its_resource_alone(
    asking: Project, simulator: Simulator, name: str, path: str, reply: Reply
) -> None:
    if path == faults.USER_ACTIVITY:
        succeeded(asking.load_here("--only", "events"))
    simulator.deletion_jobs = [a_job()]
    simulator.faults = FaultPlan(Fault(reply, path=path))
    chosen = {name, "annotations", "cohorts"}
    result = partly(asking.load_here(*[argument for each in chosen for argument in ("--only", each)]))
    assert f"warning: {name}: " in result.stderr
    assert f"Not loaded: {name}" in result.stderr
    assert result.stderr.rstrip().endswith(f" --only {name}")
    assert outcomes(asking) == {each: "failed" if each == name else "loaded" for each in chosen}
    simulator.faults = FaultPlan()
    succeeded(asking.load_here("--only", name))
    assert outcomes(asking)[name] == "loaded"


@pytest.mark.parametrize("status", [402, 403, 404])
def test_what_the_plan_lacks_is_one_line_and_no_failure(asking: Project, simulator: Simulator, status: int) -> None:
    simulator.faults = FaultPlan(
        Fault(Reply(status), path=faults.TAXONOMY_CATEGORIES), Fault(Reply(status), path=faults.COHORTS)
    )
    result = succeeded(asking.load_here(*FIRST_HOUR))
    lines = [line for line in result.stderr.splitlines() if "does not offer" in line]
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["cohorts", "cohort_members", "taxonomy"]
    assert {name for name, outcome in outcomes(asking).items() if outcome == "not offered"} == {
        "cohorts",
        "cohort_members",
        "taxonomy",
    }


def test_a_failed_resource_is_asked_for_again_by_the_next_run_of_the_day(asking: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(NEW_SHAPE, path=faults.ANNOTATIONS))
    partly(asking.load_here())
    simulator.faults = FaultPlan()
    simulator.requests.clear()
    succeeded(asking.load_here())
    asked = {request.path for request in simulator.requests}
    assert faults.ANNOTATIONS in asked
    assert faults.USER_COUNTS not in asked


def test_a_failed_attempt_leaves_the_time_of_the_last_load(asking: Project, simulator: Simulator) -> None:
    only = ("--only", "annotations")
    succeeded(asking.load_here(*only))
    simulator.faults = FaultPlan(Fault(NEW_SHAPE, path=faults.ANNOTATIONS))
    asking.set_clock(NOON + DAY, simulator)
    partly(asking.load_here(*only))
    loads = "SELECT outcome, _snapshot_at, loaded_at FROM bronze.resource_loads"
    assert asking.query(loads) == [("failed", NOON + DAY, NOON)]
    simulator.faults = FaultPlan()
    succeeded(asking.load_here(*only))
    assert asking.query(loads) == [("loaded", NOON + DAY, NOON + DAY)]


def test_an_empty_project_is_no_failure(asking: Project, simulator: Simulator) -> None:
    simulator.annotations, simulator.annotation_categories = [], []
    simulator.cohorts, simulator.experiments, simulator.flags = [], [], []
    empty = Reply(200, body=b'{"data": []}')
    simulator.faults = FaultPlan(Fault(empty, path=faults.EVENTS_LIST))
    result = succeeded(asking.load_here(*FIRST_HOUR))
    assert "warning" not in result.stderr
    assert asking.query("SELECT COUNT(*) FROM bronze.annotations") == [(0,)]


def test_a_row_without_its_key_is_left_out_with_a_warning(asking: Project, simulator: Simulator) -> None:
    simulator.annotations = [simulator.annotations[0], simulator.annotations[1] | {"id": None}]
    result = succeeded(asking.load_here("--only", "annotations"))
    assert "1 of 2 rows of annotations lack id; they are left out." in result.stderr
    assert asking.query("SELECT COUNT(*) FROM bronze.annotations") == [(1,)]


def test_status_names_a_resource_that_failed(asking: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(NEW_SHAPE, path=faults.ANNOTATIONS))
    partly(asking.load_here())
    assert "annotations failed at 2026-06-" in asking.load_here("status").stdout
    simulator.faults = FaultPlan()
    succeeded(asking.load_here())
    assert "annotations failed" not in asking.load_here("status").stdout


def test_a_measure_that_the_plan_lacks_is_one_line_and_the_others_load(asking: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(403), path=faults.SESSIONS_PER_USER))
    result = succeeded(asking.load_here("--only", "daily_numbers"))
    assert "does not offer /api/2/sessions/peruser to this project (HTTP 403)" in result.stderr
    assert asking.query("SELECT COUNT(DISTINCT measure) FROM bronze.daily_numbers") == [(4,)]


def test_what_a_setting_or_a_warehouse_is_missing_for_is_said(asking: Project) -> None:
    no_cohorts = partly(asking.load_here("--only", "cohort_members", SOURCES__AMPLITUDE__COHORTS=""))
    assert "No cohorts: name some in SOURCES__AMPLITUDE__COHORTS." in no_cohorts.stderr
    in_files = partly(asking.load_here("--only", "user_identities", "--destination", "filesystem"))
    assert "user_identities: It is compared with tables of bronze: load it into a warehouse." in in_files.stderr


def test_files_as_destination_get_what_needs_no_warehouse(asking: Project) -> None:
    succeeded(asking.load_here("--destination", "filesystem"))
    loads = asking.lake / "bronze/resource_loads/**/*.parquet"
    loaded = duckdb.execute("SELECT resource FROM read_parquet(?)", [str(loads)]).fetchall()
    assert {name for (name,) in loaded} == RESOURCES.keys() - {"cohort_members", "user_identities"}
