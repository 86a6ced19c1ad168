"""An HTTP server that answers as Amplitude's Export API does."""

import base64
import binascii
import functools
import sys
import threading
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

import orjson

from simulator.archive import Archive, StoredMember
from simulator.catalog import EVENT_TYPES, INACTIVE_EVENT_TYPES
from simulator.product import Product

DEMO_CREDENTIALS = ("demo-key", "demo-secret")

_HOUR = timedelta(hours=1)
_DELAY = timedelta(hours=2)
_LONGEST_RANGE = timedelta(days=365)
_FOUR_GIGABYTES = 4 * 10**9

_NOT_FOUND_TEXT = b"Raw data files were not found."
_NOT_FOUND_PAGE = b"<!DOCTYPE html><html><head><title>404</title></head><body><h1>Not Found</h1></body></html>"


class Request(NamedTuple):
    """An entry of the simulator's log."""

    method: str
    path: str
    query: dict[str, str]
    status: int


@dataclass(frozen=True)
class Response:
    """What to answer: a short body, or an export zip of stored members."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    members: tuple[StoredMember, ...] = ()


class BadRequestError(Exception):
    """The request's parameters make no sense; the message says why."""


@functools.cache
def _stored(product: Product) -> Archive:
    """A product's archive, made once a process: simulators of the same product share it."""
    return Archive(product.members())


class Simulator:
    """Amplitude with one project, as a context manager that serves on 127.0.0.1."""

    def __init__(
        self,
        product: Product,
        now: datetime | None = None,
        port: int = 0,
        api_key: str = DEMO_CREDENTIALS[0],
        secret_key: str = DEMO_CREDENTIALS[1],
        max_bytes: int = _FOUR_GIGABYTES,
    ) -> None:
        """Make the product's archive; the clock stands still at `now`, by default noon after the last day."""
        self.product = product
        self.now = now or product.end + timedelta(hours=12)
        self.max_bytes = max_bytes
        self.inactive_event_types = set(INACTIVE_EVENT_TYPES)
        self.requests: list[Request] = []
        self.archive = _stored(product)
        self._credentials = f"{api_key}:{secret_key}".encode()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def base_url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, query: dict[str, str], authorization: str) -> Response:
        """Answer a request and log it."""
        try:
            response = self._route(method, path, query, authorization)
        except BadRequestError as error:
            response = Response(400, str(error).encode())
        self.requests.append(Request(method, path, query, response.status))
        return response

    def _route(self, method: str, path: str, query: dict[str, str], authorization: str) -> Response:
        routes = {"/api/2/export": self._export, "/api/2/events/list": self._events_list}
        if method == "GET" and path == "/":
            return Response(200, b"ok")
        if method != "GET" or path not in routes:
            return Response(404, _NOT_FOUND_PAGE, "text/html; charset=utf-8")
        return self._refusal(authorization) or routes[path](query)

    def _refusal(self, authorization: str) -> Response | None:
        """401 without basic credentials, 403 with wrong ones."""
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return Response(401, b"Authentication required.")
        try:
            credentials = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            credentials = b""
        return None if credentials == self._credentials else Response(403, b"Invalid credentials.")

    def _export(self, query: dict[str, str]) -> Response:
        start, end = _hour(query, "start"), _hour(query, "end")
        if end < start:
            raise BadRequestError("end is before start.")
        if end - start >= _LONGEST_RANGE:
            raise BadRequestError("The range is longer than 365 days.")
        members = self.archive.members(start, min(end, self._last_available_hour()))
        if not members:
            return _no_data(start)
        if sum(member.size for member in members) > self.max_bytes:
            raise BadRequestError("The export is too large. Ask for a shorter range.")
        return Response(200, content_type="application/zip", members=tuple(members))

    def _last_available_hour(self) -> datetime:
        """An hour can be exported from two hours after its end."""
        return self.now - _DELAY - _HOUR

    def _events_list(self, _query: dict[str, str]) -> Response:
        """The event types, with the rows of the current week until now."""
        monday = (self.now - timedelta(days=self.now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        totals = self.archive.events(monday, self.now)
        before = self.archive.events(monday - timedelta(days=7), monday - _HOUR)
        data = [
            {
                "autohidden": False,
                "clusters_hidden": False,
                "deleted": False,
                "display": event_type,
                "flow_hidden": False,
                "hidden": False,
                "id": 1000 + number,
                "in_waitroom": False,
                "name": event_type,
                "non_active": event_type in self.inactive_event_types,
                "timeline_hidden": False,
                "totals": totals[event_type],
                "totals_delta": totals[event_type] - before[event_type],
                "value": event_type,
                "waitroom_hidden": False,
            }
            for number, event_type in enumerate(EVENT_TYPES)
        ]
        return Response(200, orjson.dumps({"data": data}), "application/json")


def _hour(query: dict[str, str], name: str) -> datetime:
    text = query.get(name, "")
    try:
        hour = datetime.strptime(text, "%Y%m%dT%H")
    except ValueError:
        hour = None
    # strptime is lenient about missing zeros
    if hour is None or len(text) != len("20260601T00"):
        raise BadRequestError(f"{name} must be an hour like 20260601T00.")
    return hour


def _no_data(start: datetime) -> Response:
    """Amplitude answers in two ways; here the hour decides, so that both come up."""
    if start.hour % 2:
        return Response(404, _NOT_FOUND_PAGE, "text/html; charset=utf-8")
    return Response(404, _NOT_FOUND_TEXT)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        super().__init__(address, _Handler)
        self.simulator = simulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of every error, except that a client hung up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        response = self.server.simulator.answer(self.command, url.path, query, self.headers.get("Authorization", ""))
        if self.command != "GET":
            # The body of the request stays unread, so the connection cannot serve another one.
            self.close_connection = True
        self._send(response)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 (names of the standard library)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        if response.status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="Amplitude"')
        if response.members:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._send_zip(response.members)
        else:
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

    def _send_zip(self, members: tuple[StoredMember, ...]) -> None:
        with zipfile.ZipFile(_Chunks(self.wfile), "w", zipfile.ZIP_STORED) as archive:
            for member in members:
                archive.writestr(zipfile.ZipInfo(member.name), member.path.read_bytes())
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Keep the console quiet: the requests are in the simulator's log."""


class _Chunks:
    """A stream whose every write is one chunk of a chunked HTTP body."""

    def __init__(self, target: BufferedIOBase) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        if data:  # an empty chunk would be the end of the body
            self._target.write(b"%x\r\n%b\r\n" % (len(data), data))
        return len(data)

    def flush(self) -> None:
        """What is buffered goes out at the end of the answer."""

    def close(self) -> None:
        """The connection stays open."""
