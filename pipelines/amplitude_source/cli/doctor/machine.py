"""This machine: the installed packages, its disks, and the work folders with what interrupted loads left there."""

import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...bronze.destinations import interrupted_loads
from ...bronze.disk import KEY_VARIABLE, places
from ...lock import holder_of
from ...settings import AmplitudeSettings
from ...text_files import read_text
from .findings import Checkup

LOCK = "requirements.lock"
INSTALL = "make .venv/installed"
LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
SHOWN_VERSIONS = ("dlt", "sqlmesh", "duckdb")
NAMED_PACKAGES = 5
LOW_BYTES = 5 << 30  # the zip of an hour may have 4 GB


def check_versions(checkup: Checkup) -> None:
    """Compare the installed packages with the lock."""
    path = checkup.root / LOCK
    if not path.is_file():
        checkup.warn(
            "versions", f"There is no {path} to compare the installed packages with: get it from the repository."
        )
        return
    with checkup.asking("versions"):
        others = list(other_versions(read_text(path)))
        if others:
            more = f" and {len(others) - NAMED_PACKAGES} more" if len(others) > NAMED_PACKAGES else ""
            named = "; ".join(others[:NAMED_PACKAGES])
            checkup.warn("versions", f"{LOCK} has other versions: {named}{more}. Install those: {INSTALL}")
        else:
            shown = ", ".join(f"{name} {version(name)}" for name in SHOWN_VERSIONS)
            checkup.ok("versions", f"Python {platform.python_version()}, {shown}: as in {LOCK}.")


def other_versions(lock: str) -> Iterator[str]:
    """Yield the packages that are installed in another version than the lock's.

    The lock may have several of a package, each for some versions of Python. A package may be left out on purpose.
    """
    locked: dict[str, list[str]] = {}
    for name, number in LOCKED.findall(lock):
        locked.setdefault(name, []).append(number)
    for name, numbers in locked.items():
        with suppress(PackageNotFoundError):
            if (installed := version(name)) not in numbers:
                yield f"{name} {installed} is installed, not {' or '.join(numbers)}"


def check_disks(checkup: Checkup, projects: Sequence[AmplitudeSettings]) -> None:
    """Look at each place that a setting names: whether it can be used, and how much room it has."""
    with checkup.asking("disk"):
        for place in places(projects, checkup.root):
            with checkup.asking("disk"):
                place.check()
                room = f"{place.room() / (1 << 30):,.1f} GB free"
                if place.setting == KEY_VARIABLE:
                    checkup.ok("disk", f"{place.path} can be read ({place.setting}).")
                elif place.room() < LOW_BYTES:
                    checkup.warn(
                        "disk",
                        f"{place.path} has {room}, and the download of one hour may take 4 GB: make room, or set "
                        f"{place.setting} to another disk.",
                    )
                else:
                    checkup.ok("disk", f"{place.path}: {room} ({place.setting}).")


def check_work_folders(checkup: Checkup, projects: Sequence[AmplitudeSettings], destination: str, load: str) -> None:
    """Look at the lock of each work folder, and at what an interrupted load left there.

    Args:
        checkup: takes the findings.
        projects: with their work folders, of which several may share one.
        destination: whose loads are looked for.
        load: the command of the next load.
    """
    folders: dict[Path, AmplitudeSettings] = {settings.work_path.resolve(): settings for settings in projects}
    for folder, settings in folders.items():
        with checkup.asking("work folder"):
            interrupted = interrupted_loads(settings.pipelines_path, destination)
            if holder := holder_of(folder):
                checkup.warn("work folder", f"{folder} is in use by {holder}. Wait until that has ended.")
            elif interrupted:
                checkup.warn(
                    "work folder",
                    f"The last run in {folder} was interrupted; the next one drops its unfinished load "
                    f"({', '.join(interrupted)}) and loads its hours again: {load}",
                )
            else:
                checkup.ok("work folder", f"{folder}: nobody is at work, and no load is unfinished.")
