"""What the command prints: how far a load is, its summary, coverage, and the commands that mend something."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from . import Progress
from .archive import ExportHour
from .ledger import Coverage
from .settings import HOUR, format_hour
from .taken import Restatement
from .work import Work

COMMAND = "python pipelines/amplitude.py"
SECONDS_BETWEEN_LINES = 30  # of progress, where there is no terminal

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)


@contextmanager
def progress_bar(work: Work) -> Iterator[Work]:
    """Gives the work, and shows how far it is: on a terminal as a bar, else as a line now and then."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeRemainingColumn(),
    )
    started = said = time.monotonic()
    with ProgressBar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(format_hour(work.first), total=work.size)

        def watched() -> Iterator[ExportHour]:
            nonlocal said
            for done, hour in enumerate(work.hours, 1):
                yield hour
                bar.update(task, advance=1, description=format_hour(hour.hour))
                if not err.is_terminal and time.monotonic() - said >= SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    left = timedelta(seconds=round((said - started) / done * (work.size - done)))
                    err.print(f"{done:,} of {work.size:,} hours, up to {format_hour(hour.hour)}; {left} left.")

        yield replace(work, hours=watched())


def report(work: Work, progress: Progress, seconds: float) -> None:
    """The summary at the end of a load."""
    hours = ", ".join(f"{progress.hours[status]} {status}" for status in ("loaded", "empty", "pending"))
    out.print(
        f"{progress.hours.total()} hours in {seconds:.1f} s: {hours}. "
        f"{progress.loaded_rows:,} rows in bronze.events, {progress.rejected_rows:,} in bronze.rejected_rows, "
        f"{progress.bytes / 1e6:,.1f} MB archived."
    )
    if work.rechecks:
        out.print(f"{work.rechecks} hours were compared with Amplitude once more: {len(progress.revised)} had changed.")
    if progress.rejected_rows:
        out.print(
            "Each rejected row keeps its line: SELECT reason, COUNT(*) FROM bronze.rejected_rows GROUP BY reason."
        )
    if progress.new_columns:
        out.print(f"New columns in bronze.events: {', '.join(progress.new_columns)}; bronze.schema_changes tells more.")
    if progress.kept:
        out.print(f"{len(progress.kept)} hours are gone from Amplitude and were kept as they are in bronze.")


def restate_text(hours: Restatement) -> str:
    return (
        f"Hours {format_hour(hours.first)} to {format_hour(hours.last)} changed after silver took them in. "
        f"To update silver and gold: {restate_command(hours.first, hours.last)}"
    )


def restate_command(first: datetime, last: datetime) -> str:
    return f"sqlmesh plan --restate-model silver.events --start '{first}' --end '{last + HOUR}'"


def show_coverage(ranges: list[Coverage], project: str | None) -> None:
    """A row for each status, then every gap with the command that fills it."""
    option = f" --project {project}" if project else ""
    if project:
        out.print(f"Project {project}", style="bold")
    table = Table("status", "hours", "first hour", "last hour", "files", "MB", "rows", "rejected", box=None)
    for column in table.columns:
        column.justify = "left" if column.header in ("status", "first hour", "last hour") else "right"
    for status_ in ("loaded", "empty", "pending", "missing"):
        if of_status := [range_ for range_ in ranges if range_.status == status_]:
            table.add_row(*coverage_row(of_status))
    out.print(table)
    for gap in (range_ for range_ in ranges if range_.status == "missing"):
        span = f"--start {format_hour(gap.first)} --end {format_hour(gap.last)}{option}"
        out.print(f"{gap.hours} missing hours hold silver back from {format_hour(gap.first)} on: {COMMAND} {span}")
        out.print(f"  or, if Amplitude has nothing there: {COMMAND} declare-empty {span}")
    if sum(range_.status == "missing" for range_ in ranges) > 1:
        out.print(f"All of them at once: {COMMAND} --gaps{option}")
    if any(range_.status == "pending" for range_ in ranges):
        out.print(f"Pending hours come with the next load: {COMMAND}")


def coverage_json(range_: Coverage) -> dict[str, str | int]:
    """A range's fields; its hours as the command's options take them."""
    return asdict(range_) | {
        "first": format_hour(range_.first),
        "last": format_hour(range_.last),
        "hours": range_.hours,
    }


def coverage_row(ranges: list[Coverage]) -> list[str]:
    """The sum of ranges of one status."""
    return [
        ranges[0].status,
        f"{sum(range_.hours for range_ in ranges):,}",
        format_hour(ranges[0].first),
        format_hour(ranges[-1].last),
        f"{sum(range_.files for range_ in ranges):,}",
        f"{sum(range_.bytes for range_ in ranges) / 1e6:,.1f}",
        f"{sum(range_.loaded_rows for range_ in ranges):,}",
        f"{sum(range_.rejected_rows for range_ in ranges):,}",
    ]
