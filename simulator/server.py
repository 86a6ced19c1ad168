"""Amplitude's Export API, as far as its answers go; how they reach a client is `connection`'s."""

import base64
import binascii
import functools
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self

import orjson

from simulator.archive import AVAILABLE_AFTER, Archive
from simulator.catalog import EVENT_TYPES, INACTIVE_EVENT_TYPES
from simulator.charts import Seen, active_users, new_users
from simulator.connection import Response, Server
from simulator.faults import EVENTS_LIST, EXPORT, HTML, USER_COUNTS, Call, Fault, FaultPlan, NoAnswer, Reply
from simulator.product import Product

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


class BadRequestError(Exception):
    """The request's parameters make no sense; the message says why."""


@functools.cache
def _stored(product: Product, copies: int) -> Archive:
    """A product's archive, made once a process: simulators of the same product share it."""
    return Archive(product.members(copies))


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
        copies: int = 1,
    ) -> None:
        """Make the product's archive; the clock stands still at `now`, by default noon after the last day.

        With copies, it has all rows so many times under fresh ids.
        """
        self.product = product
        self.now = now or product.end + timedelta(hours=12)
        self.clock: datetime | None = None
        """What its answers say the time is; None: nothing. (`now` may be behind: then Amplitude is late.)"""
        self.max_bytes = max_bytes
        self.inactive_event_types = set(INACTIVE_EVENT_TYPES)
        self.requests: list[Request] = []
        self.faults = FaultPlan()  # none: another plan may take its place at any time
        self.archive = _stored(product, copies)
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
        if method != "GET" or path not in (EXPORT, EVENTS_LIST, USER_COUNTS):
            return Response(404, _NOT_FOUND_PAGE, HTML)
        if refusal := self._refusal(authorization):
            return refusal
        try:
            hours = _hours(query) if path == EXPORT else []
        except BadRequestError as error:
            return Response(400, str(error).encode())
        return self._disturbed(Call(path, query, hours, self.now))

    def _disturbed(self, call: Call) -> Response:
        """What comes out of a request: one of the plan's faults may stand before the right answer, or in its way."""
        fault = self.faults.disturb(call)
        if fault is None:
            return self._undisturbed(call)
        match fault.effect:
            case Reply(status, retry_after, body, content_type):
                return Response(status, body, content_type, retry_after=retry_after, faults=(fault,))
            case NoAnswer():
                return Response(0, faults=(fault,))
        response = self._undisturbed(call)
        return replace(response, faults=(*response.faults, fault))

    def _undisturbed(self, call: Call) -> Response:
        if call.path == EXPORT:
            return self._export(call)
        return self._user_counts(call) if call.path == USER_COUNTS else self._events_list()

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

    def _export(self, call: Call) -> Response:
        first, last = call.hours[0], call.hours[-1]
        members = self.archive.members(first, min(last, self._last_available_hour()))
        if sum(member.size for member in members) > self.max_bytes:
            return Response(400, b"The export is too large. Ask for a shorter range.")
        members, struck = self.faults.change(call, members)
        if not members:
            return replace(_no_data(first), faults=struck)
        return Response(200, content_type="application/zip", members=tuple(members), faults=struck)

    def _last_available_hour(self) -> datetime:
        return self.now - AVAILABLE_AFTER

    def _user_counts(self, call: Call) -> Response:
        """Active or new users a day, by what the export has given so far."""
        try:
            days = [f"{day:%Y-%m-%d}" for day in _days(call.query)]
        except BadRequestError as error:
            return Response(400, str(error).encode())
        rows = _seen(self.archive, self._last_available_hour())
        users = new_users(rows) if call.query.get("m") == "new" else active_users(rows, self.inactive_event_types)
        data = {"series": [[users[day] for day in days]], "seriesMeta": [{"segmentIndex": 0}], "xValues": days}
        return Response(200, orjson.dumps({"data": data}), "application/json")

    def _events_list(self) -> Response:
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


@functools.lru_cache(maxsize=1)
def _seen(archive: Archive, last: datetime) -> list[Seen]:
    """Of every row until an hour; kept for the next question, which is about the same ones."""
    return [Seen.of(row) for row in archive.rows(datetime.min, last)]


def _days(query: dict[str, str]) -> list[datetime]:
    """The days that numbers of users are asked for, each by itself."""
    if query.get("m") not in ("active", "new") or query.get("i", "1") != "1":
        raise BadRequestError("m must be active or new, and i 1.")
    start, end = (_time(query, name, "%Y%m%d", "20260601") for name in ("start", "end"))
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def _hours(query: dict[str, str]) -> list[datetime]:
    """The hours that an export is asked for."""
    start, end = (_time(query, name, "%Y%m%dT%H", "20260601T00") for name in ("start", "end"))
    if end < start:
        raise BadRequestError("end is before start.")
    if end - start >= _LONGEST_RANGE:
        raise BadRequestError("The range is longer than 365 days.")
    return [start + number * _HOUR for number in range((end - start) // _HOUR + 1)]


def _time(query: dict[str, str], name: str, form: str, example: str) -> datetime:
    text = query.get(name, "")
    try:
        time = datetime.strptime(text, form)
    except ValueError:
        time = None
    # strptime is lenient about missing zeros
    if time is None or len(text) != len(example):
        raise BadRequestError(f"{name} must be like {example}.")
    return time


def _no_data(start: datetime) -> Response:
    """Amplitude answers in two ways; here the hour decides, so that both come up."""
    if start.hour % 2:
        return Response(404, _NOT_FOUND_PAGE, HTML)
    return Response(404, _NOT_FOUND_TEXT)
