"""`status` and `--gaps`: every hour that is missing is shown, and comes with the printed command."""

import json
from collections import Counter
from pathlib import Path

import pytest

from amplitude_source.invocation import load_command, sqlmesh_command
from amplitude_source.settings import HOUR, hours_between
from simulator.server import Simulator
from support.loads import (
    BUSY_HOUR,
    END,
    MEMBERS,
    MISSING_HOURS_EXIT,
    START,
    asked_hours,
    assert_same_as_one_load,
    assert_whole,
    bronze,
    ledger,
    status_rows,
)
from support.members import hour_text
from support.project import Project, succeeded

pytestmark = pytest.mark.slow


def test_status_shows_the_sums_of_each_status_and_asks_for_nothing_but_the_next_load(loaded: Project) -> None:
    result = succeeded(loaded.load_here("status"))
    rows, hours = status_rows(result), Counter(row[0] for row in ledger(loaded).values())
    assert {status: int(cells[0]) for status, cells in rows.items()} == dict(hours)
    assert rows["loaded"][1:4] == [hour_text(START), hour_text(END - HOUR), str(len(MEMBERS))]
    assert rows["loaded"][5:] == [str(sum(member.rows for member in MEMBERS)), "0"]
    assert result.stdout.splitlines()[-2:] == [
        f"Pending hours come with the next load: {load_command()}",
        f"Silver and gold are not built yet (there is no gold.export_hours_taken): {sqlmesh_command('plan')}",
    ]


def test_gaps_loads_every_missing_hour_and_no_other(project: Project, simulator: Simulator, loaded_data: Path) -> None:
    for first, last in ((0, 9), (20, 30), (40, 40)):
        hours = ("--start", hour_text(START + first * HOUR), "--end", hour_text(START + last * HOUR))
        succeeded(project.load_here(*hours))
    assert "amplitude.py --gaps" in project.load_here("status").stdout
    simulator.requests.clear()
    succeeded(project.load_here("--gaps"))
    gaps = [*hours_between(START + 10 * HOUR, START + 19 * HOUR), *hours_between(START + 31 * HOUR, START + 39 * HOUR)]
    assert sorted(asked_hours(simulator)) == gaps
    assert "No gaps" in succeeded(project.load_here("--gaps")).stdout
    succeeded(project.load_here())
    assert_same_as_one_load(project, loaded_data)


def test_gaps_takes_no_bounds(project: Project) -> None:
    result = project.load_here("--gaps", "--start", hour_text(START))
    assert (result.returncode, "leave out --start" in result.stderr) == (2, True)


def test_status_for_machines_has_every_range_and_the_same_exit_code(project: Project) -> None:
    for first, last in ((0, 9), (20, 30)):
        hours = ("--start", hour_text(START + first * HOUR), "--end", hour_text(START + last * HOUR))
        succeeded(project.load_here(*hours))
    result = project.load_here("status", "--json")
    ranges = json.loads(result.stdout)["hours"]
    assert result.returncode == 3
    (gap,) = (each for each in ranges if each["status"] == "missing")
    assert (gap["first"], gap["last"], gap["hours"]) == (hour_text(START + 10 * HOUR), hour_text(START + 19 * HOUR), 10)
    loaded = [row[3] for row in ledger(project).values() if row[0] == "loaded"]
    assert sum(each["loaded_rows"] for each in ranges) == sum(loaded)
    assert ranges[0]["first"] == hour_text(START)


def test_a_hole_is_shown_and_filled_by_the_command_that_status_prints(project: Project) -> None:
    last = START + 14 * HOUR
    succeeded(project.load_here("--start", hour_text(START), "--end", hour_text(last - 4 * HOUR)))
    succeeded(project.load_here("--start", hour_text(last), "--end", hour_text(last)))
    result = project.load_here("status")
    assert result.returncode == MISSING_HOURS_EXIT
    assert status_rows(result)["missing"][:3] == ["3", hour_text(last - 3 * HOUR), hour_text(last - HOUR)]
    (line,) = (line for line in result.stdout.splitlines() if "hold silver back" in line)
    assert line.startswith("3 missing hours")
    succeeded(project.load_here(*line.partition("amplitude.py ")[2].split()))
    result = project.load_here("status")
    assert "missing" not in status_rows(result)
    assert (result.returncode, "is 70 hours old" in result.stdout) == (6, True)
    succeeded(project.load_here("status", SOURCES__AMPLITUDE__FRESHNESS_HOURS="70"))
    assert_whole(project, last)


def test_in_a_new_checkout_every_hour_is_pending(project: Project) -> None:
    result = succeeded(project.load_here("status"))
    assert {status: cells[:3] for status, cells in status_rows(result).items()} == {
        "pending": ["82", "2026-06-01T00", "2026-06-04T09"]
    }
    assert f"Pending hours come with the next load: {load_command()}" in result.stdout


def test_hours_declared_empty_stay_so_in_a_replay_and_what_is_loaded_stays_too(
    loaded: Project, loaded_data: Path
) -> None:
    last = hour_text(END + 11 * HOUR)
    succeeded(loaded.load_here("--start", last, "--end", last))
    assert "1 missing hours hold silver back" in loaded.load_here("status").stdout
    result = succeeded(loaded.load_here("declare-empty", "--start", hour_text(BUSY_HOUR), "--end", last))
    kept = len(hours_between(BUSY_HOUR, END + 5 * HOUR))
    assert f"6 hours declared empty, {kept} left as they were." in result.stdout
    succeeded(loaded.load_here("status"))
    before = ledger(loaded)
    assert {row[0] for hour, row in before.items() if hour > END + 5 * HOUR} == {"empty"}
    assert bronze(loaded) == bronze(Project(loaded_data.parent))
    loaded.database.unlink()
    succeeded(loaded.load_here("--replay", "--start", hour_text(END)))
    assert ledger(loaded) == {hour: row for hour, row in before.items() if hour >= END}
