"""The simulator enforces Amplitude's documented limits, and no more than these."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from simulator import faults, limits
from simulator.cohorts import Cohort
from simulator.dashboard import SavedChart
from simulator.faults import CutBody, Fault, FaultPlan, NoAnswer, Reply
from simulator.limits import Limits, Refusal, Slot
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.rest_paths import DAYS, REQUESTS, get, get_sensibly, with_user
from support.small_shop import ask

HOUR = 3600
DAY = 24 * HOUR

# As documented; the pages name a month, which is 30 days here.
WINDOWS = [
    (limits.DASHBOARD, 300, 1_000),
    (limits.USERS, HOUR, 360),
    (limits.COHORT_REQUESTS, 60, 4),
    (limits.TAXONOMY, HOUR, 7_200),
    (limits.DELETIONS, 1, 1),
    (limits.EXPERIMENTS, 1, 100),
]
# These can only be reached over several of the family's shorter windows.
LONG_WINDOWS = [
    (limits.DASHBOARD, HOUR, 108_000),
    (limits.COHORT_REQUESTS, 600, 60),
    (limits.COHORT_REQUESTS, 30 * DAY, 500),
    (limits.EXPERIMENTS, DAY, 100_000),
]
AT_ONCE = [(limits.REST, 5), (limits.DASHBOARD, 5), (limits.COHORT_REQUESTS, 5), (limits.USERS, 10)]
AT_ONCE += [(limits.TAXONOMY, 4), (limits.DELETIONS, 8)]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def project(clock: Clock) -> Limits:
    return Limits(clock)


@pytest.mark.parametrize(("family", "seconds", "most"), WINDOWS)
def test_a_budget_can_be_spent_to_the_end_and_is_whole_again_after_its_window(
    project: Limits, clock: Clock, family: str, seconds: int, most: int
) -> None:
    assert [project.spend(family, 1) for _ in range(most)] == [None] * most
    assert project.spend(family, 1) == Refusal(f"{family}: {most} in {seconds} s", seconds)
    clock.now = seconds - 0.001
    assert project.spend(family, 1) is not None
    clock.now = seconds
    assert project.spend(family, most) is None


@pytest.mark.parametrize(("family", "seconds", "most"), LONG_WINDOWS)
def test_a_longer_window_holds_beside_the_shorter_one(
    project: Limits, clock: Clock, family: str, seconds: int, most: int
) -> None:
    project.consume(family, most)
    clock.now = seconds - 0.5
    assert project.spend(family, 1) == Refusal(f"{family}: {most} in {seconds} s", 1)
    clock.now = seconds
    assert project.spend(family, 1) is None


def test_windows_slide_so_that_a_budget_comes_back_as_it_was_spent(project: Limits, clock: Clock) -> None:
    for clock.now, cost in ((0, 400), (100, 400), (200, 200)):
        assert project.spend(limits.DASHBOARD, cost) is None
    clock.now = 300
    assert project.spend(limits.DASHBOARD, 401) is not None
    assert project.spend(limits.DASHBOARD, 400) is None
    clock.now = 399
    assert project.spend(limits.DASHBOARD, 1) is not None


def test_a_refused_request_spends_nothing(project: Limits) -> None:
    assert project.spend(limits.DASHBOARD, 1001) is not None
    assert project.spend(limits.DASHBOARD, 1000) is None


def test_a_refusal_says_when_the_request_fits(project: Limits, clock: Clock) -> None:
    for clock.now, cost in ((0, 400), (100, 400), (200, 200)):
        project.consume(limits.DASHBOARD, cost)
    waits = {cost: refusal.wait for cost in (1, 400, 401, 1000) if (refusal := project.spend(limits.DASHBOARD, cost))}
    assert waits == {1: 100, 400: 100, 401: 200, 1000: 300}
    too_dear = project.spend(limits.DASHBOARD, 1001)
    assert too_dear
    assert too_dear.wait == 300


def test_families_have_budgets_of_their_own(project: Limits) -> None:
    project.consume(limits.DASHBOARD, 10**6)
    others = [family for family in limits.WINDOWS if family != limits.DASHBOARD]
    assert [project.spend(family, 1) for family in others] == [None] * len(others)


def test_threads_together_spend_no_more_than_the_budget(project: Limits) -> None:
    with ThreadPoolExecutor(8) as pool:
        refusals = list(pool.map(lambda _: project.spend(limits.DASHBOARD, 10), range(400)))
    assert refusals.count(None) == 100


@pytest.mark.parametrize(("family", "most"), AT_ONCE)
def test_so_many_requests_run_at_once_and_another_once_one_has_ended(project: Limits, family: str, most: int) -> None:
    slots = [project.enter(family) for _ in range(most)]
    assert all(isinstance(slot, Slot) for slot in slots)
    assert isinstance(project.enter(family), Refusal)
    first = slots[0]
    assert isinstance(first, Slot)
    first.release()
    first.release()  # a second time frees no second place
    assert isinstance(project.enter(family), Slot)
    assert isinstance(project.enter(family), Refusal)


def test_all_rest_endpoints_share_five_places_but_users_and_deletions_have_their_own(project: Limits) -> None:
    for family in (limits.REST, limits.DASHBOARD, limits.COHORT_REQUESTS, limits.TAXONOMY, limits.TAXONOMY):
        assert isinstance(project.enter(family), Slot)
    refused = [family for family in limits.ROOMS if isinstance(project.enter(family), Refusal)]
    assert refused == [limits.REST, limits.DASHBOARD, limits.COHORT_REQUESTS, limits.TAXONOMY]


def test_a_refusal_for_one_of_two_limits_at_once_takes_no_place_of_the_other(project: Limits) -> None:
    slots = [project.enter(limits.TAXONOMY) for _ in range(4)]
    assert isinstance(project.enter(limits.TAXONOMY), Refusal)
    assert isinstance(project.enter(limits.REST), Slot), "the fifth"
    assert len(slots) == 4


# What each request costs of the dashboard's budget: days, times events, times the cost of its type.
COSTS = [
    (faults.EVENTS_LIST, "", {}, 1),
    (faults.USER_COUNTS, "", DAYS, 3),
    (faults.SEGMENTATION, "", DAYS | {"e": '{"event_type": "_all"}'}, 3),
    (faults.SEGMENTATION, "", DAYS | {"e": '{"event_type": "_all"}', "e2": '{"event_type": "Signed Up"}'}, 6),
    (faults.SESSION_LENGTHS, "", DAYS, 12),
    (faults.SESSIONS_PER_USER, "", DAYS, 12),
    (faults.SAVED_CHART, "mine", {}, 20),
]


@pytest.mark.parametrize(("path", "id", "query", "cost"), COSTS)
def test_a_request_costs_its_days_times_its_events_times_its_type(
    simulator: Simulator, clock: Clock, path: str, id: str, query: dict[str, str], cost: int
) -> None:
    simulator.saved_charts["mine"] = SavedChart("_all", "totals", days=20)
    simulator.limits = Limits(clock)
    simulator.limits.consume(limits.DASHBOARD, 1000 - cost)
    assert get(simulator, path, id, **query).status_code == 200
    simulator.limits = Limits(clock)
    simulator.limits.consume(limits.DASHBOARD, 1001 - cost)
    assert get(simulator, path, id, **query).status_code == 429


FAMILIES = {
    faults.USER_ACTIVITY: limits.USERS,
    faults.USER_SEARCH: limits.USERS,
    faults.DELETION_JOBS: limits.DELETIONS,
    faults.COHORT_REQUEST: limits.COHORT_REQUESTS,
    faults.EXPERIMENTS: limits.EXPERIMENTS,
    faults.FLAGS: limits.EXPERIMENTS,
    **{path: limits.TAXONOMY for path in REQUESTS if "taxonomy" in path},
}


@pytest.mark.parametrize("path", FAMILIES)
def test_the_last_of_a_familys_budget_serves_one_request(simulator: Simulator, clock: Clock, path: str) -> None:
    simulator.limits = Limits(clock)
    simulator.limits.consume(FAMILIES[path], limits.WINDOWS[FAMILIES[path]][0][1] - 1)
    responses = [get_sensibly(simulator, path) for _ in range(2)]
    assert [responses[0].ok, responses[1].status_code] == [True, 429]
    assert responses[1].json()["limit"].startswith(FAMILIES[path])
    assert [request.status for request in simulator.requests] == [responses[0].status_code, 429]


def test_every_path_has_a_limit_or_is_known_to_have_none() -> None:
    unlimited = {faults.ANNOTATIONS, faults.ANNOTATION_CATEGORIES, faults.COHORTS}
    unlimited |= {faults.COHORT_STATUS, faults.COHORT_FILE}
    assert {path for path, *_ in COSTS} | FAMILIES.keys() | unlimited == REQUESTS.keys()


@pytest.mark.parametrize("says_when", [False, True])
def test_a_429_says_when_to_come_back_if_told_to(simulator: Simulator, clock: Clock, says_when: bool) -> None:
    simulator.limits = Limits(clock)
    simulator.limits.retry_after = says_when
    simulator.limits.consume(limits.DASHBOARD, 1000)
    clock.now = 299.5
    response = get_sensibly(simulator, faults.EVENTS_LIST)
    assert response.json() == {"error": "Too many requests.", "limit": "dashboard: 1000 in 300 s"}
    assert response.headers.get("Retry-After") == ("1" if says_when else None)


def test_exports_cost_nothing(simulator: Simulator) -> None:
    simulator.limits.consume(limits.DASHBOARD, 10**6)
    assert ask(simulator).status_code == 200


@contextlib.contextmanager
def running(simulator: Simulator, path: str, number: int) -> Iterator[None]:
    """Have so many requests run, whose answers stall."""
    simulator.faults = FaultPlan(Fault(CutBody(0.5, "stall"), path=path))
    with contextlib.ExitStack() as stack, requests.Session() as session:
        session.auth = DEMO_CREDENTIALS
        for _ in range(number):
            query, _id = REQUESTS.get(path, ({"start": "20260601T12", "end": "20260601T12"}, ""))
            params = with_user(simulator, query)
            stack.enter_context(session.get(simulator.base_url + path, params=params, timeout=10, stream=True))
        simulator.faults = FaultPlan()
        yield


@pytest.mark.parametrize("path", [faults.EXPORT, faults.ANNOTATIONS, faults.EVENTS_LIST])
def test_a_sixth_request_at_once_is_refused_whichever_the_endpoints(simulator: Simulator, path: str) -> None:
    with running(simulator, path, 5):
        refused = [get_sensibly(simulator, other) for other in (faults.COHORTS, faults.TAXONOMY_EVENTS)]
        refused.append(ask(simulator))
        assert [response.status_code for response in refused] == [429] * 3
        assert refused[0].json()["limit"] == "rest: 5 at once"
        assert get_sensibly(simulator, faults.USER_ACTIVITY).status_code == 200
    simulator.limits = Limits()
    with running(simulator, path, 4):
        assert ask(simulator).status_code == 200


def test_a_client_that_hangs_up_frees_its_place(simulator: Simulator) -> None:
    with running(simulator, faults.ANNOTATIONS, 5):
        pass
    deadline = time.monotonic() + 10
    while get_sensibly(simulator, faults.COHORTS).status_code == 429:
        assert time.monotonic() < deadline


def test_an_eleventh_look_at_a_user_at_once_is_refused(simulator: Simulator) -> None:
    with running(simulator, faults.USER_ACTIVITY, 10):
        assert get_sensibly(simulator, faults.USER_SEARCH).status_code == 429
        assert get_sensibly(simulator, faults.COHORTS).status_code == 200


def test_five_clients_who_each_wait_for_their_answer_are_never_refused(simulator: Simulator) -> None:
    """An answer may be longer than what a socket is sent at a time."""
    simulator.cohort_polls = 0
    simulator.cohort_redirect_above = 10**6
    simulator.cohorts = [Cohort("many", "Many", set(range(10**11, 10**11 + 20_000)), simulator.now)]
    request_id = simulator.downloads.start(simulator.cohorts[0])
    get(simulator, faults.COHORT_STATUS, request_id)

    def ask_often(_: int) -> list[int]:
        paths = ((faults.COHORT_FILE, request_id), (faults.ANNOTATIONS, ""), (faults.EXPORT, ""))
        query = {"start": "20260601T00", "end": "20260601T23"}
        return [
            get(simulator, path, id, **(query if path == faults.EXPORT else {})).status_code
            for _ in range(5)
            for path, id in paths
        ]

    with ThreadPoolExecutor(5) as pool:
        statuses = Counter(status for statuses in pool.map(ask_often, range(5)) for status in statuses)
    assert statuses == {200: 75}


@pytest.mark.parametrize(
    "effect", [NoAnswer(), CutBody(0.5, "reset"), CutBody(0.5, "closed"), CutBody(0.5, "proper"), Reply(503)], ids=repr
)
def test_a_request_that_a_fault_struck_frees_its_place(
    simulator: Simulator, effect: NoAnswer | CutBody | Reply
) -> None:
    simulator.faults = FaultPlan(Fault(effect, times=20, path=faults.ANNOTATIONS))
    for _ in range(20):
        with contextlib.suppress(requests.RequestException):
            get(simulator, faults.ANNOTATIONS)
    assert get(simulator, faults.ANNOTATIONS).status_code == 200
    assert 429 not in [request.status for request in simulator.requests]
