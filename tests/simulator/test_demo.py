"""The demo as a new user runs it: its output, and each of its suggestions as printed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amplitude_source.charts.book import read_charts
from simulator import demo
from support.dashboard import Dashboard
from support.project import REPOSITORY, Project, Result, copy_checkout, succeeded

MOST_LINES = 30
MINUTES = 5
COMPLETE_DAYS = 28  # of the demo's 30; Amplitude's numbers of users come a day late
MEASURES = ("active_users", "events", "new_users")


class Demo(Project):
    """The checkout in which the demo ran."""

    database = property(lambda self: self.root / "data/demo/amplitude.duckdb")
    lake = property(lambda self: self.root / "data/demo/lake")


@pytest.mark.slow
def test_the_demo_is_short_and_right_and_what_it_suggests_works_as_printed(tmp_path: Path) -> None:
    copy_checkout(tmp_path)
    for folder in ("simulator", "docs/examples"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    first = succeeded(run("python -m simulator demo", tmp_path))
    assert len(first.stdout.splitlines()) <= MOST_LINES
    assert_is_right(Demo(tmp_path, {}))
    assert_has_charts(Demo(tmp_path, {}))
    suggested = re.findall(r"^  (?=\S)(.+)$", first.stdout.partition("What to try next:")[2], re.MULTILINE)
    assert suggested[: len(demo.TRIES)] == [*demo.TRIES]
    # Targets of make are these after a look at the environment, which the copy shares with all tests.
    with Dashboard(Demo(tmp_path, environment(tmp_path))):
        tried = {"make dashboard"}
    for command in [each for each in demo.TRIES if each not in tried]:
        succeeded(run(command.replace("make demo", "python -m simulator demo"), tmp_path))


def assert_is_right(project: Project) -> None:
    """Gold has the simulated Amplitude's numbers, which are the oracle's."""
    equal = "FROM gold.reconciliation_daily WHERE verdict = 'equal' AND detail = '(all)' GROUP BY ALL"
    days = dict(project.query(f"SELECT measure, COUNT(*) {equal}"))
    assert {name: days[name] for name in MEASURES} == dict.fromkeys(MEASURES, COMPLETE_DAYS)


def assert_has_charts(project: Project) -> None:
    """Gold has a chart for each file of the demo, with rows; a project with other settings has none of them."""
    tables = dict(project.query("SELECT chart, table_name FROM gold.charts"))
    assert tables.keys() == {path.stem for path in (project.root / "simulator/demo_charts").glob("*.yaml")}
    assert [table for table in tables.values() if project.query(f"SELECT COUNT(*) FROM {table}") == [(0,)]] == []
    assert not tables.keys() & {path.stem for path in (project.root / "docs/examples/charts").glob("*.yaml")}
    assert not read_charts(project.root)


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder)}


def run(command: str, folder: Path) -> Result:
    """Run a line as a shell would, without any setting of the developer."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=MINUTES * 60,
        check=False,
    )
