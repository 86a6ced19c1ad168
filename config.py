"""Makes the repository's root a SQLMesh project: the configuration and the models in `sqlmesh/`, from here.

Where SQLMesh's state is in PostgreSQL, one `sqlmesh plan` or `run` works at a time. A restatement that was killed is
finished by the next `sqlmesh run`.
"""

import runpy
import sys
from functools import partial
from pathlib import Path

import click
from sqlmesh.core.config import Config, PostgresConnectionConfig
from sqlmesh.core.context import GenericContext
from sqlmesh.core.loader import LoadedProject, SqlMeshLoader
from sqlmesh.core.test import ModelTestMetadata

ROOT = Path(__file__).parent
PROJECT = ROOT / "sqlmesh"
sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.errors import AmplitudeError  # noqa: E402 - from that folder
from amplitude_source.settings import duckdb_path  # noqa: E402 - as above
from amplitude_source.transform.duckdb_connection import DuckDBFile, say_if_full  # noqa: E402 - as above
from amplitude_source.transform.resumable_plan import ResumableScheduler  # noqa: E402 - as above
from amplitude_source.transform.sqlmesh_config import (  # noqa: E402 - as above
    UNIT_TEST_VARIABLES,
    USER_COMMANDS,
    project_config,
    use_settings_of,
)
from amplitude_source.transform.state_lock import stop_unless_alone, subcommand  # noqa: E402 - as above

CUSTOM_MODELS = PROJECT / "models" / "custom"  # the user's own


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
                "describe tables of your own in sqlmesh/external_models/<name>.yaml, see "
                "docs/reference/standard-commands.md."
            )
        runpy.run_path(str(PROJECT / "seeds/funnels.py"))["check"](PROJECT / "seeds/funnels.csv")
        if command and self._subcommand in USER_COMMANDS:
            if isinstance(state, PostgresConnectionConfig):
                stop_unless_alone(command, state)
            if isinstance(context.config.get_connection(context.gateway), DuckDBFile):
                command.call_on_close(partial(say_if_full, duckdb_path(ROOT)))

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


try:
    config = project_config(ROOT, subcommand())
except AmplitudeError as error:
    if subcommand() is None:
        raise
    sys.exit(f"Error: {error}")  # SQLMesh itself would add words around the sentence
config.loader = ProjectLoader
config.default_scheduler = ResumableScheduler()
