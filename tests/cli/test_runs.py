"""What is known of a load's run afterwards: its row, its log as JSON lines, and the metrics of `status`."""

import json
import re
import shutil
from datetime import UTC, timedelta
from typing import Any
from unittest import mock

import duckdb
import pytest

from amplitude_source.cli.metrics import Metric
from amplitude_source.invocation import own_version
from amplitude_source.settings import HOUR
from simulator.faults import Fault, FaultPlan, Reply
from simulator.server import DEMO_CREDENTIALS, Simulator
from support.loads import MISSING_HOURS_EXIT, START, final_hours, stalled_load
from support.members import hour_text
from support.project import REPOSITORY, Project, Result, sentence, succeeded

COLUMNS = ("command", "outcome", "hours", "loaded_rows", "rejected_rows", "bytes", "retries", "new_columns")
FIRST_DAY = ("--start", hour_text(START), "--end", hour_text(START + 23 * HOUR))
# The text format of Prometheus, as its documentation has it.
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def noted(project: Project, columns: tuple[str, ...] = COLUMNS) -> list[tuple[Any, ...]]:
    return project.query(f"SELECT {', '.join(columns)} FROM bronze.pipeline_runs ORDER BY started_at, run_id")


def log_of(result: Result) -> list[dict[str, Any]]:
    """The lines of stderr, of which each must be a JSON object."""
    return [json.loads(line) for line in result.stderr.splitlines()]


def metrics(text: str) -> dict[tuple[str, str], float]:
    """The samples of a text by name and labels; each is of a metric that is described before it, and comes once."""
    found: dict[tuple[str, str], float] = {}
    described: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help_ = line.removeprefix("# HELP ").split(" ", 1)
            assert help_.endswith("."), line
            assert name not in described, f"the samples of {name} must stand together"
            described.append(name)
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {described[-1]} gauge"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == described[-1], line
            assert (sample[1], sample[2] or "") not in found, line
            found[sample[1], sample[2] or ""] = float(sample[3])
    assert text.endswith("\n")
    return found


@pytest.mark.usefixtures("no_waiting")
def test_a_run_has_a_row_that_agrees_with_the_ledger_and_with_its_log(project: Project, simulator: Simulator) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", project.root)
    simulator.faults = FaultPlan(Fault(Reply(503), times=2))
    first = succeeded(project.load_here(*FIRST_DAY, "--log-format", "json"))
    ((*sums,),) = project.query(
        "SELECT COUNT(*), SUM(loaded_rows), SUM(rejected_rows), SUM(bytes) FROM bronze.export_hours"
    )
    ((columns,),) = project.query("SELECT COUNT(*) FROM bronze.schema_changes")
    assert noted(project) == [("load", "done", *sums, 2, columns)]
    begun, ended = (line for line in log_of(first) if "event" in line)
    assert (begun["event"], begun["level"], ended["event"]) == ("run_started", "info", "run_ended")
    assert [ended[name] for name in COLUMNS] == list(noted(project)[0])
    assert (ended["version"], ended["project"]) == (own_version(REPOSITORY), "default")
    assert not [key for key in DEMO_CREDENTIALS if key in first.stderr]


def test_a_run_that_finds_nothing_new_and_one_that_mends_have_rows_too(loaded: Project, simulator: Simulator) -> None:
    before = noted(loaded)
    loaded.set_clock(simulator.now + timedelta(minutes=1), simulator)
    succeeded(loaded.load_here("--gaps"))
    loaded.set_clock(simulator.now + timedelta(minutes=1), simulator)
    succeeded(loaded.load_here("declare-empty", *FIRST_DAY))
    assert noted(loaded)[len(before) :] == [
        ("load", "done", 0, 0, 0, 0, 0, 0),
        ("declare-empty", "done", 0, 0, 0, 0, 0, 0),
    ]


def test_a_failed_first_run_has_a_row_with_its_sentence(project: Project) -> None:
    said = sentence(project.load_here(*FIRST_DAY, SOURCES__AMPLITUDE__SECRET_KEY="wrong"))
    assert noted(project, ("outcome", "problem", "hours")) == [("failed", said, 0)]
    with mock.patch("dlt.Pipeline.extract", side_effect=[KeyboardInterrupt]):
        assert project.load_here(*FIRST_DAY).returncode == 130
    ((_, _), (outcome, problem)) = sorted(noted(project, ("outcome", "problem")))
    assert (outcome, problem) == ("stopped", None)


def test_a_fault_in_json_is_one_line_and_so_is_a_wrong_option(project: Project) -> None:
    result = project.load_here(*FIRST_DAY, "--log-format", "json", SOURCES__AMPLITUDE__SECRET_KEY="wrong")
    fault = [line for line in log_of(result) if line["level"] == "error"]
    assert [line["message"] for line in fault] == [row[0] for row in noted(project, ("problem",))]
    wrong = project.load_here("--log-format", "json", "--end", "soon")
    assert ("is not an hour" in log_of(wrong)[-1]["message"], wrong.returncode) == (True, 1)
    assert sentence(project.load_here("--end", "soon")), "the next command begins with text"


@pytest.mark.slow
def test_a_killed_run_keeps_its_row_without_an_end(project: Project, simulator: Simulator) -> None:
    succeeded(project.load_here("--end", hour_text(START)))
    project.set_clock(simulator.now + timedelta(minutes=1), simulator)
    with stalled_load(project, simulator) as process:
        process.kill()
        process.wait()
    project.set_clock(simulator.now + timedelta(minutes=1), simulator)
    succeeded(project.load_here(*FIRST_DAY))
    assert [(outcome, end is None) for outcome, end in noted(project, ("outcome", "ended_at"))] == [
        ("done", False),
        (None, True),
        ("done", False),
    ]


def test_metrics_say_what_status_says_and_exit_with_0(loaded: Project) -> None:
    with duckdb.connect(str(loaded.database)) as connection:
        connection.execute("DELETE FROM bronze.export_hours WHERE export_hour = ?", [START + 5 * HOUR])
    status = loaded.load_here("status", "--json")
    assert status.returncode == MISSING_HOURS_EXIT
    found = metrics(succeeded(loaded.load_here("status", "--metrics")).stdout)
    ranges = json.loads(status.stdout)["hours"]
    for name in ("loaded", "empty", "pending", "missing"):
        hours = sum(range_["hours"] for range_ in ranges if range_["status"] == name)
        assert found["amplitude_hours", f'project="default",status="{name}"'] == hours
    rows = sum(range_["loaded_rows"] for range_ in ranges)
    default = 'project="default"'
    newest = max(final_hours(loaded)).replace(tzinfo=UTC).timestamp()
    assert found["amplitude_newest_hour_timestamp_seconds", default] == newest
    assert (found["amplitude_healthy", ""], found["amplitude_last_run_success", default]) == (0, 1)
    assert rows == found["amplitude_rows", default]


def test_metrics_and_json_are_two_forms_of_the_same(project: Project) -> None:
    assert project.load_here("status", "--json", "--metrics").returncode == 2


def test_a_label_is_escaped() -> None:
    sample = [*Metric("x", "X.", [({"a": 'b"\\\n'}, 1)]).lines()][-1]
    assert sample == 'amplitude_x{a="b\\"\\\\\\n"} 1'


def test_files_as_destination_have_a_file_a_run(project: Project, simulator: Simulator) -> None:
    for minute in (0, 1):
        project.set_clock(simulator.now + timedelta(minutes=minute), simulator)
        succeeded(project.load_here("--end", hour_text(START + minute * HOUR), "--destination", "filesystem"))
    files = [*(project.lake / "bronze/pipeline_runs/project=default").iterdir()]
    assert len(files) == 2
    found = metrics(project.load_here("status", "--metrics", "--destination", "filesystem").stdout)
    assert found["amplitude_last_run_hours", 'project="default"'] == 1
    outcomes = duckdb.read_parquet([str(file) for file in files]).project("outcome, hours").fetchall()
    assert outcomes == [("done", 1), ("done", 1)]
