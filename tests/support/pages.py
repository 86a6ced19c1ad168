"""What all pages of a project's dashboard show, without a browser: `python -m support.pages` prints it as JSON."""

import base64
import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from .project import REPOSITORY, Project, succeeded

SECONDS = 300
SCRIPT = """
from board.frame import draw
from screens import PAGES

draw(*PAGES[{section!r}][{path!r}])
"""
TOLERANCE = 1e-9

Shown = dict[str, dict[str, Any]]
"""By page: tiles, figures, tables, sentences, exceptions."""


def pages_of(project: Project, address: str = "") -> Shown:
    """What the pages show, with the packages of this environment and the settings of the project.

    Args:
        project: whose warehouse is shown.
        address: what the reader has chosen, as `by=platform`.
    """
    folders = [project.root / "dashboard", project.root / "pipelines", REPOSITORY / "tests", REPOSITORY]
    result = project.run("-m", "support.pages", address, PYTHONPATH=":".join(map(str, folders)))
    shown: Shown = json.loads(succeeded(result).stdout.splitlines()[-1])
    return shown


def show_all(address: str) -> Shown:
    """Run each page, and return what it shows."""
    from screens import PAGES

    return {path: show(section, path, address) for section, pages in PAGES.items() for path in pages}


def show(section: str, path: str, address: str) -> dict[str, Any]:
    """Run a page until its copy of gold is there."""
    page = AppTest.from_string(SCRIPT.format(section=section, path=path), default_timeout=SECONDS)
    for name, _, value in (each.partition("=") for each in address.split("&") if each):
        page.query_params[name] = value
    while True:
        page.run()
        sentences = [each.value for each in (*page.info, *page.warning, *page.error)]
        if not any("is copied for the dashboard" in each for each in sentences):
            break
        time.sleep(0.1)
    unfold_numbers(page)
    return {
        "tiles": {each.label: each.value for each in page.metric},
        "figures": [figure(each.proto.spec) for each in page.get("plotly_chart")],
        "tables": [
            plain(json.loads(each.value.to_json(date_format="iso", orient="values"))) for each in page.dataframe
        ],
        "sentences": sentences,
        "exceptions": [each.value for each in page.exception],
    }


def unfold_numbers(page: AppTest) -> None:
    """Open the numbers of all figures, as a reader does by a click."""
    for each in page.expander:
        if each.label == "Numbers":
            _, mark, name = each.proto.id.partition("numbers-")
            page.session_state[mark + name] = True
    page.run()


def figure(spec: str) -> Any:
    """Return the data of a figure."""
    return plain(json.loads(spec)["data"])


def plain(value: Any) -> Any:
    """Return data as lists of numbers and texts: Plotly writes arrays as bytes, by the types of the engine."""
    match value:
        case {"bdata": text, "dtype": kind, **rest}:
            numbers = np.frombuffer(base64.b64decode(text), dtype=kind)
            shape = [int(size) for size in str(rest["shape"]).split(",")] if "shape" in rest else [-1]
            return plain(numbers.reshape(shape).tolist())
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yield where two pages show something else; fractions may differ as far as engines add up in another order."""
    match one, other:
        case dict(), dict():
            for name in one.keys() | other.keys():
                yield from differences(one.get(name), other.get(name), f"{place}/{name}")
        case list(), list() if len(one) == len(other):
            for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
                yield from differences(mine, theirs, f"{place}/{number}")
        case (float(), int() | float()) | (int(), float()) if math.isclose(one, other, rel_tol=TOLERANCE):
            return
        case _ if one != other:
            yield f"{place}: {one!r} and {other!r}"


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(show_all(sys.argv[1]))}\n")
