"""Requests stay within what Amplitude allows, by the simulator's own limits, on a clock of the test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from amplitude_source.errors import AmplitudeError
from amplitude_source.export.client import ExportClient
from amplitude_source.rest import limits
from amplitude_source.rest.limits import Limiter, Price, price_of
from amplitude_source.rest.session import RestSession, experiments_access
from amplitude_source.settings import AmplitudeSettings
from simulator.faults import EVENTS_LIST, Fault, FaultPlan, Reply
from simulator.limits import DASHBOARD, Limits
from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator

TINY = Product(days=1, events_per_day=20)
CALLS = 3_000


@dataclass
class Clock:
    """A clock that only waiting moves."""

    now: float = 1_000.0
    waits: list[float] = field(default_factory=list)
    while_waiting: Callable[[float], None] = lambda _: None

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.while_waiting(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def amplitude(clock: Clock) -> Iterator[Simulator]:
    """Amplitude with a product of some rows, whose limits go by the test's clock."""
    with Simulator(TINY) as simulator:
        simulator.limits = Limits(clock)
        yield simulator


def settings_of(simulator: Simulator) -> AmplitudeSettings:
    configured = AmplitudeSettings()
    configured.api_key, configured.secret_key = DEMO_CREDENTIALS
    configured.base_url = configured.experiment_url = simulator.base_url
    configured.experiment_key = simulator.management_key
    return configured


def session_of(simulator: Simulator, clock: Clock, *, experiments: bool = False) -> RestSession:
    configured = settings_of(simulator)
    client = ExportClient(configured, access=experiments_access(configured) if experiments else None)
    return RestSession(client, Limiter(client.host, lambda _: None, clock, clock.wait))


def random_call(rng: Random, session: RestSession, user: int) -> None:
    """One of the requests that loads make."""
    days = {"start": "20260601", "end": f"202606{rng.randint(1, 30):02}"}
    event = '{"event_type":"_all"}'
    calls: list[Callable[[], object]] = [
        lambda: session.json("api/2/users", m="active", **days),
        lambda: session.json("api/2/sessions/average", **days),
        lambda: session.json("api/2/events/segmentation", e=event, m="totals", **days),
        lambda: session.json("api/2/events/list"),
        lambda: session.json("api/3/annotations"),
        lambda: session.json("api/2/taxonomy/category"),
        lambda: session.json("api/2/useractivity", user=user),
        lambda: session.json("api/2/deletions/users", start_day="2026-06-01", end_day="2026-06-02"),
    ]
    rng.choice(calls)()


def statuses(simulator: Simulator) -> set[int]:
    return {request.status for request in simulator.requests}


@pytest.mark.slow
def test_three_thousand_calls_never_earn_a_refusal(amplitude: Simulator, clock: Clock) -> None:
    session, rng = session_of(amplitude, clock), Random(1)
    user = next(iter(amplitude.archive.rows(TINY.start, TINY.end)))["amplitude_id"]
    for _ in range(CALLS):
        random_call(rng, session, int(str(user)))
    assert len(amplitude.requests) == CALLS
    assert statuses(amplitude) == {200}
    assert clock.waits, "the budgets were not used up: the test proves nothing"


def test_the_requests_of_experiments_stay_below_a_hundred_a_second(amplitude: Simulator, clock: Clock) -> None:
    session = session_of(amplitude, clock, experiments=True)
    for _ in range(250):
        session.json("api/1/experiments", limit=2)
    assert statuses(amplitude) == {200}
    assert sum(clock.waits) == pytest.approx(2)


def test_the_users_of_cohorts_are_asked_for_four_times_a_minute(amplitude: Simulator, clock: Clock) -> None:
    session = session_of(amplitude, clock)
    for _ in range(9):
        session.json("api/5/cohorts/request/buyers01", props=0)
    assert statuses(amplitude) == {202}
    assert sum(clock.waits) == pytest.approx(120)


@pytest.mark.parametrize("says_when", [False, True])
def test_a_load_ends_though_another_client_eats_half_of_the_budget(
    amplitude: Simulator, clock: Clock, says_when: bool
) -> None:
    amplitude.limits.retry_after = says_when
    clock.while_waiting = lambda seconds: amplitude.limits.consume(DASHBOARD, int(500 * min(seconds, 300) / 300))
    amplitude.limits.consume(DASHBOARD, 500)
    session = session_of(amplitude, clock)
    for _ in range(150):
        session.json("api/2/users", m="new", start="20260601", end="20260630")  # which costs 30
    answered = [request for request in amplitude.requests if request.status == 200]
    assert len(answered) == 150
    assert 429 in statuses(amplitude), "nobody else asked: the test proves nothing"
    # Half of 1,000 units in five minutes are 4,500 in 45 minutes; some are lost to waiting.
    assert sum(clock.waits) < 75 * 60


def test_a_family_that_is_always_refused_is_given_up_and_then_refused_at_once(
    amplitude: Simulator, clock: Clock
) -> None:
    amplitude.faults = FaultPlan(Fault(Reply(429), path=EVENTS_LIST))
    session = session_of(amplitude, clock)
    with pytest.raises(AmplitudeError, match=r"has refused /api/2/events/list for 15 minutes \(HTTP 429\)"):
        session.json("api/2/events/list")
    assert sum(clock.waits) <= limits.PATIENCE_SECONDS
    waited, asked = sum(clock.waits), len(amplitude.requests)
    with pytest.raises(AmplitudeError, match="another client uses up"):
        session.json("api/2/events/list")
    assert (sum(clock.waits), len(amplitude.requests)) == (waited, asked + 1)
    assert session.json("api/3/annotations")["data"], "another family is not refused"


@pytest.mark.parametrize(
    ("url", "price"),
    [
        ("https://a/api/2/events/list", Price("/api/2/", 1)),
        ("https://a/api/2/users?start=20260601&end=20260630&m=new", Price("/api/2/", 30)),
        ("https://a/api/2/sessions/average?start=20260601&end=20260630", Price("/api/2/", 120)),
        ("https://a/api/2/events/segmentation?e=1&start=20260601&end=20260602", Price("/api/2/", 2)),
        ("https://a/api/2/events/segmentation?e=1&e2=2&start=20260601&end=20260602", Price("/api/2/", 4)),
        ("https://a/api/3/chart/abc/query", Price("/api/2/", 30)),
        ("https://a/api/2/useractivity?user=1", Price("/api/2/useractivity", 1)),
        ("https://a/api/5/cohorts/request/abc?props=0", Price("/api/5/cohorts/request/", 1)),
        ("https://a/api/5/cohorts/request/abc/file", None),
        ("https://a/api/5/cohorts/request-status/abc", None),
        ("https://a/api/3/annotations", None),
    ],
)
def test_a_request_costs_what_amplitude_s_formula_says(url: str, price: Price | None) -> None:
    assert price_of(url) == price
