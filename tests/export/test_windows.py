"""The Export API's client: every hour asked for once, whatever Amplitude answers."""

import contextlib
import errno
import gzip
import io
import os
import random
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from dlt.common.configuration.resolve import resolve_configuration
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_source.certificates import CERTIFICATE_VARIABLES
from amplitude_source.errors import AmplitudeError
from amplitude_source.export import client, windows
from amplitude_source.export.client import ATTEMPTS, LONGEST_WAIT_SECONDS
from amplitude_source.export.windows import WINDOW_HOURS, ExportClient, Outcome, WindowSize, export_hours
from amplitude_source.lake.archive import Archive, ExportHour
from amplitude_source.lake.storage import LakeConfiguration
from amplitude_source.settings import HOUR, AmplitudeSettings, hours_between, parse_hour
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.members import SMALL_PRODUCT, export_row, gzip_lines, member_name
from support.project import REPOSITORY
from support.scripted_http import Answer, serving

START = SMALL_PRODUCT.start
NOW = SMALL_PRODUCT.end + timedelta(hours=12)
LAST = NOW - 3 * HOUR  # the newest hour that the simulator has
SOON = 20  # seconds in which a thread or a process must have got somewhere, on however busy a machine


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


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


# --- windows


def test_each_hour_is_asked_for_once_in_windows_that_never_overlap(simulator: Simulator, tmp_path: Path) -> None:
    """`start` and `end` are both included: an `end` that is the next window's `start` would load an hour twice."""
    hours = export(settings_at(simulator.base_url, tmp_path), START, LAST)
    assert [hour.hour for hour in hours] == hours_between(START, LAST)
    assert asked_hours(simulator) == hours_between(START, LAST)
    first = simulator.requests[0]
    assert (first.query["start"], first.query["end"]) == ("20260601T00", "20260601T23"), "a day is T00 to T23"


def test_the_members_arrive_as_amplitude_sent_them(simulator: Simulator, tmp_path: Path) -> None:
    export(settings_at(simulator.base_url, tmp_path), START, LAST)
    assert members_in_lake(tmp_path) == {member.file_name: member.data for member in SMALL_PRODUCT.members()}


def test_a_range_that_is_too_large_is_halved_until_it_fits(simulator: Simulator, tmp_path: Path) -> None:
    sizes = {h: sum(m.size for m in simulator.archive.members(h, h)) for h in hours_between(START, LAST)}
    simulator.max_bytes = max(sizes.values())
    configured = settings_at(simulator.base_url, tmp_path)
    hours = export(configured, START, LAST)
    assert [hour.hour for hour in hours] == hours_between(START, LAST)
    assert {m.name.name for hour in hours for m in hour.members} == {m.file_name for m in SMALL_PRODUCT.members()}
    assert asked_hours(simulator) == hours_between(START, LAST), "answered windows cover each hour once"
    whole, half = simulator.requests[:2]
    assert (whole.query, whole.status) == ({"start": "20260601T00", "end": "20260601T23"}, 400)
    assert half.query == {"start": "20260601T00", "end": "20260601T11"}


def test_a_single_hour_that_is_too_large_is_refused_after_the_hours_before_it(
    simulator: Simulator, tmp_path: Path
) -> None:
    sizes = {h: sum(m.size for m in simulator.archive.members(h, h)) for h in hours_between(START, LAST)}
    largest = max(sizes, key=lambda hour: sizes[hour])
    simulator.max_bytes = sizes[largest] - 1
    given, error = until_error(hours_of(settings_at(simulator.base_url, tmp_path), START, LAST))
    assert [hour.hour for hour in given] == hours_between(START, largest - HOUR)
    assert f"refuses hour {largest:%Y-%m-%dT%H} (HTTP 400, 'The export is too large." in error
    assert "--replay DIR" in error


def test_a_gateway_timeout_halves_the_window_too(tmp_path: Path) -> None:
    with serving(Answer(504), Answer(404)) as script:
        hours = export(settings_at(script.base_url, tmp_path), START, START + 3 * HOUR)
    assert len(hours) == 4
    assert len(script.authorizations) == 3, "four hours refused, then two and two"


class CheckedClient(ExportClient):
    """A client that never waits, and fails where two downloads overlap or more than one zip waits."""

    def __init__(self, configured: AmplitudeSettings) -> None:
        super().__init__(configured, pause=lambda *_: None)
        self.busy = threading.Lock()

    def download(
        self, first: datetime, last: datetime, target: Path, stopped: threading.Event | None = None
    ) -> Outcome:
        assert self.busy.acquire(blocking=False), "one download at a time"
        assert len(list(target.parent.iterdir())) <= 1, "beside the zip in use no other one waits"
        try:
            return self.answer(first, last, target, stopped)
        finally:
            self.busy.release()

    def answer(self, first: datetime, last: datetime, target: Path, stopped: threading.Event | None) -> Outcome:
        return super().download(first, last, target, stopped)


class SizedClient(CheckedClient):
    """Amplitude with one member an hour, of a size each, and a limit."""

    def __init__(self, configured: AmplitudeSettings, sizes: dict[datetime, int], limit: int) -> None:
        super().__init__(configured)
        self.sizes, self.limit = sizes, limit
        self.answered: list[datetime] = []

    def answer(self, first: datetime, last: datetime, target: Path, _stopped: object) -> Outcome:
        window = hours_between(first, last)
        assert 1 <= len(window) <= WINDOW_HOURS
        if sum(self.sizes.get(hour, 0) for hour in window) > self.limit:
            if len(window) > 1:
                return Outcome.TOO_LARGE
            raise AmplitudeError(f"Hour {window[0]:%Y-%m-%dT%H} alone is too large.")
        self.answered += window
        if members := {member_name(hour): gzip_lines() for hour in window if hour in self.sizes}:
            target.write_bytes(zip_of(members))
        return Outcome.ZIP if members else Outcome.NO_DATA


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.dictionaries(st.integers(0, 60).map(lambda n: START + n * HOUR), st.integers(1, 10), max_size=40),
    limit=st.integers(1, 40),
    length=st.integers(1, 60),
)
def test_whatever_the_sizes_every_hour_is_given_once_until_one_is_too_large(
    sizes: dict[datetime, int], limit: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    configured = settings_at("http://127.0.0.1", tmp_path_factory.mktemp("export"))
    client, last = SizedClient(configured, sizes, limit), START + (length - 1) * HOUR
    too_large = min((hour for hour, size in sizes.items() if size > limit and hour <= last), default=None)
    given, error = until_error(export_hours(client, Archive(configured.lake, "web"), configured, START, last))
    assert (f"Hour {too_large:%Y-%m-%dT%H} alone" if too_large else "") in error
    assert bool(error) == bool(too_large)
    expected = hours_between(START, too_large - HOUR if too_large else last)
    assert [hour.hour for hour in given] == client.answered == expected
    assert [hour.hour for hour in given if hour.members] == [hour for hour in expected if hour in sizes]


def asked_windows(limits: list[int]) -> list[tuple[int, bool]]:
    """The sizes asked for, and whether they fitted, where each hour limits the windows that it is in."""
    size, hour, windows = WindowSize(), 0, list[tuple[int, bool]]()
    while hour < len(limits):
        asked = min(size.hours, len(limits) - hour)
        fits = asked <= min(limits[hour : hour + asked])
        windows.append((asked, fits))
        if fits:
            size.fits(asked)
            hour += asked
        else:
            size.too_large(asked)
    return windows


@given(before=st.integers(0, 200), heavy=st.integers(1, 1000), limit=st.integers(1, WINDOW_HOURS - 1))
def test_days_are_asked_for_again_once_a_heavy_stretch_is_over(before: int, heavy: int, limit: int) -> None:
    """At the latest after as long again as it lasted, and the time to grow from one hour, doubling after 4 windows."""
    after = heavy + 4 * (1 + 2 + 4 + 8 + 16) + 10 * 24
    fitted = [size for size, fits in asked_windows([24] * before + [limit] * heavy + [24] * after) if fits]
    assert sum(fitted) == before + heavy + after
    assert fitted[-10:-1] == [24] * 9


@pytest.mark.parametrize("limit", range(1, WINDOW_HOURS))
def test_in_a_heavy_year_vain_requests_get_rare(limit: int) -> None:
    asked = asked_windows([limit] * 365 * 24)
    assert sum(not fits for _, fits in asked) < 20


# --- hours without data


def test_both_kinds_of_404_mean_no_data(simulator: Simulator, tmp_path: Path) -> None:
    """A text for some, an HTML page for others."""
    configured = settings_at(simulator.base_url, tmp_path)
    even = export(configured, SMALL_PRODUCT.end, SMALL_PRODUCT.end)
    odd = export(configured, SMALL_PRODUCT.end + HOUR, SMALL_PRODUCT.end + HOUR)
    assert [request.status for request in simulator.requests] == [404, 404]
    assert [(hour.members, hour.is_final) for hour in even + odd] == [([], True)] * 2


@pytest.mark.parametrize(
    ("age", "is_final"),
    [(timedelta(hours=6, minutes=59), False), (timedelta(hours=7), True), (timedelta(hours=3), False)],
)
def test_an_hour_without_data_is_empty_only_once_it_has_settled(tmp_path: Path, age: timedelta, is_final: bool) -> None:
    """The settle time of six hours counts from the hour's end."""
    with serving(Answer(404, b"Raw data files were not found.")) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path, now=START + age), START, START)
    assert (hour.members, hour.is_final) == ([], is_final)


def test_an_hour_with_data_is_final_however_young(tmp_path: Path) -> None:
    with serving(Answer(200, hour_zip())) as script:
        configured = settings_at(script.base_url, tmp_path, now=START + 3 * HOUR)
        found, missing = export(configured, START, START + HOUR)
    assert (len(found.members), found.is_final) == (1, True)
    assert (len(missing.members), missing.is_final) == (0, False)


def test_a_zip_without_members_means_no_data(tmp_path: Path) -> None:
    with serving(Answer(200, zip_of({}))) as script:
        hours = export(settings_at(script.base_url, tmp_path), START, START + HOUR)
    assert [(hour.members, hour.is_final) for hour in hours] == [([], True)] * 2


# --- refusals


@pytest.mark.parametrize("status", [401, 403])
def test_refused_keys_end_the_export_at_once_and_name_host_and_settings(tmp_path: Path, status: int) -> None:
    with serving(Answer(status)) as script:
        message = refusal(settings_at(script.base_url, tmp_path))
    assert f"127.0.0.1:{script.server_port}" in message
    assert f"HTTP {status}" in message
    assert "SOURCES__AMPLITUDE__SECRET_KEY" in message
    assert "SOURCES__AMPLITUDE__REGION" in message
    assert len(script.authorizations) == 1


def test_wrong_keys_are_refused_by_amplitude(simulator: Simulator, tmp_path: Path) -> None:
    configured = settings_at(simulator.base_url, tmp_path)
    configured.secret_key = "wrong"
    assert "refuses the keys" in refusal(configured)


@pytest.mark.parametrize("missing", ["api_key", "secret_key"])
@pytest.mark.parametrize("value", [None, ""])
def test_without_both_keys_nothing_is_asked(tmp_path: Path, missing: str, value: str | None) -> None:
    configured = settings_at("http://127.0.0.1:1", tmp_path)
    setattr(configured, missing, value)
    with pytest.raises(AmplitudeError, match="set SOURCES__AMPLITUDE__API_KEY and SOURCES__AMPLITUDE__SECRET_KEY"):
        ExportClient(configured)


# --- servers that are busy


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(tmp_path: Path, status: int) -> None:
    with serving(Answer(status), Answer(status), Answer(200, hour_zip())) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path), START, START)
    assert len(hour.members) == 1
    assert len(script.authorizations) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_stays_busy_ends_the_export_after_five_attempts(tmp_path: Path, status: int) -> None:
    with serving(Answer(status)) as script:
        message = refusal(settings_at(script.base_url, tmp_path))
    assert f"answered HTTP {status}, 5 times for hour 2026-06-01T00" in message
    assert "finished hours are kept" in message
    assert len(script.authorizations) == ATTEMPTS == 5


@pytest.mark.parametrize("status", [418, 204, 302])
def test_a_status_that_export_does_not_have_ends_the_export_at_once(tmp_path: Path, status: int) -> None:
    with serving(Answer(status)) as script:
        message = refusal(settings_at(script.base_url, tmp_path))
    assert f"HTTP {status}" in message
    assert len(script.authorizations) == 1


@pytest.fixture
def longest_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait that is drawn is as long as it can be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high if low == 0 else pytest.fail("not full jitter"))


@pytest.mark.usefixtures("longest_jitter")
def test_the_bound_of_a_random_wait_doubles(tmp_path: Path) -> None:
    waits: list[float] = []
    with serving(*[Answer(503)] * 4, Answer(200, hour_zip())) as script:
        export(settings_at(script.base_url, tmp_path), START, START, waits)
    assert waits == [4, 8, 16, 32]


@pytest.mark.usefixtures("longest_jitter")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("17", 17),
        (" 17 ", 17),
        (timedelta(seconds=120), 120),
        ("86400", LONGEST_WAIT_SECONDS),
        (timedelta(days=1), LONGEST_WAIT_SECONDS),
        ("0", 4),
        (timedelta(hours=-1), 4),
        ("in a while", 4),
        ("", 4),
    ],
)
def test_the_wait_that_amplitude_asks_for_is_kept_within_bounds(
    tmp_path: Path, status: int, asked: str | timedelta, kept: float
) -> None:
    text = asked if isinstance(asked, str) else format_datetime(datetime.now(UTC) + asked, usegmt=True)
    waits: list[float] = []
    with serving(Answer(status, headers={"Retry-After": text}), Answer(200, hour_zip())) as script:
        export(settings_at(script.base_url, tmp_path), START, START, waits)
    assert waits == [pytest.approx(kept, abs=SOON if isinstance(asked, timedelta) else 0)]


def test_a_long_wait_is_told_with_its_cause_and_a_short_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda *_: 1.9)
    with serving(Answer(503), Answer(429, headers={"Retry-After": "17"}), Answer(200, hour_zip())) as script:
        export(settings_at(script.base_url, tmp_path), START, START)
    notices = [record.getMessage() for record in caplog.records if record.name.startswith("amplitude_source")]
    assert notices == [f"127.0.0.1:{script.server_port} answered HTTP 429: attempt 3 of 5 in 17 s."]


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b"start must be\r\n  before\x07 end.", "'start must be before end.'"),
        (b"<!DOCTYPE html><html><body><h1>Bad&nbsp;Request</h1>\n<p>No.</p></body></html>", "'Bad Request No.'"),
        (b"x" * 5000, f"'{'x' * 200}'"),
        (b"\xff\xfe", "'\ufffd\ufffd'"),
        (b"", "no reason given"),
    ],
)
def test_a_400_for_a_single_hour_is_told_in_amplitudes_words(tmp_path: Path, body: bytes, quoted: str) -> None:
    with serving(Answer(400, body)) as script:
        message = refusal(settings_at(script.base_url, tmp_path), START, START + 23 * HOUR)
    assert f"refuses hour 2026-06-01T00 (HTTP 400, {quoted})" in message
    assert len(script.authorizations) == 5, "24, 12, 6, 3 and 1 hours"


# --- lines that break


Reply = Callable[[socket.socket], None]


class Peer(socketserver.ThreadingTCPServer):
    """Answers one request after the other in a way of its own, the last way for ever."""

    daemon_threads = True

    def __init__(self, replies: tuple[Reply, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _PeerHandler)
        self.replies = replies
        self.windows: list[tuple[str, str]] = []
        self.host = f"127.0.0.1:{self.server_address[1]}"

    @property
    def base_url(self) -> str:
        return f"http://{self.host}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _PeerHandler(socketserver.StreamRequestHandler):
    server: Peer

    def handle(self) -> None:
        request = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
        query = parse_qs(urlsplit(request.split(" ")[1]).query)
        peer = self.server
        reply = peer.replies[min(len(peer.windows), len(peer.replies) - 1)]
        start, end = (query.get(name, [""])[0] for name in ("start", "end"))  # a proxy's CONNECT has none
        peer.windows.append((start, end))
        reply(self.request)


@contextlib.contextmanager
def peering(*replies: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    peer = Peer(replies)
    if tls:
        peer.socket = tls.wrap_socket(peer.socket, server_side=True)
    thread = threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield peer
    finally:
        peer.shutdown()
        thread.join()
        peer.server_close()


def says(status: int, body: bytes = b"", headers: str = "", promised: int | None = None) -> Reply:
    length = len(body) if promised is None else promised
    head = f"HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    return lambda line: line.sendall(head.encode() + body)


def in_chunks(body: bytes) -> Reply:
    """What comes after the head of a chunked answer."""
    head = b"HTTP/1.1 200 -\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return lambda line: line.sendall(head + body)


def _hangs_up(line: socket.socket) -> None:
    line.shutdown(socket.SHUT_RDWR)


def _resets(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def _stalls(line: socket.socket) -> None:
    line.recv(1)  # until the client hangs up


def then(*replies: Reply) -> Reply:
    def reply(line: socket.socket) -> None:
        for each in replies:
            each(line)

    return reply


BROKEN_LINES: dict[str, tuple[Reply, str]] = {
    "hangs up": (_hangs_up, "gave no whole answer"),
    "resets": (_resets, "gave no whole answer"),
    "resets within the body": (then(says(200, b"PK", promised=99), _resets), "gave no whole answer"),
    "says nothing": (_stalls, "sent nothing for 0.5 s"),
    "stalls within the body": (then(says(200, b"PK", promised=99), _stalls), "sent nothing for 0.5 s"),
    "ends too early": (says(200, b"PK", promised=99), "gave no whole answer"),
    "has no last chunk": (in_chunks(b"2\r\nPK\r\n"), "gave no whole answer"),
    "cuts a chunk": (in_chunks(b"ff\r\nPK"), "gave no whole answer"),
    "has a chunk of no length": (in_chunks(b"many\r\nPK\r\n"), "gave no whole answer"),
    "has a wrong encoding": (says(200, b"PK", "Content-Encoding: gzip\r\n"), "gave no whole answer"),
    "does not speak HTTP": (lambda line: line.sendall(b"220 mail\r\n\r\n"), "gave no whole answer"),
    "moves in circles": (says(302, headers="Location: ?start=&end=\r\n"), "gave no whole answer"),
}


@pytest.mark.parametrize("broken", [reply for reply, _ in BROKEN_LINES.values()], ids=BROKEN_LINES.keys())
def test_a_server_whose_line_breaks_is_asked_again(tmp_path: Path, broken: Reply) -> None:
    with peering(broken, says(200, hour_zip())) as peer:
        configured = settings_at(peer.base_url, tmp_path)
        configured.read_timeout_seconds = 0.5
        (hour,) = export(configured, START, START)
    assert len(hour.members) == 1
    assert len(peer.windows) >= 2


@pytest.mark.parametrize(("broken", "named"), BROKEN_LINES.values(), ids=BROKEN_LINES.keys())
def test_a_line_that_breaks_each_time_ends_the_export_with_host_and_cause(
    tmp_path: Path, broken: Reply, named: str
) -> None:
    with peering(broken) as peer:
        configured = settings_at(peer.base_url, tmp_path)
        configured.read_timeout_seconds = 0.5
        message = refusal(configured)
    assert message.startswith(f"{peer.host} {named}")
    assert "5 times for hour 2026-06-01T00" in message
    assert "finished hours are kept" in message


def test_a_host_that_refuses_the_connection_is_named_with_the_setting(tmp_path: Path) -> None:
    with serving(Answer(200)) as script:
        gone = script.base_url
    message = refusal(settings_at(gone, tmp_path))
    assert f"{gone.removeprefix('http://')} cannot be reached: it refuses the connection" in message
    assert "SOURCES__AMPLITUDE__BASE_URL" in message


def test_a_host_that_takes_no_connection_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as held:
        for _ in range(8):  # more than the queue of connections that wait to be accepted
            caller = held.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        message = refusal(settings_at(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path))
    assert "cannot be reached: no connection within 0.1 s, 5 times" in message


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the name cannot be resolved"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no network leads to it"),
    ],
)
def test_a_host_that_cannot_be_found_is_told_with_the_cause_after_five_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError, named: str
) -> None:
    asked: list[str] = []

    def not_found(host: str, *_: object) -> None:
        asked.append(host)
        raise fault

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    message = refusal(settings_at("https://amplitude.example", tmp_path))
    assert message.startswith(f"amplitude.example cannot be reached: {named}, 5 times")
    assert asked == ["amplitude.example"] * 5


def test_a_name_that_is_resolved_at_the_second_attempt_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: Iterator[Exception] = iter([socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")])
    resolve = socket.getaddrinfo

    def flaky(*arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return resolve(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    with serving(Answer(200, hour_zip())) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path), START, START)
    assert len(hour.members) == 1


def tls_of(name: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """The TLS of a server of that name, and the certificate of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path


@pytest.fixture
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CERTIFICATE_VARIABLES, "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_certificates")
def test_a_certificate_of_an_unknown_authority_names_the_variable_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority of a company, whose proxy looks into TLS."""
    waits: list[float] = []
    tls, authority = tls_of("127.0.0.1", tmp_path)
    _, other = tls_of("other.example", Path(tempfile.mkdtemp(dir=tmp_path)))
    with peering(says(200, hour_zip()), tls=tls) as peer:
        configured = settings_at(f"https://{peer.host}", tmp_path)
        hours, error = until_error(hours_of(configured, START, START, waits))
        assert error.startswith(f"{peer.host} has a TLS certificate that is not accepted (unable to get local issuer")
        assert "set REQUESTS_CA_BUNDLE to a PEM file" in error
        assert (hours, waits, peer.windows) == ([], [], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert "set REQUESTS_CA_BUNDLE (SSL_CERT_FILE is not read) to" in refusal(configured)
        monkeypatch.setenv("CURL_CA_BUNDLE", str(other))
        assert f"CURL_CA_BUNDLE names {other}: add the certificate" in refusal(configured)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        assert len(export(configured, START, START)) == 1


@pytest.mark.usefixtures("no_certificates")
def test_a_certificate_of_another_name_points_to_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, authority = tls_of("amplitude.example", tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    with peering(says(200, hour_zip()), tls=tls) as peer:
        message = refusal(settings_at(f"https://{peer.host}", tmp_path))
    assert "check SOURCES__AMPLITUDE__BASE_URL, then run again" in message


@pytest.mark.usefixtures("no_certificates")
@pytest.mark.parametrize("name", CERTIFICATE_VARIABLES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "which does not exist"),
        (b"", "which holds no certificates in PEM"),
        (b"no PEM", "which holds no certificates in PEM"),
        (b"\x30\x82\x01\x00", "which holds no certificates in PEM"),
    ],
)
def test_a_file_of_certificates_that_is_none_is_named_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "company.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(name, str(path))
    with pytest.raises(AmplitudeError) as error:
        client_of(settings_at("https://127.0.0.1:1", tmp_path))
    assert str(error.value).startswith(f"{name} names {path}, {reason}: name a PEM file")
    client_of(settings_at("http://127.0.0.1:1", tmp_path))


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (407, ["the proxy wants a user name and a password (HTTP 407): write them into HTTPS_PROXY"]),
        (403, ["the proxy of HTTPS_PROXY forbids it (HTTP 403)", "NO_PROXY"]),
        (502, ["the proxy of HTTPS_PROXY answers HTTP 502, 5 times"]),
    ],
)
def test_a_proxy_that_refuses_to_connect_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, parts: list[str]
) -> None:
    with peering(says(status)) as proxy:
        through(monkeypatch, "HTTPS_PROXY", f"http://me:pa55word@{proxy.host}")
        message = refusal(settings_at("https://amplitude.example", tmp_path))
    assert message.startswith("amplitude.example cannot be reached: ")
    assert [part for part in parts if part not in message] == [], message
    assert "pa55word" not in message
    assert len(proxy.windows) == (5 if status == 502 else 1)


@pytest.mark.parametrize(("status", "part"), [(407, "into HTTP_PROXY, in front"), (403, "or the proxy of HTTP_PROXY,")])
def test_a_proxy_that_answers_in_place_of_amplitude_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, part: str
) -> None:
    with peering(says(status)) as proxy:
        through(monkeypatch, "HTTP_PROXY", proxy.base_url)
        assert part in refusal(settings_at("http://127.0.0.1:1", tmp_path))


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("http://127.0.0.1:1", "the proxy of ALL_PROXY does not work ([Errno"),
        ("socks5://me:pa55word@127.0.0.1:1", "ALL_PROXY names no proxy that can be used (Missing dependencies"),
        ("ftp://me:pa55word@127.0.0.1:1", "ALL_PROXY names no proxy that can be used (Proxy URL had unsupported"),
        ("http://me:pa55word@127.0.0.1:port", "ALL_PROXY names no proxy that can be used (Failed to parse"),
        ("http://", "ALL_PROXY names no proxy that can be used (Please check proxy URL"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, part: str
) -> None:
    through(monkeypatch, "ALL_PROXY", address)
    message = refusal(settings_at("https://amplitude.example", tmp_path))
    assert part in message
    assert "pa55word" not in message


def through(monkeypatch: pytest.MonkeyPatch, variable: str, address: str) -> None:
    """Sets one variable for a proxy, and no other."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, address)


def test_a_host_without_tls_is_told_as_such(tmp_path: Path) -> None:
    with serving(Answer(200)) as script:
        message = refusal(settings_at(script.base_url.replace("http:", "https:"), tmp_path))
    assert f"127.0.0.1:{script.server_port} fails in TLS (" in message


def test_a_time_to_wait_that_is_none_is_refused(tmp_path: Path) -> None:
    configured = settings_at("http://127.0.0.1", tmp_path)
    configured.read_timeout_seconds = 0
    with pytest.raises(AmplitudeError, match="READ_TIMEOUT_SECONDS"):
        ExportClient(configured)


# --- faults in the middle of a backfill


@pytest.mark.parametrize(("status", "requests"), [(401, 2), (403, 2), (503, 6)])
def test_a_fault_of_the_second_window_comes_after_the_hours_of_the_first(
    tmp_path: Path, status: int, requests: int
) -> None:
    with peering(says(404), says(status)) as peer:
        hours = hours_of(settings_at(peer.base_url, tmp_path), START, START + 60 * HOUR)
        given = [next(hours)]
        eventually(lambda: len(peer.windows) == requests and not downloading())
        rest, error = until_error(hours)
    assert [hour.hour for hour in given + rest] == hours_between(START, START + 23 * HOUR)
    assert f"HTTP {status}" in error
    assert len(peer.windows) == requests


def day_zip(first: int, last: int, broken: int | None = None) -> bytes:
    """The zip of the hours with these numbers, of which one's member is no complete gzip file."""
    data = {n: gzip_lines(export_row(event_type=f"hour {n}")) for n in range(first, last + 1)}
    return zip_of({member_name(START + n * HOUR): data[n][:-4] if n == broken else data[n] for n in data})


def test_a_broken_member_is_downloaded_again_with_the_rest_of_its_window(tmp_path: Path) -> None:
    replies = [says(200, day_zip(0, 23, broken=5)), says(200, day_zip(24, 30)), says(200, day_zip(5, 23))]
    with peering(*replies) as peer:
        configured = settings_at(peer.base_url, tmp_path)
        client, archive = CheckedClient(configured), Archive(configured.lake, "web")
        hours = list(export_hours(client, archive, configured, START, START + 30 * HOUR))
    assert [hour.hour for hour in hours] == hours_between(START, START + 30 * HOUR)
    assert all(len(hour.members) == 1 for hour in hours)
    assert peer.windows == [
        ("20260601T00", "20260601T23"),
        ("20260602T00", "20260602T06"),  # on its way already: it is kept
        ("20260601T05", "20260601T23"),
    ]


def test_a_window_that_is_too_large_when_it_is_asked_for_again_is_halved(tmp_path: Path) -> None:
    replies = [
        says(200, day_zip(0, 23, broken=5)),
        says(200, day_zip(24, 30)),
        says(504),
        says(200, day_zip(5, 13)),
        says(200, day_zip(14, 22)),
        says(200, day_zip(23, 23)),
    ]
    with peering(*replies) as peer:
        hours = export(settings_at(peer.base_url, tmp_path), START, START + 30 * HOUR)
    assert [hour.hour for hour in hours] == hours_between(START, START + 30 * HOUR)
    assert [window[0] for window in peer.windows[2:]] == ["20260601T05", "20260601T05", "20260601T14", "20260601T23"]


def test_a_member_that_stays_broken_ends_the_export_after_the_hours_before_it(tmp_path: Path) -> None:
    with peering(says(200, day_zip(0, 23, broken=5)), says(200, day_zip(5, 23, broken=5))) as peer:
        hours, error = until_error(hours_of(settings_at(peer.base_url, tmp_path), START, START + 23 * HOUR))
    assert [hour.hour for hour in hours] == hours_between(START, START + 4 * HOUR)
    assert error.startswith(f"{peer.host} sent a broken file 5 times: {member_name(START + 5 * HOUR)}")
    assert len(peer.windows) == 5
    assert not list(tmp_path.glob("lake/**/*hour=05/*")), "nothing half in the lake"


def test_a_disk_that_is_full_is_told_with_the_setting(tmp_path: Path) -> None:
    if not (full := Path("/dev/full")).exists():
        pytest.skip("no /dev/full")
    with serving(Answer(200, hour_zip())) as script:
        configured = settings_at(script.base_url, tmp_path)
        with pytest.raises(AmplitudeError, match=r"No space left.*SOURCES__AMPLITUDE__WORK_DIR.*are kept"):
            client_of(configured).download(START, START, full)
    assert len(script.authorizations) == 1


def test_a_lake_that_cannot_be_written_is_told_with_its_place_after_the_hours_before(tmp_path: Path) -> None:
    (tmp_path / f"lake/raw/project=web/app={SMALL_PRODUCT.app}/date=2026-06-01").mkdir(parents=True)
    (tmp_path / f"lake/raw/project=web/app={SMALL_PRODUCT.app}/date=2026-06-01/hour=02").touch()
    with serving(Answer(200, day_zip(0, 3))) as script:
        configured = settings_at(script.base_url, tmp_path)
        hours, error = until_error(hours_of(configured, START, START + 3 * HOUR))
    assert [hour.hour for hour in hours] == [START, START + HOUR]
    assert error.startswith(f"Hour 2026-06-01T02 cannot be archived in {configured.lake.bucket_url} (")


# --- downloads ahead


def downloading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "amplitude-download"]


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_the_next_window_and_only_that_is_downloaded_while_the_hours_of_one_are_read(
    simulator: Simulator, tmp_path: Path
) -> None:
    configured = settings_at(simulator.base_url, tmp_path)
    hours = hours_of(configured, START, LAST)
    given = [next(hours)]
    eventually(lambda: not downloading())
    assert [request.query["start"] for request in simulator.requests] == ["20260601T00", "20260602T00"]
    given += [next(hours) for _ in range(23)]
    assert len(simulator.requests) == 2
    assert len(list(configured.work_path.iterdir())) == 2, "the zip in use and the one that waits"
    given += hours
    assert [hour.hour for hour in given] == hours_between(START, LAST)


def _streams_without_end(line: socket.socket) -> None:
    says(200, promised=1 << 40)(line)
    while True:
        line.sendall(bytes(1 << 16))


def _wants_patience(line: socket.socket) -> None:
    says(429, headers="Retry-After: 300\r\n")(line)


@pytest.mark.parametrize("second", [_streams_without_end, _wants_patience, says(404), says(200, day_zip(24, 30))])
def test_closing_the_hours_ends_the_download_ahead_and_removes_what_is_on_disk(tmp_path: Path, second: Reply) -> None:
    with peering(says(404), second) as peer:
        configured = settings_at(peer.base_url, tmp_path)
        hours = export_hours(
            ExportClient(configured), Archive(configured.lake, "web"), configured, START, START + 60 * HOUR
        )
        next(hours)
        eventually(lambda: len(peer.windows) == 2)
        close(hours)
        eventually(lambda: not downloading())
        assert list(configured.work_path.iterdir()) == []
    assert len(peer.windows) == 2


def close(hours: Iterator[ExportHour]) -> None:
    assert isinstance(hours, Generator)
    hours.close()


def test_a_fault_of_an_hour_ends_the_download_ahead_too(tmp_path: Path) -> None:
    stray = zip_of({"1/readme.txt": b"?"})
    with peering(says(200, stray), _streams_without_end) as peer:
        refusal(settings_at(peer.base_url, tmp_path), START, START + 60 * HOUR)
        eventually(lambda: not downloading())


def test_a_download_ahead_that_stalls_keeps_nobody_waiting_and_ends_at_its_next_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "STOP_SECONDS", 0.01)
    go_on = threading.Event()

    def stalls_for_a_while(line: socket.socket) -> None:
        says(200, b"PK", promised=4)(line)
        go_on.wait(SOON)
        line.sendall(b"..")

    with peering(says(404), stalls_for_a_while) as peer:
        configured = settings_at(peer.base_url, tmp_path)
        hours = hours_of(configured, START, START + 60 * HOUR)
        next(hours)
        eventually(lambda: list(configured.work_path.iterdir()))
        close(hours)
        assert downloading()
        go_on.set()
        eventually(lambda: not downloading())
    assert list(configured.work_path.iterdir()) == []
    assert len(peer.windows) == 2


# --- caps


def test_a_body_above_the_cap_is_given_up_and_fewer_hours_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ZIP_BYTES", cap := 3 << 20)
    sizes: list[int] = []
    kept = Path.open

    def watched(path: Path, mode: str = "r") -> Any:
        sizes.extend(each.stat().st_size for each in path.parent.iterdir())
        return kept(path, mode)

    monkeypatch.setattr(Path, "open", watched)
    with peering(_streams_without_end) as peer:
        message = refusal(settings_at(peer.base_url, tmp_path), START, START + 23 * HOUR)
    assert "sends more than" in message
    assert "hour 2026-06-01T00" in message
    assert "--replay DIR" in message
    assert [window[1] for window in peer.windows] == [f"20260601T{last:02}" for last in (23, 11, 5, 2, 0)]
    assert max(sizes, default=0) <= cap


def test_a_compressed_body_that_unpacks_without_end_stays_within_the_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ZIP_BYTES", 3 << 20)
    bomb = gzip.compress(bytes(64 << 20), 1)
    tracemalloc.start()
    with peering(says(200, bomb, "Content-Encoding: gzip\r\n")) as peer:
        assert "sends more than" in refusal(settings_at(peer.base_url, tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(bomb) + (32 << 20)


def test_an_event_list_without_end_is_given_up_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_JSON_BYTES", 3 << 20)
    message = "sent a body of more than 3 MB, 5 times for the answer of /list"
    with peering(_streams_without_end) as peer, pytest.raises(AmplitudeError, match=message):
        client_of(settings_at(peer.base_url, tmp_path)).get_json(f"{peer.base_url}/list?start=a&end=b")


READ_HOURS = """
from contextlib import closing
from amplitude_source.lake.archive import Archive
from amplitude_source.export.windows import ExportClient, export_hours
from amplitude_source.settings import HOUR, load_projects
(settings,) = load_projects()
first = settings.first_hour
archive = Archive(settings.lake, "web")
# As dlt does, close what it reads from: the interrupt may come while the loop itself works.
with closing(export_hours(ExportClient(settings), archive, settings, first, first + 60 * HOUR)) as hours:
    for hour in hours:
        print(hour.hour, flush=True)
"""


def test_an_interrupt_ends_the_process_though_a_download_stalls(tmp_path: Path) -> None:
    with peering(says(404), _stalls) as peer:
        env = os.environ | {
            "PYTHONPATH": str(REPOSITORY / "pipelines"),
            "SOURCES__AMPLITUDE__API_KEY": "key",
            "SOURCES__AMPLITUDE__SECRET_KEY": "secret",
            "SOURCES__AMPLITUDE__BASE_URL": peer.base_url,
            "SOURCES__AMPLITUDE__START_HOUR": "2026-06-01T00",
            "SOURCES__AMPLITUDE__LAKE__BUCKET_URL": str(tmp_path / "lake"),
        }
        command = [sys.executable, "-c", READ_HOURS]
        heed_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores them
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=heed_interrupts,
        ) as process:
            assert process.stdout
            for _ in range(24):
                process.stdout.readline()
            eventually(lambda: len(peer.windows) == 2)
            process.send_signal(signal.SIGINT)
            try:
                _, errors = process.communicate(timeout=SOON)
            finally:
                process.kill()
    assert errors.splitlines()[-1] == b"KeyboardInterrupt"


def test_what_a_killed_run_left_is_removed_and_nothing_else(simulator: Simulator, tmp_path: Path) -> None:
    configured = settings_at(simulator.base_url, tmp_path)
    (configured.work_path / "pipelines").mkdir(parents=True)
    (configured.work_path / "window-20260601T00-20260601T23.zip").touch()
    (configured.work_path / "window-20250101T00-20250101T23.zip").touch()
    hours = hours_of(configured, START, START)
    next(hours)
    assert sorted(path.name for path in configured.work_path.iterdir()) == [
        "pipelines",
        "window-20260601T00-20260601T00.zip",
    ]
    close(hours)
    assert [path.name for path in configured.work_path.iterdir()] == ["pipelines"]


# --- bodies


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _without_directory(data: bytes) -> bytes:
    return data[: data.rindex(b"PK\x01\x02")]


def _with_a_wrong_byte(data: bytes) -> bytes:
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _with_an_invalid_block(data: bytes) -> bytes:
    """The first block of the first member has a type that deflate does not know: zlib's error, not zipfile's."""
    at = data.index(b".json.gz") + len(b".json.gz")
    return data[:at] + b"\xff" + data[at + 1 :]


def _with_a_wrong_entry(data: bytes, offset: int) -> bytes:
    """A bit of the directory's only entry is another one: of its flags, its method, or where the member begins."""
    at = data.rindex(b"PK\x01\x02") + offset
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _with_a_directory_elsewhere(data: bytes) -> bytes:
    at = data.rindex(b"PK\x05\x06") + 16
    return data[:at] + b"\xff\xff" + data[at + 2 :]


DEFLATED = hour_zip(compression=zipfile.ZIP_DEFLATED)
BROKEN_BODIES = {
    "a text": Answer(200, b"Rate limit exceeded."),
    "an HTML page": Answer(200, b"<!DOCTYPE html><html><body>Bad Gateway</body></html>"),
    "nothing": Answer(200),
    "half a zip": Answer(200, _cut(hour_zip())),
    "a zip without its directory": Answer(200, _without_directory(hour_zip())),
    "a zip with a wrong byte": Answer(200, _with_a_wrong_byte(hour_zip())),
    "a deflated zip with a wrong byte": Answer(200, _with_a_wrong_byte(DEFLATED)),
    "a deflated zip with a block of zeros": Answer(200, DEFLATED[:100] + bytes(60) + DEFLATED[160:]),
    "a deflated zip with an invalid block": Answer(200, _with_an_invalid_block(DEFLATED)),
    "a zip with wrong flags in its directory": Answer(200, _with_a_wrong_entry(hour_zip(), 8)),
    "a zip with a wrong method in its directory": Answer(200, _with_a_wrong_entry(hour_zip(), 10)),
    "a zip with a wrong place in its directory": Answer(200, _with_a_wrong_entry(hour_zip(), 42)),
    "a zip whose directory is elsewhere": Answer(200, _with_a_directory_elsewhere(hour_zip())),
    "a body that breaks off": Answer(200, _cut(hour_zip()), promised=len(hour_zip()) + 1000),
}


@pytest.mark.parametrize("broken", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
def test_a_body_that_is_no_whole_zip_is_asked_for_again(tmp_path: Path, broken: Answer) -> None:
    with serving(broken, broken, Answer(200, hour_zip())) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path), START, START)
    assert len(hour.members) == 1
    assert len(script.authorizations) == 3


@pytest.mark.parametrize("broken", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
def test_a_body_that_stays_broken_ends_the_export_with_one_sentence(tmp_path: Path, broken: Answer) -> None:
    configured = settings_at("", tmp_path)
    with serving(broken) as script:
        configured.base_url = script.base_url
        message = refusal(configured)
    assert "2026-06-01T00" in message
    assert "run again" in message
    assert not list(tmp_path.glob("lake/**/*.json.gz*")), "nothing half in the lake"


def _stray_file() -> bytes:
    return zip_of({"1/readme.txt": b"?"})


def _other_hour() -> bytes:
    return zip_of({f"1/{member_name(hour)}": gzip_lines(export_row()) for hour in (START, START + 5 * HOUR)})


def _same_name_twice() -> bytes:
    return zip_of({f"{app}/{member_name(START)}": gzip_lines(export_row()) for app in (1, 2)})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (_stray_file, "1/readme.txt"),
        (_other_hour, "2026-06-01T05"),
        (_same_name_twice, member_name(START)),
    ],
)
def test_nothing_in_a_zip_is_dropped_in_silence(tmp_path: Path, body: Callable[[], bytes], named: str) -> None:
    """A member that cannot be kept ends the export with its name."""
    with serving(Answer(200, body())) as script:
        assert named in refusal(settings_at(script.base_url, tmp_path))


def test_folders_in_a_zip_are_no_members(tmp_path: Path) -> None:
    body = zip_of({"1/": b"", f"1/{member_name(START)}": gzip_lines(export_row())})
    with serving(Answer(200, body)) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path), START, START)
    assert len(hour.members) == 1


def test_a_deflated_zip_is_read_as_well_as_a_stored_one(tmp_path: Path) -> None:
    with serving(Answer(200, DEFLATED)) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path), START, START)
    assert len(hour.members) == 1


def test_the_download_is_removed_when_its_hours_are_read(simulator: Simulator, tmp_path: Path) -> None:
    configured = settings_at(simulator.base_url, tmp_path)
    export(configured, START, LAST)
    assert list(configured.work_path.iterdir()) == []


def test_the_keys_of_the_project_win_over_a_netrc_of_the_user(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    export(settings_at(simulator.base_url, tmp_path), START, START)
    assert simulator.requests[0].status == 200


def test_keys_may_hold_any_characters(tmp_path: Path, simulator: Simulator) -> None:
    keys = ("kéy", "sécret:with:colons ✓")
    with Simulator(simulator.product, api_key=keys[0], secret_key=keys[1]) as other:
        configured = settings_at(other.base_url, tmp_path)
        configured.api_key, configured.secret_key = keys
        export(configured, START, START)
        assert other.requests[0].status == 200
