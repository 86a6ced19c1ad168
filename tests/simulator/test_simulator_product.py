"""The simulator's product holds every oddity of a real project."""

import gzip
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from simulator.__main__ import cli
from simulator.product import Product
from support.small_shop import INACTIVE, MEMBERS, SMALL

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

MEMBER_NAME = re.compile(r"(\d+)/\1_\d{4}-\d{2}-\d{2}_(0|[1-9]\d?)#\d+\.json\.gz")


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


def test_the_first_row_of_each_user_is_marked_and_no_other(history: History) -> None:
    first: dict[object, str] = {}
    for row in history.rows:
        uploaded = first.get(row["amplitude_id"], row["server_upload_time"])
        first[row["amplitude_id"]] = min(uploaded, row["server_upload_time"])
    marked = [row for row in history.rows if "first_event" in row["data"]]
    assert {row["data"]["first_event"] for row in marked} == {True}
    assert len(marked) == len(first)
    assert {row["amplitude_id"]: row["server_upload_time"] for row in marked} == first


def test_a_repeat_differs_in_uuid_upload_and_the_mark_only(history: History) -> None:
    of_the_upload = {"client_upload_time", "server_received_time", "server_upload_time", "processed_time"}
    for first, again in repeats(history):
        if first is again:
            continue
        changed = {key for key in KEYS_OF_2025.split() if first[key] != again[key]}
        assert "uuid" in changed
        mark = {"data"} if "first_event" in first["data"] else set()
        assert changed <= of_the_upload | {"uuid"} | mark


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
