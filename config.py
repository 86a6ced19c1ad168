"""Makes the repository's root a SQLMesh project: the configuration and the models in `sqlmesh/`, from here.

Where SQLMesh's state is in PostgreSQL, one `sqlmesh plan` or `run` works at a time. A restatement that was killed is
finished by the next `sqlmesh run`.
"""

import os
import runpy
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

import click
import psycopg2
from sqlmesh.core.config import Config, PostgresConnectionConfig
from sqlmesh.core.config.scheduler import BuiltInSchedulerConfig
from sqlmesh.core.context import GenericContext
from sqlmesh.core.loader import LoadedProject, SqlMeshLoader
from sqlmesh.core.plan import BuiltInPlanEvaluator, EvaluatablePlan
from sqlmesh.core.plan.stages import BackfillStage
from sqlmesh.core.test import ModelTestMetadata
from sqlmesh.utils.date import now_timestamp, to_timestamp

ROOT = Path(__file__).parent
PROJECT = ROOT / "sqlmesh"
sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.errors import AmplitudeError  # noqa: E402 - from that folder
from amplitude_source.lock import BUSY_EXIT  # noqa: E402 - as above
from amplitude_source.sqlmesh_config import UNIT_TEST_VARIABLES, USER_COMMANDS, project_config, use_settings_of  # noqa: E402 - as above

CUSTOM_MODELS = PROJECT / "models" / "custom"  # the user's own
WRITERS = USER_COMMANDS
LOCK = 20260601  # in the state's own database, so any number does
MINUTE_IN_MS = 60_000

HOLDER = f"""
    SELECT application_name, backend_start AT TIME ZONE 'UTC'
    FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND objid = {LOCK} AND granted
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())
"""


class ProjectLoader(SqlMeshLoader):
    """Loads from `sqlmesh/` whatever folder the command was started in."""

    def __init__(self, context: GenericContext[Config], path: Path) -> None:
        super().__init__(context, path)
        self.config_path = PROJECT
        use_settings_of(ROOT)  # once more: SQLMesh has put its own reading of .env back
        command, state = click.get_current_context(silent=True), context.config.get_state_connection(context.gateway)
        self._subcommand = subcommand()
        if self._subcommand == "create_external_models":
            raise click.ClickException(
                "`sqlmesh create_external_models` would replace sqlmesh/external_models.yaml, which is kept by hand; "
                "describe tables of your own in sqlmesh/external_models/<name>.yaml, see docs/standard-commands.md."
            )
        runpy.run_path(str(PROJECT / "seeds/funnels.py"))["check"](PROJECT / "seeds/funnels.csv")
        if command and self._subcommand in WRITERS and isinstance(state, PostgresConnectionConfig):
            stop_unless_alone(command, state)

    def load(self, model_fqns: set[str] | None = None, use_project_index: bool = False) -> LoadedProject:
        """Load all models, and have `sqlmesh format` leave the user's own alone."""
        project = super().load(model_fqns, use_project_index)
        own = {
            name: model for name, model in project.models.items() if CUSTOM_MODELS in (model._path or PROJECT).parents
        }
        project.models |= {name: model.copy(update={"formatting": False}) for name, model in own.items()}
        return project

    def load_model_tests(self) -> list[ModelTestMetadata]:
        """Read the models' unit tests, unless the command builds the warehouse.

        They prove the models to those who change them (`sqlmesh test`), not to those who run them: `plan` would spend a
        minute on them each time.
        """
        tests = [] if self._subcommand in USER_COMMANDS else super().load_model_tests()
        for test in tests:
            test.body["vars"] = UNIT_TEST_VARIABLES | test.body.get("vars", {})
        return tests


def subcommand() -> str | None:
    """Return which command of `sqlmesh` this process runs; None for other callers."""
    command = click.get_current_context(silent=True)
    return command.invoked_subcommand if command else None


def stop_unless_alone(command: click.Context, state: PostgresConnectionConfig) -> None:
    """Takes a lock of PostgreSQL's, or ends this process: two that build at once would write the same rows.

    The lock ends with its connection, which stays open for as long as the process lives, be that killed.
    """
    who = f"sqlmesh {command.invoked_subcommand}, process {os.getpid()} on {socket.gethostname()}"
    try:
        connection = psycopg2.connect(
            host=state.host,
            port=state.port,
            user=state.user,
            password=state.password,
            dbname=state.database,
            sslmode=state.sslmode,
            connect_timeout=state.connect_timeout,
            application_name=who,
            keepalives_idle=60,  # seconds; what lies between may forget a connection that is still for minutes
        )
    except psycopg2.OperationalError as error:
        sys.exit(gone(error, state))
    sys.excepthook = partial(tell, state)  # it may still go away later
    command.call_on_close(partial(tell_if_gone, connection, state))
    connection.autocommit = True
    command.meta[__name__] = connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if cursor.fetchone() == (True,):
            return
        cursor.execute(HOLDER)
        holder, since = cursor.fetchone() or ("Another command, that is just ending,", None)
    since_ = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    click.echo(f"Error: {holder} has been at work{since_}: wait until it has ended, then start again.", err=True)
    sys.exit(BUSY_EXIT)


def tell(
    state: PostgresConnectionConfig, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints what nobody has caught: one sentence where PostgreSQL is gone, else with its trace."""
    if isinstance(error, psycopg2.OperationalError):
        click.echo(gone(error, state), err=True)
    else:
        sys.__excepthook__(kind, error, trace)


def tell_if_gone(connection: psycopg2.extensions.connection, state: PostgresConnectionConfig) -> None:
    """Prints the same where models failed because of it: of them SQLMesh itself says only that the run has failed."""
    if not isinstance(sys.exc_info()[1], click.ClickException):
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        click.echo(gone(error, state), err=True)


def gone(error: psycopg2.Error, state: PostgresConnectionConfig) -> str:
    return (
        f"Error: PostgreSQL on {state.host}:{state.port}, where SQLMesh keeps its state, cannot be reached: "
        f"{' '.join(str(error).split())} Nothing is lost; the next run goes on."
    )


class ResumablePlanEvaluator(BuiltInPlanEvaluator):
    """Restates so that a kill leaves work to do, and not tables that are half restated and count as done.

    SQLMesh itself leaves the intervals in its state while it builds them again: after a kill nothing is missing.
    """

    def evaluate(self, plan: EvaluatablePlan, circuit_breaker: Callable[[], bool] | None = None) -> None:
        """Give the plan the time at which it really begins, for which SQLMesh takes the start of the minute.

        `gold.export_hours_taken` compares it with the ends of loads.
        """
        started = now_timestamp()
        if plan.execution_time and 0 <= started - to_timestamp(plan.execution_time) < MINUTE_IN_MS:
            plan = plan.copy(update={"execution_time": started})
        super().evaluate(plan, circuit_breaker)

    def visit_backfill_stage(self, stage: BackfillStage, plan: EvaluatablePlan) -> None:
        """Remove the intervals of production first; each model adds its own again when it is built."""
        if plan.is_prod:
            snapshots = [snapshot for snapshot in stage.all_snapshots.values() if snapshot.name in plan.restatements]
            self.state_sync.remove_intervals(
                [(snapshot, plan.restatements[snapshot.name]) for snapshot in snapshots], remove_shared_versions=True
            )
        super().visit_backfill_stage(stage, plan)


class ResumableScheduler(BuiltInSchedulerConfig):
    """SQLMesh's scheduler with that evaluator of plans."""

    def create_plan_evaluator(self, context: GenericContext[Config]) -> ResumablePlanEvaluator:
        return ResumablePlanEvaluator(
            state_sync=context.state_sync,
            snapshot_evaluator=context.snapshot_evaluator,
            create_scheduler=context.create_scheduler,
            default_catalog=context.default_catalog,
            console=context.console,
        )


try:
    config = project_config(ROOT, subcommand())
except AmplitudeError as error:
    sys.exit(f"Error: {error}")
config.loader = ProjectLoader
config.default_scheduler = ResumableScheduler()
