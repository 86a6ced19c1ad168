"""The simulator's faults strike what they are told to, as often as they are told to."""

import contextlib
import datetime as datetime_module
import gzip
import io
import threading
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from random import Random
from typing import Any

import pytest
import requests

from simulator.archive import AVAILABLE_AFTER
from simulator.faults import (
    EVENTS_LIST,
    HTML,
    HTML_PAGE,
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
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.small_shop import (
    BUSY,
    DAY_ONE,
    FIRST,
    HOUR,
    SMALL,
    ask,
    export,
    served,
    streaming,
    true_members,
    zip_hours,
)


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
