"""A stand-in for Snowflake: its HTTP protocol over DuckDB, by fakesnow, in a process and an environment of its own.

usage: python server.py S3_ENDPOINT FOLDER

Writes into the folder: `ca.pem` for the clients' REQUESTS_CA_BUNDLE, `port` once it listens, and for each database
`<database>.jsonl`, every statement that was sent, with what became of it. Reads `public_key.pem`, with whose private
part a client must sign in, and `<database>.faults.json`, a list of faults as in `snowflake_standin.Fault`.
Ends when its standard input does.
"""

import asyncio
import gzip
import json
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import certifi
import fakesnow.server as fakesnow_server
import fixes
import fsspec
import jwt
import trustme
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

HOST = "127.0.0.1"
OBSERVER = "OBSERVER"  # the role of a test that looks: its statements are neither recorded nor failed
POLL_SECONDS = 0.05
SQL_ERROR = {"code": "000603", "state": "XX000"}  # Snowflake's internal error: the client does not try it again


class Recorder:
    """The statements of each database, and the faults that they meet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def write(self, database: str, entry: dict[str, Any]) -> None:
        with self._lock, open(self._folder / f"{database}.jsonl", "a") as log:
            log.write(json.dumps(entry) + "\n")

    def fault(self, database: str, sql: str) -> dict[str, Any] | None:
        """The first fault whose pattern is in the statement; it is used up by one more time."""
        path = self._folder / f"{database}.faults.json"
        with self._lock:
            faults = json.loads(path.read_text()) if path.exists() else []
            for fault in faults:
                if fault["times"] and re.search(fault["pattern"], sql, re.IGNORECASE | re.DOTALL):
                    fault["times"] -= 1
                    path.write_text(json.dumps(faults))
                    return dict(fault)
        return None


class Server:
    """Answers logins and queries: checks, records and fails what it is told to, and has fakesnow do the rest."""

    def __init__(self, folder: Path) -> None:
        self._recorder = Recorder(folder)
        self._public_key = (folder / "public_key.pem").read_text()
        self._observers: set[str] = set()
        self._sessions: dict[str, fixes.Session] = {}

    async def login(self, request: Request) -> JSONResponse:
        data = json.loads(unzipped(request, await request.body()))["data"]
        database = (request.query_params.get("databaseName") or "").strip('"').upper()
        try:
            jwt.decode(data.get("TOKEN", ""), self._public_key, algorithms=["RS256"])
        except jwt.InvalidTokenError:
            return refusal({"code": "390144", "state": "08001", "message": "JWT token is invalid."})
        settings = f"{request.query_params.get('roleName')} {request.query_params.get('warehouse')}"
        is_observer = request.query_params.get("roleName") == OBSERVER
        if not is_observer and (fault := self._recorder.fault(database, f"LOGIN {settings}")):
            return refusal(fault)
        answer: JSONResponse = await fakesnow_server.login_request(request)
        token, parameters = json.loads(bytes(answer.body))["data"]["token"], data["SESSION_PARAMETERS"]
        zone = parameters.get("TIMEZONE", fixes.ACCOUNT_ZONE)
        self._sessions[token] = fixes.Session(request.query_params.get("roleName"), zone)
        if is_observer:
            self._observers.add(token)
        else:
            self._recorder.write(database, {"login": settings, "parameters": parameters})
        return answer

    async def query(self, request: Request) -> JSONResponse:
        """One request holds one statement or many; every failure is SQL's, for a 500 would be tried again and again."""
        body = json.loads(unzipped(request, await request.body()))
        token = fakesnow_server.to_token(request)
        connection = fakesnow_server.to_conn(token)
        if token in self._observers:
            return await self._run(request, body, body["sqlText"])
        for sql in fixes.split(body["sqlText"]):
            started = time.monotonic()
            answer = await self._answer(request, body, sql, connection.database)
            content = json.loads(bytes(answer.body))
            entry = {"sql": sql, "ok": content["success"], "ms": round(1000 * (time.monotonic() - started), 1)}
            if not content["success"]:
                entry |= {"error": content["message"], "code": content.get("code")}
            self._recorder.write(connection.database, entry)
            if not content["success"]:
                break
        return answer

    async def _answer(self, request: Request, body: dict[str, Any], sql: str, database: str) -> JSONResponse:
        fault = self._recorder.fault(database, sql)
        if fault and not fault["hold"]:
            return refusal(fault)
        answer = await self._run(request, body, sql)
        if fault:
            self._recorder.write(database, {"held": sql})
            await self._end_session(request)
        return answer

    async def _end_session(self, request: Request) -> None:
        """Waits until the client is gone; what its session has not committed is gone, too."""
        while not await request.is_disconnected():
            await asyncio.sleep(POLL_SECONDS)
        token = fakesnow_server.to_token(request)
        fakesnow_server.sessions.pop(token).rollback()

    async def _run(self, request: Request, body: dict[str, Any], sql: str) -> JSONResponse:
        try:
            if comments := fixes.column_comments(sql):
                connection = fakesnow_server.to_conn(fakesnow_server.to_token(request))
                connection._duck_conn.execute("; ".join(comments))
                sql = "SELECT 'Statement executed successfully.' AS status"
            session = self._sessions[fakesnow_server.to_token(request)]
            digestible, bindings = fixes.digestible(sql, body.get("bindings") or {}, session, parquet_columns)
            inner = Request(request.scope, request.receive)
            inner._body = zipped(request, json.dumps({**body, "sqlText": digestible, "bindings": bindings}).encode())
            answer: JSONResponse = await fakesnow_server.query_request(inner)
        except Exception as error:  # such as a result that fakesnow cannot put into Arrow
            return refusal(SQL_ERROR | {"message": f"{type(error).__name__}: {error}"})
        return in_zone(answer, session.zone)


def in_zone(answer: JSONResponse, zone: str) -> JSONResponse:
    """The answer with the session's zone, which the client takes over; fakesnow tells each the same."""
    content = json.loads(bytes(answer.body))
    for parameter in (content["data"] or {}).get("parameters", []):
        if parameter["name"] == "TIMEZONE":
            parameter["value"] = zone
    return JSONResponse(content, answer.status_code)


def refusal(error: dict[str, Any]) -> JSONResponse:
    """Snowflake's answer to what cannot be done."""
    code, state = error["code"], error["state"]
    return JSONResponse(
        {"data": {"errorCode": code, "sqlState": state}, "code": code, "message": error["message"], "success": False}
    )


def unzipped(request: Request, body: bytes) -> bytes:
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


def zipped(request: Request, body: bytes) -> bytes:
    return gzip.compress(body, 1) if request.headers.get("content-encoding") == "gzip" else body


def parquet_columns(files: str) -> list[tuple[str, str]]:
    cursor = fakesnow_server.shared_fs.duck_conn.cursor()
    rows = cursor.execute(f"DESCRIBE SELECT * FROM read_parquet('{files}')").fetchall()
    return [(name, type_) for name, type_, *_ in rows]


def replace_route(path: str, endpoint: Any) -> None:
    routes = fakesnow_server.app.router.routes
    (number,) = (number for number, route in enumerate(routes) if route.path == path)
    routes[number] = Route(path, endpoint, methods=["POST"])


def make_certificate(folder: Path) -> Path:
    """Makes a certificate, and what its clients have to trust; gives the path of certificate and key."""
    authority = trustme.CA()
    chain = authority.issue_cert(HOST, "localhost").private_key_and_cert_chain_pem
    chain.write_to_path(str(folder / "server.pem"))
    (folder / "ca.pem").write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return folder / "server.pem"


def end_with_parent() -> None:
    """The process that started this one has this end of the pipe, even if it was killed."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(s3_endpoint: str, folder: Path) -> None:
    fixes.apply()
    server = Server(folder)
    replace_route("/session/v1/login-request", server.login)
    replace_route("/queries/v1/query-request", server.query)
    fakesnow_server.shared_fs.duck_conn.execute(fixes.CREATE_STORAGE_TABLE)
    fakesnow_server.shared_fs.nop_regexes = fixes.WITHOUT_EFFECT
    # DuckDB's own reader of S3 is an extension that has to be fetched; this one comes with the environment.
    s3 = fsspec.filesystem(
        "s3", key="standin", secret="standin", client_kwargs={"endpoint_url": s3_endpoint}, use_listings_cache=False
    )
    fakesnow_server.shared_fs.duck_conn.register_filesystem(s3)
    certificate = make_certificate(folder)
    listener = socket.create_server((HOST, 0))
    threading.Thread(target=end_with_parent, daemon=True).start()
    (folder / "port.unfinished").write_text(str(listener.getsockname()[1]))
    (folder / "port.unfinished").rename(folder / "port")
    uvicorn.Server(uvicorn.Config(fakesnow_server.app, ssl_certfile=str(certificate), log_level="warning")).run(
        sockets=[listener]
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
