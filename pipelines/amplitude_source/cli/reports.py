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

from ..bronze.ledger import Coverage
from ..bronze.taken import Restatement
from ..invocation import load_command, sqlmesh_command
from ..lake.archive import ExportHour, IncompleteHourError
from ..lake.privacy import Effects
from ..plan import Work
from ..settings import HOUR, ONLY_PROJECT, AmplitudeSettings, format_hour
from ..source import Progress
from .logs import err, is_json, notice, warn

PAST = {"drop": "dropped", "null": "nulled", "hash": "hashed"}
NAMED_HOURS = NAMED_GAPS = 5
WIDEST_TABLE = 10_000  # characters; far more than any table has, so that it is measured whole
SECONDS_BETWEEN_LINES = 30  # of progress, where there is no terminal

out = Console(soft_wrap=True, highlight=False, markup=False)


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
    is_plain = is_json() or not err.is_terminal
    started = said = time.monotonic()
    with ProgressBar(*columns, console=err, disable=is_plain) as bar:
        task = bar.add_task(format_hour(work.first), total=work.size)

        def watched() -> Iterator[ExportHour]:
            nonlocal said
            for done, hour in enumerate(work.hours, 1):
                yield hour
                bar.update(task, advance=1, description=format_hour(hour.hour))
                if is_plain and time.monotonic() - said >= SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    left = timedelta(seconds=round((said - started) / done * (work.size - done)))
                    notice(f"{done:,} of {work.size:,} hours, up to {format_hour(hour.hour)}; {left} left.")

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
    if progress.effects:
        counts = ", ".join(f"{values:,} values {PAST[name]}" for name, values in progress.effects.by_action().items())
        out.print(f"Privacy rules, in {progress.effects.rows:,} rows: {counts}.")
        for sentence in progress.effects.unmet():
            warn(sentence)


def show_privacy(hour: datetime, effects: Effects) -> None:
    """A row for each rule, then what is wrong with them."""
    out.print(f"The privacy rules, tried on the {effects.rows:,} rows of hour {format_hour(hour)}:")
    rows = [
        [rule.path, rule.setting, f"{met:,}", f"{values:,}"]
        for rule, met, values in zip(effects.rules, effects.met, effects.values, strict=True)
    ]
    show_rows(("rule", "setting", "found", "with a value"), rows, left=("rule", "setting"))
    for sentence in effects.unmet():
        warn(sentence)


def show_rows(names: tuple[str, ...], rows: list[list[str]], left: tuple[str, ...]) -> None:
    """Print a table, or a line for each row where the terminal is too narrow for it: nothing is ever cut.

    Args:
        names: the columns' titles.
        rows: a value for each column; the first one names the row.
        left: the columns to align to the left.
    """
    table = Table(box=None)
    for name in names:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if out.measure(table, options=out.options.update(max_width=WIDEST_TABLE)).maximum <= out.width:
        out.print(table)
        return
    for row_name, *values in rows:
        pairs = zip(names[1:], values, strict=True)
        out.print(f"{row_name}: {', '.join(f'{name} {value}' for name, value in pairs)}")


def rejecting_text(hours: list[datetime], settings: AmplitudeSettings) -> str:
    """Name hours of which too many rows were rejected, and the mend."""
    option = [] if settings.project == ONLY_PROJECT else ["--project", settings.project]
    command = load_command("--start", format_hour(min(hours)), "--end", format_hour(max(hours)), *option)
    return (
        f"{len(hours)} hours from {format_hour(min(hours))} to {format_hour(max(hours))} have more than "
        f"{settings.max_rejected_share:.0%} of their rows in bronze.rejected_rows, whose columns reason and value say "
        f"why. Once that is mended, load them again: {command}. To accept it, raise "
        "SOURCES__AMPLITUDE__MAX_REJECTED_SHARE."
    )


def restate_text(hours: Restatement) -> str:
    return (
        f"Hours {format_hour(hours.first)} to {format_hour(hours.last)} changed after silver took them in. "
        f"To update silver and gold: {restate_command(hours.first, hours.last)}"
    )


def restate_command(first: datetime, last: datetime) -> str:
    span = f"--start '{first}' --end '{last + HOUR}'"
    return sqlmesh_command("plan --restate-model silver.events", span)


def damage_text(damaged: list[IncompleteHourError]) -> str:
    """Name hours that are damaged in the archive: the first few, and the reason of the first."""
    hours = ", ".join(format_hour(error.hour) for error in damaged[:NAMED_HOURS])
    more = f" and {len(damaged) - NAMED_HOURS:,} more" if len(damaged) > NAMED_HOURS else ""
    return (
        f"The archive lacks or has damaged {len(damaged):,} hours: {hours}{more}. "
        f"{format_hour(damaged[0].hour)}: {damaged[0].reason}."
    )


def show_coverage(ranges: list[Coverage], project: str | None) -> None:
    """Print the sums of each status, then the first gaps with the commands that fill them."""
    if project:
        out.print(f"Project {project}", style="bold")
    names = ("status", "hours", "first hour", "last hour", "files", "MB", "rows", "rejected")
    by_status = [
        of_status
        for status in ("loaded", "empty", "pending", "missing")
        if (of_status := [range_ for range_ in ranges if range_.status == status])
    ]
    show_rows(names, [coverage_row(of_status) for of_status in by_status], left=("status", "first hour", "last hour"))
    show_gaps([range_ for range_ in ranges if range_.status == "missing"], project)
    if any(range_.status == "pending" for range_ in ranges):
        out.print(f"Pending hours come with the next load: {load_command()}")


def gap_text(gap: Coverage, option: list[str]) -> str:
    """Name a gap and the command that fills it.

    Args:
        gap: missing hours.
        option: names the project to the command, where there are several.
    """
    span = ["--start", format_hour(gap.first), "--end", format_hour(gap.last), *option]
    return f"{gap.hours} missing hours hold silver back from {format_hour(gap.first)} on: {load_command(*span)}"


def show_gaps(gaps: list[Coverage], project: str | None) -> None:
    """Print the first gaps with the commands for each, then those for all of them."""
    option = ["--project", project] if project else []
    for gap in gaps[:NAMED_GAPS]:
        span = ["--start", format_hour(gap.first), "--end", format_hour(gap.last), *option]
        out.print(gap_text(gap, option))
        out.print(f"  or, if Amplitude has nothing there: {load_command('declare-empty', *span)}")
    if len(gaps) > NAMED_GAPS:
        out.print(f"{len(gaps) - NAMED_GAPS:,} more gaps, to {format_hour(gaps[-1].last)}, are not shown.")
    if len(gaps) > 1:
        span = ["--start", format_hour(gaps[0].first), "--end", format_hour(gaps[-1].last), *option]
        out.print(f"All of them at once: {load_command('--gaps', *option)}")
        out.print(f"  or, if Amplitude has nothing there: {load_command('declare-empty', *span)}")


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
