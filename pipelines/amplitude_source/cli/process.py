"""What the commands set for the whole process, and no import does."""

import ctypes
import os
import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path

import pyarrow as pa

from ..environment import keep_private, print_anything

M_MMAP_THRESHOLD = -3  # of malloc.h


def keep_memory_flat() -> None:
    """Has all large pieces of memory come from glibc, and go back at once.

    By default glibc keeps ever larger ones, and Arrow's own allocator what it once had: 300 MB together in a load.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, 1 << 20)


class WithoutPandas(MetaPathFinder):
    """SQLMesh brings pandas. DuckDB, Arrow and dlt all import it where it is, for half a second and without a use."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=name)


def prepare(root: Path) -> None:
    """Set what the commands need of the process: its folder is `root`, its files are private, its memory stays flat."""
    sys.meta_path.insert(0, WithoutPandas())
    keep_memory_flat()
    keep_private()
    print_anything()
    os.chdir(root)  # the settings' relative paths, and dlt's own, mean the repository's root
