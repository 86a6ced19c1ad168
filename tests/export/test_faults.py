"""The command against every fault of Amplitude and of the network: what passes leaves no trace, what stays is told.

Bronze is compared with the simulated archive line by line. A fault strikes the second of four windows where it can: its
download runs ahead in a thread while the first day is read.
"""

import base64
import time
from datetime import datetime, timedelta

import pytest

from amplitude_source.export import client
from amplitude_source.export.client import ATTEMPTS
from amplitude_source.settings import HOUR, hours_between, parse_hour
from simulator.faults import (
    EVENTS_LIST,
    EXPORT,
    HTML,
    HTML_PAGE,
    USER_COUNTS,
    BadGzipChecksum,
    Change,
    CutBody,
    CutGzip,
    Disturbance,
    Drip,
    Fault,
    FaultPlan,
    FewerLines,
    LateHour,
    LatePartition,
    NoAnswer,
    Reply,
)
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.assertions import assert_bronze_holds, assert_nothing_left, take_all_hours
from support.members import SMALL_PRODUCT, hour_text
from support.project import Project, Result, partly, sentence, succeeded
from support.tiers import first_lands

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_waiting")]  # some three minutes of work

START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
MEMBERS = list(SMALL_PRODUCT.members())
NOON = END + timedelta(hours=12)
LAST = NOON - 3 * HOUR  # the newest hour that a run asks for at noon
SECOND_DAY = START + timedelta(days=1)
# The hours from 9 to 15 o'clock have data, 7 and 8 have none.
HOUR_OF_ONE = SECOND_DAY + timedelta(hours=10)  # member
HOUR_OF_THREE = SECOND_DAY + timedelta(hours=11)  # members
BEFORE_NOTHING_NEW = SECOND_DAY + timedelta(hours=17)  # the newest four hours have data: none of them stays pending

WEB_PAGE = Reply(200, body=HTML_PAGE, content_type=HTML)
BUSY = [Reply(status) for status in (429, 500, 502, 503)]
NO_ZIP: list[Disturbance] = [Reply(200), WEB_PAGE, CutBody(0.6, "proper")]
NO_WHOLE_ANSWER: list[Disturbance] = [CutBody(0.6, "closed"), CutBody(0.6, "reset"), CutBody(0, "closed"), NoAnswer()]
STALL = CutBody(0.6, "stall")
BROKEN_GZIP: list[Change] = [CutGzip(0.5), CutGzip(0), BadGzipChecksum()]


@pytest.fixture
def project(project: Project) -> Project:
    """With little patience; also dlt's, which asks for the list of events."""
    project.env |= {
        "SOURCES__AMPLITUDE__READ_TIMEOUT_SECONDS": "1",
        "RUNTIME__REQUEST_TIMEOUT": "1",
        "RUNTIME__REQUEST_BACKOFF_FACTOR": "0",
    }
    return project


def failed(project: Project, simulator: Simulator, *faults: Fault) -> tuple[Result, str]:
    """A run against these faults, and its one sentence; the faults are over then, and the log is empty."""
    simulator.faults = FaultPlan(*faults)
    result = project.load_here()
    simulator.faults = FaultPlan()
    simulator.requests.clear()
    assert_no_secrets(result)
    return result, sentence(result)


def warned(project: Project, simulator: Simulator, *faults: Fault) -> Result:
    """A run against faults of the event list, which loads all else and says so; the faults are over then."""
    simulator.faults = FaultPlan(*faults)
    result = partly(project.load_here())
    simulator.faults = FaultPlan()
    simulator.requests.clear()
    assert_no_secrets(result)
    assert "warning: event_types: " in result.stderr
    return result


def assert_no_secrets(result: Result) -> None:
    login = base64.b64encode(":".join(DEMO_CREDENTIALS).encode()).decode()
    assert [secret for secret in (*DEMO_CREDENTIALS, login) if secret in result.stdout + result.stderr] == []


def assert_named(message: str, *parts: str) -> None:
    assert [part for part in parts if part not in message] == [], message


def assert_holds_the_hours_before(project: Project, end: datetime) -> None:
    """All hours before this one and nothing of the others: as if no more had been asked for."""
    assert_nothing_left(project)
    if end == START:
        if project.query("FROM duckdb_tables() WHERE table_name = 'export_hours'"):
            assert project.query("FROM bronze.export_hours") == []
            assert project.query("FROM bronze.events") == []
    else:
        assert_bronze_holds(project, [member for member in MEMBERS if member.hour < end], end - HOUR)


def assert_complete(project: Project) -> None:
    assert_bronze_holds(project, MEMBERS, LAST)
    assert project.query("SELECT DISTINCT revision FROM bronze.export_hours") == [(1,)]


def windows(simulator: Simulator, *statuses: int) -> list[list[datetime]]:
    """The hours of each export that was asked for and answered so; of each whatsoever where no status is named."""
    queries = [r.query for r in simulator.requests if r.path == EXPORT and r.status in (statuses or (r.status,))]
    return [hours_between(parse_hour(query["start"], ""), parse_hour(query["end"], "")) for query in queries]


def revision(project: Project, hour: datetime) -> int:
    ((found,),) = project.query("SELECT revision FROM bronze.export_hours WHERE export_hour = ?", [hour])
    return int(found)


def restate_command(hour: datetime) -> str:
    return f"sqlmesh plan --restate-model silver.events --start '{hour}' --end '{hour + HOUR}'"


# --- what passes


@pytest.mark.parametrize(
    "effect",
    first_lands(BUSY, [Reply(429, retry_after="0")], NO_ZIP, NO_WHOLE_ANSWER, BROKEN_GZIP),
    ids=repr,
)
def test_what_is_over_at_the_last_attempt_passes(
    project: Project, simulator: Simulator, effect: Disturbance | Change
) -> None:
    simulator.faults = FaultPlan(Fault(effect, ATTEMPTS - 1, HOUR_OF_THREE))
    result = succeeded(project.load_here())
    assert_no_secrets(result)
    assert [HOUR_OF_THREE in window for window in windows(simulator)].count(True) == ATTEMPTS
    assert_complete(project)


def test_several_faults_at_once_pass(project: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(
        Fault(Reply(504), longer_than=12),
        Fault(CutBody(0.3, "reset"), 2),
        Fault(CutGzip(0.7), 2, HOUR_OF_ONE),
        Fault(BadGzipChecksum(), 2, HOUR_OF_THREE),
        Fault(WEB_PAGE, 2, HOUR_OF_THREE),
        Fault(Reply(503), 2, path=EVENTS_LIST),
    )
    succeeded(project.load_here())
    assert_complete(project)


def test_the_wait_that_amplitude_asks_for_is_kept(project: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(Reply(429, retry_after="1"), times=2, hour=HOUR_OF_ONE))
    began = time.monotonic()
    succeeded(project.load_here())
    assert time.monotonic() - began >= 2
    assert_complete(project)


@pytest.mark.parametrize(("status", "longest"), first_lands([(400, 1), (400, 23)], [(504, 5)]))
def test_windows_that_are_too_long_are_cut_until_they_pass(
    project: Project, simulator: Simulator, status: int, longest: int
) -> None:
    simulator.faults = FaultPlan(Fault(Reply(status), longer_than=longest))
    succeeded(project.load_here())
    answered = windows(simulator, 200, 404)
    assert [hour for window in answered for hour in window] == hours_between(START, LAST), "each hour once"
    assert max(map(len, answered)) <= longest
    assert_complete(project)


def test_a_body_that_stalls_is_given_up_and_asked_for_again(project: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(STALL, times=1, hour=HOUR_OF_ONE))
    succeeded(project.load_here(SOURCES__AMPLITUDE__READ_TIMEOUT_SECONDS="0.3"))
    assert len(windows(simulator)) == 5
    assert_complete(project)


def test_a_body_that_drips_for_longer_than_the_time_to_wait_for_a_piece_is_taken(
    project: Project, simulator: Simulator
) -> None:
    simulator.faults = FaultPlan(Fault(Drip(pieces=15, pause=0.1), hour=HOUR_OF_ONE))
    succeeded(project.load_here())
    assert len(windows(simulator)) == 4
    assert_complete(project)


def test_a_body_that_drips_without_end_is_given_up_and_asked_for_again(
    project: Project, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 1)
    simulator.faults = FaultPlan(Fault(Drip(pieces=5_000, pause=0.1), times=1, hour=HOUR_OF_ONE))
    succeeded(project.load_here())
    assert len(windows(simulator)) == 5
    assert_complete(project)


@pytest.mark.parametrize(
    ("effect", "hour"), [(LateHour(), HOUR_OF_ONE), (LateHour(), HOUR_OF_THREE), (LatePartition(), HOUR_OF_ONE)]
)
def test_an_hour_that_is_not_there_at_first_is_pending_until_it_is(
    project: Project, simulator: Simulator, effect: Change, hour: datetime
) -> None:
    simulator.faults = FaultPlan(Fault(effect, hour=hour, until=hour + 6 * HOUR))
    status = "SELECT status FROM bronze.export_hours WHERE export_hour = ?"
    for now, expected in ((hour + 3 * HOUR, "pending"), (hour + 5 * HOUR, "pending"), (NOON, "loaded")):
        project.set_clock(now, simulator)
        result = succeeded(project.load_here())
        assert "--restate-model" not in result.stdout
        assert project.query(status, [hour]) == [(expected,)]
    assert_complete(project)


# --- what stays


AGAIN = "run again"
WINDOW = "5 times for the hours 2026-06-02T00 to 2026-06-02T23"
KEYS = ("SOURCES__AMPLITUDE__API_KEY", "SOURCES__AMPLITUDE__SECRET_KEY", "REGION")
FILE = "2026-06-02_11#0.json.gz is no complete gzip file"
Stays = tuple[Disturbance | Change, datetime, tuple[str, ...]]
STAYS: list[list[Stays]] = [
    [(reply, SECOND_DAY, (f"HTTP {reply.status}, {WINDOW}", AGAIN)) for reply in BUSY[::2]],
    [(body, SECOND_DAY, (f"no complete zip file, {WINDOW}", AGAIN)) for body in NO_ZIP],
    [(line, SECOND_DAY, ("no whole answer", WINDOW, AGAIN)) for line in NO_WHOLE_ANSWER[1::2]],
    [(STALL, SECOND_DAY, (f"sent nothing for 1 s, {WINDOW}", AGAIN))],
    [(gzip, HOUR_OF_THREE, ("broken file 5 times", FILE, "get the file again")) for gzip in BROKEN_GZIP],
    [(Reply(status), SECOND_DAY, (f"refuses the keys (HTTP {status} for the hours", *KEYS)) for status in (401, 403)],
    [(Reply(410), SECOND_DAY, ("HTTP 410 for the hours 2026-06-02T00 to 2026-06-02T23", AGAIN))],
    [(Reply(504), HOUR_OF_THREE, ("HTTP 504, 5 times for hour 2026-06-02T11", AGAIN))],
    [(Reply(400, body=b"4 GB"), HOUR_OF_THREE, ("refuses hour 2026-06-02T11 (HTTP 400, '4 GB')", "EXPORT_BUCKET_URL"))],
]


@pytest.mark.parametrize(
    ("effect", "kept_until", "parts"),
    first_lands(*STAYS),
    ids=[repr(effect) for kind in STAYS for effect, *_ in kind],
)
def test_what_stays_ends_the_run_with_one_sentence_after_the_hours_before_it(
    project: Project, simulator: Simulator, effect: Disturbance | Change, kept_until: datetime, parts: tuple[str, ...]
) -> None:
    _, message = failed(project, simulator, Fault(effect, hour=HOUR_OF_THREE))
    assert_named(message, "127.0.0.1", *parts)
    assert_holds_the_hours_before(project, kept_until)
    succeeded(project.load_here())
    assert windows(simulator)[0][0] == kept_until, "finished hours are not asked for again"
    assert_complete(project)


@pytest.mark.parametrize("effect", first_lands([Reply(503), NoAnswer()], [BadGzipChecksum()]), ids=repr)
def test_a_fault_of_the_first_hour_leaves_bronze_empty(
    project: Project, simulator: Simulator, effect: Disturbance | Change
) -> None:
    failed(project, simulator, Fault(effect, hour=START))
    assert_holds_the_hours_before(project, START)
    succeeded(project.load_here())
    assert_complete(project)


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_are_refused_are_not_tried_again(project: Project, simulator: Simulator, status: int) -> None:
    simulator.faults = FaultPlan(Fault(Reply(status), hour=HOUR_OF_ONE))
    sentence(project.load_here())
    assert len(windows(simulator, status)) == 1


@pytest.mark.parametrize(
    ("base_url", "parts"),
    [
        ("https://no-such-host.invalid", ["no-such-host.invalid cannot be reached: the name cannot be resolved"]),
        ("https://127.0.0.1:{port}", ["127.0.0.1:{port} fails in TLS"]),
        ("http://127.0.0.1:1", ["127.0.0.1:1 cannot be reached: it refuses the connection"]),
    ],
)
def test_a_host_that_cannot_be_asked_is_named_and_what_is_loaded_stays(
    project: Project, simulator: Simulator, base_url: str, parts: list[str]
) -> None:
    port = simulator.base_url.rpartition(":")[2]
    succeeded(project.load_here("--end", hour_text(SECOND_DAY - HOUR)))
    result = project.load_here(SOURCES__AMPLITUDE__BASE_URL=base_url.format(port=port))
    assert_no_secrets(result)
    where = ["5 times for the hours 2026-06-02T00 to 2026-06-02T23", "SOURCES__AMPLITUDE__BASE_URL", "run again"]
    assert_named(sentence(result), *(part.format(port=port) for part in parts), *where)
    assert_holds_the_hours_before(project, SECOND_DAY)
    succeeded(project.load_here())
    assert_complete(project)


def test_a_wrong_path_in_the_setting_is_told_and_no_hour_is_taken_for_empty(
    project: Project, simulator: Simulator
) -> None:
    result = project.load_here(SOURCES__AMPLITUDE__BASE_URL=f"{simulator.base_url}/api/2")
    assert_named(sentence(result), "127.0.0.1", "SOURCES__AMPLITUDE__BASE_URL")
    succeeded(project.load_here())
    assert_complete(project)


# --- hours that change after they were loaded


CHANGES = [LatePartition(), FewerLines(0.5)]


@pytest.mark.parametrize("effect", CHANGES, ids=repr)
def test_an_hour_that_gains_rows_behind_a_pending_one_is_loaded_again(
    project: Project, simulator: Simulator, effect: Change
) -> None:
    """At 14 o'clock the hour 8 is pending: the next run begins there, and comes by. Silver waits for it."""
    simulator.faults = FaultPlan(Fault(effect, hour=HOUR_OF_THREE, until=HOUR_OF_THREE + 4 * HOUR))
    project.set_clock(HOUR_OF_THREE + 3 * HOUR, simulator)
    succeeded(project.load_here())
    take_all_hours(project)
    project.set_clock(NOON, simulator)
    assert "--restate-model" not in succeeded(project.load_here()).stdout
    assert revision(project, HOUR_OF_THREE) == 2
    assert_bronze_holds(project, MEMBERS, LAST)


@pytest.mark.parametrize("effect", CHANGES, ids=repr)
def test_an_hour_that_gained_rows_after_it_was_final_is_mended_by_hand(
    project: Project, simulator: Simulator, effect: Change
) -> None:
    """As it is without a second look, or later than that."""
    project.env["SOURCES__AMPLITUDE__RECHECK_HOURS"] = "0"
    simulator.faults = FaultPlan(Fault(effect, hour=HOUR_OF_THREE, until=BEFORE_NOTHING_NEW + HOUR))
    project.set_clock(BEFORE_NOTHING_NEW, simulator)
    succeeded(project.load_here())
    take_all_hours(project)
    project.set_clock(NOON, simulator)
    assert "--restate-model" not in succeeded(project.load_here()).stdout, "nobody asks again for what is final"
    by_hand = ("--start", hour_text(HOUR_OF_THREE), "--end", hour_text(HOUR_OF_THREE))
    assert restate_command(HOUR_OF_THREE) in succeeded(project.load_here(*by_hand)).stdout
    take_all_hours(project)
    assert revision(project, HOUR_OF_THREE) == 2
    assert_bronze_holds(project, MEMBERS, LAST)
    assert "--restate-model" not in succeeded(project.load_here(*by_hand)).stdout
    assert revision(project, HOUR_OF_THREE) == 2


@pytest.mark.parametrize("effect", [WEB_PAGE, CutGzip(0.5)], ids=repr)
def test_an_hour_that_cannot_be_loaded_again_stays_as_it_was(
    project: Project, simulator: Simulator, effect: Disturbance | Change
) -> None:
    succeeded(project.load_here())
    simulator.faults = FaultPlan(Fault(effect))
    sentence(project.load_here("--start", hour_text(HOUR_OF_THREE), "--end", hour_text(HOUR_OF_THREE)))
    assert_complete(project)


# --- the list of events


NO_LIST = [Reply(503), Reply(401), NoAnswer()]  # a web page comes up in tests/rest


def snapshots(project: Project) -> list[datetime]:
    found = project.query("SELECT _snapshot_at, COUNT(*) FROM bronze.events_list GROUP BY ALL ORDER BY ALL")
    assert len({count for _, count in found}) <= 1, "each snapshot is whole"
    return [time for time, _ in found]


@pytest.mark.parametrize(
    "effect",
    first_lands([Reply(429), Reply(503)], [CutBody(0.6, "closed"), NoAnswer()], [Drip(pieces=5, pause=0.05)]),
    ids=repr,
)
def test_a_fault_of_the_list_of_events_passes(project: Project, simulator: Simulator, effect: Disturbance) -> None:
    simulator.faults = FaultPlan(Fault(effect, times=2, path=EVENTS_LIST))
    succeeded(project.load_here())
    assert snapshots(project) == [NOON]
    assert_complete(project)


@pytest.mark.parametrize("effect", first_lands([WEB_PAGE, CutBody(0.6, "proper")]), ids=repr)
def test_a_list_of_events_that_is_no_json_is_asked_for_again(
    project: Project, simulator: Simulator, effect: Disturbance
) -> None:
    simulator.faults = FaultPlan(Fault(effect, times=2, path=EVENTS_LIST))
    succeeded(project.load_here())
    assert snapshots(project) == [NOON]


@pytest.mark.parametrize("effect", first_lands(NO_LIST), ids=repr)
def test_without_the_list_of_events_all_hours_are_kept_and_the_next_run_has_it(
    project: Project, simulator: Simulator, effect: Disturbance
) -> None:
    warned(project, simulator, Fault(effect, path=EVENTS_LIST))
    assert_complete(project)
    assert snapshots(project) == []
    succeeded(project.load_here())
    assert snapshots(project) == [NOON]
    assert_complete(project)


@pytest.mark.parametrize("effect", first_lands(NO_LIST, [STALL]), ids=repr)
def test_a_list_of_events_that_cannot_be_had_is_told_with_place_and_mend(
    project: Project, simulator: Simulator, effect: Disturbance
) -> None:
    project.set_clock(BEFORE_NOTHING_NEW, simulator)
    result = warned(project, simulator, Fault(effect, path=EVENTS_LIST))
    assert_named(result.stderr, "127.0.0.1", "list")
    assert "run again" in result.stderr or "SOURCES__AMPLITUDE__" in result.stderr


def test_a_missing_event_list_is_taken_by_the_next_run_without_new_hours(
    project: Project, simulator: Simulator
) -> None:
    project.set_clock(BEFORE_NOTHING_NEW, simulator)
    warned(project, simulator, Fault(Reply(503), path=EVENTS_LIST))
    succeeded(project.load_here())
    assert snapshots(project) == [BEFORE_NOTHING_NEW]


def test_what_to_restate_is_said_though_the_list_of_events_fails(project: Project, simulator: Simulator) -> None:
    simulator.faults = FaultPlan(Fault(LatePartition(), hour=HOUR_OF_THREE, until=BEFORE_NOTHING_NEW + HOUR))
    project.set_clock(BEFORE_NOTHING_NEW, simulator)
    succeeded(project.load_here())
    take_all_hours(project)
    project.set_clock(NOON, simulator)
    result = warned(project, simulator, Fault(Reply(503), path=EVENTS_LIST))
    assert revision(project, HOUR_OF_THREE) == 2
    assert restate_command(HOUR_OF_THREE) in result.stdout


# --- Amplitude's numbers of days


@pytest.mark.parametrize("effect", first_lands(NO_LIST, [Reply(200, body=b"{}")]), ids=repr)
def test_without_numbers_of_users_a_run_warns_and_the_next_has_them(
    project: Project, simulator: Simulator, effect: Disturbance
) -> None:
    simulator.faults = FaultPlan(Fault(effect, path=USER_COUNTS))
    result = partly(project.load_here())
    assert_named(result.stderr, "warning: daily_numbers: ", "api/2/users")
    assert_complete(project)
    assert snapshots(project) == [NOON]
    counts = "SELECT measure, COUNT(*), MAX(event_date) FROM bronze.daily_numbers GROUP BY ALL ORDER BY ALL"
    assert [row for row in project.query(counts) if row[0].endswith("_users")] == []
    simulator.faults = FaultPlan()
    project.set_clock(NOON + HOUR, simulator)
    succeeded(project.load_here())
    days, last = (NOON.date() - START.date()).days, NOON.date() - timedelta(days=1)
    assert [row for row in project.query(counts) if row[0].endswith("_users")] == [
        ("active_users", days, last),
        ("new_users", days, last),
    ]
