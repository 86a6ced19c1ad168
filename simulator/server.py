"""Amplitude's APIs, as far as their answers go; how they reach a client is `connection`'s."""

import base64
import binascii
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self

from simulator.asked import Asked, BadRequestError, as_json, read_time
from simulator.connection import Response, Server
from simulator.faults import EXPORT, HTML, Call, Fault, FaultPlan, NoAnswer, Reply
from simulator.limits import REST, Limits, Refusal
from simulator.product import Product
from simulator.project import Project
from simulator.rest import ENDPOINTS, RANGE, Endpoint

DEMO_CREDENTIALS = ("demo-key", "demo-secret")

_HOUR = timedelta(hours=1)
_LONGEST_RANGE = timedelta(days=365)
_FOUR_GIGABYTES = 4 * 10**9

_NOT_FOUND_TEXT = b"Raw data files were not found."
_NOT_FOUND_PAGE = b"<!DOCTYPE html><html><head><title>404</title></head><body><h1>Not Found</h1></body></html>"


class Request(NamedTuple):
    """An entry of the simulator's log."""

    method: str
    path: str
    query: dict[str, str]
    status: int  # 0 where no answer was given
    faults: tuple[Fault, ...] = ()  # those that struck it


class Simulator(Project):
    """Amplitude with one project, as a context manager that serves on 127.0.0.1."""

    def __init__(
        self,
        product: Product,
        now: datetime | None = None,
        port: int = 0,
        api_key: str = DEMO_CREDENTIALS[0],
        secret_key: str = DEMO_CREDENTIALS[1],
        max_bytes: int = _FOUR_GIGABYTES,
        copies: int = 1,
        timezone: str = "UTC",
    ) -> None:
        """Make the project, and take the port.

        Args:
            product: whose rows the project has.
            now: where the clock stands still; by default at noon after the product's last day.
            port: where to serve; 0 takes any free port.
            api_key: the user name of the credentials.
            secret_key: the password of the credentials.
            max_bytes: the size over which an export is refused.
            copies: how many times the project has all rows, under fresh ids.
            timezone: of the project, an IANA name.
        """
        super().__init__(product, now, copies, timezone)
        self.clock: datetime | None = None
        """What its answers say the time is; None: nothing. (`now` may be behind: then Amplitude is late.)"""
        self.max_bytes = max_bytes
        self.requests: list[Request] = []
        self.faults = FaultPlan()  # none: another plan may take its place at any time
        self._endpoints = (Endpoint(EXPORT, self._export, REST, RANGE), *ENDPOINTS)
        self._credentials = f"{api_key}:{secret_key}".encode()
        self._server = Server(("127.0.0.1", port), self.answer, lambda: self.clock)
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
        response = self._route(method, path, query, authorization)
        self.requests.append(Request(method, path, query, response.status, response.faults))
        return response

    def _route(self, method: str, path: str, query: dict[str, str], authorization: str) -> Response:
        if method == "GET" and path == "/":
            return Response(200, b"ok")
        endpoint = next((each for each in self._endpoints if each.id_in(path) is not None), None)
        if method != "GET" or endpoint is None:
            return Response(404, _NOT_FOUND_PAGE, HTML)
        if refusal := self._refusal(endpoint, authorization):
            return refusal
        try:
            hours = _hours(query) if path == EXPORT else []
        except BadRequestError as error:
            return Response(400, str(error).encode())
        call = Call(path, query, hours, self.now, endpoint.path)
        return self._limited(endpoint, Asked(self, call, endpoint.id_in(path) or ""))

    def _limited(self, endpoint: Endpoint, asked: Asked) -> Response:
        """Answer a request unless too many run at once."""
        limits = self.limits
        slot = limits.enter(endpoint.family)
        if isinstance(slot, Refusal):
            return _too_many(limits, slot)
        try:
            return replace(self._disturbed(endpoint, asked), slot=slot)
        except BaseException:
            slot.release()
            raise

    def _disturbed(self, endpoint: Endpoint, asked: Asked) -> Response:
        """Answer a request unless one of the plan's faults stands before the right answer, or in its way."""
        fault = self.faults.disturb(asked.call)
        if fault is None:
            return self._undisturbed(endpoint, asked)
        match fault.effect:
            case Reply(status, retry_after, body, content_type):
                return Response(status, body, content_type, retry_after=retry_after, faults=(fault,))
            case NoAnswer():
                return Response(0, faults=(fault,))
        response = self._undisturbed(endpoint, asked)
        return replace(response, faults=(*response.faults, fault))

    def _undisturbed(self, endpoint: Endpoint, asked: Asked) -> Response:
        """Answer a request that makes sense, once what it costs is spent."""
        limits = self.limits
        try:
            endpoint.check(asked)
            if refusal := limits.spend(endpoint.family, endpoint.cost(asked)):
                return _too_many(limits, refusal)
            return endpoint.answer(asked)
        except BadRequestError as error:
            return Response(400, str(error).encode())

    def _refusal(self, endpoint: Endpoint, authorization: str) -> Response | None:
        """Refuse a request without the credentials that the endpoint asks for (401), or with wrong ones (403)."""
        if endpoint.access == "everybody":
            return None
        if endpoint.access == "management key":
            is_known = authorization == f"Bearer {self.management_key}"
            return None if is_known else Response(401, b"Authentication required.", challenge="Bearer")
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return Response(401, b"Authentication required.")
        try:
            credentials = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            credentials = b""
        return None if credentials == self._credentials else Response(403, b"Invalid credentials.")

    def _export(self, asked: Asked) -> Response:
        first, last = asked.call.hours[0], asked.call.hours[-1]
        members = self.archive.members(first, min(last, self.last_available_hour))
        if sum(member.size for member in members) > self.max_bytes:
            return Response(400, b"The export is too large. Ask for a shorter range.")
        members, struck = self.faults.change(asked.call, members)
        if not members:
            return replace(_no_data(first), faults=struck)
        return Response(200, content_type="application/zip", members=tuple(members), faults=struck)


def _hours(query: dict[str, str]) -> list[datetime]:
    """Return the hours that an export is asked for."""
    start, end = (read_time(query, name, "%Y%m%dT%H", "20260601T00") for name in ("start", "end"))
    if end < start:
        raise BadRequestError("end is before start.")
    if end - start >= _LONGEST_RANGE:
        raise BadRequestError("The range is longer than 365 days.")
    return [start + number * _HOUR for number in range((end - start) // _HOUR + 1)]


def _too_many(limits: Limits, refusal: Refusal) -> Response:
    """Refuse a request with a 429 that says which limit is reached."""
    response = as_json({"error": "Too many requests.", "limit": refusal.limit}, 429)
    return replace(response, retry_after=str(refusal.wait)) if limits.retry_after else response


def _no_data(start: datetime) -> Response:
    """Say that there is no data: in one of Amplitude's two ways, by the hour, so that both come up."""
    if start.hour % 2:
        return Response(404, _NOT_FOUND_PAGE, HTML)
    return Response(404, _NOT_FOUND_TEXT)
