"""An HTTP server that gives answers by a script."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Answer:
    """What the scripted server sends; a body shorter than `promised` breaks off."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None


class Script(ThreadingHTTPServer):
    """Answers one request after the other; the last answer stays."""

    daemon_threads = True

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _ScriptHandler)
        self.answers = answers
        self.authorizations: list[str | None] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _ScriptHandler(BaseHTTPRequestHandler):
    server: Script

    def do_GET(self) -> None:
        answers, asked = self.server.answers, self.server.authorizations
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(self.headers.get("Authorization"))
        self.send_response_only(answer.status)  # without a date: the tests have a time of their own
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.promised or len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the console quiet."""


@contextlib.contextmanager
def serving(*answers: Answer) -> Iterator[Script]:
    script = Script(list(answers))
    thread = threading.Thread(target=script.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        script.shutdown()
        thread.join()
        script.server_close()
