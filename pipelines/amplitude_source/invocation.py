"""Where a command works, and how the commands are written that the user is to type, so that they work as printed."""

import os
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

CONSOLE_COMMAND = "amplitude-warehouse"
INVOKED_FROM = Path.cwd()  # before the command goes to the repository's root
UNKNOWN_VERSION = "(no pyproject.toml beside it)"
CHECKOUT = Path(__file__).resolve().parents[2]
# Installed in place, the command works on its own repository; installed from a wheel, on the one that it is started in.
ROOT = CHECKOUT if (CHECKOUT / "sqlmesh/config.yaml").is_file() else INVOKED_FROM


def own_version(root: Path) -> str:
    """Return the version of this project, or a word for it where its `pyproject.toml` is missing."""
    path = root / "pyproject.toml"
    return str(tomllib.loads(path.read_text())["project"]["version"]) if path.is_file() else UNKNOWN_VERSION


def load_command(*arguments: str) -> str:
    """Return the pipeline's command with these arguments, in the way in which this process was started."""
    if Path(sys.argv[0]).name == CONSOLE_COMMAND:
        return shlex.join([program(CONSOLE_COMMAND), *arguments])
    script = Path(__file__).parents[1] / "amplitude.py"
    return shlex.join([program("python"), shown(script), *arguments])


def sqlmesh_command(*arguments: str) -> str:
    """Return a command of SQLMesh; SQLMesh quotes its own times with single quotes, so arguments stay as they are."""
    return " ".join([program("sqlmesh"), *arguments])


def program(name: str) -> str:
    """Return the name of a program of this environment: with its path where the shell would not find it, or another."""
    own = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if (found and os.path.samefile(found, own)) or not own.exists():
        return name
    return shlex.quote(shown(own))


def shown(path: Path) -> str:
    """Return a path as the user would write it: from the folder where they are."""
    return str(path.relative_to(INVOKED_FROM)) if path.is_relative_to(INVOKED_FROM) else str(path)
