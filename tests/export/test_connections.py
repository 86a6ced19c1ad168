"""The Export API's client on a line that breaks: each fault is one sentence with its cause and mend."""

import contextlib
import errno
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from amplitude_source.certificates import CERTIFICATE_VARIABLES
from amplitude_source.errors import AmplitudeError
from amplitude_source.export import client
from amplitude_source.export.windows import ExportClient
from support.exports import (
    START,
    client_of,
    export,
    hour_zip,
    hours_of,
    refusal,
    settings_at,
    until_error,
)
from support.peers import Reply, hangs_up, in_chunks, peering, resets, says, stalls, then
from support.scripted_http import Answer, serving

BROKEN_LINES: dict[str, tuple[Reply, str]] = {
    "hangs up": (hangs_up, "gave no whole answer"),
    "resets": (resets, "gave no whole answer"),
    "resets within the body": (then(says(200, b"PK", promised=99), resets), "gave no whole answer"),
    "says nothing": (stalls, "sent nothing for 0.5 s"),
    "stalls within the body": (then(says(200, b"PK", promised=99), stalls), "sent nothing for 0.5 s"),
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


@contextlib.contextmanager
def dripping_headers() -> Iterator[int]:
    """A server whose answers have headers without end, a byte every 50 ms; gives its port."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            try:
                while not ended.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                return

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        server.shutdown(socket.SHUT_RDWR)


def test_headers_that_drip_without_end_are_given_up(tmp_path: Path) -> None:
    with dripping_headers() as port:
        configured = settings_at(f"http://127.0.0.1:{port}", tmp_path)
        configured.read_timeout_seconds = 0.3
        started = time.monotonic()
        with pytest.raises(AmplitudeError, match=r"sent no end of its headers within 0.6 s, 5 times"):
            client_of(configured).download(START, START, tmp_path / "zip")
    assert time.monotonic() - started < 10
