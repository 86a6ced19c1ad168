"""Reads the SQLMesh project of the repository, whatever folder the command was started in."""

import gc
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlglot import exp
from sqlmesh.core import constants
from sqlmesh.core.config import Config, PostgresConnectionConfig
from sqlmesh.core.context import GenericContext
from sqlmesh.core.loader import LoadedProject, SqlMeshLoader, get_variables
from sqlmesh.core.model import Model, SqlModel
from sqlmesh.core.test import ModelTestMetadata

from ..charts.properties import check_columns
from ..errors import AmplitudeError
from ..settings import alert_settings, duckdb_path
from .chart_cohorts import COHORTS, faults_of_cohorts
from .chart_models import chart_models
from .duckdb_connection import DuckDBFile, say_if_full
from .dynamic_tables import dynamic_models, read_dynamic_tables
from .foreign_bronze import (
    GATED,
    ForeignBronze,
    check_readers,
    check_tables,
    foreign_models,
    gated_by,
    read_bronze,
)
from .resumable_plan import ResumableScheduler
from .run_alerts import RunAlerts
from .sqlmesh_config import UNIT_TEST_VARIABLES, USER_COMMANDS, project_config, use_settings_of
from .state_database import StateDatabase
from .state_lock import stop_unless_alone, subcommand

RETIRED_FUNNELS = "seeds/funnels.csv"
CUSTOM_MODELS = "models/custom"  # the user's own
WITH_PROPERTIES = ("gold.events", "gold.users")
"""The models that get the declared properties as columns."""


class ProjectLoader(SqlMeshLoader):
    """Loads from `sqlmesh/` whatever folder the command was started in."""

    def __init__(self, context: GenericContext[Config], path: Path) -> None:
        super().__init__(context, path)
        self.config_path = path / "sqlmesh"
        use_settings_of(path)  # once more: SQLMesh has put its own reading of .env back
        command, state = click.get_current_context(silent=True), context.config.get_state_connection(context.gateway)
        self._subcommand = subcommand()
        if self._subcommand == "create_external_models":
            raise click.ClickException(
                "`sqlmesh create_external_models` would replace sqlmesh/external_models.yaml, which is kept by hand; "
                "describe tables of your own in sqlmesh/external_models/<name>.yaml, see "
                "docs/reference/standard-commands.md."
            )
        if (self.config_path / RETIRED_FUNNELS).exists():
            raise click.ClickException(
                f"sqlmesh/{RETIRED_FUNNELS} is read no more, because funnels are charts: write each as a file of "
                "sqlmesh/charts/ with `type: funnel`, see docs/guides/charts.md, and remove the CSV."
            )
        if command and self._subcommand in USER_COMMANDS:
            if isinstance(state, PostgresConnectionConfig):
                stop_unless_alone(command, state_database(state))
            if isinstance(context.config.get_connection(context.gateway), DuckDBFile):
                command.call_on_close(partial(say_if_full, duckdb_path(path)))

    def load(self, model_fqns: set[str] | None = None, use_project_index: bool = False) -> LoadedProject:
        """Load all models, those of charts too, and have `sqlmesh format` leave the user's own alone.

        Raises:
            ConfigError: a declared property has the name of another column.
        """
        project = super().load(model_fqns, use_project_index)
        for model in project.models.values():
            if model.name in WITH_PROPERTIES and isinstance(model, SqlModel) and isinstance(model.query, exp.Query):
                taken = {name.lower() for name in model.query.named_selects}
                check_columns(self.config_path.parent, model.name, taken)
        if self._subcommand != "test":  # whose models have no columns of a user's
            for chart in chart_models(self.config_path.parent, **self._loading(project)):
                project.models[chart.fqn] = chart
        loading = self._loading(project)
        project.models |= self._dynamic_tables(project.models, loading)
        custom = self.config_path / CUSTOM_MODELS
        own = {name: model for name, model in project.models.items() if model._path and custom in model._path.parents}
        if bronze := read_bronze(self.config_path.parent, self.config.variables):
            if self._subcommand in USER_COMMANDS:
                self._stop_without_tables(bronze)
            embedded = {model.fqn: model for model in foreign_models(bronze, **loading)}
            check_readers(embedded, own.values())
            gated = {
                name: gated_by(embedded, model, loading["variables"]["engine"])
                for name, model in project.models.items()
                if model.name == GATED
            }
            project.models |= embedded | gated
        if self._subcommand == "plan":
            self._stop_without_cohorts(project, bronze)
        project.models |= {name: model.copy(update={"formatting": False}) for name, model in own.items()}
        return project

    def _dynamic_tables(self, models: Mapping[str, Model], loading: Mapping[str, Any]) -> dict[str, Model]:
        """Return the charts that are dynamic tables."""
        root = self.config_path.parent
        try:
            lags = read_dynamic_tables(root, self.config.variables, loading["variables"]["engine"])
            return dynamic_models(root, lags, models, **loading)
        except AmplitudeError as error:
            raise click.ClickException(str(error)) from error

    def _stop_without_tables(self, bronze: ForeignBronze) -> None:
        try:
            check_tables(bronze, self.context.engine_adapter)
        except AmplitudeError as error:
            raise click.ClickException(str(error)) from error

    def _stop_without_cohorts(self, project: LoadedProject, bronze: ForeignBronze | None) -> None:
        """Stop if a segment names a cohort that is not there; later, a run warns, because all else can be built."""
        model = next(model for model in project.models.values() if model.name == COHORTS)
        root, name = self.config_path.parent, bronze.name if bronze else None
        for fault in faults_of_cohorts(root, model, self.context.engine_adapter, name):
            if fault.is_wrong:
                raise click.ClickException(fault.sentence)

    def _loading(self, project: LoadedProject) -> dict[str, Any]:
        """Return how models are loaded that are not in SQLMesh's folder of models."""
        return {
            "defaults": self.config.model_defaults.dict(),
            "macros": project.macros,
            "audit_definitions": project.audits,
            "jinja_macros": project.jinja_macros,
            "module_path": self.config_path,
            "variables": get_variables(self.context.selected_gateway),
            "physical_schema_mapping": self.config.physical_schema_mapping,
            "default_catalog": self.context.default_catalog,
            "project": self.config.project,
            "virtual_environment_mode": self.config.virtual_environment_mode,
        }

    def load_model_tests(self) -> list[ModelTestMetadata]:
        """Read the models' unit tests, unless the command builds the warehouse.

        They prove the models to those who change them (`sqlmesh test`), not to those who run them: `plan` would spend a
        minute on them each time.
        """
        tests = [] if self._subcommand in USER_COMMANDS else super().load_model_tests()
        for test in tests:
            test.body["vars"] = UNIT_TEST_VARIABLES | test.body.get("vars", {})
        return tests


def state_database(state: PostgresConnectionConfig) -> StateDatabase:
    """Return where the state is that SQLMesh goes by: a gateway of the user's own may have another than ours."""
    return StateDatabase(state.host, state.port, state.database, state.user, state.password, state.sslmode)


def complete_config(root: Path) -> Config:
    """Return SQLMesh's configuration of a repository, with the loader and the scheduler of this project.

    Args:
        root: the repository's folder.

    Raises:
        AmplitudeError: a setting is missing, misspelt or means nothing; a command of `sqlmesh` ends with the sentence.
    """
    try:
        config = project_config(root, subcommand())
    except AmplitudeError as error:
        if subcommand() is None:
            raise
        sys.exit(f"Error: {error}")  # SQLMesh itself would add words around the sentence
    config.loader = ProjectLoader
    config.default_scheduler = ResumableScheduler()
    if subcommand() == "run" and alert_settings().has_channel:
        config.notification_targets.append(RunAlerts())
    if subcommand():
        collect_garbage_seldom()
        read_cache_alone(root / (config.cache_dir or constants.CACHE))
    return config


def collect_garbage_seldom() -> None:
    """Have Python look for garbage a hundredth as often, and never among what is imported by now.

    SQLMesh makes so many small objects that by default a quarter of a command's time goes into looking through them.
    """
    gc.freeze()
    gc.set_threshold(70_000, 10, 100)


def read_cache_alone(cache: Path) -> None:
    """Have SQLMesh start no processes to read its cache, because queries take longer between processes than from files.

    They are of use while there is no cache, because each renders some of the models.
    """
    if "MAX_FORK_WORKERS" not in os.environ and (cache / "optimized_query").is_dir():
        constants.MAX_FORK_WORKERS = 1
