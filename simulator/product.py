"""The synthetic product: an online shop on the web, iOS and Android, whose visitors make events."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from random import Random
from typing import cast

from simulator.archive import Member, pack_hour
from simulator.catalog import Row
from simulator.people import Person, Population
from simulator.visits import Visits
from simulator.wire import DAY, HOUR, Outbox, milliseconds, moment

# Before the first exported day the shop has run for a while, with less traffic: people are known already, and late
# uploads of that time reach the first exports.
_WARM_UP_DAYS = 16
_WARM_UP_TRAFFIC = 0.25

_TRAFFIC_BY_WEEKDAY = (1.05, 1.1, 1.1, 1.05, 1.0, 0.8, 0.9)
_TRAFFIC_BY_HOUR = (4, 2, 1, 1, 1, 2, 5, 9, 13, 15, 16, 16, 17, 16, 15, 15, 16, 17, 19, 21, 20, 16, 11, 8)
_HOURS = tuple(hour for hour, weight in enumerate(_TRAFFIC_BY_HOUR) for _ in range(weight))

_NEWCOMERS = 0.2  # share of the visits that are somebody's first, at least
_DAYS_UNTIL_NEXT_VISIT = (1, 1, 1, 1, 2, 2, 3, 3, 5, 7, 7, 14, 28)
_DAYS_AHEAD_OF_FUTURE_EVENTS = (3, 17, 60, 180, 400)


@dataclass(frozen=True)
class Product:
    """A product's whole life, decided by these values alone: the same values give the same bytes."""

    seed: int = 1
    start: datetime = datetime(2026, 6, 1)
    days: int = 30
    events_per_day: int = 3400
    app: int = 100011471
    exposures: bool = False
    """Whether visitors are exposed to the project's experiments."""

    @property
    def end(self) -> datetime:
        """The first hour after the last simulated day."""
        return self.start + timedelta(days=self.days)

    def rows(self) -> Iterator[tuple[datetime, list[Row]]]:
        """Yield every export hour in order, empty ones included, with its rows."""
        life = _Life(self)
        users: set[object] = set()
        for day in range(-_WARM_UP_DAYS, self.days):
            for hour, rows in life.live(day):
                if day >= 0:
                    _mark_first_events(rows, users)
                    yield hour, rows

    def members(self, copies: int = 1) -> Iterator[Member]:
        """Yield the archive members in order of hour and name; with copies, all rows so many times under fresh ids."""
        for hour, rows in self.rows():
            yield from pack_hour(self.app, self.seed, hour, rows, copies)


def _mark_first_events(rows: list[Row], users: set[object]) -> None:
    """Mark the first row that Amplitude takes in of each user; its own numbers know nothing of the days before."""
    for row in sorted(rows, key=itemgetter("server_upload_time")):
        if row["amplitude_id"] not in users:
            users.add(row["amplitude_id"])
            row["data"] = cast(Row, row["data"]) | {"first_event": True}


class _Life:
    """The state of a product while it lives, day by day."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._start = milliseconds(product.start)
        self._rng = Random(product.seed)
        self._visitors: defaultdict[int, list[Person]] = defaultdict(list)
        self._population = Population(self._rng, product.app)
        self._outbox = Outbox(self._rng, new_key_from=(self._start + DAY * product.days // 2) // HOUR)
        self._visits = Visits(self._rng, self._population, self._outbox, product.app, product.exposures)

    def live(self, day: int) -> Iterator[tuple[datetime, list[Row]]]:
        """Let a day happen and yield its export hours, which hold what was late from earlier days too.

        The traffic is given: visitors for whom it leaves no room have lost interest.
        """
        target = self._outbox.total + self._traffic(day)
        visitors = self._visitors.pop(day, [])
        self._rng.shuffle(visitors)
        self._schedule_deliveries(day)
        while self._outbox.total < target:
            newcomer = not visitors or self._rng.random() < _NEWCOMERS
            self._visit(self._population.newcomer(day) if newcomer else visitors.pop(), day)
        first = (self._start + day * DAY) // HOUR
        for hour in range(first, first + 24):
            yield moment(hour * HOUR), self._outbox.take(hour)

    def _traffic(self, day: int) -> int:
        """How many rows a day brings: more on workdays, and more as the product grows."""
        product = self._product
        weekday = (product.start + timedelta(days=day)).weekday()
        growth = 0.8 + 0.4 * (day + 0.5) / product.days if day >= 0 else _WARM_UP_TRAFFIC
        return round(product.events_per_day * growth * _TRAFFIC_BY_WEEKDAY[weekday])

    def _visit(self, person: Person, day: int) -> None:
        """Let a person come at some time of the day, and decide when he comes back, if at all."""
        rng = self._rng
        time_of_day = rng.choice(_HOURS) * HOUR + int(rng.random() * HOUR)
        start = max(self._start + day * DAY + time_of_day, person.free_at)
        self._visits.visit(person, start, day)
        if rng.random() < (0.9 if person.account else 0.6):
            self._visitors[day + rng.choice(_DAYS_UNTIL_NEXT_VISIT)].append(person)

    def _schedule_deliveries(self, day: int) -> None:
        """Spread the few events from the future evenly over the exported days."""
        for number, days_ahead in enumerate(_DAYS_AHEAD_OF_FUTURE_EVENTS):
            if day == number * self._product.days // len(_DAYS_AHEAD_OF_FUTURE_EVENTS):
                sent_at = self._start + day * DAY + 9 * HOUR + int(self._rng.random() * 8 * HOUR)
                self._visits.schedule_delivery(sent_at, days_ahead)
