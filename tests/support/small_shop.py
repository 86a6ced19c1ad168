"""Three days of a shop on the simulator, and what a client gets of them."""

import contextlib
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import requests

from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator

INACTIVE = {"session_start", "session_end", "Push Received"}

SMALL = Product(days=3, events_per_day=1500)
MEMBERS = list(SMALL.members())
FIRST = SMALL.start
HOUR = timedelta(hours=1)
DAY_ONE = [FIRST + number * HOUR for number in range(24)]
# An hour of several members, between hours with data.
BUSY = next(hour for hour, count in Counter(member.hour for member in MEMBERS).items() if count > 2 and hour.hour > 8)


def export(simulator: Simulator, start: str, end: str) -> requests.Response:
    url = f"{simulator.base_url}/api/2/export"
    return requests.get(url, params={"start": start, "end": end}, auth=DEMO_CREDENTIALS, timeout=10)


def zip_hours(response: requests.Response) -> set[int]:
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {int(name.split("_")[2].split("#")[0]) for name in archive.namelist()}


def ask(simulator: Simulator, first: datetime = BUSY, hours: int = 1) -> requests.Response:
    return export(simulator, f"{first:%Y%m%dT%H}", f"{first + (hours - 1) * HOUR:%Y%m%dT%H}")


@contextlib.contextmanager
def streaming(simulator: Simulator, timeout: float = 10) -> Iterator[Iterator[bytes]]:
    """The pieces of a body as they come in."""
    url, hour = f"{simulator.base_url}/api/2/export", f"{BUSY:%Y%m%dT%H}"
    params = {"start": hour, "end": hour}
    with requests.get(url, params, auth=DEMO_CREDENTIALS, timeout=timeout, stream=True) as response:
        yield response.iter_content(None)


def served(response: requests.Response) -> dict[str, bytes]:
    """The members of an export; an answer without data has none."""
    if response.status_code == 404:
        return {}
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def true_members(*hours: datetime) -> dict[str, bytes]:
    return {member.name: member.data for member in MEMBERS if member.hour in hours}
