"""A server that answers each request by its own bytes, as no HTTP server would."""

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

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


def hangs_up(line: socket.socket) -> None:
    line.shutdown(socket.SHUT_RDWR)


def resets(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def stalls(line: socket.socket) -> None:
    line.recv(1)  # until the client hangs up


def then(*replies: Reply) -> Reply:
    def reply(line: socket.socket) -> None:
        for each in replies:
            each(line)

    return reply
