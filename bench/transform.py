"""How fast silver and gold are built, and what a new hour costs after a long history. `python bench/transform.py`.

- rebuild: all of silver and gold from bronze, by `sqlmesh plan`: rows/s, peak memory, and each model's share. DuckDB
  has the memory that it has by default on a machine of 8 GB.
- scale: the same of as many and of four times as many rows: the seconds must not grow faster than the rows, and the
  memory must stay.
- answers: after the rebuild, `amplitude.py chart` for some charts of docs/examples/charts, which builds nothing.
- pages: then, with all charts of docs/examples/charts in gold, each page of the dashboard in Chromium, opened by the
  menu after it has been seen once: the seconds from the click until its last figure is drawn, and the processor's
  seconds of server and browser together.
- charts: `sqlmesh run` for one new hour without charts and with all of docs/examples/charts, and what `sqlmesh plan`
  takes to build and audit those. A run does the latter once a day.
- growth: `sqlmesh run` for one new hour and for none, after a month and after two years of history, with 20,000 events
  a day: the time must follow the new hour and not the history. The median of several hours in a row counts.
- years: the first `sqlmesh plan` of five years with few rows an hour: the number of hours must not cost.

Each build is a process of its own, in a copy of the project, on DuckDB. Seconds are those of the whole process, imports
and reading the models included: that is what an hourly run costs. Rows scanned are those that DuckDB's tables gave to
all queries of a build, as DuckDB counts them.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

import click
import psutil
from rich.table import Table

from load import ROOT, WAREHOUSE, Contender, Run, count_rows, err, locations, out, run_alone, work_folder

if TYPE_CHECKING:
    from support.dashboard import Sight

END = datetime(2026, 7, 1)
HOUR = timedelta(hours=1)
ROWS_PER_DAY, COPIES = 20_000, 10
MONTH_DAYS, LONG_DAYS, FIVE_YEARS = 30, 730, 1_826
NEW_HOURS = 3
FIRST_NEW_HOUR = END - 12 * HOUR  # around noon, when there is traffic
BUILD_SECONDS = 3_600

GROWTH_GOAL, SHARE_GOAL, PAGE_GOAL = 1.2, 1 / 3, 1.0
PEAK_GOAL_MB, TIMES, SCALE_GOAL = 6_000, 4, 4.4
HOUR_GOAL, IDLE_GOAL, YEARS_GOAL = 7.0, 4.0, 20.0
"""Seconds: of a new hour after a month, of a run with nothing new, of the first plan of five years."""
MEMORY = {"SQLMESH_DUCKDB_MEMORY_LIMIT": "4GB"}
"""Half of a machine of 8 GB, as by default there."""
PAGE_LOOKS = 3
EXAMPLES = ROOT / "docs" / "examples" / "charts"
ANSWER_GOALS = {
    "active_users": 2.0,
    "view_to_order": 2.0,
    "order_frequency": 2.0,
    "come_back": 5.0,
    "purchase": 5.0,
    "time_to_order": 5.0,
    "buyers_lifecycle": 5.0,
    "sticky_viewers": 5.0,
}
"""By an example, the seconds that its answer may take, the start of the command included."""
PROPERTIES = "total: {from: event, type: number}\nplan: {from: user}\n"
DEFINITIONS = "segments: {repeat buyers: {did: {event: Order Completed, at_least: 2}}}\n"
"""The properties and the segment that the examples name."""
PLAN_OPTIONS = ("--auto-apply", "--no-prompts", "--skip-tests")


@dataclass
class Build:
    """What one build took."""

    run: Run
    seconds_of: dict[str, float]
    """By model."""
    rows_scanned: int


class Project:
    """A copy of the project with a lake and a warehouse of its own.

    Args:
        folder: for the copy; it is made.
        first: the first hour of the warehouse.
        files: exported files, from which hours are loaded.
    """

    def __init__(self, folder: Path, first: datetime, files: Path) -> None:
        self.folder, self._files = folder, files
        for name in ("pipelines", "sqlmesh", ".dlt", "dashboard", "docs/reference"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".cache", ".env", "__pycache__"))
        shutil.copy(ROOT / "config.py", folder)
        self._environment = {
            "SOURCES__AMPLITUDE__START_HOUR": f"{first:%Y-%m-%dT%H}",
            "SOURCES__AMPLITUDE__NOW": f"{END + timedelta(days=1):%Y-%m-%dT%H:%M:%S}",
        }

        (folder / "sqlmesh/properties.yaml").write_text(PROPERTIES)
        (folder / "sqlmesh/definitions.yaml").write_text(DEFINITIONS)

    def add_charts(self) -> int:
        """Takes all examples into the project; gives their number."""
        return len([shutil.copy(path, self.folder / "sqlmesh/charts") for path in EXAMPLES.glob("*.yaml")])

    @property
    def environment(self) -> dict[str, str]:
        """Of each of its commands."""
        return os.environ | MEMORY | self._environment | locations(self.folder)

    def load(self, first: datetime, last: datetime) -> None:
        """Loads the hours, and declares those without a file empty."""
        span = ["--start", f"{first:%Y-%m-%dT%H}", "--end", f"{last:%Y-%m-%dT%H}"]
        self.pipeline("--replay", str(self._files), *span)
        self.pipeline("declare-empty", *span)

    def pipeline(self, *arguments: str) -> None:
        result = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "pipelines/amplitude.py", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise click.ClickException(f"amplitude.py {' '.join(arguments)} failed:\n{result.stderr}")

    def answer(self, chart: Path) -> float:
        """The seconds that `amplitude.py chart` takes for a chart."""
        started = time.monotonic()
        self.pipeline("chart", str(chart), "--csv")
        return time.monotonic() - started

    def build(self, what: str) -> Build:
        """`sqlmesh plan` or `run`, in a process of its own."""
        command = [sys.executable, __file__, "build", what]
        way = Contender(what, BUILD_SECONDS * 1_000, "", command, MEMORY | self._environment)
        log = self.folder / "log.txt"
        run, exit_code = run_alone(way, self.folder, log)
        text = log.read_text()
        if exit_code:
            raise click.ClickException(f"sqlmesh {what} ended with {exit_code}:\n{text}")
        figures = json.loads(text.splitlines()[-1])
        return Build(run, figures["seconds"], figures["rows_scanned"])


@click.group(invoke_without_command=True, help=__doc__.partition("\n")[0])
@click.option("--rows", type=click.IntRange(min=1_000), default=5_000_000, show_default=True, help="Of the rebuild.")
@click.option("--only", type=click.Choice(["rebuild", "scale", "charts", "growth", "years"]), help="One of the five.")
@click.option("--days", type=int, default=LONG_DAYS, show_default=True, help="Of the long history.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="An empty folder to work in, which stays. Default: a temporary one.",
)
@click.pass_context
def main(context: click.Context, rows: int, only: str | None, days: int, keep: Path | None) -> None:
    if context.invoked_subcommand:
        return
    with work_folder(keep) as folder:
        if only in (None, "rebuild"):
            rebuild(folder, rows)
        if only in (None, "scale"):
            scale(folder, rows)
        if only in (None, "charts"):
            charts(folder)
        if only in (None, "growth"):
            growth(folder, days)
        if only in (None, "years"):
            years(folder)


def rebuild(folder: Path, rows: int) -> None:
    """Builds silver and gold from a month of so many rows, and asks and shows what is in them."""
    project, build = built_month(folder / "rebuild", rows)
    show_models(build)
    name, seconds = max(build.seconds_of.items(), key=lambda item: item[1])
    share = seconds / sum(build.seconds_of.values())
    out.print(f"The longest model, {name}, takes {share:.2f} (goal < {SHARE_GOAL:.2f}: {verdict(share < SHARE_GOAL)})")
    show_answers(project)
    show_pages(project)


def scale(folder: Path, rows: int) -> None:
    """Builds a month of so many rows and a month of four times as many."""
    builds = []
    for number in (rows, rows * TIMES):
        project, build = built_month(folder / f"scale-{number}", number)
        builds.append(build)
        shutil.rmtree(project.folder)
    ratio = builds[1].run.seconds / builds[0].run.seconds
    out.print(f"{TIMES} times the rows: {ratio:.2f} times as long (goal < {SCALE_GOAL}: {verdict(ratio < SCALE_GOAL)})")


def built_month(folder: Path, rows: int) -> tuple[Project, Build]:
    """Builds silver and gold from a month of so many rows, and shows how fast and with how much memory."""
    files, first = folder.with_name(f"{folder.name}-files"), END - timedelta(days=MONTH_DAYS)
    write_files(files, MONTH_DAYS, max(1, rows // MONTH_DAYS // COPIES))
    project = Project(folder, first, files)
    err.print("loading ...")
    project.load(first, END - HOUR)
    err.print("building ...")
    build = project.build("plan")
    events, peak = count_rows(project.folder / WAREHOUSE, "silver.events"), build.run.peak_mb
    out.print(
        f"Rebuild: {events:,} events in {build.run.seconds:.1f} s, {events / build.run.seconds:,.0f} rows/s, "
        f"peak {peak:,.0f} MB (goal < {PEAK_GOAL_MB:,}: {verdict(peak < PEAK_GOAL_MB)}), "
        f"{build.rows_scanned:,} rows scanned."
    )
    return project, build


def show_answers(project: Project) -> None:
    """Asks each chart twice, and shows the faster answer."""
    table = Table("answer", "seconds", "goal", box=None)
    for name, goal in ANSWER_GOALS.items():
        seconds = min(project.answer(EXAMPLES / f"{name}.yaml") for _ in range(2))
        table.add_row(name, f"{seconds:.2f}", f"< {goal:.0f}: {verdict(seconds < goal)}")
    out.print(table)


def show_pages(project: Project) -> None:
    """Looks at each page of the dashboard, and shows the median of all looks but the first."""
    sys.path[:0] = [str(ROOT), *(str(ROOT / name) for name in ("tests", "dashboard", "pipelines"))]
    from support.dashboard import TITLES, Dashboard, browser, look
    from support.project import Project as Checkout

    err.print(f"building {project.add_charts()} charts, and looking at pages ...")
    project.build("plan")
    project.pipeline("dashboard", "--copy")
    table = Table("page", "seconds", "goal", "of the processors", box=None)
    with (
        Dashboard(Checkout(project.folder, project.environment)) as served,
        browser() as shown,
        look(shown.new_page(), served.url) as sight,
    ):
        for title in TITLES.values():
            turn_to(sight, title)
        for title in TITLES.values():
            turns = []
            for _ in range(PAGE_LOOKS):
                turn_to(sight, next(other for other in TITLES.values() if other != title))
                turns.append(turn_to(sight, title))
            seconds, busy = (median(each) for each in zip(*turns, strict=True))
            table.add_row(title, f"{seconds:.2f}", f"< {PAGE_GOAL:.0f}: {verdict(seconds < PAGE_GOAL)}", f"{busy:.2f}")
    out.print(table)


def turn_to(sight: "Sight", title: str) -> tuple[float, float]:
    """Turns to a page by the menu; gives the seconds until it is drawn, and the processor's seconds."""
    before = processor_seconds()
    sight.page.evaluate("() => { window.settledSince = undefined; window.turnedAt = Date.now(); }")
    sight.page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    sight.page.get_by_role("heading", name=title, level=1, exact=True).wait_for()
    sight.settle()
    seconds = float(sight.page.evaluate("() => (window.settledSince - window.turnedAt) / 1000"))
    return seconds, processor_seconds() - before


def processor_seconds() -> float:
    """What the processes that this one has started have taken of the processors: server and browser."""
    times = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    return float(sum(each.user + each.system for each in times))


def charts(folder: Path) -> None:
    """Runs some new hours after a month, without charts and then with those of the examples."""
    files, first = folder / "charts-month", END - timedelta(days=MONTH_DAYS)
    write_files(files, MONTH_DAYS, ROWS_PER_DAY // COPIES)
    project = Project(folder / "charts", first, files)
    err.print("loading and building ...")
    project.load(first, FIRST_NEW_HOUR - HOUR)
    project.build("plan")
    without = run_hours(project, FIRST_NEW_HOUR)
    number = project.add_charts()
    err.print(f"building {number} charts ...")
    planned = project.build("plan")
    taken = run_hours(project, FIRST_NEW_HOUR + NEW_HOURS * HOUR)
    out.print(
        f"A new hour takes {seconds_of(without):.1f} s without charts and {seconds_of(taken):.1f} s with {number}; "
        f"a plan that builds and audits them takes {planned.run.seconds:.1f} s."
    )


def growth(folder: Path, days: int) -> None:
    """Runs some new hours and one that brings nothing, after a month and after the long history."""
    files = folder / "history"
    write_files(files, days, ROWS_PER_DAY // COPIES)
    spans = (MONTH_DAYS, days)
    builds, idle = {}, {}
    for span in spans:
        project = built_history(folder / f"{span}-days", files, span)
        builds[span] = run_hours(project, FIRST_NEW_HOUR)
        idle[span] = project.build("run").run.seconds
    table = Table("days before", "seconds", "with nothing new", "peak MB", "rows scanned", box=None)
    for span, taken in builds.items():
        table.add_row(
            f"{span}",
            f"{seconds_of(taken):.1f}",
            f"{idle[span]:.1f}",
            f"{max(build.run.peak_mb for build in taken):,.0f}",
            f"{median(build.rows_scanned for build in taken):,.0f}",
        )
    for span, taken in builds.items():
        out.print(f"\nAfter {span} days:")
        show_models(taken[-1])
    out.print(table)
    first, ratio = seconds_of(builds[MONTH_DAYS]), seconds_of(builds[days]) / seconds_of(builds[MONTH_DAYS])
    out.print(f"A new hour takes {first:.1f} s (goal <= {HOUR_GOAL:.0f}: {verdict(first <= HOUR_GOAL)})")
    out.print(f"A new hour grows by {ratio:.2f} (goal < {GROWTH_GOAL}: {verdict(ratio < GROWTH_GOAL)})")
    longest = max(idle.values())
    out.print(f"Nothing new takes {longest:.1f} s (goal < {IDLE_GOAL:.0f}: {verdict(longest < IDLE_GOAL)})")


def years(folder: Path) -> None:
    """Plans five years for the first time."""
    files, first = folder / "years-files", END - timedelta(days=FIVE_YEARS)
    write_files(files, FIVE_YEARS, 1)
    project = Project(folder / "years", first, files)
    err.print("loading ...")
    project.load(first, END - HOUR)
    err.print("building ...")
    build = project.build("plan")
    show_models(build)
    seconds, events = build.run.seconds, count_rows(project.folder / WAREHOUSE, "silver.events")
    out.print(
        f"The first plan of {FIVE_YEARS * 24:,} hours with {events:,} events takes {seconds:.1f} s "
        f"(goal < {YEARS_GOAL:.0f}: {verdict(seconds < YEARS_GOAL)})"
    )


def built_history(folder: Path, files: Path, days: int) -> Project:
    """Builds a history of so many days."""
    first = END - timedelta(days=days)
    project = Project(folder, first, files)
    err.print(f"{days} days: loading ...")
    project.load(first, FIRST_NEW_HOUR - HOUR)
    err.print(f"{days} days: building ...")
    project.build("plan")
    return project


def run_hours(project: Project, first: datetime) -> list[Build]:
    """Loads and builds hour after hour."""
    builds = []
    for hour in (first + number * HOUR for number in range(NEW_HOURS)):
        project.load(hour, hour)
        err.print(f"running hour {hour} ...")
        builds.append(project.build("run"))
    return builds


def write_files(folder: Path, days: int, per_day: int) -> None:
    start = END - timedelta(days=days)
    command = ["-m", "simulator", "write", str(folder), "--days", str(days), "--start", f"{start:%Y-%m-%d}"]
    err.print("writing files ...")
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, *command, "--copies", str(COPIES), "--events-per-day", str(per_day)], cwd=ROOT, check=True
    )


def seconds_of(builds: list[Build]) -> float:
    return median(build.run.seconds for build in builds)


def verdict(is_reached: bool) -> str:
    return "reached" if is_reached else "missed"


def show_models(build: Build) -> None:
    """The models by the time that they took; the rest is reading the project, planning and SQLMesh's own state."""
    table = Table("model", "seconds", box=None)
    for name, seconds in sorted(build.seconds_of.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{seconds:.2f}")
    table.add_row("(all else)", f"{build.run.seconds - sum(build.seconds_of.values()):.2f}")
    out.print(table)


@main.command("build", hidden=True)
@click.argument("what", type=click.Choice(["plan", "run"]))
def build_here(what: str) -> None:
    """Builds the project in this folder by SQLMesh's command; the last line tells what it took, as JSON."""
    from sqlmesh.cli import main as sqlmesh
    from sqlmesh.core.console import set_console

    seconds: defaultdict[str, float] = defaultdict(float)
    set_console(timing_console(seconds))
    with counted_scans() as scans, mock.patch.object(sqlmesh, "configure_console"):
        sqlmesh.cli([what, *PLAN_OPTIONS] if what == "plan" else [what], standalone_mode=False)
    print(json.dumps({"seconds": seconds, "rows_scanned": scans.total()}))


def timing_console(seconds: defaultdict[str, float]) -> Any:
    """A console of SQLMesh that says nothing and adds up what each model takes."""
    from sqlmesh.core.console import NoopConsole
    from sqlmesh.core.snapshot import Snapshot

    class TimingConsole(NoopConsole):
        def update_snapshot_evaluation_progress(self, snapshot: Snapshot, *arguments: Any, **_: Any) -> None:
            _interval, _batch, milliseconds, *_counts = arguments
            if snapshot.is_model:  # and no audit
                seconds[snapshot.name.replace('"', "").partition(".")[2].lower()] += (milliseconds or 0) / 1_000

    return TimingConsole()


@contextmanager
def counted_scans() -> Iterator[Counter[str]]:
    """Counts the rows that DuckDB's scans give to SQLMesh's queries."""
    from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter

    scans: Counter[str] = Counter()
    execute = DuckDBEngineAdapter._execute

    def counting(self: Any, sql: str, *arguments: Any, **options: Any) -> None:
        if not scans:
            self.cursor.execute("PRAGMA enable_profiling = 'no_output'")
            self.cursor.execute("""SET custom_profiling_settings = '{"CUMULATIVE_ROWS_SCANNED": "true"}'""")
        execute(self, sql, *arguments, **options)
        profile = json.loads(self.cursor.get_profiling_information(format="json") or "{}")
        scans["rows"] += int(profile.get("cumulative_rows_scanned", 0))

    DuckDBEngineAdapter._execute = counting  # type: ignore[method-assign]  # to count
    try:
        yield scans
    finally:
        DuckDBEngineAdapter._execute = execute  # type: ignore[method-assign]  # to count


if __name__ == "__main__":
    main()
