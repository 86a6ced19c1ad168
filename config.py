"""Makes the repository's root a SQLMesh project: the configuration and the models in `sqlmesh/`, from here.

`sqlmesh -p sqlmesh ...` loads the very same models; SQLMesh wants its configuration beside them, so it stays there.
"""

from pathlib import Path
from typing import Any

from sqlmesh.core.config import Config
from sqlmesh.core.config.loader import load_config_from_paths
from sqlmesh.core.loader import SqlMeshLoader

PROJECT = Path(__file__).parent / "sqlmesh"


class ProjectLoader(SqlMeshLoader):
    """Loads from `sqlmesh/` whatever folder the command was started in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config_path = PROJECT


config = load_config_from_paths(Config, project_paths=[PROJECT / "config.yaml"])
config.loader = ProjectLoader
