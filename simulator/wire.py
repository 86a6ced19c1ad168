"""How events reach Amplitude: clocks, uploads, and the rows waiting for their export hour."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random

from simulator.catalog import NEW_KEY, Row

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1)
_SKEW_TOLERANCE = MINUTE
_RESENT = 0.012  # share of the events


def milliseconds(time: datetime) -> int:
    """Milliseconds since 1970 of a naive UTC time."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def moment(time: int) -> datetime:
    """The naive UTC time of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=time)


@lru_cache(maxsize=65536)
def _minute_text(minute: int) -> str:
    return (_EPOCH + timedelta(minutes=minute)).isoformat(" ", "minutes")


def time_text(time: int) -> str:
    """Milliseconds since 1970 as Amplitude writes them."""
    minute, rest = divmod(time, MINUTE)
    return f"{_minute_text(minute)}:{rest / SECOND:09.6f}"


def new_uuid(rng: Random) -> str:
    """A version 4 UUID from the product's own randomness."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True)
class Upload:
    """One request of a client to Amplitude, which may carry several events."""

    sent_at: int
    clock_skew: int
    latency: int
    hour: int
    correction: int
    client_upload_time: str
    server_received_time: str
    server_upload_time: str
    processed_time: str

    def stamp(self, row: Row) -> None:
        """Write the times of this upload into a row."""
        row["client_upload_time"] = self.client_upload_time
        row["server_received_time"] = self.server_received_time
        row["server_upload_time"] = self.server_upload_time
        row["processed_time"] = self.processed_time


def upload(sent_at: int, clock_skew: int, latency: int) -> Upload:
    """An upload at a true time by a device whose clock may be wrong."""
    sent_at += _pause(sent_at + latency)
    received_at = sent_at + latency
    uploaded_at = received_at + latency % 5 + 2
    difference = latency - clock_skew
    return Upload(
        sent_at=sent_at,
        clock_skew=clock_skew,
        latency=latency,
        hour=uploaded_at // HOUR,
        correction=difference if abs(difference) >= _SKEW_TOLERANCE else 0,
        client_upload_time=time_text(sent_at + clock_skew),
        server_received_time=time_text(received_at),
        server_upload_time=time_text(uploaded_at),
        processed_time=time_text(uploaded_at + 400 + 3 * latency),
    )


def _pause(received_at: int) -> int:
    """How long an upload waits: every third night nothing is taken in from 02:00 to 04:00, so these hours are empty."""
    day, in_day = divmod(received_at + SECOND, DAY)
    return 2 * HOUR + SECOND if day % 3 == 0 and 2 * HOUR <= in_day < 4 * HOUR + SECOND else 0


class Outbox:
    """Rows by the hour of their upload, until that hour is exported."""

    def __init__(self, rng: Random, new_key_from: int) -> None:
        self._rng = rng
        self._rows: defaultdict[int, list[Row]] = defaultdict(list)
        self._new_key_from = new_key_from
        self.total = 0

    def send(self, row: Row, sending: Upload) -> None:
        """Keep a row for its export hour; a few are sent twice, as by a client that missed the answer."""
        if self._rng.random() < _RESENT:
            again = upload(sending.sent_at + self._resend_delay(), sending.clock_skew, sending.latency)
            copy = row | {"uuid": new_uuid(self._rng)}
            again.stamp(copy)
            self._put(copy, again)
        self._put(row, sending)

    def take(self, hour: int) -> list[Row]:
        """Hand out the rows of an hour, once."""
        return self._rows.pop(hour, [])

    def _put(self, row: Row, sending: Upload) -> None:
        if sending.hour < self._new_key_from:
            del row[NEW_KEY]
        self._rows[sending.hour].append(row)
        self.total += 1

    def _resend_delay(self) -> int:
        """Seconds, hours, or longer than the week for which Amplitude itself drops repeats."""
        chance = self._rng.random()
        if chance < 0.5:
            return int((5 + 300 * self._rng.random()) * SECOND)
        if chance < 0.75:
            return int((1 + 20 * self._rng.random()) * HOUR)
        return int((8 + 6 * self._rng.random()) * DAY)
