"""The simulator's way to its clients: HTTP on 127.0.0.1, and what goes wrong there when a fault wants it to."""

import select
import socket
import struct
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase, BytesIO
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from simulator.archive import StoredMember
from simulator.faults import CutBody, Delivery, Drip, Fault, NoAnswer
from simulator.limits import Slot

_POLL_SECONDS = 0.02
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # of SO_LINGER: on, for no time


@dataclass(frozen=True)
class Response:
    """What to answer: a short body, or an export zip of stored members; and the faults in it."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    members: tuple[StoredMember, ...] = ()
    retry_after: str | None = None
    faults: tuple[Fault, ...] = ()
    location: str | None = None
    """The path of a redirect."""
    challenge: str = 'Basic realm="Amplitude"'
    """How a 401 asks for credentials."""
    slot: Slot | None = None
    """The request's place among those that run at once, until the answer has been sent."""

    @property
    def delivery(self) -> Delivery | None:
        """How the answer fails to arrive as it should, if a fault wants that."""
        return next((fault.effect for fault in self.faults if isinstance(fault.effect, Delivery)), None)

    def content(self) -> bytes:
        """The whole body."""
        if not self.members:
            return self.body
        buffer = BytesIO()
        _write_zip(self.members, buffer)
        return buffer.getvalue()


# Method, path, query and the Authorization header.
Answer: TypeAlias = Callable[[str, str, dict[str, str], str], Response]


class Server(ThreadingHTTPServer):
    """Serves what `answer` says, each connection in a thread of its own."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], answer: Answer, clock: Callable[[], datetime | None]) -> None:
        self.answer = answer
        self.clock = clock
        self.closed = threading.Event()
        super().__init__(address, _Handler)  # comes last: it closes the server if the port is taken

    def server_close(self) -> None:
        """Let stalled answers go, too."""
        self.closed.set()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of every error, except that a client hung up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        response = self.server.answer(self.command, url.path, query, self.headers.get("Authorization", ""))
        if self.command != "GET":
            # The body of the request stays unread, so the connection cannot serve another one.
            self.close_connection = True
        try:
            self._send(response)
        finally:
            _release(response)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 (names of the standard library)

    def _send(self, response: Response) -> None:
        match response.delivery:
            case NoAnswer():
                _release(response)
                self._reset()
            case CutBody() as cut:
                self._send_cut(response, cut)
            case Drip() as drip:
                self._send_in_pieces(response, drip)
            case None:
                self._send_whole(response)

    def _send_whole(self, response: Response) -> None:
        if response.members:
            chunks = self._send_head(response)
            _write_zip(response.members, chunks)
            chunks.end()
        else:
            self._send_head(response, len(response.body))
            # The last byte waits in the buffer until the slot is free, so a client that has all of it may ask again.
            self.wfile.write(response.body[:-1])
            self.wfile.write(response.body[-1:])

    def _send_cut(self, response: Response, cut: CutBody) -> None:
        content = response.content()
        chunks = self._send_head(response)
        chunks.write(content[: int(len(content) * cut.share)])
        if cut.ending == "proper":
            chunks.end()
            return
        self.close_connection = True
        chunks.promise()
        self.wfile.flush()
        if cut.ending == "reset":
            _release(response)
            self._reset()
        elif cut.ending == "stall":
            self._stall()

    def _send_in_pieces(self, response: Response, drip: Drip) -> None:
        content = response.content()
        chunks = self._send_head(response)
        size = -(-len(content) // drip.pieces)
        for number in range(drip.pieces):
            self.wfile.flush()
            self.server.closed.wait(drip.pause)
            chunks.write(content[number * size : (number + 1) * size])
        chunks.end()

    def _send_head(self, response: Response, length: int | None = None) -> "_Chunks":
        """Send status and headers; without a length the body is to be sent in chunks."""
        self.send_response_only(response.status)
        if clock := self.server.clock():
            self.send_header("Date", format_datetime(clock.replace(tzinfo=UTC), usegmt=True))
        self.send_header("Content-Type", response.content_type)
        if response.status == 401:
            self.send_header("WWW-Authenticate", response.challenge)
        if response.location is not None:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}{response.location}")
        if response.retry_after is not None:
            self.send_header("Retry-After", response.retry_after)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        return _Chunks(self.wfile)

    def _stall(self) -> None:
        """Wait for the client to hang up (there is nothing else that it could send), or for the end of the server."""
        while not self.server.closed.is_set() and not select.select([self.connection], [], [], _POLL_SECONDS)[0]:
            pass

    def _reset(self) -> None:
        """Close the connection at once: the base class would first end it politely."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        socket.close(self.connection.detach())

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

    def promise(self) -> None:
        """Begin a chunk that nobody will send."""
        self._target.write(b"1000\r\n")

    def end(self) -> None:
        """End the body."""
        self._target.write(b"0\r\n\r\n")

    def flush(self) -> None:
        """What is buffered goes out at the end of the answer."""

    def close(self) -> None:
        """The connection stays open."""


def _release(response: Response) -> None:
    if response.slot:
        response.slot.release()


def _write_zip(members: tuple[StoredMember, ...], target: _Chunks | BytesIO) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            archive.writestr(zipfile.ZipInfo(member.name), member.read())
