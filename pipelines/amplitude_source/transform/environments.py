"""Forget all environments but production, and every table that production does not use.

Their tables may have rows that production no longer has. This file is run in a process of its own, because SQLMesh
needs pandas, which the commands do without.
"""

import sys
from pathlib import Path

from sqlmesh import Context

PRODUCTION = "prod"


def forget_environments(root: Path) -> list[str]:
    """Drop all environments but production, with their tables and those of old versions of models.

    Args:
        root: the repository's folder.

    Returns:
        the names of the environments.
    """
    context = Context(paths=[str(root)])
    names = [each.name for each in context.state_reader.get_environments() if each.name != PRODUCTION]
    for name in names:
        context.invalidate_environment(name, sync=True)
    context.run_janitor(ignore_ttl=True)
    context.close()
    return names


if __name__ == "__main__":
    for forgotten in forget_environments(Path(sys.argv[1])):
        print(f"The environment {forgotten} is dropped: `sqlmesh plan {forgotten}` builds it again.")
