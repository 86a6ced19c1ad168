"""What people do with the product, and what its servers do then."""

from collections.abc import Iterator
from random import Random

from simulator.catalog import (
    DELIVERY_SCHEDULED,
    EXPOSURE,
    GOODS,
    LOGGED_IN,
    LOGGED_OUT,
    NEXT_STEPS,
    ODD_PROPERTIES,
    ORDER_COMPLETED,
    ORDER_PAID,
    PAGE_VIEWED,
    PAGES,
    PUSH_RECEIVED,
    SCREEN_VIEWED,
    SCREENS,
    SEARCHED,
    SEARCHES,
    SESSION_END,
    SESSION_START,
    SETTINGS_SAVED,
    SIGNED_UP,
    VIEW,
    Row,
)
from simulator.experiments import exposures
from simulator.people import Account, Device, Person, Population, app_version
from simulator.sender import NO_SESSION, Sender, latency, lateness, server_row
from simulator.wire import DAY, HOUR, MINUTE, SECOND, Outbox, upload

_PAUSES = (2, 3, 5, 5, 8, 8, 12, 15, 20, 30, 45, 90, 240)  # seconds between two events
_SESSION_LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 18, 25, 40)  # events
_SESSION_TIMEOUT = 31 * MINUTE


class Visits:
    """Turns visits of people into rows in the outbox."""

    def __init__(self, rng: Random, population: Population, outbox: Outbox, app: int, exposures: bool) -> None:
        self._rng = rng
        self._population = population
        self._outbox = outbox
        self._app = app
        self._exposures = exposures

    def visit(self, person: Person, start: int, day: int) -> None:
        """Let a person come: mostly for one session, at times for two, and at times only a push message arrives."""
        rng = self._rng
        person.visits += 1
        if person.joins_at_visit == person.visits:
            person.account = self._population.new_account()
        device = self._population.device_of_today(person, day)
        version = None if device.is_web else app_version(day)
        if not device.is_web and person.visits > 1 and rng.random() < 0.15:
            sender = Sender(rng, self._outbox, person, device, NO_SESSION, version)
            sender.send(PUSH_RECEIVED, start, {"campaign": "weekly", "silent": False})
            person.free_at = start + MINUTE
            return
        end = self._session(person, device, start, version)
        if rng.random() < 0.2:
            pause = _SESSION_TIMEOUT + int(rng.random() * 2 * HOUR)
            end = self._session(person, device, end + pause, version)
        person.free_at = end + _SESSION_TIMEOUT

    def schedule_delivery(self, sent_at: int, days_ahead: int) -> None:
        """Send an event from the future: the server gives the day of the delivery as the event's time."""
        account = self._population.known_account()
        self._send_from_server(account, DELIVERY_SCHEDULED, sent_at + days_ahead * DAY, sent_at, {"carrier": "DHL"})

    def _session(self, person: Person, device: Device, start: int, version: str | None) -> int:
        """Play a session and return when it ended."""
        rng = self._rng
        sender = Sender(rng, self._outbox, person, device, start + device.clock_skew, version)
        # A first start of an app may log in before it sends anything: then the device has no anonymous rows.
        if person.account and not device.claimed and device.event_id == 0 and rng.random() < 0.25:
            self._population.log_in(device, person.account)
            sender.user_changed()
        sender.send(SESSION_START, start, {})
        if self._exposures:
            for properties in exposures(device.amplitude_id, person.visits):
                sender.send(EXPOSURE, start, properties)
        end = start
        if rng.random() > 0.04:
            end = self._browse(person, device, start, sender)
        sender.send(SESSION_END, end + SECOND, {}, late=lateness(rng) if rng.random() < 0.5 else 0)
        return end + SECOND

    def _browse(self, person: Person, device: Device, start: int, sender: Sender) -> int:
        """Send the events of a session after its start; return the time of the last."""
        rng = self._rng
        length = rng.choice(_SESSION_LENGTHS)
        login_at = self._login_step(person, device, length)
        handover_at = rng.randrange(length) if person.housemate and rng.random() < 0.3 else None
        now = start
        for number, step in enumerate(self._steps(length)):
            now += rng.choice(_PAUSES) * SECOND + int(rng.random() * SECOND)
            if number == login_at and person.account:
                self._log_in(person.account, device, now - SECOND, sender)
            if number == handover_at and person.housemate:
                self._log_out(device, now - SECOND, sender)
                self._log_in(person.housemate, device, now - SECOND // 2, sender)
            self._take(step, device, now, sender)
        if device.account and rng.random() < 0.06:
            self._log_out(device, now + 10 * SECOND, sender)
            now += 20 * SECOND
            self._take(VIEW, device, now, sender)
        return now

    def _login_step(self, person: Person, device: Device, length: int) -> int | None:
        """Before which step the person logs in, if at all."""
        if person.account is None or person.account is device.account:
            return None
        joins = person.joins_at_visit == person.visits
        return self._rng.randrange(length) if joins or self._rng.random() < 0.7 else None

    def _log_in(self, account: Account, device: Device, at: int, sender: Sender) -> None:
        event_type = SIGNED_UP if account.amplitude_id is None else LOGGED_IN
        self._population.log_in(device, account)
        sender.user_changed()
        sender.send(event_type, at, {"method": "password" if at % 3 else "sso"})

    def _log_out(self, device: Device, at: int, sender: Sender) -> None:
        if device.account:
            sender.send(LOGGED_OUT, at, {})
            device.log_out()
            sender.user_changed()

    def _steps(self, length: int) -> Iterator[str]:
        """A walk through the product."""
        step = VIEW
        for _ in range(length):
            yield step
            chance = self._rng.random()
            step = next(name for limit, name in NEXT_STEPS[step] if chance < limit)

    def _take(self, step: str, device: Device, at: int, sender: Sender) -> None:
        """Do one step of a session."""
        rng = self._rng
        if step == VIEW and device.is_web:
            sender.send(PAGE_VIEWED, at, rng.choice(PAGES))
        elif step == VIEW:
            sender.send(SCREEN_VIEWED, at, rng.choice(SCREENS))
        elif step == SEARCHED:
            sender.send(SEARCHED, at, rng.choice(SEARCHES))
        elif step == SETTINGS_SAVED:
            sender.send(SETTINGS_SAVED, at, rng.choice(ODD_PROPERTIES))
        elif step == ORDER_COMPLETED:
            self._order(device, at, sender)
        else:
            sender.send(step, at, rng.choice(GOODS))

    def _order(self, device: Device, at: int, sender: Sender) -> None:
        """Complete an order; for a user with an account a server reports the payment a little later."""
        rng = self._rng
        items = [rng.choice(GOODS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        total = round(9.99 * len(items) + rng.randrange(200), 2)
        properties: Row = {"total": total, "items": items, "coupon": None, "currency": "EUR"}
        sender.send(ORDER_COMPLETED, at, properties)
        if device.account:
            paid_at = at + 2 * SECOND + int(rng.random() * 10 * SECOND)
            sent_at = paid_at + int(rng.random() ** 4 * 40 * MINUTE)
            device.account.orders += 1
            device.account.plan = "pro" if device.account.orders > 1 else "free"
            paid: Row = {"total": total, "attempts": 1, "$revenue": total}
            self._send_from_server(device.account, ORDER_PAID, paid_at, sent_at, paid)
            sender.user_changed()

    def _send_from_server(self, account: Account, event_type: str, at: int, sent_at: int, properties: Row) -> None:
        sending = upload(sent_at, clock_skew=0, latency=latency(self._rng))
        row = server_row(self._rng, account, self._app, event_type, at)
        row["amplitude_id"] = self._population.amplitude_id_of(account)
        row["event_properties"] = properties
        sending.stamp(row)
        self._outbox.send(row, sending)
