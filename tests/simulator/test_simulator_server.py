"""The simulator's API answers as Amplitude's does."""

import io
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import timedelta

import pytest
import requests

from simulator.charts import ANY_ACTIVE_EVENT, Figures, History, Seen, merged_users
from simulator.faults import (
    USER_COUNTS,
)
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.small_shop import FIRST, INACTIVE, MEMBERS, SMALL, export, zip_hours


def test_an_export_is_a_zip_of_the_members_in_order_of_their_names(simulator: Simulator) -> None:
    response = export(simulator, "20260601T00", "20260601T23")
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        served = {name: archive.read(name) for name in archive.namelist()}
    first_day = [member for member in MEMBERS if member.hour < FIRST + timedelta(days=1)]
    assert served == {member.name: member.data for member in first_day}
    assert list(served) == sorted(served)


def test_both_ends_of_an_export_are_included(simulator: Simulator) -> None:
    assert zip_hours(export(simulator, "20260601T12", "20260601T14")) == {12, 13, 14}
    assert zip_hours(export(simulator, "20260601T12", "20260601T12")) == {12}


def test_an_hour_comes_out_two_hours_after_its_end(simulator: Simulator) -> None:
    simulator.now = FIRST + timedelta(hours=15) - timedelta(seconds=1)
    assert export(simulator, "20260601T12", "20260601T12").status_code == 404
    assert zip_hours(export(simulator, "20260601T10", "20260601T14")) == {10, 11}
    simulator.now = FIRST + timedelta(hours=15)
    assert zip_hours(export(simulator, "20260601T10", "20260601T14")) == {10, 11, 12}


def test_no_data_is_a_404_in_text_or_html(simulator: Simulator) -> None:
    responses = [export(simulator, f"20250101T{hour:02}", "20250102T00") for hour in (0, 1)]
    assert [response.status_code for response in responses] == [404, 404]
    assert responses[0].text == "Raw data files were not found."
    assert "<html>" in responses[1].text


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Bearer demo-key", 401), ("Basic ZGVtby1rZXk6d3Jvbmc=", 403), ("Basic not base64", 403)],
)
@pytest.mark.parametrize("path", ["/api/2/export", "/api/2/events/list"])
def test_credentials_are_asked_for(simulator: Simulator, path: str, authorization: str | None, status: int) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    response = requests.get(simulator.base_url + path, headers=headers, timeout=10)
    assert response.status_code == status
    assert "demo" not in response.text


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("", "20260601T00"),
        ("20260601T00", ""),
        ("2026-06-01T00", "20260601T00"),
        ("20260601T0", "20260601T00"),
        ("20260601T24", "20260602T00"),
        ("20260601T01", "20260601T00"),
        ("20250601T00", "20260601T00"),
    ],
)
def test_a_range_that_makes_no_sense_is_a_400(simulator: Simulator, start: str, end: str) -> None:
    response = export(simulator, start, end)
    assert response.status_code == 400
    assert 0 < len(response.text) < 200


def test_a_range_over_the_size_limit_is_a_400_and_its_half_is_not() -> None:
    hours = [
        sum(len(member.data) for member in MEMBERS if member.hour == FIRST + timedelta(hours=hour)) for hour in (12, 13)
    ]
    with Simulator(SMALL, max_bytes=sum(hours) - 1) as simulator:
        assert export(simulator, "20260601T12", "20260601T13").status_code == 400
        assert export(simulator, "20260601T12", "20260601T12").status_code == 200
    with Simulator(SMALL, max_bytes=sum(hours)) as simulator:
        assert export(simulator, "20260601T12", "20260601T13").status_code == 200


def test_the_events_list_tells_totals_of_the_week_and_what_is_inactive(simulator: Simulator) -> None:
    simulator.inactive_event_types.add("Settings Saved")
    response = requests.get(f"{simulator.base_url}/api/2/events/list", auth=DEMO_CREDENTIALS, timeout=10)
    listed = {entry["value"]: entry for entry in response.json()["data"]}
    rows = [row for _, rows in SMALL.rows() for row in rows]
    assert {name: entry["totals"] for name, entry in listed.items() if entry["totals"]} == Counter(
        str(row["event_type"]) for row in rows
    )
    assert {name for name, entry in listed.items() if entry["non_active"]} == INACTIVE | {"Settings Saved"}


def user_counts(simulator: Simulator, **query: str) -> requests.Response:
    asked = {"m": "active", "start": "20260601", "end": "20260602", "i": "1"} | query
    return requests.get(simulator.base_url + USER_COUNTS, params=asked, auth=DEMO_CREDENTIALS, timeout=10)


def test_users_a_day_are_told_for_each_day_that_is_asked_for(simulator: Simulator) -> None:
    rows = [row for _, rows in SMALL.rows() for row in rows]
    seen = {row["amplitude_id"] for row in rows if str(row["event_time"]).startswith("2026-06-01")}
    active, new = (user_counts(simulator, m=metric).json()["data"] for metric in ("active", "new"))
    assert active["xValues"] == new["xValues"] == ["2026-06-01", "2026-06-02"]
    assert 0.8 * len(seen) < active["series"][0][0] <= len(seen), "some of them have merged"
    assert 0 < new["series"][0][0] <= len(seen)


@pytest.mark.parametrize("query", [{"m": "returning"}, {"i": "7"}, {"start": "2026-06-01"}, {"end": ""}], ids=str)
def test_users_of_what_makes_no_sense_are_a_400(simulator: Simulator, query: dict[str, str]) -> None:
    assert user_counts(simulator, **query).status_code == 400


def seen(amplitude_id: int, device_id: str, user_id: str | None = None, day: int = 1, event_type: str = "Open") -> Seen:
    time = f"2026-06-{day:02} 10:00:00"
    row = {"amplitude_id": amplitude_id, "device_id": device_id, "user_id": user_id, "event_type": event_type}
    return Seen.of(row | {"event_time": time, "server_upload_time": time})


def test_users_count_merged_and_as_new_on_their_first_day() -> None:
    rows = [seen(9, "d"), seen(8, "d", "John", day=2), seen(7, "e", day=2), seen(7, "e", day=3, event_type="Ping")]
    assert merged_users(rows) == {9: 8, 8: 8, 7: 7}
    figures = Figures(History(rows, merged_users(rows)), "UTC", {"Ping"})
    assert figures.new_users() == {"2026-06-01": 1, "2026-06-02": 1}
    assert figures.users(ANY_ACTIVE_EVENT) == {"2026-06-01": {8}, "2026-06-02": {8, 7}}


def test_anything_else_is_a_404(simulator: Simulator) -> None:
    assert requests.get(f"{simulator.base_url}/api/3/nothing", auth=DEMO_CREDENTIALS, timeout=10).status_code == 404
    url = f"{simulator.base_url}/api/2/export"
    assert requests.post(url, data={"start": "20260601T00"}, auth=DEMO_CREDENTIALS, timeout=10).status_code == 404


def test_it_logs_its_requests_and_answers_a_health_check(simulator: Simulator) -> None:
    assert requests.get(simulator.base_url, timeout=10).text == "ok"
    export(simulator, "20260601T12", "20260601T13")
    query = {"start": "20260601T12", "end": "20260601T13"}
    assert simulator.requests == [("GET", "/", {}, 200, ()), ("GET", "/api/2/export", query, 200, ())]


def test_a_port_that_is_taken_is_said_to_be(simulator: Simulator) -> None:
    port = int(simulator.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Simulator(SMALL, port=port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_is_and_stops_without_noise(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "simulator", "serve", "--port", "0", "--days", "1", "--events-per-day", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout
        line = server.stdout.readline()
        assert "demo-key" in line
        assert requests.get(line.split()[0], timeout=10).status_code == 200
        server.send_signal(number)
        _, errors = server.communicate(timeout=10)
    assert (server.returncode, errors) == (0, "")
