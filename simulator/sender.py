"""How events become rows of the export: by an SDK on a device, or by the product's servers."""

from random import Random

from simulator.catalog import BLANK_ROW, DATA, DATA_WITH_USER_PROPERTIES, Row
from simulator.people import Account, Device, Person
from simulator.wire import DAY, HOUR, MINUTE, SECOND, Outbox, Upload, new_uuid, time_text, upload

NO_SESSION = -1
_SERVER_LIBRARY = "http/2.0"


class Sender:
    """An SDK on a device during one session: batches events, stamps them with its own clock, and uploads them."""

    def __init__(
        self, rng: Random, outbox: Outbox, person: Person, device: Device, session_id: int, version: str | None
    ) -> None:
        self._rng = rng
        self._outbox = outbox
        self._person = person
        self._device = device
        self._offline = lateness(rng)
        self._batch: Upload | None = None
        self._row = {**BLANK_ROW, **device.context, "session_id": session_id, "version_name": version}
        self.user_changed()

    def user_changed(self) -> None:
        """Send the next events as the device's user of now."""
        device, person = self._device, self._person
        self._row |= {
            "amplitude_id": device.amplitude_id,
            "user_id": device.account and device.account.user_id,
            "user_properties": _user_properties(person, device),
            "data": DATA_WITH_USER_PROPERTIES,
        }
        if person.company and device.account:
            self._row |= _groups(person.company)

    def send(self, event_type: str, at: int, properties: Row, late: int = 0) -> None:
        """Send an event of a true time, which the device stamps with its own clock."""
        device = self._device
        device.event_id += 1
        sending = self._upload_of(at, late)
        client_time = at + device.clock_skew
        row = self._row.copy()
        row["$insert_id"] = self._insert_id()
        row["client_event_time"] = client_text = time_text(client_time)
        row["event_id"] = device.event_id
        row["event_properties"] = properties
        row["event_time"] = time_text(client_time + sending.correction) if sending.correction else client_text
        row["event_type"] = event_type
        row["uuid"] = new_uuid(self._rng)
        sending.stamp(row)
        self._outbox.send(row, sending)
        self._row["data"] = DATA

    def _upload_of(self, at: int, late: int) -> Upload:
        """The upload that carries an event: a batch is open for some seconds, or until the device is online again."""
        if late or self._batch is None or at > self._batch.sent_at:
            delay = max(late, self._offline) or int((1 + 29 * self._rng.random()) * SECOND)
            batch = upload(at + delay, self._device.clock_skew, latency(self._rng))
            if late:
                return batch
            self._batch = batch
        return self._batch

    def _insert_id(self) -> str:
        insert_id = new_uuid(self._rng)
        return insert_id.upper() if self._row["platform"] == "iOS" else insert_id


def server_row(rng: Random, account: Account, app: int, event_type: str, client_time: int) -> Row:
    """An event of the product's servers, sent over HTTP: no session, no platform, an insert id that only counts."""
    account.server_events += 1
    event_time = time_text(client_time)
    return BLANK_ROW | {
        "$insert_id": f"{event_type}:{account.server_events}",
        "app": app,
        "client_event_time": event_time,
        "device_id": account.server_device_id,
        "event_id": rng.getrandbits(30),
        "event_time": event_time,
        "event_type": event_type,
        "library": _SERVER_LIBRARY,
        "session_id": NO_SESSION,
        "user_id": account.user_id,
        "uuid": new_uuid(rng),
    }


def lateness(rng: Random) -> int:
    """How long a device stays offline: mostly not at all, at times for minutes, hours, or up to 15 days."""
    chance = rng.random()
    if chance < 0.90:
        return 0
    if chance < 0.95:
        return int((1 + 50 * rng.random()) * MINUTE)
    if chance < 0.98:
        return int((1 + 20 * rng.random()) * HOUR)
    return int((1 + 14 * rng.random()) * DAY)


def latency(rng: Random) -> int:
    """Milliseconds from a client to Amplitude."""
    return 20 + int(880 * rng.random() ** 3)


def _user_properties(person: Person, device: Device) -> Row:
    """The user properties as of now: where the visitor came from, and who the device thinks that he is."""
    properties: Row = {**person.first_touch, **person.traits, "visits": person.visits}
    if device.account:
        properties["plan"] = device.account.plan
        properties["orders"] = device.account.orders
    return properties


def _groups(company: str) -> Row:
    return {"groups": {"company": [company]}, "group_properties": {"company": {company: {"seats": len(company)}}}}
