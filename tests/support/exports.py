"""An export of some hours by the client alone, and the bodies that Amplitude answers with."""

import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dlt.common.configuration.resolve import resolve_configuration

from amplitude_source.errors import AmplitudeError
from amplitude_source.export.windows import ExportClient, export_hours
from amplitude_source.lake.archive import Archive, ExportHour
from amplitude_source.lake.storage import LakeConfiguration
from amplitude_source.settings import HOUR, AmplitudeSettings, hours_between, parse_hour
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.members import SMALL_PRODUCT, export_row, gzip_lines, member_name

START = SMALL_PRODUCT.start
NOW = SMALL_PRODUCT.end + timedelta(hours=12)
LAST = NOW - 3 * HOUR  # the newest hour that the simulator has
SOON = 20  # seconds in which a thread or a process must have got somewhere, on however busy a machine


def settings_at(base_url: str, folder: Path, now: datetime = NOW) -> AmplitudeSettings:
    configured = AmplitudeSettings()
    configured.api_key, configured.secret_key = DEMO_CREDENTIALS
    configured.base_url = base_url
    configured.start_hour = START.isoformat()
    configured.now = now.isoformat()
    configured.work_dir = str(folder / "work")
    configured.lake = resolve_configuration(LakeConfiguration(bucket_url=str(folder / "lake")))
    return configured


def client_of(configured: AmplitudeSettings, waits: list[float] | None = None) -> ExportClient:
    """A client that does not wait between its attempts, but notes how long it would."""
    noted = [] if waits is None else waits
    return ExportClient(configured, pause=lambda _stopped, seconds: noted.append(seconds))


def hours_of(
    configured: AmplitudeSettings, first: datetime, last: datetime, waits: list[float] | None = None
) -> Iterator[ExportHour]:
    return export_hours(client_of(configured, waits), Archive(configured.lake, "web"), configured, first, last)


def export(
    configured: AmplitudeSettings, first: datetime, last: datetime, waits: list[float] | None = None
) -> list[ExportHour]:
    return list(hours_of(configured, first, last, waits))


def until_error(hours: Iterator[ExportHour]) -> tuple[list[ExportHour], str]:
    """The hours that came, and the sentence that ended them, if any."""
    given: list[ExportHour] = []
    try:
        given.extend(hours)
    except AmplitudeError as error:
        return given, str(error)
    return given, ""


def refusal(configured: AmplitudeSettings, first: datetime = START, last: datetime = START) -> str:
    """The sentence with which an export ends; nothing may be left in the folder for downloads."""
    with pytest.raises(AmplitudeError) as caught:
        export(configured, first, last)
    message = str(caught.value)
    assert "\n" not in message
    assert DEMO_CREDENTIALS[1] not in message
    assert list(configured.work_path.iterdir()) == []
    return message


def asked_hours(simulator: Simulator, *statuses: int) -> list[datetime]:
    """The hours of all requests with these answers, in the order of the requests."""
    windows = [(r.query["start"], r.query["end"]) for r in simulator.requests if r.status in (statuses or (200, 404))]
    return [hour for first, last in windows for hour in hours_between(parse_hour(first, ""), parse_hour(last, ""))]


def members_in_lake(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "lake").rglob("*.json.gz")}


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def hour_zip(hour: datetime = START, compression: int = zipfile.ZIP_STORED) -> bytes:
    data = gzip_lines(*(export_row() for _ in range(20)))
    return zip_of({f"1/{member_name(hour)}": data}, compression)


def day_zip(first: int, last: int, broken: int | None = None) -> bytes:
    """The zip of the hours with these numbers, of which one's member is no complete gzip file."""
    data = {n: gzip_lines(export_row(event_type=f"hour {n}")) for n in range(first, last + 1)}
    return zip_of({member_name(START + n * HOUR): data[n][:-4] if n == broken else data[n] for n in data})


def downloading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "amplitude-download"]


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
