"""Downloads of the Export API's client: ahead of the hours that are read, within caps, whole or asked for again."""

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amplitude_source.errors import AmplitudeError
from amplitude_source.export import client, windows
from amplitude_source.export.windows import ExportClient, export_hours
from amplitude_source.lake.archive import Archive, ExportHour
from amplitude_source.settings import HOUR, hours_between
from simulator.server import Simulator
from support.exports import (
    LAST,
    SOON,
    START,
    client_of,
    day_zip,
    downloading,
    eventually,
    export,
    hour_zip,
    hours_of,
    refusal,
    settings_at,
    zip_of,
)
from support.members import export_row, gzip_lines, member_name
from support.peers import Reply, peering, says, stalls
from support.project import REPOSITORY
from support.scripted_http import Answer, serving

# --- downloads ahead


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
    assert "EXPORT_BUCKET_URL" in message
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
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 3 << 20)
    message = "sent a body of more than 3 MB, 5 times for the answer of /list"
    with peering(_streams_without_end) as peer, pytest.raises(AmplitudeError, match=message):
        client_of(settings_at(peer.base_url, tmp_path)).get(f"{peer.base_url}/list?start=a&end=b")


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
    with peering(says(404), stalls) as peer:
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
