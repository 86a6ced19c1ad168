"""The state of a set-up as metrics, in the text format of Prometheus.

Names go by Prometheus' conventions: the unit is their end, and a time is the moment itself, not its age.
Source: https://prometheus.io/docs/practices/naming/ and https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from ..bronze.ledger import Ledger
from ..bronze.proof import DIFFERS, EQUAL
from ..bronze.runs import DONE, Run
from ..bronze.taken import Taken, bounds, newest_final
from ..settings import HOUR
from .status import Status, Trust

PREFIX = "amplitude_"
STATUSES = ("loaded", "empty", "pending", "missing")


@dataclass
class Metric:
    """A metric with its samples."""

    name: str
    help: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format; a metric without samples has none."""
        if not self.samples:
            return
        yield f"# HELP {PREFIX}{self.name} {self.help}"
        yield f"# TYPE {PREFIX}{self.name} gauge"
        for labels, value in self.samples:
            pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{PREFIX}{self.name}{{{pairs}}} {value!r}" if pairs else f"{PREFIX}{self.name} {value!r}"


def metrics_text(
    found: Status, ledgers: Mapping[str, Ledger], taken: Taken, trust: Trust, runs: Sequence[Run], version: str
) -> str:
    """Return all metrics, ready for Prometheus or for a file of its node exporter.

    Args:
        found: of `status`.
        ledgers: by project.
        taken: what silver and gold hold.
        trust: what Amplitude itself says of the days.
        runs: the newest of each project.
        version: of this project.
    """
    metrics = [
        Metric("build_info", "The version of the pipeline.", [({"version": version}, 1)]),
        Metric("healthy", "1 if `status` finds nothing wrong, else 0.", [({}, int(found.exit_code == 0))]),
        *_of_hours(found, ledgers),
        *_of_silver(found, taken),
        *_of_days(found, trust),
        *_of_runs([run for run in runs if run.project in found.hours]),
    ]
    return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def _of_hours(found: Status, ledgers: Mapping[str, Ledger]) -> Iterator[Metric]:
    hours = Metric("hours", "Hours of the export, by their status.")
    rows = Metric("rows", "Rows in bronze.events.")
    rejected = Metric("rejected_rows", "Rows in bronze.rejected_rows.")
    archived = Metric("archive_bytes", "Size of all files that were archived, compressed.")
    newest = Metric("newest_hour_timestamp_seconds", "Begin of the newest finished hour.")
    damaged = Metric("archive_damaged", "1 if a sample of the archive is damaged, else 0.")
    rejecting = Metric("rejecting_hours", "Hours of which too many rows were rejected.")
    for project, ranges in found.hours.items():
        label = {"project": project}
        for status in STATUSES:
            count = sum(range_.hours for range_ in ranges if range_.status == status)
            hours.samples.append(({**label, "status": status}, count))
        rows.samples.append((label, sum(range_.loaded_rows for range_ in ranges)))
        rejected.samples.append((label, sum(range_.rejected_rows for range_ in ranges)))
        archived.samples.append((label, sum(range_.bytes for range_ in ranges)))
        if hour := newest_final(ledgers.get(project, {})):
            newest.samples.append((label, _seconds(hour)))
        damaged.samples.append((label, int(project in found.damage)))
        too_many = [len(each.hours) for each in found.rejecting if each.settings.project == project]
        rejecting.samples.append((label, sum(too_many)))
    yield from (hours, rows, rejected, archived, newest, damaged, rejecting)


def _of_silver(found: Status, taken: Taken) -> Iterator[Metric]:
    if not taken:
        return
    yield Metric(
        "newest_built_hour_timestamp_seconds",
        "Begin of the newest hour in silver and gold.",
        [({}, _seconds(bounds(taken)[1]))],
    )
    changed = sum((each.last - each.first) // HOUR + 1 for each in found.restatements)
    yield Metric("hours_to_restate", "Hours that silver and gold hold otherwise than bronze.", [({}, changed)])


def _of_days(found: Status, trust: Trust) -> Iterator[Metric]:
    proven = Metric("newest_proven_day_timestamp_seconds", "Begin of the newest day that Amplitude's numbers prove.")
    unproven = Metric("unproven_days", "Days that have other events here than in Amplitude.")
    failed = Metric("failed_resources", "REST resources whose last answer could not be had.")
    for project in found.hours:
        label = {"project": project}
        if days := [day.day for day in trust.days if day.project == project and day.verdict == EQUAL]:
            proven.samples.append((label, _seconds(datetime.combine(max(days), time()))))
        differing = sum(day.project == project and day.verdict == DIFFERS for day in trust.days)
        unproven.samples.append((label, differing))
        failed.samples.append((label, sum(name == project for name, *_ in trust.failures)))
    yield from (proven, unproven, failed)


OF_RUNS: tuple[tuple[str, str, Callable[[Run], float | None]], ...] = (
    ("start_timestamp_seconds", "When the newest run of a load began.", lambda run: _seconds(run.started_at)),
    (
        "end_timestamp_seconds",
        "When it ended; missing while it is at work or if it was killed.",
        lambda run: _seconds(run.ended_at) if run.ended_at else None,
    ),
    (
        "duration_seconds",
        "How long it took.",
        lambda run: (run.ended_at - run.started_at).total_seconds() if run.ended_at else None,
    ),
    (
        "success",
        "1 if it is done, 0 if anything was left out or it failed.",
        lambda run: int(run.outcome == DONE) if run.ended_at else None,
    ),
    ("hours", "Hours that it loaded.", lambda run: run.hours),
    ("rows", "Rows that it loaded into bronze.events.", lambda run: run.loaded_rows),
    ("rejected_rows", "Rows that it loaded into bronze.rejected_rows.", lambda run: run.rejected_rows),
    ("archived_bytes", "Size of the files of its hours, compressed.", lambda run: run.bytes),
    ("retries", "Requests to Amplitude that it made again after a fault.", lambda run: run.retries),
)
"""Metrics of the newest run, without the begin of their names; no value, no sample."""


def _of_runs(runs: Sequence[Run]) -> Iterator[Metric]:
    for name, description, value_of in OF_RUNS:
        values = [({"project": run.project}, value_of(run)) for run in runs]
        yield Metric(f"last_run_{name}", description, [(label, value) for label, value in values if value is not None])


def _seconds(moment: datetime) -> float:
    """Return a naive time in UTC as seconds since 1970."""
    return moment.replace(tzinfo=UTC).timestamp()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
