"""The simulator's read APIs answer as Amplitude's do, with the numbers of the product's rows."""

import functools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import fsum
from pathlib import Path
from typing import Any

import pytest
import requests

import oracle
from simulator import faults
from simulator.catalog import EVENT_TYPES, INACTIVE_EVENT_TYPES, ORDER_COMPLETED, SEARCHED
from simulator.cohorts import Cohort
from simulator.dashboard import SavedChart
from simulator.faults import HTML, HTML_PAGE, Fault, FaultPlan, Reply
from simulator.limits import Limits
from simulator.product import Product
from simulator.rest import ENDPOINTS
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.rest_paths import BEARER, DAYS, MANAGED, REQUESTS, get, get_sensibly

# Long enough for events that come again after more than a week.
FORTNIGHT = Product(days=16, events_per_day=400)
FIRST, LAST = date(2026, 5, 20), date(2026, 6, 25)
ALL_DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
RANGE = {"start": f"{FIRST:%Y%m%d}", "end": f"{LAST:%Y%m%d}"}
ZONES = ("UTC", "America/Los_Angeles")
COHORT_KEYS = {
    "appId", "archived", "definition", "description", "finished", "id", "name", "owners", "viewers", "published",
    "size", "type", "lastMod", "createdAt", "lastComputed", "hidden", "metadata", "view_count", "popularity",
    "last_viewed", "chart_id", "edit_id", "is_predictive", "is_official_content", "location_id", "shortcut_ids",
    "syncMetadata",
}  # fmt: skip


@pytest.fixture(params=ZONES)
def fortnight(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(FORTNIGHT, timezone=request.param) as simulator:
        yield simulator


@functools.cache
def truth(simulator_folder: str, timezone: str, deleted: tuple[str, ...] = ()) -> oracle.Truth:

    rows = oracle.read_members("shop", sorted(Path(simulator_folder).glob("*.json.gz")))
    return oracle.compute(rows, {"shop": INACTIVE_EVENT_TYPES}, timezone, deleted=deleted)


def truth_of(simulator: Simulator, *deleted: str) -> oracle.Truth:
    return truth(str(simulator.archive.folder), simulator.timezone, deleted)


def data_of(response: requests.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["data"]


def event(event_type: str) -> str:
    return json.dumps({"event_type": event_type})


def series(simulator: Simulator, path: str = faults.SEGMENTATION, **query: str) -> list[float]:
    data = data_of(get(simulator, path, **RANGE, **query))
    assert data["xValues"] == [str(day) for day in ALL_DAYS]
    return list(data["series"][0])


def fits(event: oracle.Event, event_type: str) -> bool:
    return event_type == "_all" or (event_type == "_active" and event.is_active) or event.event_type == event_type


@pytest.mark.parametrize("event_type", ["_all", "_active", "session_start", ORDER_COMPLETED, "Order Paid"])
def test_totals_are_the_oracles_on_every_day(fortnight: Simulator, event_type: str) -> None:
    days = Counter(each.event_date for each in truth_of(fortnight).events if fits(each, event_type))
    assert series(fortnight, m="totals", e=event(event_type)) == [days[day] for day in ALL_DAYS]


@pytest.mark.parametrize("event_type", ["_all", "_active", "session_start", ORDER_COMPLETED, "Order Paid"])
def test_uniques_are_the_oracles_merged_users_on_every_day(fortnight: Simulator, event_type: str) -> None:
    truth = truth_of(fortnight)
    users = oracle.users_by_date((each for each in truth.events if fits(each, event_type)), truth.canonical)
    assert series(fortnight, m="uniques", e=event(event_type)) == [len(users.get(day, ())) for day in ALL_DAYS]


def test_active_and_new_users_are_the_oracles_on_every_day(fortnight: Simulator) -> None:
    truth = truth_of(fortnight)
    active = oracle.active_users_by_date(truth.events, truth.canonical)
    new = Counter(oracle.first_dates(truth.events, truth.canonical).values())
    assert series(fortnight, faults.USER_COUNTS, m="active") == [len(active.get(day, ())) for day in ALL_DAYS]
    assert series(fortnight, faults.USER_COUNTS, m="new") == [new[day] for day in ALL_DAYS]


@pytest.mark.parametrize("deleted", [(), (SEARCHED, "Screen Viewed")], ids=["nothing deleted", "two types deleted"])
def test_sessions_are_the_oracles_on_every_day(fortnight: Simulator, deleted: tuple[str, ...]) -> None:
    fortnight.deleted_event_types = {*deleted}
    lengths: defaultdict[date | None, list[float]] = defaultdict(list)
    users: defaultdict[date | None, set[int]] = defaultdict(set)
    for session in truth_of(fortnight, *deleted).sessions:
        if not session.is_longer_than_a_day:
            lengths[session.session_date].append(session.session_seconds or 0)
            users[session.session_date].add(session.amplitude_id)
    assert series(fortnight, faults.SESSION_LENGTHS) == [
        fsum(lengths[day]) / len(lengths[day]) if lengths[day] else 0 for day in ALL_DAYS
    ]
    assert series(fortnight, faults.SESSIONS_PER_USER) == [
        len(lengths[day]) / len(users[day]) if users[day] else 0 for day in ALL_DAYS
    ]


def test_the_time_zone_moves_events_to_other_days(simulator: Simulator) -> None:
    in_utc = series(simulator, m="totals", e=event("_all"))
    simulator.timezone = "America/Los_Angeles"
    in_california = series(simulator, m="totals", e=event("_all"))
    assert in_utc != in_california
    assert sum(in_utc) == sum(in_california)


def test_repeats_after_a_week_count_only_if_told_to() -> None:
    with Simulator(FORTNIGHT) as simulator:
        once = sum(series(simulator, m="totals", e=event("_all")))
        simulator.counts_late_repeats = True
        as_amplitude = sum(series(simulator, m="totals", e=event("_all")))
        rows = simulator.archive.row_count
    assert once < as_amplitude < rows


def test_a_second_event_is_a_second_series_and_an_unknown_one_has_zeros(simulator: Simulator) -> None:
    response = get(simulator, faults.SEGMENTATION, **DAYS, m="totals", e=event("Signed Up"), e2=event("Nobody did"))
    data = data_of(response)
    signed_up, nothing = data["series"]
    assert data["seriesLabels"] == ["Signed Up", "Nobody did"]
    assert min(signed_up) > 0
    assert nothing == [0, 0, 0]
    assert data["seriesCollapsed"] == [[{"value": sum(signed_up)}], [{"value": 0}]]


def test_uniques_of_all_days_together_count_a_user_once(simulator: Simulator) -> None:
    data = data_of(get(simulator, faults.SEGMENTATION, **DAYS, e=event("_active")))
    days = data["series"][0]
    assert max(days) < data["seriesCollapsed"][0][0]["value"] < sum(days)


@pytest.mark.parametrize(
    "query",
    [
        {"m": "pct_dau"},
        {"i": "7"},
        {"e": ""},
        {"e": "Signed Up"},
        {"e": '{"event_type": 1}'},
        {"e": '{"event_type": "_all", "group_by": [{"type": "user", "value": "platform"}]}'},
        {"e2": "{}"},
        {"g": "platform"},
        {"start": "20260604"},
        {"start": "20250601"},
        {"end": "2026-06-01"},
    ],
    ids=str,
)
def test_a_segmentation_that_makes_no_sense_or_is_not_served_is_a_400(
    simulator: Simulator, query: dict[str, str]
) -> None:
    response = get(simulator, faults.SEGMENTATION, **(DAYS | {"e": event("_all"), "m": "totals"} | query))
    assert response.status_code == 400
    assert response.text.endswith(".")


@pytest.mark.parametrize("path", [faults.SESSION_LENGTHS, faults.SESSIONS_PER_USER])
@pytest.mark.parametrize("query", [{"start": ""}, {"end": "20260531"}, {"i": "1"}], ids=str)
def test_sessions_of_what_makes_no_sense_are_a_400(simulator: Simulator, path: str, query: dict[str, str]) -> None:
    assert get(simulator, path, **(DAYS | query)).status_code == 400


@pytest.mark.parametrize("metric", ["totals", "uniques"])
def test_a_saved_chart_has_the_numbers_of_the_days_before_today(simulator: Simulator, metric: Any) -> None:
    simulator.saved_charts["mine"] = SavedChart(ORDER_COMPLETED, metric, days=3)
    chart = data_of(get(simulator, faults.SAVED_CHART, "mine"))
    same = data_of(get(simulator, faults.SEGMENTATION, **DAYS, m=metric, e=event(ORDER_COMPLETED)))
    assert chart["xValues"] == same["xValues"]
    assert chart["series"] == [[{"setId": "", "value": value} for value in same["series"][0]]]
    assert chart["seriesCollapsed"] == [[{"setId": "", **same["seriesCollapsed"][0][0]}]]


def test_a_saved_chart_ends_with_yesterday_in_the_projects_time_zone(simulator: Simulator) -> None:
    simulator.now = datetime(2026, 6, 4, 3)  # when it is still the third in California
    assert data_of(get(simulator, faults.SAVED_CHART, "orders7d"))["xValues"][-1] == "2026-06-03"
    simulator.timezone = "America/Los_Angeles"
    assert data_of(get(simulator, faults.SAVED_CHART, "orders7d"))["xValues"][-1] == "2026-06-02"
    assert get(simulator, faults.SAVED_CHART, "nobodys").status_code == 404


def test_the_events_list_shows_deleted_types(simulator: Simulator) -> None:
    simulator.deleted_event_types = {SEARCHED, "Of long ago"}
    listed = {entry["value"]: entry for entry in data_of(get(simulator, faults.EVENTS_LIST))}
    assert {name for name, entry in listed.items() if entry["deleted"]} == {SEARCHED, "Of long ago"}
    assert listed["Of long ago"]["totals"] == 0


def test_user_activity_is_the_oracles_for_every_user(fortnight: Simulator) -> None:
    fortnight.limits = Limits(iter(range(0, 10**9, 3600)).__next__)  # an hour passes at each request
    truth = truth_of(fortnight)
    merged = [user[-1] for user, canonical in truth.canonical.items() if user[-1] != canonical]
    assert len(merged) > 10
    for amplitude_id in [*merged[:10], *(canonical for canonical in [*truth.canonical.values()][:10])]:
        assert_is_oracles(data_of_user(fortnight, amplitude_id), truth, amplitude_id)


def data_of_user(simulator: Simulator, amplitude_id: int) -> dict[str, Any]:
    answer = get(simulator, faults.USER_ACTIVITY, user=str(amplitude_id)).json()
    assert answer["events"] == []
    return dict(answer["userData"])


def assert_is_oracles(summary: dict[str, Any], truth: oracle.Truth, amplitude_id: int) -> None:
    canonical = truth.canonical["shop", FORTNIGHT.app, amplitude_id]
    aliases = {user[-1] for user, end in truth.canonical.items() if end == canonical}
    events = [each for each in truth.events if each.amplitude_id in aliases]
    assert summary == {
        "user_id": oracle.latest_user_id(events),
        "canonical_amplitude_id": canonical,
        "merged_amplitude_ids": sorted(aliases - {canonical}),
        "num_events": len(events),
        "num_sessions": sum(session.amplitude_id == canonical for session in truth.sessions),
        "device_ids": sorted({str(each.device_id) for each in events}),
        "first_used": str(min(each.event_date for each in events if each.event_date)),
        "last_used": str(max(each.event_date for each in events if each.event_date)),
    }


@pytest.mark.parametrize("user", ["", "5", "-1", "Jane", "²"])
def test_activity_of_nobody_is_a_400(simulator: Simulator, user: str) -> None:
    assert get(simulator, faults.USER_ACTIVITY, user=user).status_code == 400


def test_users_are_found_by_every_id_of_theirs(simulator: Simulator) -> None:
    rows = [row for _, rows in simulator.product.rows() for row in rows]
    row = next(row for row in rows if str(row["user_id"]).startswith("user+"))
    user = {"user_id": row["user_id"], "amplitude_id": row["amplitude_id"]}
    for text in (row["amplitude_id"], row["user_id"], row["device_id"], str(row["user_id"])[:-3]):
        assert user in get(simulator, faults.USER_SEARCH, user=str(text)).json()["matches"]
    assert get(simulator, faults.USER_SEARCH, user="user+zz").json() == {"matches": [], "type": "nomatch"}


def test_a_merged_user_is_found_as_the_one_it_merged_into(simulator: Simulator) -> None:
    raw, user = next((raw, user) for raw, user in simulator.figures().merged.items() if raw != user)
    found = get(simulator, faults.USER_SEARCH, user=str(raw)).json()["matches"]
    assert [match["amplitude_id"] for match in found] == [user]


def test_annotations_lie_within_the_products_days_and_one_is_a_range(simulator: Simulator) -> None:
    notes = data_of(get(simulator, faults.ANNOTATIONS))
    assert all("2026-06-01" <= note["start"] <= (note["end"] or note["start"]) < "2026-06-04" for note in notes)
    assert sum(note["end"] is not None for note in notes) == 1
    assert sum(note["category"] is None for note in notes) == 1
    categories = data_of(get(simulator, faults.ANNOTATION_CATEGORIES))
    assert [note["category"] for note in notes if note["category"]] == categories
    only = data_of(get(simulator, faults.ANNOTATIONS, category="Releases"))
    assert [note["category"]["name"] for note in only] == ["Releases"]


def test_cohorts_are_listed_with_every_documented_key_and_times_in_seconds(simulator: Simulator) -> None:
    simulator.cohorts = [Cohort("abc", "Three", {1, 2, 3}, datetime(2026, 6, 2, 1), "Of ours", archived=True)]
    (listed,) = get(simulator, faults.COHORTS).json()["cohorts"]
    assert listed.keys() == COHORT_KEYS
    assert (listed["id"], listed["name"], listed["description"], listed["size"], listed["archived"]) == (
        "abc",
        "Three",
        "Of ours",
        3,
        True,
    )
    assert listed["lastComputed"] == 1780362000
    assert listed["appId"] == simulator.product.app


def test_default_cohorts_are_of_the_products_users(simulator: Simulator) -> None:
    buyers = simulator.cohorts[0].members
    data = data_of(get(simulator, faults.SEGMENTATION, **RANGE, e=event(ORDER_COMPLETED)))
    assert len(buyers) == data["seriesCollapsed"][0][0]["value"]


def request_cohort(simulator: Simulator, cohort: str = "buyers01") -> str:
    response = get(simulator, faults.COHORT_REQUEST, cohort, props="0")
    assert (response.status_code, response.json()["cohort_id"]) == (202, cohort)
    return str(response.json()["request_id"])


def test_a_cohort_comes_after_its_polls_as_csv_with_every_member(simulator: Simulator) -> None:
    simulator.cohort_polls = 2
    request_id = request_cohort(simulator)
    assert get(simulator, faults.COHORT_FILE, request_id).status_code == 404, "it is not ready"
    statuses = [get(simulator, faults.COHORT_STATUS, request_id) for _ in range(3)]
    assert [status.status_code for status in statuses] == [202, 202, 200]
    assert [status.json()["async_status"] for status in statuses] == [*["JOB INPROGRESS"] * 2, "JOB COMPLETED"]
    header, *lines = get(simulator, faults.COHORT_FILE, request_id).text.splitlines()
    assert header == "amplitude_id,user_id"
    assert {int(line.partition(",")[0]) for line in lines} == simulator.cohorts[0].members
    rows = [row for _, rows in simulator.product.rows() for row in rows]
    known = {f"{row['amplitude_id']},{row['user_id'] or ''}" for row in rows}
    assert set(lines) <= known


def test_a_download_has_the_members_of_when_it_was_requested(simulator: Simulator) -> None:
    simulator.cohort_polls = 0
    before = set(simulator.cohorts[0].members)
    request_id = request_cohort(simulator)
    simulator.cohorts[0].members = {1}
    get(simulator, faults.COHORT_STATUS, request_id)
    assert len(get(simulator, faults.COHORT_FILE, request_id).text.splitlines()) == 1 + len(before)


def test_a_large_cohort_is_behind_a_link_that_needs_no_credentials_and_lasts_a_minute(simulator: Simulator) -> None:
    now = [0.0]
    simulator.limits = Limits(lambda: now[0])
    simulator.cohort_redirect_above = len(simulator.cohorts[0].members) - 1
    request_id = request_cohort(simulator)
    for _ in range(2):
        get(simulator, faults.COHORT_STATUS, request_id)
    redirect = get(simulator, faults.COHORT_FILE, request_id)
    assert (redirect.status_code, redirect.content) == (302, b"")
    now[0] = 59.9
    assert len(requests.get(redirect.headers["Location"], timeout=10).text.splitlines()) > 2
    now[0] = 60
    assert requests.get(redirect.headers["Location"], timeout=10).status_code == 403
    followed = requests.get(
        simulator.base_url + faults.COHORT_FILE.format(id=request_id), auth=DEMO_CREDENTIALS, timeout=10
    )
    assert followed.status_code == 200, "another request makes another link"
    simulator.cohort_redirect_above += 1
    assert get(simulator, faults.COHORT_FILE, request_id).status_code == 200


@pytest.mark.parametrize("path", [faults.COHORT_REQUEST, faults.COHORT_STATUS, faults.COHORT_FILE])
def test_a_cohort_or_request_that_is_unknown_is_a_404(simulator: Simulator, path: str) -> None:
    assert get(simulator, path, "nobodys").status_code == 404


def test_a_cohort_with_properties_is_not_served(simulator: Simulator) -> None:
    assert get(simulator, faults.COHORT_REQUEST, "buyers01", props="1").status_code == 400


def test_the_taxonomy_names_every_event_type_and_deleted_ones_only_if_asked(simulator: Simulator) -> None:
    simulator.deleted_event_types = {SEARCHED}
    shown = data_of(get(simulator, faults.TAXONOMY_EVENTS))
    assert {entry["event_type"] for entry in shown} == {*EVENT_TYPES} - {SEARCHED}
    assert {entry["event_type"] for entry in shown if not entry["is_active"]} == INACTIVE_EVENT_TYPES
    every = data_of(get(simulator, faults.TAXONOMY_EVENTS, showDeleted="true"))
    assert [entry["event_type"] for entry in every if entry["deleted"]] == [SEARCHED]
    categories = {entry["name"] for entry in data_of(get(simulator, faults.TAXONOMY_CATEGORIES))}
    assert {entry["category"]["name"] for entry in shown if entry["category"]} == categories


def test_properties_come_for_one_event_or_group_type_or_shared(simulator: Simulator) -> None:
    shared = data_of(get(simulator, faults.TAXONOMY_EVENT_PROPERTIES))
    own = data_of(get(simulator, faults.TAXONOMY_EVENT_PROPERTIES, event_type=ORDER_COMPLETED))
    assert {entry["event_type"] for entry in shared} == {None}
    assert {entry["event_type"] for entry in own} == {ORDER_COMPLETED}
    assert ["REVENUE"] in [entry["classifications"] for entry in shared]
    assert data_of(get(simulator, faults.TAXONOMY_EVENT_PROPERTIES, event_type="Nobody did")) == []
    groups = data_of(get(simulator, faults.TAXONOMY_GROUP_PROPERTIES, group_type="company"))
    assert [entry["group_property"] for entry in groups] == ["grp:seats"]
    assert {entry["group_type"] for entry in data_of(get(simulator, faults.TAXONOMY_GROUP_PROPERTIES))} == {None}


def test_user_properties_of_ones_own_bear_a_prefix_and_deleted_ones_come_only_if_asked(simulator: Simulator) -> None:
    shown = {entry["user_property"] for entry in data_of(get(simulator, faults.TAXONOMY_USER_PROPERTIES))}
    every = {
        entry["user_property"]: entry["deleted"]
        for entry in data_of(get(simulator, faults.TAXONOMY_USER_PROPERTIES, showDeleted="true"))
    }
    assert {"gp:plan", "country"} < shown
    assert every.keys() - shown == {name for name, is_deleted in every.items() if is_deleted} != set()


@pytest.mark.parametrize("path", [path for path in REQUESTS if "taxonomy" in path])
def test_without_a_taxonomy_in_the_plan_its_paths_are_404s(simulator: Simulator, path: str) -> None:
    simulator.taxonomy = None
    response = get(simulator, path)
    assert (response.status_code, response.json()["success"]) == (404, False)


def test_deletion_jobs_are_those_of_the_days_asked_for(simulator: Simulator) -> None:
    assert get_sensibly(simulator, faults.DELETION_JOBS).json() == []
    simulator.limits = Limits(iter(range(100)).__next__)
    simulator.deletion_jobs = [
        {"day": f"2026-06-{day:02}", "status": "staging", "amplitude_ids": [{"amplitude_id": day}]} for day in (1, 2, 3)
    ]
    for form in ("2026-06-{}", "202606{}"):
        query = {"start_day": form.format("02"), "end_day": form.format("03")}
        assert get(simulator, faults.DELETION_JOBS, **query).json() == simulator.deletion_jobs[1:]


@pytest.mark.parametrize("day", ["", "2026-6-1", "2026060", "20261301", "2026-06-01T"])
def test_a_day_of_a_deletion_that_makes_no_sense_is_a_400(simulator: Simulator, day: str) -> None:
    assert get(simulator, faults.DELETION_JOBS, start_day=day, end_day="2026-06-01").status_code == 400


@pytest.mark.parametrize(("path", "name"), [(faults.EXPERIMENTS, "experiments"), (faults.FLAGS, "flags")])
def test_experiments_and_flags_come_in_pages_until_there_is_no_cursor(
    simulator: Simulator, path: str, name: str
) -> None:
    entries: list[dict[str, object]] = [{"id": str(number), "key": f"k{number}"} for number in range(5)]
    simulator.experiments = simulator.flags = [*entries, {"id": "9", "key": "old", "archived": True}]
    pages = [get(simulator, path, limit="1000").json()]
    while "nextCursor" in pages[-1]:
        pages.append(get(simulator, path, limit="1000", cursor=str(pages[-1]["nextCursor"])).json())
    assert [page[name] for page in pages] == [entries[:2], entries[2:4], entries[4:]]
    assert get(simulator, path, limit="1").json() == {name: entries[:1], "nextCursor": 1}
    assert get(simulator, path, key="old", includeArchived="true").json()[name][0]["id"] == "9"
    assert get(simulator, path, cursor="x").status_code == 400


def test_the_default_experiment_has_two_variants_and_belongs_to_the_project(simulator: Simulator) -> None:
    app = str(simulator.product.app)
    (experiment,) = get(simulator, faults.EXPERIMENTS, projectId=app).json()["experiments"]
    (flag,) = get(simulator, faults.FLAGS, projectId=app).json()["flags"]
    assert [len(entry["variants"]) for entry in (experiment, flag)] == [2, 1]
    assert get(simulator, faults.FLAGS, projectId="5").json() == {"flags": []}


@pytest.mark.parametrize("path", MANAGED)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic ZGVtby1rZXk6ZGVtby1zZWNyZXQ="])
def test_experiments_need_the_management_key(simulator: Simulator, path: str, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    response = requests.get(simulator.base_url + path, headers=headers, timeout=10)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    simulator.management_key = "another"
    assert requests.get(simulator.base_url + path, headers=BEARER, timeout=10).status_code == 401


@pytest.mark.parametrize("path", [path for path in REQUESTS if path not in MANAGED])
def test_every_path_asks_for_credentials(simulator: Simulator, path: str) -> None:
    url = simulator.base_url + path.format(id="x")
    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, auth=("demo-key", "wrong"), timeout=10).status_code == 403


@pytest.mark.parametrize("path", REQUESTS)
def test_every_path_answers_is_logged_and_can_be_struck_by_faults(simulator: Simulator, path: str) -> None:
    simulator.limits = Limits(iter(range(0, 10**6, 60)).__next__)
    fault = Fault(Reply(200, body=HTML_PAGE, content_type=HTML), times=1, path=path)
    simulator.faults = FaultPlan(Fault(Reply(429, retry_after="3"), times=1, path=path), fault)
    responses = [get_sensibly(simulator, path) for _ in range(3)]
    assert [response.status_code for response in responses[:2]] == [429, 200]
    assert responses[1].content == HTML_PAGE
    assert responses[2].status_code in (200, 202)
    assert [request.faults for request in simulator.requests] == [(simulator.faults.faults[0],), (fault,), ()]
    assert {request.path for request in simulator.requests} == {path.format(id=REQUESTS[path][1])}


def test_the_paths_asked_for_here_are_all_that_there_are() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS} == {*REQUESTS, faults.COHORT_LINK}


def test_a_fault_can_strike_one_id_alone(simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(500), path=faults.COHORT_REQUEST.format(id="buyers01")))
    assert get(simulator, faults.COHORT_REQUEST, "buyers01").status_code == 500
    assert get(simulator, faults.COHORT_REQUEST, "search01").status_code == 202


def test_serve_takes_a_time_zone_that_exists() -> None:
    command = [sys.executable, "-m", "simulator", "serve", "--timezone", "Mars/Olympus"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert result.returncode == 2
    assert "Mars/Olympus" in result.stderr
