"""The users of cohorts: since when, until when, and within the requests that Amplitude allows."""

from datetime import datetime, timedelta

import pytest

from amplitude_source.rest import cohorts
from simulator.cohorts import Cohort
from simulator.faults import COHORT_FILE, COHORT_STATUS, COHORTS, HTML, HTML_PAGE, Fault, FaultPlan, Reply
from simulator.server import Simulator
from support.members import SMALL_PRODUCT
from support.project import Project, partly, succeeded

pytestmark = pytest.mark.slow

NOON = SMALL_PRODUCT.end + timedelta(hours=12)
DAY = timedelta(days=1)
MEMBERS = ("--only", "cohort_members")
REQUEST = "/api/5/cohorts/request/paying"


@pytest.fixture
def paying(simulator: Simulator) -> Cohort:
    """The only cohort, with the users 1 and 2."""
    cohort = Cohort("paying", "Paying users", {1, 2}, NOON - DAY)
    simulator.cohorts = [cohort]
    return cohort


@pytest.fixture(autouse=True)
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts, "FIRST_POLL_SECONDS", 0.001)


def stays(project: Project) -> list[tuple[int, datetime, datetime | None]]:
    if not project.query("SELECT 1 FROM duckdb_tables() WHERE table_name = 'cohort_members'"):
        return []
    return project.query("SELECT amplitude_id, valid_from, valid_to FROM bronze.cohort_members ORDER BY ALL")


def requests_made(simulator: Simulator) -> int:
    return [request.path for request in simulator.requests].count(REQUEST)


def compute(cohort: Cohort, members: set[int], time: datetime) -> None:
    cohort.members, cohort.computed_at = members, time


def test_a_user_who_left_and_came_back_has_two_stays(asking: Project, paying: Cohort) -> None:
    first, second, third = NOON - DAY, NOON, NOON + DAY
    succeeded(asking.load_here(*MEMBERS))
    compute(paying, {2, 3}, second)
    succeeded(asking.load_here(*MEMBERS))
    compute(paying, {1, 2}, third)
    succeeded(asking.load_here(*MEMBERS))
    assert stays(asking) == [(1, first, second), (1, third, None), (2, first, None), (3, second, third)]


def test_a_cohort_that_was_not_computed_anew_is_not_asked_for(
    asking: Project, simulator: Simulator, paying: Cohort
) -> None:
    succeeded(asking.load_here(*MEMBERS))
    before = stays(asking)
    paying.members = {9}  # which Amplitude would only have after a computation
    succeeded(asking.load_here(*MEMBERS))
    assert stays(asking) == before
    assert requests_made(simulator) == 1


@pytest.mark.usefixtures("paying")
def test_a_cohort_that_amplitude_never_computed_is_not_asked_for(asking: Project, simulator: Simulator) -> None:
    never = b'{"cohorts": [{"id": "paying", "name": "Paying users", "size": 0, "lastComputed": null}]}'
    simulator.faults = FaultPlan(Fault(Reply(200, body=never), path=COHORTS))
    succeeded(asking.load_here(*MEMBERS))
    assert requests_made(simulator) == 0


def test_all_users_leave_a_cohort_that_is_empty_now(asking: Project, paying: Cohort) -> None:
    succeeded(asking.load_here(*MEMBERS))
    compute(paying, set(), NOON)
    succeeded(asking.load_here(*MEMBERS))
    assert stays(asking) == [(1, NOON - DAY, NOON), (2, NOON - DAY, NOON)]


def test_a_large_cohort_is_read_where_amplitude_keeps_its_file(
    asking: Project, simulator: Simulator, paying: Cohort
) -> None:
    simulator.cohort_redirect_above = 10
    paying.members = set(range(1, 5_001))
    succeeded(asking.load_here(*MEMBERS))
    assert asking.query("SELECT COUNT(*), SUM(amplitude_id) FROM bronze.cohort_members") == [(5000, 12_502_500)]


def test_cohorts_are_chosen_by_id_and_by_name(asking: Project, simulator: Simulator, paying: Cohort) -> None:
    simulator.cohorts = [paying, Cohort("b", "Others", {5}, NOON), Cohort("c", "Third", {6}, NOON)]
    succeeded(asking.load_here(*MEMBERS, SOURCES__AMPLITUDE__COHORTS='["paying", "Others"]'))
    assert {id_ for id_, *_ in stays(asking)} == {1, 2, 5}


@pytest.mark.usefixtures("paying")
def test_a_cohort_that_there_is_not_is_named_with_the_nearest(asking: Project, simulator: Simulator) -> None:
    result = partly(asking.load_here(*MEMBERS, SOURCES__AMPLITUDE__COHORTS='["Paying user"]'))
    assert "COHORTS: there is no cohort 'Paying user'. Did you mean 'Paying users'?" in result.stderr
    assert requests_made(simulator) == 0


def test_the_requests_of_a_month_are_never_more_than_the_setting(
    asking: Project, simulator: Simulator, paying: Cohort
) -> None:
    asking.env["SOURCES__AMPLITUDE__COHORT_REQUESTS_A_MONTH"] = "2"
    for number in range(4):
        compute(paying, {number}, NOON + timedelta(minutes=number))
        result = succeeded(asking.load_here(*MEMBERS))
    assert requests_made(simulator) == 2
    assert "wait for the next month, because 2 requests were made in this one" in result.stderr
    asking.set_clock(datetime(2026, 7, 1, 12), simulator)
    compute(paying, {7}, datetime(2026, 7, 1))
    succeeded(asking.load_here(*MEMBERS))
    assert requests_made(simulator) == 3
    assert [id_ for id_, _, end in stays(asking) if end is None] == [7]


@pytest.mark.usefixtures("paying")
def test_a_request_counts_though_the_run_failed_after_it(asking: Project, simulator: Simulator) -> None:
    asking.env["SOURCES__AMPLITUDE__COHORT_REQUESTS_A_MONTH"] = "1"
    simulator.faults = FaultPlan(Fault(Reply(400), path=COHORT_FILE))
    partly(asking.load_here(*MEMBERS))
    simulator.faults = FaultPlan()
    succeeded(asking.load_here(*MEMBERS))
    assert requests_made(simulator) == 1
    assert stays(asking) == []


@pytest.mark.usefixtures("paying")
def test_a_cohort_over_amplitude_s_limit_is_left_out_with_a_warning(
    asking: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohorts, "LARGEST", 1)
    result = succeeded(asking.load_here(*MEMBERS))
    assert "Cohort 'Paying users' has 2 users; Amplitude gives 1 at most." in result.stderr
    assert requests_made(simulator) == 0


@pytest.mark.usefixtures("paying")
def test_a_file_that_is_never_ready_is_given_up(
    asking: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohorts, "PATIENCE_SECONDS", 0.01)
    simulator.faults = FaultPlan(Fault(Reply(202, body=b"{}"), path=COHORT_STATUS))
    result = partly(asking.load_here(*MEMBERS))
    assert "Amplitude has been writing the users of cohort 'Paying users' for" in result.stderr


@pytest.mark.usefixtures("paying")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, body=HTML_PAGE, content_type=HTML),
        Reply(200, body=b"user_id\nx\n"),
        Reply(200, body=b"amplitude_id,user_id\nx,y\n"),
        Reply(200, body=b""),
    ],
    ids=repr,
)
def test_a_file_that_has_no_users_is_named(asking: Project, simulator: Simulator, reply: Reply) -> None:
    simulator.faults = FaultPlan(Fault(reply, path=COHORT_FILE))
    result = partly(asking.load_here(*MEMBERS))
    assert "The file of cohort 'Paying users' has no readable column amplitude_id" in result.stderr
    assert stays(asking) == []


@pytest.mark.usefixtures("paying")
def test_a_list_of_cohorts_in_another_shape_is_named(asking: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(200, body=b'{"cohorts": [{"id": "x"}]}'), path=COHORTS))
    result = partly(asking.load_here(*MEMBERS))
    assert "has a cohort without id, name or lastComputed" in result.stderr
