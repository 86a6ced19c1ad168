"""Who uses the product, and how Amplitude tells them apart."""

from dataclasses import dataclass, field
from random import Random

from simulator.catalog import (
    CAMPAIGNS,
    COMPANIES,
    DAYS_A_VERSION,
    FIRST_TOUCHES,
    GEO_SOURCES,
    MOBILE_DEVICES,
    ODD_USER_PROPERTIES,
    PLACES,
    VERSIONS,
    WEB_DEVICES,
    Row,
)
from simulator.wire import DAY, HOUR, MINUTE, SECOND, new_uuid

_REMEMBERED_ACCOUNTS = 500
_ADDRESS_BLOCKS = ("192.0.2", "198.51.100", "203.0.113")


@dataclass(slots=True)
class Account:
    """Somebody with a user_id. Amplitude gives an amplitude_id at the first event that carries it."""

    user_id: str
    server_device_id: str
    amplitude_id: int | None = None
    plan: str = "free"
    orders: int = 0
    server_events: int = 0


@dataclass(slots=True)
class Device:
    """A browser or a phone. It keeps the amplitude_id of its last user, even when nobody is logged in."""

    device_id: str
    amplitude_id: int
    context: Row
    clock_skew: int  # milliseconds by which its clock is ahead
    account: Account | None = None
    claimed: bool = False
    event_id: int = 0

    @property
    def is_web(self) -> bool:
        return self.context["platform"] == "Web"

    def log_out(self) -> None:
        """Forget the user_id, but keep the amplitude_id."""
        self.account = None


@dataclass(slots=True)
class Person:
    """One human being, with one or two devices and perhaps an account."""

    devices: list[Device]
    place: Row
    first_touch: Row
    traits: Row
    company: str | None
    joins_at_visit: int | None  # None: never signs up
    account: Account | None = None
    housemate: Account | None = None
    visits: int = 0
    free_at: int = field(default=0)  # sessions of one person do not overlap


class Population:
    """Makes people, devices and accounts, and decides on their amplitude_ids as Amplitude does."""

    def __init__(self, rng: Random, app: int) -> None:
        self._rng = rng
        self._app = app
        self._amplitude_id = 92_934_234_282
        self._accounts: list[Account] = []

    def newcomer(self, day: int) -> Person:
        """Somebody who was never here before."""
        rng = self._rng
        place = rng.choice(PLACES)
        device = self._new_device(place, day)
        campaign = int(rng.random() ** 2 * len(CAMPAIGNS))
        return Person(
            devices=[device],
            place=place,
            first_touch=FIRST_TOUCHES[campaign] | CAMPAIGNS[campaign] if device.is_web else {},
            traits=rng.choice(ODD_USER_PROPERTIES) if rng.random() < 0.1 else {},
            company=rng.choice(COMPANIES) if rng.random() < 0.06 else None,
            joins_at_visit=rng.choice((1, 1, 2, 3, 4)) if rng.random() < 0.5 else None,
            housemate=rng.choice(self._accounts) if self._accounts and rng.random() < 0.06 else None,
        )

    def device_of_today(self, person: Person, day: int) -> Device:
        """One of the person's devices; people with an account get a second one at times."""
        if person.account and len(person.devices) == 1 and self._rng.random() < 0.08:
            person.devices.append(self._new_device(person.place, day))
            return person.devices[-1]
        return self._rng.choice(person.devices)

    def new_account(self) -> Account:
        """An account that no event has named yet."""
        user_id = new_uuid(self._rng)
        if self._rng.random() < 0.2:
            user_id = f"user+{user_id[:8]}@example.com"
        return Account(user_id=user_id, server_device_id=new_uuid(self._rng))

    def known_account(self) -> Account:
        """Somebody who has logged in lately, or a new account while there is nobody."""
        return self._rng.choice(self._accounts) if self._accounts else self.new_account()

    def log_in(self, device: Device, account: Account) -> None:
        """Give the device to the account.

        Somebody new takes over the amplitude_id of an anonymous device. Somebody known brings his own, and the
        anonymous one stays behind on the rows already sent.
        """
        if account.amplitude_id is None:
            account.amplitude_id = self._new_amplitude_id() if device.claimed else device.amplitude_id
            self._remember(account)
        device.amplitude_id = account.amplitude_id
        device.account = account
        device.claimed = True

    def amplitude_id_of(self, account: Account) -> int:
        """The amplitude_id for an event that names the account without a device of its own."""
        if account.amplitude_id is None:
            account.amplitude_id = self._new_amplitude_id()
            self._remember(account)
        return account.amplitude_id

    def _remember(self, account: Account) -> None:
        if len(self._accounts) < _REMEMBERED_ACCOUNTS:
            self._accounts.append(account)
        else:
            self._accounts[int(self._rng.random() * _REMEMBERED_ACCOUNTS)] = account

    def _new_device(self, place: Row, day: int) -> Device:
        rng = self._rng
        profile = rng.choice(WEB_DEVICES if rng.random() < 0.6 else MOBILE_DEVICES)
        device_id = new_uuid(rng)
        context = {
            **profile,
            **place,
            "app": self._app,
            "device_id": device_id,
            "ip_address": f"{rng.choice(_ADDRESS_BLOCKS)}.{rng.randrange(1, 255)}",
            "user_geo_source": rng.choice(GEO_SOURCES),
        }
        if profile["platform"] == "iOS":
            context["amplitude_attribution_ids"] = [f"{rng.getrandbits(128):032x}"]
        if profile["platform"] != "Web":
            context["start_version"] = app_version(day)
        return Device(device_id, self._new_amplitude_id(), context, self._clock_skew())

    def _clock_skew(self) -> int:
        rng = self._rng
        chance = rng.random()
        if chance < 0.80:
            return 0
        if chance < 0.94:
            return rng.randrange(-40 * SECOND, 40 * SECOND)
        skew = rng.choice((70 * SECOND, 7 * MINUTE, HOUR, 9 * HOUR, 3 * DAY)) + rng.randrange(SECOND)
        return rng.choice((-1, 1)) * skew

    def _new_amplitude_id(self) -> int:
        self._amplitude_id += self._rng.randrange(1, 90_000)
        return self._amplitude_id


def app_version(day: int) -> str:
    """The version of the mobile apps on a day; the last one stays."""
    return VERSIONS[min(max(day // DAYS_A_VERSION, 0), len(VERSIONS) - 1)]
