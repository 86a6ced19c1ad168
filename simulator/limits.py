"""Amplitude's documented limits: how many requests may run at once, and how much they may cost in a span of time."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

# Families of endpoints that share their limits.
REST = "rest"  # no limit but the requests at once
DASHBOARD = "dashboard"
USERS = "users"
COHORT_REQUESTS = "cohort requests"
TAXONOMY = "taxonomy"
DELETIONS = "deletions"
EXPERIMENTS = "experiments"
UNLIMITED = "unlimited"

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

# By family, pairs of seconds and the most cost within any so many seconds.
WINDOWS: dict[str, tuple[tuple[int, int], ...]] = {
    REST: (),
    DASHBOARD: ((5 * _MINUTE, 1_000), (_HOUR, 108_000)),
    USERS: ((_HOUR, 360),),
    COHORT_REQUESTS: ((_MINUTE, 4), (10 * _MINUTE, 60), (30 * _DAY, 500)),
    TAXONOMY: ((_HOUR, 7_200),),
    DELETIONS: ((1, 1),),
    EXPERIMENTS: ((1, 100), (_DAY, 100_000)),
    UNLIMITED: (),
}
AT_ONCE = {REST: 5, USERS: 10, TAXONOMY: 4, DELETIONS: 8}
# By family, whose requests at once it counts among. The limit on all REST endpoints is lower than that on deletions,
# which could not be reached if it held for them, too.
ROOMS: dict[str, tuple[str, ...]] = {
    REST: (REST,),
    DASHBOARD: (REST,),
    USERS: (USERS,),
    COHORT_REQUESTS: (REST,),
    TAXONOMY: (REST, TAXONOMY),
    DELETIONS: (DELETIONS,),
    EXPERIMENTS: (),
    UNLIMITED: (),
}


class Refusal(NamedTuple):
    """The limit that a request exceeds."""

    limit: str
    wait: int
    """After how many seconds it fits, if nobody else asks until then."""


class Slot:
    """The place of a running request among those that run at once."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def release(self) -> None:
        """Leave the place to another request; only the first call counts."""
        leave, self._leave = self._leave, None
        if leave:
            leave()


class _Window:
    """The cost of the last seconds, up to a limit."""

    def __init__(self, family: str, seconds: int, most: int) -> None:
        self.limit = f"{family}: {most} in {seconds} s"
        self._seconds = seconds
        self._most = most
        self._spent: deque[tuple[float, int]] = deque()
        self._total = 0

    def fits(self, cost: int, now: float) -> bool:
        while self._spent and self._spent[0][0] <= now - self._seconds:
            self._total -= self._spent.popleft()[1]
        return self._total + cost <= self._most

    def spend(self, cost: int, now: float) -> None:
        self._spent.append((now, cost))
        self._total += cost

    def wait(self, cost: int, now: float) -> int:
        """Return the seconds until the cost fits; those of the whole window if it never does."""
        left = self._total + cost - self._most
        for spent_at, spent in self._spent:
            left -= spent
            if left <= 0:
                return max(1, math.ceil(spent_at + self._seconds - now))
        return self._seconds


class Limits:
    """The limits of one project and what its clients have used of them; any thread may ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.retry_after = False
        """Whether a refusal says in a header when to come back."""
        self._windows = {
            family: [_Window(family, *window) for window in windows] for family, windows in WINDOWS.items()
        }
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, family: str) -> Slot | Refusal:
        """Take a place among the requests that run at once, or return the limit on them that is reached."""
        rooms = ROOMS[family]
        with self._lock:
            for room in rooms:
                if self._running[room] >= AT_ONCE[room]:
                    return Refusal(f"{room}: {AT_ONCE[room]} at once", 1)
            self._running.update(rooms)
        return Slot(lambda: self._leave(rooms))

    def spend(self, family: str, cost: int) -> Refusal | None:
        """Spend what a request costs, or return the limit that it exceeds; then nothing is spent."""
        with self._lock:
            now = self.clock()
            for window in self._windows[family]:
                if not window.fits(cost, now):
                    return Refusal(window.limit, window.wait(cost, now))
            self._spend(family, cost, now)
        return None

    def consume(self, family: str, cost: int) -> None:
        """Spend the budget as another client of the project would, past the limits as well.

        Args:
            family: one of this module's families.
            cost: how much to spend.
        """
        with self._lock:
            self._spend(family, cost, self.clock())

    def _spend(self, family: str, cost: int, now: float) -> None:
        for window in self._windows[family]:
            window.spend(cost, now)

    def _leave(self, rooms: tuple[str, ...]) -> None:
        with self._lock:
            self._running.subtract(rooms)
