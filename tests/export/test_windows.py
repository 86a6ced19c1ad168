"""The Export API's client: every hour asked for once, whatever Amplitude answers."""

import random
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_source.errors import AmplitudeError
from amplitude_source.export.client import ATTEMPTS, LONGEST_WAIT_SECONDS
from amplitude_source.export.windows import WINDOW_HOURS, ExportClient, Outcome, WindowSize, export_hours
from amplitude_source.lake.archive import Archive
from amplitude_source.settings import HOUR, AmplitudeSettings, hours_between
from simulator.server import Simulator
from support.exports import (
    LAST,
    SOON,
    START,
    asked_hours,
    client_of,
    day_zip,
    downloading,
    eventually,
    export,
    hour_zip,
    hours_of,
    members_in_lake,
    refusal,
    settings_at,
    until_error,
    zip_of,
)
from support.members import SMALL_PRODUCT, gzip_lines, member_name
from support.peers import peering, says
from support.scripted_http import Answer, serving

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
    assert "EXPORT_BUCKET_URL" in error


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
