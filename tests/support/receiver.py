"""A webhook that notes what it gets, and fails on demand."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Takes messages at one secret path, and beats of a heart at another."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        """What is answered to messages."""
        self.bodies: list[str] = []
        self.beats = 0

    @property
    def secrets(self) -> dict[str, str]:
        """The settings of alerts, whose paths nobody may see."""
        address = f"http://127.0.0.1:{self.server_port}"
        return {
            "ALERTS__WEBHOOK_URL": f"{address}/services/hush-hook?key=hush",
            "ALERTS__HEARTBEAT_URL": f"{address}/ping/hush-beat",
        }

    @property
    def texts(self) -> list[str]:
        """The messages; a body has a text and nothing else, as Slack wants it."""
        return [text for body in self.bodies for text in json.loads(body).values()]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_right = self.path == "/services/hush-hook?key=hush" and self.headers["Content-Type"] == "application/json"
        status = self.server.status if is_right else 404
        if status == 200:
            self.server.bodies.append(body)
        self._answer(status)

    def do_GET(self) -> None:
        self.server.beats += self.path == "/ping/hush-beat"
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the console quiet."""


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()
