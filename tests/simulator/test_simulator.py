"""The simulator: its product holds every oddity of a real project, and its API answers as Amplitude's does."""

import contextlib
import datetime as datetime_module
import gzip
import io
import json
import re
import signal
import subprocess
import sys
import threading
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from simulator.__main__ import cli
from simulator.archive import AVAILABLE_AFTER
from simulator.charts import Seen, active_users, merged_users, new_users
from simulator.faults import (
    EVENTS_LIST,
    HTML,
    HTML_PAGE,
    USER_COUNTS,
    BadGzipChecksum,
    Change,
    CutBody,
    CutGzip,
    Drip,
    Fault,
    FaultPlan,
    FewerLines,
    LateHour,
    LatePartition,
    NoAnswer,
    Reply,
    random_plan,
)
from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator

Row = dict[str, Any]

# The keys of a real export row of 2025.
KEYS_OF_2025 = """
    $insert_id $insert_key $schema adid amplitude_attribution_ids amplitude_event_type amplitude_id app city
    client_event_time client_upload_time country data data_type device_brand device_carrier device_family device_id
    device_manufacturer device_model device_type dma event_id event_properties event_time event_type
    global_user_properties group_properties groups idfa ip_address is_attribution_event language library
    location_lat location_lng os_name os_version partner_id paying plan platform processed_time region sample_rate
    server_received_time server_upload_time session_id source_id start_version user_creation_time user_id
    user_properties uuid version_name
"""

INACTIVE = {"session_start", "session_end", "Push Received"}
MEMBER_NAME = re.compile(r"(\d+)/\1_\d{4}-\d{2}-\d{2}_(0|[1-9]\d?)#\d+\.json\.gz")

SMALL = Product(days=3, events_per_day=1500)
MEMBERS = list(SMALL.members())
FIRST = SMALL.start
HOUR = timedelta(hours=1)
DAY_ONE = [FIRST + number * HOUR for number in range(24)]
# An hour of several members, between hours with data.
BUSY = next(hour for hour, count in Counter(member.hour for member in MEMBERS).items() if count > 2 and hour.hour > 8)


class History:
    """The default product's rows in order of export, and views on them."""

    def __init__(self) -> None:
        self.product = Product()
        self.hours: dict[datetime, list[Row]] = dict(self.product.rows())
        self.rows: list[Row] = [row for rows in self.hours.values() for row in rows]
        self.by_repeat_key: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            self.by_repeat_key[row["device_id"], row["$insert_id"]].append(row)
        self.events = sorted((rows[0] for rows in self.by_repeat_key.values()), key=lambda row: time(row, "event_time"))
        self.by_device: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.events:
            self.by_device[row["device_id"]].append(row)
        self.known_before: dict[int, datetime] = {}
        for row in self.events:
            if row["user_id"]:
                self.known_before.setdefault(row["amplitude_id"], time(row, "event_time"))


def time(row: Row, key: str) -> datetime:
    return datetime.fromisoformat(row[key])


def lateness(row: Row) -> timedelta:
    return time(row, "server_upload_time") - time(row, "event_time")


def seconds_of_correction(row: Row) -> float:
    return (time(row, "server_received_time") - time(row, "client_upload_time")).total_seconds()


@pytest.fixture(scope="module")
def history() -> History:
    return History()


def login_switches(history: History) -> Iterator[tuple[Row, Row]]:
    """Pairs of neighbouring events of a device: the last anonymous one, and the first with a user_id."""
    for rows in history.by_device.values():
        for before, after in pairwise(rows):
            if before["user_id"] is None and after["user_id"]:
                yield before, after


def new_user_takes_over_the_anonymous_amplitude_id(history: History) -> int:
    return sum(
        before["amplitude_id"] == after["amplitude_id"]
        and history.known_before[after["amplitude_id"]] == time(after, "event_time")
        for before, after in login_switches(history)
    )


def known_user_keeps_his_own_amplitude_id(history: History) -> int:
    return sum(
        before["amplitude_id"] != after["amplitude_id"]
        and before["amplitude_id"] not in history.known_before
        and history.known_before[after["amplitude_id"]] < time(after, "event_time")
        for before, after in login_switches(history)
    )


def new_user_on_a_device_of_another_gets_an_amplitude_id_of_his_own(history: History) -> int:
    return sum(
        row["event_type"] == "Signed Up"
        and before["amplitude_id"] in history.known_before
        and before["amplitude_id"] != row["amplitude_id"]
        for rows in history.by_device.values()
        for before, row in pairwise(rows)
    )


def user_without_anonymous_rows_on_a_second_device(history: History) -> int:
    return sum(
        bool(rows[0]["user_id"] and rows[0]["platform"])
        and history.known_before[rows[0]["amplitude_id"]] < time(rows[0], "event_time")
        for rows in history.by_device.values()
    )


def device_keeps_the_amplitude_id_after_logout(history: History) -> int:
    return sum(
        before["event_type"] == "Logged Out"
        and after["user_id"] is None
        and after["amplitude_id"] == before["amplitude_id"]
        for rows in history.by_device.values()
        for before, after in pairwise(rows)
    )


def visitors_who_never_log_in(history: History) -> int:
    return len({row["amplitude_id"] for row in history.events} - history.known_before.keys())


def users_with_several_devices(history: History) -> int:
    devices = defaultdict(set)
    for row in history.events:
        if row["user_id"] and row["platform"]:
            devices[row["user_id"]].add(row["device_id"])
    return sum(len(ids) > 1 for ids in devices.values())


def devices_with_several_users(history: History) -> int:
    return sum(len({row["user_id"] for row in rows} - {None}) > 1 for rows in history.by_device.values())


def sessions(history: History) -> dict[tuple[str, int], list[Row]]:
    found: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in history.events:
        if row["session_id"] != -1:
            found[row["device_id"], row["session_id"]].append(row)
    return found


def sessions_under_two_users(history: History) -> int:
    return sum(len({row["user_id"] for row in rows} - {None}) > 1 for rows in sessions(history).values())


def sessions_with_a_login(history: History) -> int:
    return sum(
        rows[0]["user_id"] is None and any(row["user_id"] for row in rows) for rows in sessions(history).values()
    )


def sessions_across_midnight(history: History) -> int:
    return sum(len({row["event_time"][:10] for row in rows}) > 1 for rows in sessions(history).values())


def sessions_of_inactive_events_only(history: History) -> int:
    return sum({row["event_type"] for row in rows} <= INACTIVE for rows in sessions(history).values())


def user_days_of_inactive_events_only(history: History) -> int:
    types = defaultdict(set)
    for row in history.events:
        types[row["amplitude_id"], row["event_time"][:10]].add(row["event_type"])
    return sum(found <= INACTIVE for found in types.values())


def push_messages_outside_sessions(history: History) -> int:
    return sum(row["event_type"] == "Push Received" and row["session_id"] == -1 for row in history.events)


def server_side_events(history: History) -> int:
    return sum(
        row["library"] == "http/2.0" and row["platform"] is None and row["session_id"] == -1 for row in history.events
    )


def insert_ids_shared_by_devices(history: History) -> int:
    devices = Counter(insert_id for _, insert_id in history.by_repeat_key)
    return sum(count > 1 for count in devices.values())


def late_by_minutes(history: History) -> int:
    return sum(timedelta(minutes=2) < lateness(row) < timedelta(hours=1) for row in history.rows)


def late_by_hours(history: History) -> int:
    return sum(timedelta(hours=1) < lateness(row) < timedelta(days=1) for row in history.rows)


def late_by_ten_to_fifteen_days(history: History) -> int:
    return sum(timedelta(days=10) < lateness(row) < timedelta(days=15) for row in history.events)


def events_from_before_the_first_export(history: History) -> int:
    return sum(time(row, "event_time") < history.product.start for row in history.events)


def repeats(history: History) -> Iterator[tuple[Row, Row]]:
    for rows in history.by_repeat_key.values():
        for again in rows[1:]:
            yield min(rows, key=lambda row: str(row["server_upload_time"])), again


def repeats_in_the_same_hour(history: History) -> int:
    return sum(a["server_upload_time"][:13] == b["server_upload_time"][:13] for a, b in repeats(history))


def repeats_hours_later(history: History) -> int:
    gaps = (time(b, "server_upload_time") - time(a, "server_upload_time") for a, b in repeats(history))
    return sum(timedelta(hours=1) < gap < timedelta(days=1) for gap in gaps)


def repeats_after_more_than_a_week(history: History) -> int:
    gaps = (time(b, "server_upload_time") - time(a, "server_upload_time") for a, b in repeats(history))
    return sum(gap > timedelta(days=8) for gap in gaps)


def clocks_behind(history: History) -> int:
    return sum(seconds_of_correction(row) >= 60 for row in history.events)


def clocks_ahead(history: History) -> int:
    return sum(seconds_of_correction(row) <= -60 for row in history.events)


def clocks_wrong_within_tolerance(history: History) -> int:
    return sum(2 < abs(seconds_of_correction(row)) < 60 for row in history.events)


def rows_with_groups(history: History) -> int:
    return sum(bool(row["groups"]) and bool(row["group_properties"]) for row in history.rows)


def rows_with_missing_campaigns(history: History) -> int:
    return sum(row["user_properties"].get("initial_utm_source") == "EMPTY" for row in history.rows)


def rows_with_campaigns(history: History) -> int:
    return sum(bool(row["user_properties"].get("utm_source")) for row in history.rows)


def users_whose_properties_change(history: History) -> int:
    plans = defaultdict(set)
    for row in history.events:
        if row["user_id"] and "plan" in row["user_properties"]:
            plans[row["user_id"]].add(row["user_properties"]["plan"])
    return sum(len(found) > 1 for found in plans.values())


def people_who_come_back(history: History) -> int:
    days = defaultdict(set)
    for row in history.events:
        days[row["amplitude_id"]].add(row["event_time"][:10])
    return sum(len(found) >= 5 for found in days.values())


@pytest.mark.parametrize(
    "count",
    [
        clocks_ahead,
        clocks_behind,
        clocks_wrong_within_tolerance,
        device_keeps_the_amplitude_id_after_logout,
        devices_with_several_users,
        events_from_before_the_first_export,
        insert_ids_shared_by_devices,
        known_user_keeps_his_own_amplitude_id,
        late_by_hours,
        late_by_minutes,
        late_by_ten_to_fifteen_days,
        new_user_takes_over_the_anonymous_amplitude_id,
        new_user_on_a_device_of_another_gets_an_amplitude_id_of_his_own,
        people_who_come_back,
        push_messages_outside_sessions,
        repeats_after_more_than_a_week,
        repeats_hours_later,
        repeats_in_the_same_hour,
        rows_with_campaigns,
        rows_with_groups,
        rows_with_missing_campaigns,
        server_side_events,
        sessions_across_midnight,
        sessions_of_inactive_events_only,
        sessions_under_two_users,
        sessions_with_a_login,
        user_days_of_inactive_events_only,
        user_without_anonymous_rows_on_a_second_device,
        users_whose_properties_change,
        users_with_several_devices,
        visitors_who_never_log_in,
    ],
)
def test_the_default_product_has(count: Callable[[History], int], history: History) -> None:
    assert count(history) >= 5


def test_a_month_has_about_a_hundred_thousand_rows(history: History) -> None:
    assert 97_000 < len(history.rows) < 105_000


def test_rows_have_the_keys_of_a_real_row_and_half_way_a_new_one(history: History) -> None:
    half_way = history.product.start + timedelta(days=15)
    for hour, rows in history.hours.items():
        expected = KEYS_OF_2025.split() if hour < half_way else sorted([*KEYS_OF_2025.split(), "user_geo_source"])
        assert all(list(row) == expected for row in rows)
    values = {type(row.get("user_geo_source")) for row in history.rows if "user_geo_source" in row}
    assert values == {str, type(None)}


def test_an_export_hour_holds_the_rows_uploaded_in_it(history: History) -> None:
    for hour, rows in history.hours.items():
        assert {str(row["server_upload_time"])[:13] for row in rows} <= {f"{hour:%Y-%m-%d %H}"}


def test_some_nights_have_empty_hours_and_no_day_does(history: History) -> None:
    empty = [hour for hour, rows in history.hours.items() if not rows]
    assert len(empty) >= 10
    assert all(hour.hour < 6 for hour in empty)


def test_times_are_naive_utc_with_microseconds(history: History) -> None:
    pattern = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
    for key in ("client_event_time", "event_time", "server_upload_time", "processed_time"):
        assert all(pattern.fullmatch(row[key]) for row in history.rows)


def test_an_event_time_is_corrected_by_the_clock_difference_from_a_minute_on(history: History) -> None:
    for row in history.events:
        difference = time(row, "server_received_time") - time(row, "client_upload_time")
        correction = difference if abs(difference) >= timedelta(minutes=1) else timedelta(0)
        assert time(row, "event_time") == time(row, "client_event_time") + correction


def test_a_repeat_differs_in_uuid_and_upload_only(history: History) -> None:
    of_the_upload = {"client_upload_time", "server_received_time", "server_upload_time", "processed_time"}
    for first, again in repeats(history):
        if first is again:
            continue
        changed = {key for key in KEYS_OF_2025.split() if first[key] != again[key]}
        assert "uuid" in changed
        assert changed <= of_the_upload | {"uuid"}


def test_a_uuid_names_one_row_and_every_row_has_a_device(history: History) -> None:
    assert len({row["uuid"] for row in history.rows}) == len(history.rows)
    assert all(row["device_id"] for row in history.rows)
    assert all(row["user_id"] is None or row["user_id"] for row in history.rows)


def test_an_amplitude_id_never_has_two_user_ids(history: History) -> None:
    user_ids = defaultdict(set)
    for row in history.events:
        user_ids[row["amplitude_id"]].add(row["user_id"])
    assert all(len(found - {None}) <= 1 for found in user_ids.values())


def test_exactly_five_events_come_from_the_future(history: History) -> None:
    ahead = [-lateness(row) for row in history.events if lateness(row) < timedelta(hours=-1)]
    assert [round(gap / timedelta(days=1)) for gap in sorted(ahead)] == [3, 17, 60, 180, 400]


def test_property_values_are_of_every_json_type_and_keys_are_odd(history: History) -> None:
    keys, values = set(), []
    for row in history.events[:10_000]:
        for properties in (row["event_properties"], row["user_properties"]):
            keys |= properties.keys()
            values += properties.values()
    assert {type(value) for value in values} == {str, int, float, bool, type(None), list, dict}
    texts = {json.dumps(value) for value in values}
    assert {"1", "1.0", '"1"', '""', "{}", "[]", "9007199254740993"} <= texts
    assert {"[Amplitude] Page Path", "it's", 'say "hi"', "größe", "a.b", "$price", "with blanks in it"} <= keys


def test_context_columns_fit_the_platform(history: History) -> None:
    libraries = defaultdict(set)
    for row in history.events:
        libraries[row["platform"]].add(row["library"].split("/")[0])
        assert (row["version_name"] is None) == (row["platform"] in {"Web", None})
    assert libraries == {
        "Web": {"amplitude-ts"},
        "iOS": {"amplitude-swift"},
        "Android": {"amplitude-analytics-android"},
        None: {"http"},
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert list(Product(days=3, events_per_day=1500).members()) == MEMBERS
    assert list(Product(days=3, events_per_day=1500, seed=2).members()) != MEMBERS


def test_the_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "simulator", "write", str(tmp_path / seed), "--days", "1"]
        subprocess.run([*command, "--events-per-day", "200"], env={"PYTHONHASHSEED": seed}, check=True)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()} for seed in ("1", "2"))
    assert first == second


def test_members_are_gzipped_json_lines_of_one_hour_with_gaps_in_their_numbers() -> None:
    rows_by_hour: defaultdict[datetime, list[Row]] = defaultdict(list)
    for member in MEMBERS:
        assert MEMBER_NAME.fullmatch(member.name)
        assert member.name.startswith(f"{SMALL.app}/{SMALL.app}_{member.hour:%Y-%m-%d}_{member.hour.hour}#")
        assert member.data[4:8] == bytes(4), "a time in the gzip header would change the bytes"
        lines = gzip.decompress(member.data).splitlines()
        assert member.rows == len(lines)
        rows_by_hour[member.hour] += map(json.loads, lines)
    for hour, rows in SMALL.rows():
        assert {row["uuid"] for row in rows} == {row["uuid"] for row in rows_by_hour[hour]}
    per_hour = Counter(member.hour for member in MEMBERS)
    assert set(per_hour.values()) == {1, 2, 3}
    assert [member.hour for member in MEMBERS] == sorted(member.hour for member in MEMBERS)


def test_lines_are_compact_utf8_json() -> None:
    text = b"".join(gzip.decompress(member.data) for member in MEMBERS)
    assert "München".encode() in text
    assert b'": ' not in text.replace(b'": "', b"")
    assert text.endswith(b"}\n")


def test_copies_share_no_id() -> None:
    product = Product(days=1, events_per_day=500)
    single, double = (
        [json.loads(line) for member in product.members(copies) for line in gzip.decompress(member.data).splitlines()]
        for copies in (1, 2)
    )
    assert len(double) == 2 * len(single)
    for key in ("uuid", "device_id", "amplitude_id"):
        assert len({row[key] for row in double}) == 2 * len({row[key] for row in single})


def test_write_makes_one_file_a_member(tmp_path: Path) -> None:
    command = ["write", str(tmp_path / "new"), "--days", "3", "--events-per-day", "1500"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    assert files == {member.name.split("/")[1]: member.data for member in MEMBERS}
    assert f"{sum(member.rows for member in MEMBERS)} rows in {len(MEMBERS)} files" in result.output


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(SMALL) as simulator:
        yield simulator


def export(simulator: Simulator, start: str, end: str) -> requests.Response:
    url = f"{simulator.base_url}/api/2/export"
    return requests.get(url, params={"start": start, "end": end}, auth=DEMO_CREDENTIALS, timeout=10)


def zip_hours(response: requests.Response) -> set[int]:
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {int(name.split("_")[2].split("#")[0]) for name in archive.namelist()}


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
    assert new_users(rows) == {"2026-06-01": 1, "2026-06-02": 1}
    assert active_users(rows, {"Ping"}) == {"2026-06-01": 1, "2026-06-02": 2}


def test_anything_else_is_a_404(simulator: Simulator) -> None:
    assert requests.get(f"{simulator.base_url}/api/3/nothing", auth=DEMO_CREDENTIALS, timeout=10).status_code == 404
    url = f"{simulator.base_url}/api/2/export"
    assert requests.post(url, data={"start": "20260601T00"}, auth=DEMO_CREDENTIALS, timeout=10).status_code == 404


def test_it_logs_its_requests_and_answers_a_health_check(simulator: Simulator) -> None:
    assert requests.get(simulator.base_url, timeout=10).text == "ok"
    export(simulator, "20260601T12", "20260601T13")
    query = {"start": "20260601T12", "end": "20260601T13"}
    assert simulator.requests == [("GET", "/", {}, 200, ()), ("GET", "/api/2/export", query, 200, ())]


def ask(simulator: Simulator, first: datetime = BUSY, hours: int = 1) -> requests.Response:
    return export(simulator, f"{first:%Y%m%dT%H}", f"{first + (hours - 1) * HOUR:%Y%m%dT%H}")


@contextlib.contextmanager
def streaming(simulator: Simulator, timeout: float = 10) -> Iterator[Iterator[bytes]]:
    """The pieces of a body as they come in."""
    url, hour = f"{simulator.base_url}/api/2/export", f"{BUSY:%Y%m%dT%H}"
    params = {"start": hour, "end": hour}
    with requests.get(url, params, auth=DEMO_CREDENTIALS, timeout=timeout, stream=True) as response:
        yield response.iter_content(None)


def served(response: requests.Response) -> dict[str, bytes]:
    """The members of an export; an answer without data has none."""
    if response.status_code == 404:
        return {}
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def true_members(*hours: datetime) -> dict[str, bytes]:
    return {member.name: member.data for member in MEMBERS if member.hour in hours}


def struck(simulator: Simulator) -> list[tuple[Fault, ...]]:
    return [request.faults for request in simulator.requests]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, retry_after="7", body=b"Too many requests."),
        Reply(429),
        *(Reply(status) for status in (401, 403, 500, 502, 503)),
        Reply(200, body=HTML_PAGE, content_type=HTML),
        Reply(200),
    ],
    ids=repr,
)
def test_a_reply_is_given_as_often_as_asked_for_then_the_export(simulator: Simulator, reply: Reply) -> None:
    fault = Fault(reply, times=2)
    simulator.faults = FaultPlan(fault)
    for _ in range(2):
        response = ask(simulator)
        assert (response.status_code, response.content) == (reply.status, reply.body)
        assert response.headers.get("Retry-After") == reply.retry_after
        assert response.headers["Content-Type"] == reply.content_type
    assert served(ask(simulator)) == true_members(BUSY)
    assert struck(simulator) == [(fault,), (fault,), ()]
    assert [request.status for request in simulator.requests] == [reply.status, reply.status, 200]


@pytest.mark.parametrize("status", [400, 504])
def test_windows_over_a_length_are_refused_always(simulator: Simulator, status: int) -> None:
    simulator.faults = FaultPlan(Fault(Reply(status), longer_than=6))
    assert [ask(simulator, FIRST, hours).status_code for hours in (7, 24, 6, 7)] == [status, status, 200, status]


def test_a_fault_of_an_hour_strikes_only_requests_for_it(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(503), hour=BUSY))
    windows = [(BUSY - 2 * HOUR, 2), (BUSY - 2 * HOUR, 3), (BUSY, 1), (BUSY, 2), (BUSY + HOUR, 2)]
    assert [ask(simulator, *window).status_code for window in windows] == [200, 503, 503, 503, 200]


def test_faults_strike_exports_unless_they_name_another_path(simulator: Simulator) -> None:
    url = simulator.base_url + EVENTS_LIST
    statuses = []
    for plan in (FaultPlan(Fault(Reply(503))), FaultPlan(Fault(Reply(502), path=EVENTS_LIST))):
        simulator.faults = plan
        statuses += [ask(simulator).status_code, requests.get(url, auth=DEMO_CREDENTIALS, timeout=10).status_code]
    assert statuses == [503, 200, 200, 502]


def test_faults_spare_requests_without_keys_and_without_sense(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(503), times=1))
    assert requests.get(f"{simulator.base_url}/api/2/export", timeout=10).status_code == 401
    assert requests.get(f"{simulator.base_url}/api/2/export", auth=("demo-key", "wrong"), timeout=10).status_code == 403
    assert export(simulator, "20260601T01", "20260601T00").status_code == 400
    assert requests.get(simulator.base_url, timeout=10).status_code == 200
    assert struck(simulator) == [()] * 4
    assert ask(simulator).status_code == 503


def test_a_zip_cut_short_can_be_a_complete_body(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(CutBody(0.9, "proper"), times=1))
    with requests.Session() as session:
        session.auth = DEMO_CREDENTIALS
        hour = f"{BUSY:%Y%m%dT%H}"
        url = f"{simulator.base_url}/api/2/export?start={hour}&end={hour}"
        cut, whole = session.get(url, timeout=10), session.get(url, timeout=10)
    assert cut.status_code == 200
    assert 0.85 < len(cut.content) / len(whole.content) < 0.95
    assert not zipfile.is_zipfile(io.BytesIO(cut.content))
    assert served(whole) == true_members(BUSY)


@pytest.mark.parametrize(("ending", "told"), [("closed", "IncompleteRead"), ("reset", "reset by peer")])
def test_a_connection_can_be_closed_or_reset_in_the_middle_of_the_body(
    simulator: Simulator, ending: Any, told: str
) -> None:
    fault = Fault(CutBody(0.5, ending), times=1)
    simulator.faults = FaultPlan(fault)
    with streaming(simulator) as pieces:
        got = next(pieces)
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match=told):
            next(pieces)
    whole = ask(simulator)
    assert len(got) == pytest.approx(len(whole.content) / 2, rel=0.05)
    assert served(whole) == true_members(BUSY)
    assert struck(simulator) == [(fault,), ()]


def test_a_connection_can_be_reset_before_any_answer(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(NoAnswer(), times=1))
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        ask(simulator)
    assert served(ask(simulator)) == true_members(BUSY)
    assert [request.status for request in simulator.requests] == [0, 200]


def handlers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "process_request" in thread.name}


def test_a_stalled_body_stays_so_until_the_client_hangs_up(simulator: Simulator) -> None:
    before = handlers()  # of other tests, whose connections wait for the garbage collector
    simulator.faults = FaultPlan(Fault(CutBody(0.5, "stall"), times=1))
    with streaming(simulator, timeout=0.2) as pieces:
        assert next(pieces)[:2] == b"PK"
        with pytest.raises(requests.ConnectionError, match="timed out"):
            next(pieces)
    for thread in handlers() - before:
        thread.join(10)
    assert handlers() <= before
    assert served(ask(simulator)) == true_members(BUSY)


def test_a_stalled_body_does_not_keep_the_simulator_from_closing() -> None:
    with contextlib.ExitStack() as stack:
        with Simulator(SMALL) as simulator:
            simulator.faults = FaultPlan(Fault(CutBody(0.5, "stall")))
            pieces = stack.enter_context(streaming(simulator))
            assert next(pieces)
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            next(pieces)


def test_a_body_can_drip(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Drip(pieces=7, pause=0.01)))
    with streaming(simulator) as pieces:
        assert len(list(pieces)) == 7
    assert served(ask(simulator)) == true_members(BUSY)


def test_faults_of_delivery_strike_answers_of_every_kind(simulator: Simulator) -> None:
    """A 404, the event list and an empty body go the same way as a zip."""
    simulator.faults = FaultPlan(Fault(Drip(pieces=3, pause=0)), Fault(CutBody(0.5, "proper"), path=EVENTS_LIST))
    assert ask(simulator, datetime(2025, 1, 1)).text == "Raw data files were not found."
    text = requests.get(simulator.base_url + EVENTS_LIST, auth=DEMO_CREDENTIALS, timeout=10).text
    assert text.startswith('{"data":[')
    assert not text.endswith("]}")


@pytest.mark.parametrize("effect", [CutGzip(0.5), CutGzip(0), BadGzipChecksum()], ids=repr)
@pytest.mark.parametrize("hour", [BUSY, None])
def test_a_gzip_can_be_damaged_in_a_sound_zip(simulator: Simulator, effect: Change, hour: datetime | None) -> None:
    simulator.faults = FaultPlan(Fault(effect, times=1, hour=hour))
    response = ask(simulator, BUSY - HOUR, hours=3)
    assert zip_hours(response) == {BUSY.hour - 1, BUSY.hour, BUSY.hour + 1}
    truth = true_members(BUSY - HOUR, BUSY, BUSY + HOUR)
    (damaged,) = (name for name, data in served(response).items() if data != truth[name])
    assert damaged == min(true_members(hour) if hour else truth)
    assert not is_readable(served(response)[damaged])
    assert served(ask(simulator, BUSY - HOUR, hours=3)) == truth


def is_readable(data: bytes) -> bool:
    try:
        return bool(gzip.decompress(data))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False


def test_damage_finds_lines_taken_away_and_two_bad_checksums_are_no_good_one(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(BadGzipChecksum()), Fault(FewerLines(0.5)), Fault(BadGzipChecksum()))
    first = min(true_members(BUSY))
    data = served(ask(simulator))[first]
    assert len(data) < len(true_members(BUSY)[first])
    assert not is_readable(data)
    assert len(simulator.requests[0].faults) == 3


def test_a_late_hour_is_a_404_at_first_and_other_hours_of_its_window_come_without_it(simulator: Simulator) -> None:
    fault = Fault(LateHour(), times=3, hour=BUSY)
    simulator.faults = FaultPlan(fault)
    neighbours = true_members(BUSY - HOUR, BUSY + HOUR)
    assert served(ask(simulator, BUSY - HOUR, hours=3)) == neighbours
    assert [ask(simulator).status_code for _ in range(3)] == [404, 404, 200]
    assert served(ask(simulator, BUSY - HOUR, hours=3)) == neighbours | true_members(BUSY)
    assert struck(simulator) == [(fault,), (fault,), (fault,), (), ()]


def test_each_late_hour_of_a_window_counts_its_own_requests(simulator: Simulator) -> None:
    first, second = Fault(LateHour(), times=1, hour=BUSY), Fault(LateHour(), times=2, hour=BUSY + HOUR)
    simulator.faults = FaultPlan(first, second)
    hours = [zip_hours(ask(simulator, BUSY - HOUR, hours=3)) for _ in range(3)]
    assert hours == [{BUSY.hour - 1}, {BUSY.hour - 1, BUSY.hour}, {BUSY.hour - 1, BUSY.hour, BUSY.hour + 1}]
    assert struck(simulator) == [(first, second), (second,), ()]


@pytest.mark.parametrize("effect", [LateHour(), LatePartition(), FewerLines(0.5)], ids=repr)
def test_an_hour_can_be_late_by_the_clock_instead(simulator: Simulator, effect: Change) -> None:
    simulator.now = BUSY + 4 * HOUR
    simulator.faults = FaultPlan(Fault(effect, hour=BUSY, until=BUSY + 5 * HOUR))
    for _ in range(3):
        assert served(ask(simulator)) != true_members(BUSY)
    simulator.now += HOUR
    assert served(ask(simulator)) == true_members(BUSY)


def test_an_hour_can_gain_a_member(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(LatePartition(), times=2, hour=BUSY))
    truth = true_members(BUSY)
    early = {name: data for name, data in truth.items() if name != max(truth)}
    assert [served(ask(simulator)) for _ in range(3)] == [early, early, truth]


def test_a_member_can_gain_lines(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(FewerLines(0.5), times=1, hour=BUSY))
    early, later = served(ask(simulator)), served(ask(simulator))
    assert later == true_members(BUSY)
    (changed,) = (name for name in later if early[name] != later[name])
    few, all_ = (gzip.decompress(members[changed]).splitlines() for members in (early, later))
    assert few == all_[: len(all_) // 2]


def test_a_change_that_finds_nothing_to_change_does_not_count(simulator: Simulator) -> None:
    """An hour that is not out yet, and an answer that has no members at all."""
    late = Fault(LateHour(), times=1, hour=BUSY)
    simulator.faults = FaultPlan(Fault(Reply(503), times=1), late)
    assert ask(simulator).status_code == 503
    simulator.now = BUSY + 2 * HOUR
    assert ask(simulator).status_code == 404
    simulator.now = BUSY + 3 * HOUR
    assert [ask(simulator).status_code for _ in range(2)] == [404, 200]
    assert struck(simulator)[1:] == [(), (late,), ()]


def test_a_request_suffers_one_disturbance_on_top_of_all_changes(simulator: Simulator) -> None:
    late, cut, reply = Fault(LatePartition(), hour=BUSY), Fault(Drip(2, 0), times=1), Fault(Reply(502), times=1)
    simulator.faults = FaultPlan(late, cut, reply)
    statuses = [ask(simulator).status_code for _ in range(3)]
    assert statuses == [200, 502, 200]
    assert struck(simulator) == [(late, cut), (reply,), (late,)]


def test_a_fault_strikes_exactly_as_often_as_asked_for_from_many_threads(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(503), times=13), Fault(LateHour(), times=5))
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: ask(simulator).status_code, range(40)))
    assert Counter(statuses) == {503: 13, 404: 5, 200: 22}


def test_a_random_plan_is_that_of_its_seed_and_reads_as_the_code_that_makes_it() -> None:
    plans = [random_plan(Random(seed), DAY_ONE) for seed in range(50)]
    assert list(map(repr, plans)) == [repr(random_plan(Random(seed), DAY_ONE)) for seed in range(50)]
    assert len(set(map(repr, plans))) == 50
    for plan in plans:
        copy = eval(repr(plan), {**globals(), "datetime": datetime_module})  # noqa: S307 - our own text
        assert copy.faults == plan.faults


def test_random_plans_hold_every_fault_that_passes_by_itself() -> None:
    faults = [fault for seed in range(300) for fault in random_plan(Random(seed), DAY_ONE).faults]
    kinds = {Reply, NoAnswer, CutBody, Drip, LateHour, LatePartition, FewerLines, CutGzip, BadGzipChecksum}
    assert {type(fault.effect) for fault in faults} == kinds
    statuses = {fault.effect.status for fault in faults if isinstance(fault.effect, Reply)}
    assert statuses == {200, 400, 401, 403, 429, 500, 502, 503, 504}
    assert {fault.times for fault in faults} == {1, 2}


def fetched(simulator: Simulator, first: datetime, hours: int) -> dict[str, bytes]:
    """What a client gets that halves windows which are too large and gives a request up after five attempts."""
    for _ in range(5):
        with contextlib.suppress(requests.RequestException, zipfile.BadZipFile):
            response = ask(simulator, first, hours)
            if response.status_code in (400, 504):
                half = hours // 2
                return fetched(simulator, first, half) | fetched(simulator, first + half * HOUR, hours - half)
            if response.status_code in (200, 404) and all(map(is_readable, served(response).values())):
                return served(response)
    return {}


@pytest.mark.parametrize("seed", range(15))
def test_after_a_random_plan_a_client_that_is_run_again_has_everything(simulator: Simulator, seed: int) -> None:
    simulator.faults = random_plan(Random(seed), DAY_ONE)
    for hour in DAY_ONE:
        simulator.now = hour + AVAILABLE_AFTER
        fetched(simulator, hour, 1)
    simulator.now += 4 * HOUR
    most_runs = 1 + sum(fault.times or 0 for fault in simulator.faults.faults)
    assert any(fetched(simulator, FIRST, 24) == true_members(*DAY_ONE) for _ in range(most_runs)), simulator.faults


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
