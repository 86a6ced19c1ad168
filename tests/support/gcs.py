"""Google Cloud Storage over HTTP, as far as it is read: the sign-in of a service account, listings in pages, ranges.

Whoever signs in with the key file of `env()` may read all buckets.
"""

import json
import re
import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

ACCOUNT = "reader@project.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the key file has for an address
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
PAGE_NAMES = 40
"""Google's pages have 1,000 names; smaller ones show that the next is asked for."""
OBJECT_PATH = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)/o(?:/(?P<key>[^/]+))?")
RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass(frozen=True)
class Asked:
    """A request for a bucket's objects."""

    bucket: str
    key: str
    """Empty for a listing."""
    query: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What is sent, as JSON unless it is bytes."""

    status: int
    content: object
    promised: int | None = None
    """How many bytes are announced, where the answer is to break off."""
    encoding: str | None = None


Fault: TypeAlias = Callable[[Asked], Answer | None]


def refusal(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": message, "errors": []}})


class GcsServer:
    """Starts on a free port of this machine and ends with its context."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.reset()

    def reset(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.zipped: set[str] = set()
        """Keys whose metadata says `Content-Encoding: gzip`."""
        self.asked: list[Asked] = []
        self.fault: Fault | None = None
        self.token = "ya29.good"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def env(self, folder: Path) -> dict[str, str]:
        """Google's own variables for a service account that may read; its key file goes into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "service_account.json"
        path.write_text(json.dumps(self._account()))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(path), "STORAGE_EMULATOR_HOST": self.url}

    def put(self, bucket: str, folder: Path, prefix: str = "") -> None:
        """Copy the files of a folder into a bucket."""
        files = self.buckets.setdefault(bucket, {})
        for path in (path for path in folder.rglob("*") if path.is_file()):
            files[f"{prefix}{path.relative_to(folder).as_posix()}"] = path.read_bytes()

    def _account(self) -> dict[str, str]:
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "token_uri": f"{self.url}/token",
        }

    def sign_in(self, form: dict[str, str]) -> Answer:
        """A token for a request that the account's key has signed."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            claims = jwt.decode(form["assertion"], certs=public, audience=AUDIENCE)  # type: ignore[no-untyped-call]  # it has no types
        except ValueError:
            return Answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if (claims["iss"], claims["scope"]) != (ACCOUNT, SCOPE):
            return Answer(400, {"error": "invalid_scope"})
        return Answer(200, {"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"})

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        """What Google answers to a request for objects."""
        match = OBJECT_PATH.fullmatch(path)
        if not match:
            return refusal(404, "Not Found")
        asked = Asked(unquote(match["bucket"]), unquote(match["key"] or ""), query)
        self.asked.append(asked)
        if headers.get("authorization") != f"Bearer {self.token}":
            return refusal(401, "Invalid Credentials")
        if self.fault and (fault := self.fault(asked)):
            return fault
        if asked.bucket not in self.buckets:
            return refusal(404, "The specified bucket does not exist.")
        files = self.buckets[asked.bucket]
        if not asked.key:
            return listing(files, query)
        if asked.key not in files or query.get("generation", generation(files[asked.key])) != generation(
            files[asked.key]
        ):
            return refusal(404, f"No such object: {asked.bucket}/{asked.key}")
        return self._object(asked, files[asked.key], headers)

    def _object(self, asked: Asked, data: bytes, headers: dict[str, str]) -> Answer:
        if asked.query.get("alt") != "media":
            return Answer(200, {"size": str(len(data)), "generation": generation(data)})
        encoding = "gzip" if asked.key in self.zipped else None
        found = RANGE.fullmatch(headers.get("range", ""))
        if not found:
            return Answer(200, data, encoding=encoding)
        return Answer(206, data[int(found[1]) : int(found[2]) + 1], encoding=encoding)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # which waits 40 ms with each body

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._send(server.answer(url.path, parsed(url.query), headers))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._send(server.sign_in(parsed(body)))

            def _send(self, answer: Answer) -> None:
                text = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(answer.promised or len(text)))
                self.send_header("Content-Type", "application/json")
                if answer.encoding:
                    self.send_header("Content-Encoding", answer.encoding)
                self.end_headers()
                self.wfile.write(text)
                self.close_connection = answer.promised is not None

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def parsed(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def generation(data: bytes) -> str:
    """Another one for each content."""
    return str(hash(data) & 0xFFFFFFFF)


def listing(files: dict[str, bytes], query: dict[str, str]) -> Answer:
    """A page of names, in the order of their bytes."""
    names = sorted(name for name in files if name.startswith(query.get("prefix", "")))
    first = bisect_left(names, max(query.get("startOffset", ""), query.get("pageToken", "")))
    page: dict[str, Any] = {"items": [{"name": name} for name in names[first : first + PAGE_NAMES]]}
    if len(names) > first + PAGE_NAMES:
        page["nextPageToken"] = names[first + PAGE_NAMES]
    return Answer(200, {name: value for name, value in page.items() if value})
