"""What Amplitude allows a project to ask of its REST APIs, kept before it is reached.

A request has a cost in the budget of its family, and a budget is for so many seconds. (Dashboard REST API, "Rate
limits" and "Endpoint costs"; Behavioral Cohorts API; Taxonomy API; User Privacy API; Experiment Management API.)
Requests are made one after the other, so that no limit of requests at once is ever near.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from ..errors import AmplitudeError

# Amplitude may refuse requests though the project has not used up its budget, because others use it as well. A family
# that is refused for so long is given up for this run.
PATIENCE_SECONDS = 900
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5, 120
NOTICE_SECONDS = 10  # a shorter wait is not worth a line
SESSIONS_COST = 4
CHART_COST = 30  # nobody knows a saved chart's days, conditions and type beforehand


class Limit(NamedTuple):
    """A budget for any period of so many seconds."""

    budget: int
    seconds: float


# By the start of a path; the first that fits. A path without a limit of its own is in no family.
FAMILIES: dict[str, tuple[Limit, ...]] = {
    "/api/2/useractivity": (Limit(360, 3600),),
    "/api/2/taxonomy": (Limit(7_200, 3600),),
    "/api/2/deletions": (Limit(1, 1),),
    "/api/5/cohorts/request/": (Limit(4, 60), Limit(60, 600)),
    "/api/1/": (Limit(100, 1), Limit(100_000, 86_400)),
    # Two figures that do not add up: both are kept.
    "/api/2/": (Limit(1_000, 300), Limit(108_000, 3600)),
    "/api/3/chart/": (Limit(1_000, 300), Limit(108_000, 3600)),
}
SHARED_BUDGETS = {"/api/3/chart/": "/api/2/"}
COHORT_FILE = re.compile(r"/file$")


class Price(NamedTuple):
    """What a request takes of which budget."""

    family: str
    cost: int


def price_of(url: str) -> Price | None:
    """Return what a request costs by Amplitude's formula: days, times conditions, times the type's own cost."""
    address = urlsplit(url)
    family = next((start for start in FAMILIES if address.path.startswith(start)), None)
    if family is None or COHORT_FILE.search(address.path):
        return None
    query = parse_qs(address.query)
    days = _days(query)
    if family == "/api/3/chart/":
        cost = CHART_COST
    elif address.path.startswith("/api/2/sessions"):
        cost = days * SESSIONS_COST
    elif family == "/api/2/":
        cost = days * max(1, sum(name in query for name in ("e", "e2")))
    else:
        cost = 1
    return Price(SHARED_BUDGETS.get(family, family), cost)


def _days(query: dict[str, list[str]]) -> int:
    try:
        first, last = (datetime.strptime(query[name][0], "%Y%m%d") for name in ("start", "end"))
    except (KeyError, ValueError):
        return 1
    return max(1, (last - first).days + 1)


class Spending:
    """What a family has spent within the longest of its periods."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._spent: deque[tuple[float, int]] = deque()
        self.refused_since: float | None = None
        """When Amplitude began to refuse all requests, if it does."""

    def seconds_to_wait(self, cost: int, now: float) -> float:
        """Return how long until all budgets have room; a request above a whole budget needs an empty one."""
        return max((self._wait(limit, min(cost, limit.budget), now) for limit in self._limits), default=0)

    def _wait(self, limit: Limit, cost: int, now: float) -> float:
        running = [(since, spent) for since, spent in self._spent if since > now - limit.seconds]
        excess = sum(spent for _, spent in running) + cost - limit.budget
        freed = accumulate(spent for _, spent in running)
        ends = (since + limit.seconds - now for (since, _), sum_ in zip(running, freed, strict=True) if sum_ >= excess)
        return next(ends, 0) if excess > 0 else 0

    def spend(self, cost: int, now: float) -> None:
        """Note a request at the time of its answer: Amplitude saw it no later."""
        longest = max((limit.seconds for limit in self._limits), default=0)
        while self._spent and self._spent[0][0] <= now - longest:
            self._spent.popleft()
        self._spent.append((now, cost))


class Limiter:
    """Holds back requests that Amplitude would refuse, for all resources of a project's run."""

    def __init__(
        self,
        host: str,
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make one for a run.

        Args:
            host: for sentences.
            notice: takes a sentence on a wait of more than some seconds.
            clock: in seconds.
            pause: waits so many seconds.
        """
        self._host, self._notice, self._clock, self._pause = host, notice, clock, pause
        self._families: dict[str, Spending] = {}

    @contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """Wait until a request may be made, and count it; not within another turn."""
        price = price_of(url)
        if price is None:
            yield
            return
        spending = self._spending(price.family)
        while wait := spending.seconds_to_wait(price.cost, self._clock()):
            self._sleep(wait, "the budget of requests that Amplitude allows is used up")
        try:
            yield
        finally:
            spending.spend(price.cost, self._clock())

    def answered(self, url: str) -> None:
        """Note that a request was not refused."""
        if price := price_of(url):
            self._spending(price.family).refused_since = None

    def refused(self, url: str, retry_after: float | None) -> None:
        """Wait after a 429: as long as Amplitude says, else longer from one to the next.

        Raises:
            AmplitudeError: it has refused all requests of the family for too long.
        """
        price = price_of(url) or Price(urlsplit(url).path, 1)
        spending, now = self._spending(price.family), self._clock()
        since = spending.refused_since = spending.refused_since if spending.refused_since is not None else now
        wait = retry_after or min(max(FIRST_PAUSE_SECONDS, now - since), LONGEST_PAUSE_SECONDS)
        if now - since + wait > PATIENCE_SECONDS:
            raise AmplitudeError(
                f"{self._host} has refused {urlsplit(url).path} for {PATIENCE_SECONDS // 60} minutes (HTTP 429): "
                "another client uses up what Amplitude allows the project; run again later."
            )
        self._sleep(wait, f"{self._host} has had enough requests for now (HTTP 429)")

    def _spending(self, family: str) -> Spending:
        return self._families.setdefault(family, Spending(FAMILIES.get(family, ())))

    def _sleep(self, seconds: float, why: str) -> None:
        if seconds > NOTICE_SECONDS:
            self._notice(f"Waiting {seconds:,.0f} s, because {why}.")
        self._pause(seconds)
