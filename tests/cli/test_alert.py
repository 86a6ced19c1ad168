"""Alerts: one message an incident, one when it is over, and no secret in any of them."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from amplitude_source.alerts import incidents
from amplitude_source.settings import HOUR
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.assertions import take_all_hours
from support.loads import START
from support.members import hour_text
from support.project import Project, Result, sentence, succeeded
from support.receiver import Receiver, receiving

HOLE = START + 5 * HOUR
GAP = "Amplitude warehouse, hours: 1 missing hours hold silver back from 2026-06-01T05 on"
DAY = ("--start", hour_text(START), "--end", hour_text(START + 23 * HOUR))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook. No message has a secret, and none is kept."""
    with receiving() as receiver:
        yield receiver
    told = "".join(receiver.bodies)
    assert not [secret for secret in (*DEMO_CREDENTIALS, "hush") if secret in told]


@pytest.fixture
def watched(loaded: Project, receiver: Receiver) -> Project:
    """A project that is loaded and, as far as anybody can see, built; its alerts go to the receiver."""
    take_all_hours(loaded)
    loaded.env.update(receiver.secrets)
    return loaded


def alert(project: Project) -> Result:
    result = project.load_here("alert")
    assert "hush" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    return result


def make_hole(project: Project) -> None:
    with duckdb.connect(str(project.database)) as connection:
        connection.execute("DELETE FROM bronze.export_hours WHERE export_hour = ?", [HOLE])


def open_files(project: Project) -> list[str]:
    return sorted(path.name for path in (project.lake / "bronze/_alerts/open").glob("*"))


@pytest.mark.slow
def test_an_incident_is_reported_once_and_so_is_its_end(watched: Project, receiver: Receiver) -> None:
    assert succeeded(alert(watched)).stdout.endswith("0 incidents are open.\n")
    assert (receiver.texts, receiver.beats) == ([], 1)
    make_hole(watched)
    for _ in range(2):
        succeeded(alert(watched))
    ((said),) = [text for text in receiver.texts if text.startswith(GAP)]
    assert "--start 2026-06-01T05 --end 2026-06-01T05" in said
    before = len(receiver.texts)
    succeeded(watched.load_here("declare-empty", "--start", hour_text(HOLE), "--end", hour_text(HOLE)))
    take_all_hours(watched)
    for _ in range(2):
        succeeded(alert(watched))
    over = [text for text in receiver.texts[before:] if ", hours: over. " in text]
    assert len(over) == 1
    assert over[0].endswith(said.removeprefix("Amplitude warehouse, hours: "))
    assert open_files(watched) == []
    assert receiver.beats == 5


def test_what_cannot_be_delivered_is_said_and_tried_again(watched: Project, receiver: Receiver) -> None:
    make_hole(watched)
    receiver.status = 500
    assert sentence(alert(watched)) == (
        "The address of ALERTS__WEBHOOK_URL answers HTTP 500: check it and the network."
    )
    assert (open_files(watched), receiver.beats) == ([], 0)
    watched.env["ALERTS__WEBHOOK_URL"], right = "http://127.0.0.1:9/hush", watched.env["ALERTS__WEBHOOK_URL"]
    assert "ALERTS__WEBHOOK_URL cannot be reached (ConnectionError)" in sentence(alert(watched))
    watched.env["ALERTS__WEBHOOK_URL"], receiver.status = right, 200
    succeeded(alert(watched))
    assert [text.startswith(GAP) for text in receiver.texts].count(True) == 1
    assert receiver.beats == 1


def test_a_kill_between_message_and_note_repeats_the_message(watched: Project, receiver: Receiver) -> None:
    make_hole(watched)
    with mock.patch.object(incidents.Incidents, "_write", side_effect=KeyboardInterrupt):
        assert alert(watched).returncode == 130
    succeeded(alert(watched))
    assert [text.startswith(GAP) for text in receiver.texts].count(True) == 2
    assert open_files(watched)


def test_a_load_reports_its_own_failure_at_once_and_the_next_good_one_ends_it(
    project: Project, receiver: Receiver, simulator: Simulator
) -> None:
    project.env.update(receiver.secrets)
    for _ in range(2):
        said = sentence(project.load_here(*DAY, SOURCES__AMPLITUDE__SECRET_KEY="wrong"))
    assert [text.endswith(said) for text in receiver.texts] == [True]
    assert receiver.texts[0].startswith("Amplitude warehouse, newest run: The last `load`, begun at 2026-06-04 12:00")
    project.set_clock(simulator.now + timedelta(minutes=1), simulator)
    succeeded(project.load_here(*DAY))
    assert [": over. " in text for text in receiver.texts] == [False, True]
    assert open_files(project) == []


def test_a_load_whose_webhook_fails_ends_as_it_would_and_alert_reports_it(project: Project, receiver: Receiver) -> None:
    project.env.update(receiver.secrets)
    receiver.status = 500
    failed = project.load_here(*DAY, SOURCES__AMPLITUDE__SECRET_KEY="wrong")
    assert (failed.returncode, "warning: The address of ALERTS__WEBHOOK_URL" in failed.stderr) == (1, True)
    receiver.status = 200
    succeeded(alert(project))
    assert [", newest run: " in text for text in receiver.texts].count(True) == 1


def test_a_question_that_cannot_be_asked_leaves_its_incident_open(watched: Project, receiver: Receiver) -> None:
    make_hole(watched)
    succeeded(alert(watched))
    before = len(receiver.texts)
    with mock.patch("amplitude_source.cli.doctor.warehouse.read_ledgers", side_effect=OSError("gone")):
        succeeded(alert(watched))
    assert [", bronze: " in text for text in receiver.texts[before:]] == [True]
    assert "hours.json" in open_files(watched)


def test_a_new_column_is_reported_once_and_has_no_end(watched: Project, receiver: Receiver) -> None:
    succeeded(alert(watched))
    columns = watched.lake / "bronze/_alerts/columns.json"
    known = json.loads(columns.read_text())
    columns.write_text(json.dumps([name for name in known if name not in ("adid", "city")]))
    for _ in range(2):
        succeeded(alert(watched))
    assert [text.endswith("new keys: adid, city.") for text in receiver.texts] == [True]
    assert json.loads(columns.read_text()) == known


def test_days_that_are_not_proven_are_an_incident(watched: Project, receiver: Receiver) -> None:
    with duckdb.connect(str(watched.database)) as connection:
        connection.execute("""
            CREATE TABLE gold.proven_days AS SELECT 'default' AS project, DATE '2026-06-01' AS event_date,
            'differs' AS verdict, 'an hour is missing' AS likely_cause, 3 AS ours, 4 AS theirs,
            NULL::BIGINT AS zone_offset_minutes, TIMESTAMP '2026-06-03' AS asked_at,
            TIMESTAMP '2026-06-01' AS day_starts_at, TIMESTAMP '2026-06-02' AS day_ends_at
        """)
    succeeded(alert(watched))
    assert ["2026-06-01 has 3 events here and 4 in Amplitude" in text for text in receiver.texts] == [True]


def test_a_command_gets_each_message_and_its_failure_is_named(watched: Project, tmp_path: Path) -> None:
    for name in ("ALERTS__WEBHOOK_URL", "ALERTS__HEARTBEAT_URL"):
        del watched.env[name]
    log = tmp_path / "messages"
    script = tmp_path / "tell.py"
    script.write_text(f"import sys; open({str(log)!r}, 'a').write(sys.stdin.read() + '\\n')")
    make_hole(watched)
    watched.env["ALERTS__COMMAND"] = f"{sys.executable} '{tmp_path}/absent.py'"
    assert f"ALERTS__COMMAND, {sys.executable}, ended with 2: try it in a shell." in sentence(alert(watched))
    watched.env["ALERTS__COMMAND"] = f"{sys.executable} '{script}'"
    succeeded(alert(watched))
    assert [line.startswith(GAP) for line in log.read_text().splitlines()].count(True) == 1


def test_without_a_lake_all_that_is_wrong_is_reported_each_time(watched: Project, receiver: Receiver) -> None:
    make_hole(watched)
    with mock.patch("amplitude_source.cli.alarms.open_lake", side_effect=OSError("gone")):
        for _ in range(2):
            assert "warning: Which incidents are open cannot be read" in succeeded(alert(watched)).stderr
    assert [text.startswith(GAP) for text in receiver.texts].count(True) == 2


def test_broken_settings_are_an_incident_too(watched: Project, receiver: Receiver) -> None:
    succeeded(alert(watched))
    watched.env["SOURCES__AMPLITUDE__REGION"] = "ue"
    succeeded(alert(watched))
    assert ["SOURCES__AMPLITUDE__REGION: write us or eu" in text for text in receiver.texts] == [True]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "Alerts go nowhere: set ALERTS__WEBHOOK_URL or ALERTS__COMMAND."),
        ({"ALERTS__WEBHOOK_URL": "http://example.com/hush"}, "ALERTS__WEBHOOK_URL: its value is no address"),
        ({"ALERTS__HEARTBEAT_URL": "hush"}, "ALERTS__HEARTBEAT_URL: its value is no address"),
        ({"ALERTS__COMMAND": "mail 'x"}, "ALERTS__COMMAND cannot be read as a command: No closing quotation."),
        ({"ALERTS__COMMAND": " "}, "ALERTS__COMMAND has no words"),
        ({"ALERTS__WEBHOK_URL": "https://example.com/hush"}, "Did you mean ALERTS__WEBHOOK_URL?"),
    ],
    ids=["none", "not encrypted", "no address", "quotes", "blank", "misspelt"],
)
def test_settings_that_mean_nothing_are_named(project: Project, env: dict[str, str], words: str) -> None:
    project.env.update(env)
    assert words in sentence(alert(project))
