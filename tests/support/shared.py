"""What takes long to build and is the same for all: built by one process of the tests, and used by the others."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], Path]) -> Path:
    """The path that `build` gives of what it builds in a folder; the first process that asks builds it.

    Whoever changes what lies there takes a copy.

    Args:
        factory: of temporary folders.
        name: of the folder.
        build: called with the new folder.
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared-{name}"
    note = folder.with_suffix(".path")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            folder.mkdir()
            note.write_text(str(build(folder)))
    return Path(note.read_text())


def started_once(factory: pytest.TempPathFactory, name: str) -> None:
    """Fails in a second process of the tests, where all that need something expensive have to share one.

    Args:
        factory: of temporary folders.
        name: of what is expensive.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        (factory.getbasetemp().parent / f"{name}.started").touch(exist_ok=False)
