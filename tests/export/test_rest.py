"""Answers of the REST endpoints in other shapes than documented, and an answer whose headers drip."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from amplitude_source.errors import AmplitudeError
from amplitude_source.export.client import ExportClient, UnreadAnswerError
from amplitude_source.export.rest import count_users, event_types
from amplitude_source.settings import AmplitudeSettings
from simulator.faults import EVENTS_LIST, HTML, HTML_PAGE, USER_COUNTS, Fault, FaultPlan, Reply
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.members import SMALL_PRODUCT
from support.project import Project, succeeded
from support.scripted_http import Answer, serving

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 3)


def settings_at(base_url: str) -> AmplitudeSettings:
    configured = AmplitudeSettings()
    configured.api_key, configured.secret_key = DEMO_CREDENTIALS
    configured.base_url = base_url
    configured.start_hour = "2026-06-01T00"
    configured.now = datetime(2026, 6, 4, 12, tzinfo=UTC).isoformat()
    return configured


def client_of(configured: AmplitudeSettings) -> ExportClient:
    return ExportClient(configured, pause=lambda _stopped, _seconds: None)


@pytest.mark.parametrize(
    ("entry", "warning"),
    [
        ({"value": None}, "1 of 2 entries of the event list have no name"),
        ({}, "1 of 2 entries of the event list have no name"),
        ({"value": 7}, "1 of 2 entries of the event list have no name"),
        (None, "1 of 2 entries of the event list have no name"),
        ("click", "1 of 2 entries of the event list have no name"),
    ],
)
def test_an_entry_of_the_event_list_without_a_name_is_left_out_with_a_warning(entry: object, warning: str) -> None:
    warnings: list[str] = []
    good = {"value": "click", "display": None, "non_active": True}
    assert event_types({"data": [entry, good]}, warnings.append) == [good]
    assert [warning in text for text in warnings] == [True]


def test_a_value_of_the_event_list_that_has_the_wrong_type_is_null_with_a_warning() -> None:
    warnings: list[str] = []
    odd = {"value": "click", "display": ["x"], "non_active": "yes"}
    assert event_types({"data": [odd]}, warnings.append) == [{"value": "click", "display": None, "non_active": None}]
    assert len(warnings) == 2


@pytest.mark.parametrize("answer", [[], {}, None, {"data": None}, {"data": {"a": 1}}, {"error": "x"}, "text"])
def test_an_answer_that_is_no_event_list_is_told_apart(answer: object) -> None:
    with pytest.raises(UnreadAnswerError):
        event_types(answer, pytest.fail)


def users_of(data: Any) -> tuple[dict[date, int], list[str]]:
    """The numbers in an answer, and the warnings."""
    warnings: list[str] = []
    with serving(Answer(200, json.dumps({"data": data}).encode())) as script:
        configured = settings_at(script.base_url)
        return count_users(configured, client_of(configured), "active", warnings.append), warnings


ISO = ["2026-06-01", "2026-06-02", "2026-06-03"]


@pytest.mark.parametrize("labels", [ISO, ["Jun 01", "Jun 02", "Jun 03"], ["Jun 1", "Jun 2", "Jun 3"]])
def test_days_are_read_as_dates_and_as_month_and_day(labels: list[str]) -> None:
    expected = {FIRST: 5, date(2026, 6, 2): 6, LAST: 7}
    assert users_of({"xValues": labels, "series": [[5, 6, 7]]}) == (expected, [])


@pytest.mark.parametrize(
    ("labels", "users", "found"),
    [
        (ISO, [5, 6], {FIRST: 5, date(2026, 6, 2): 6}),
        (ISO, [], {}),
        (ISO[:1], [5, 6], {FIRST: 5}),
        (["week 1", *ISO[1:]], [5, 6, 7], {date(2026, 6, 2): 6, LAST: 7}),
        ([None, *ISO[1:]], [5, 6, 7], {date(2026, 6, 2): 6, LAST: 7}),
        (ISO, [None, 6.0, "7"], {date(2026, 6, 2): 6}),
        (ISO, [5.5, 6, -1], {date(2026, 6, 2): 6}),
    ],
)
def test_numbers_of_users_that_cannot_be_read_are_left_out_with_a_warning(
    labels: list[object], users: list[object], found: dict[date, int]
) -> None:
    counts, warnings = users_of({"xValues": labels, "series": [users]})
    assert counts == found
    assert [f"of which {len(found)} can be read" in text for text in warnings] == [True]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"xValues": ISO}, {"xValues": ISO, "series": []}, {"xValues": 3, "series": [[1]]}]
)
def test_an_answer_without_numbers_of_users_is_told_apart(data: object) -> None:
    with pytest.raises(AmplitudeError, match="in a way that is not known"):
        users_of(data)


WEB_PAGE = Reply(200, body=HTML_PAGE, content_type=HTML)
NAMELESS = Reply(200, body=b'{"data": [{"value": null}, {"value": "click", "non_active": true}]}')


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("reply", "names", "warning"),
    [
        (WEB_PAGE, [], "The event list was not read, so the next run asks for it again: 127.0.0.1"),
        (Reply(200, body=b'{"data": null}'), [], "has no list named data"),
        (NAMELESS, [("click", True)], "1 of 2 entries of the event list have no name"),
    ],
)
def test_an_odd_event_list_is_warned_of_and_the_rest_loads(
    project: Project, simulator: Simulator, reply: Reply, names: list[tuple[str, bool]], warning: str
) -> None:
    simulator.faults = FaultPlan(Fault(reply, path=EVENTS_LIST), Fault(Reply(200, body=b"[]"), path=USER_COUNTS))
    result = succeeded(project.load_here("--end", f"{SMALL_PRODUCT.start:%Y-%m-%dT%H}"))
    assert warning in result.stderr
    assert "numbers of users are not to be had" in result.stderr
    assert project.query("SELECT value, non_active FROM bronze.events_list") == names
    simulator.faults = FaultPlan()
    succeeded(project.load_here("--end", f"{SMALL_PRODUCT.start:%Y-%m-%dT}01"))
    assert project.query("SELECT COUNT(*) > 5 FROM bronze.events_list") == [(True,)]


@contextmanager
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
        configured = settings_at(f"http://127.0.0.1:{port}")
        configured.read_timeout_seconds = 0.1
        started = time.monotonic()
        with pytest.raises(AmplitudeError, match=r"sent no end of its headers within 0.2 s, 5 times"):
            client_of(configured).download(datetime(2026, 6, 1), datetime(2026, 6, 1), tmp_path / "zip")
    assert time.monotonic() - started < 10
