"""The rooms of the package: who may know whom, and that each module can be imported alone."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter

import pytest

from support.project import REPOSITORY

PACKAGE = "amplitude_source"
FOLDER = REPOSITORY / "pipelines" / PACKAGE
# From the top: a room knows those below it, and none above.
ROOMS = (
    ("cli",),
    ("transform", "__init__"),
    ("charts",),
    ("source",),
    ("plan",),
    ("rest",),
    ("export",),
    ("bronze",),
    ("rows", "alerts"),
    ("settings",),
    ("lake",),
    ("environment",),
    ("yaml_files",),
    ("tables", "background", "lock", "invocation", "addresses", "certificates", "text_files"),
    ("verbatim",),
    ("errors",),
)
FLOOR = {room: -number for number, rooms in enumerate(ROOMS) for room in rooms}


def modules() -> list[str]:
    """The names of all modules, packages as `__init__`."""
    return sorted(".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in FOLDER.rglob("*.py"))


def imports(module: str) -> Iterator[str]:
    """The modules of the package that a module imports, those within functions too."""
    path = FOLDER / f"{module.replace('.', '/')}.py"
    package = [PACKAGE, *module.split(".")[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            yield ".".join([*base, node.module] if node.module else base).removeprefix(PACKAGE).lstrip(".")


def room_of(module: str) -> str:
    return module.partition(".")[0] or "__init__"


@pytest.mark.parametrize("module", modules())
def test_a_room_knows_no_room_above_it(module: str) -> None:
    room = room_of(module)
    assert room in FLOOR, f"{room} is a new room: give it a place in ROOMS"
    above = [name for name in imports(module) if room_of(name) != room and FLOOR[room_of(name)] >= FLOOR[room]]
    assert above == [], f"{module} must not import {', '.join(above)}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {*modules()}
    graph = {module: {name for name in imports(module) if name in known} for module in known}
    TopologicalSorter(graph).prepare()  # which raises CycleError with the circle


ALONE = """
import importlib, sys
for module in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "amplitude_source"]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(module, error)
"""


@pytest.mark.slow
@pytest.mark.nightly
def test_each_module_can_be_imported_alone() -> None:
    """What no circle in the text shows, such as a name that is imported before it is there.

    In a process of its own, because modules that are imported again are others than those that tests hold.
    """
    names = [f"{PACKAGE}.{module}".removesuffix(".__init__") for module in modules()]
    result = subprocess.run(
        [sys.executable, "-c", ALONE, *names], cwd=FOLDER.parent, capture_output=True, encoding="utf-8", check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
