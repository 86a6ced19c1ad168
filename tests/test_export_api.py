"""The Export API's client: every hour asked for once, whatever Amplitude answers."""

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.storages import FilesystemConfiguration
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_source.archive import Archive, ExportHour
from amplitude_source.export_api import WINDOW_HOURS, ExportClient, Outcome, export_hours
from amplitude_source.settings import HOUR, AmplitudeError, AmplitudeSettings, hours_between, parse_hour
from conftest import SMALL_PRODUCT, Answer, export_row, gzip_lines, member_name, serving
from simulator.server import DEMO_CREDENTIALS, Simulator

START = SMALL_PRODUCT.start
NOW = SMALL_PRODUCT.end + timedelta(hours=12)
LAST = NOW - 3 * HOUR  # the newest hour that the simulator has


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited between its attempts; and no proxy between it and 127.0.0.1."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setenv("NO_PROXY", "*")
    return waited


def settings_at(base_url: str, folder: Path, now: datetime = NOW) -> AmplitudeSettings:
    configured = AmplitudeSettings()
    configured.api_key, configured.secret_key = DEMO_CREDENTIALS
    configured.base_url = base_url
    configured.start_hour = START.isoformat()
    configured.now = now.isoformat()
    configured.work_dir = str(folder / "work")
    configured.lake = resolve_configuration(FilesystemConfiguration(bucket_url=str(folder / "lake")))
    return configured


def export(configured: AmplitudeSettings, first: datetime, last: datetime) -> list[ExportHour]:
    return list(export_hours(ExportClient(configured), Archive(configured.lake), configured, first, last))


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
    configured = settings_at(simulator.base_url, tmp_path)
    client, archive = ExportClient(configured), Archive(configured.lake)
    given, error = until_error(export_hours(client, archive, configured, START, LAST))
    assert [hour.hour for hour in given] == hours_between(START, largest - HOUR)
    assert f"{largest:%Y-%m-%dT%H} alone is over" in error
    assert "--replay DIR" in error


def test_a_gateway_timeout_halves_the_window_too(tmp_path: Path) -> None:
    with serving(Answer(504), Answer(404)) as script:
        hours = export(settings_at(script.base_url, tmp_path), START, START + 3 * HOUR)
    assert len(hours) == 4
    assert len(script.authorizations) == 3, "four hours refused, then two and two"


class SizedClient(ExportClient):
    """Amplitude with one member an hour, of a size each, and a limit."""

    def __init__(self, sizes: dict[datetime, int], limit: int) -> None:
        self.sizes, self.limit = sizes, limit
        self.answered: list[datetime] = []

    def download(self, first: datetime, last: datetime, target: Path) -> Outcome:
        window = hours_between(first, last)
        assert 1 <= len(window) <= WINDOW_HOURS
        if sum(self.sizes.get(hour, 0) for hour in window) > self.limit:
            return Outcome.TOO_LARGE
        self.answered += window
        members = {member_name(hour): gzip_lines() for hour in window if hour in self.sizes}
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
    client, last = SizedClient(sizes, limit), START + (length - 1) * HOUR
    too_large = min((hour for hour, size in sizes.items() if size > limit and hour <= last), default=None)
    given, error = until_error(export_hours(client, Archive(configured.lake), configured, START, last))
    assert (f"Hour {too_large:%Y-%m-%dT%H} alone" if too_large else "") in error
    assert bool(error) == bool(too_large)
    expected = hours_between(START, too_large - HOUR if too_large else last)
    assert [hour.hour for hour in given] == client.answered == expected
    assert [hour.hour for hour in given if hour.members] == [hour for hour in expected if hour in sizes]


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
def test_refused_keys_end_the_export_at_once_and_name_host_settings_and_regions(tmp_path: Path, status: int) -> None:
    with serving(Answer(status)) as script:
        message = refusal(settings_at(script.base_url, tmp_path))
    assert f"127.0.0.1:{script.server_port}" in message
    assert f"HTTP {status}" in message
    assert "SOURCES__AMPLITUDE__SECRET_KEY" in message
    assert "analytics.eu.amplitude.com" in message
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


def test_a_host_that_cannot_be_reached_is_named_with_the_setting(tmp_path: Path) -> None:
    with serving(Answer(200)) as script:
        gone = script.base_url
    message = refusal(settings_at(gone, tmp_path))
    assert f"{gone.removeprefix('http://')} cannot be reached" in message
    assert "SOURCES__AMPLITUDE__BASE_URL" in message


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(tmp_path: Path, status: int) -> None:
    with serving(Answer(status), Answer(status), Answer(200, hour_zip())) as script:
        (hour,) = export(settings_at(script.base_url, tmp_path), START, START)
    assert len(hour.members) == 1


def test_the_wait_that_amplitude_asks_for_is_kept(tmp_path: Path, waits: list[float]) -> None:
    with serving(Answer(429, headers={"Retry-After": "17"}), Answer(200, hour_zip())) as script:
        export(settings_at(script.base_url, tmp_path), START, START)
    assert 17 in waits


@pytest.mark.parametrize("status", [429, 500, 502, 503, 418, 204, 302])
def test_a_server_that_stays_busy_or_answers_oddly_ends_the_export_with_its_status(tmp_path: Path, status: int) -> None:
    with serving(Answer(status)) as script:
        message = refusal(settings_at(script.base_url, tmp_path))
    assert f"HTTP {status}" in message


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


def _truncated_member() -> bytes:
    return zip_of({member_name(START): gzip_lines(export_row())[:-4]})


def _stray_file() -> bytes:
    return zip_of({"1/readme.txt": b"?"})


def _other_hour() -> bytes:
    return zip_of({f"1/{member_name(hour)}": gzip_lines(export_row()) for hour in (START, START + 5 * HOUR)})


def _same_name_twice() -> bytes:
    return zip_of({f"{app}/{member_name(START)}": gzip_lines(export_row()) for app in (1, 2)})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (_truncated_member, member_name(START)),
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
