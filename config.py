"""Makes the repository's root a SQLMesh project: the configuration and the models in `sqlmesh/`, from here.

Where SQLMesh's state is in PostgreSQL, one `sqlmesh plan` or `run` works at a time. A restatement that was killed is
finished by the next `sqlmesh run`.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.transform.loader import complete_config  # noqa: E402 - from that folder

config = complete_config(ROOT)
