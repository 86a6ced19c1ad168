"""A run of a load from its begin to its end, as `bronze.pipeline_runs` and the log have it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import dlt

from .. import Progress, empty_tables
from ..bronze.destinations import make_pipeline, run_pipeline
from ..bronze.runs import DONE, FAILED, RUNS_TABLE, STOPPED, Run, note
from ..errors import PartlyLoadedError, RejectedRowsError
from ..export.client import Attempts
from ..invocation import ROOT, own_version
from ..settings import AmplitudeSettings, alert_settings
from ..tables import TABLES
from .alarms import report_run
from .failures import FAILURES, explain, is_interrupt, kinds_of
from .logs import event, warn
from .projects import for_each_project

OUTCOMES = {RejectedRowsError: "rejected rows", PartlyLoadedError: "partly loaded"}


class RunUnderWay:
    """A run that is at work.

    Args:
        pipeline: of the destination.
        settings: of the project.
        command: that the user started.
    """

    def __init__(self, pipeline: dlt.Pipeline, settings: AmplitudeSettings, command: str) -> None:
        self.progress = Progress()
        """What the run has done so far."""
        started_at = settings.present
        self._run = Run(
            project=settings.project,
            run_id=f"{started_at:%Y%m%dT%H%M%S}-{token_hex(4)}",
            command=command,
            version=own_version(ROOT),
            started_at=started_at,
        )
        self._pipeline, self._settings = pipeline, settings
        self._alerts = alert_settings()  # at the begin, where a fault of theirs costs nothing yet
        self._began, self._retries = time.monotonic(), Attempts.retries
        self._is_noted = False

    def begin(self) -> None:
        """Note that it has begun."""
        self.note()
        event("The load begins.", event="run_started", **self._fields())

    def note(self) -> None:
        """Bring the run's row up to date, once the warehouse has the table, which the first load of hours makes."""
        done, run = self.progress, self._run
        run.hours, run.loaded_rows, run.rejected_rows = done.hours.total(), done.loaded_rows, done.rejected_rows
        run.bytes, run.new_columns = done.bytes, len(done.new_columns)
        run.retries = Attempts.retries - self._retries
        self._is_noted |= note(self._pipeline, run, is_new=not self._is_noted)

    def end(self, error: BaseException | None) -> None:
        """Note how it ended."""
        self._run.ended_at = self._run.started_at + timedelta(seconds=time.monotonic() - self._began)
        self._run.outcome = outcome_of(error)
        if error and self._run.outcome != STOPPED:
            self._run.problem = explain(error, ROOT)
        self.note()
        if not self._is_noted and self._run.outcome != STOPPED:
            self._note_without_load()
        event("The load has ended.", event="run_ended", **self._fields())

    def report(self) -> None:
        """Report how it ended, if alerts are set up."""
        report_run(self._alerts, self._run, self._settings.present)

    def _note_without_load(self) -> None:
        """Make the table, because no load has, and note the run there.

        In a folder of its own, because in the run's there may be a load that is half done.
        """
        with TemporaryDirectory() as folder:
            pipeline = make_pipeline(self._pipeline.destination.destination_name, self._settings, Path(folder))
            pipeline.sync_destination()
            run_pipeline(pipeline, empty_tables(TABLES.keys() - {RUNS_TABLE}))
            note(pipeline, self._run, is_new=True)

    def _fields(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self._run).items() if value is not None}


@contextmanager
def noted(pipeline: dlt.Pipeline, settings: AmplitudeSettings, command: str) -> Iterator[RunUnderWay]:
    """Note a run, however it ends; one that is killed keeps the row that it had."""
    run = RunUnderWay(pipeline, settings, command)
    run.begin()
    try:
        yield run
    except BaseException as error:
        try:
            run.end(error)
        except FAILURES as another:  # what went wrong first is the one to mend
            warn(f"The end of this run could not be noted: {explain(another, ROOT)}")
        run.report()
        raise
    run.end(None)
    run.report()


def run_each(
    pipeline: dlt.Pipeline,
    projects: list[AmplitudeSettings],
    command: str,
    act: Callable[[AmplitudeSettings, RunUnderWay], None],
) -> None:
    """Act on one project after the other, each time as a run that is noted."""

    def act_noted(settings: AmplitudeSettings) -> None:
        with noted(pipeline, settings, command) as run:
            act(settings, run)

    for_each_project(projects, act_noted)


def outcome_of(error: BaseException | None) -> str:
    """Return the word for how a run ended."""
    if error is None:
        return DONE
    if is_interrupt(error):
        return STOPPED
    kinds = kinds_of(error)
    return next((outcome for kind, outcome in OUTCOMES.items() if kind in kinds), FAILED)
