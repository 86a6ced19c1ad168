"""What pages of a project's dashboard show, without a browser: `python -m support.pages` prints it as JSON."""

import base64
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

import numpy as np
import streamlit as st
from streamlit.testing.v1 import AppTest

from asking import files, question
from board import warehouse
from screens import PAGES

from .project import REPOSITORY, Project, succeeded

SECONDS = 300
SCRIPT = """
from board.frame import draw
from screens import PAGES

draw(*{{path: page for pages in PAGES.values() for path, page in pages.items()}}[{path!r}])
"""
PATHS = [path for pages in PAGES.values() for path in pages]
TOLERANCE = 1e-9

Pages = Callable[..., AppTest]
"""Opens a page by its path and, if there is one, an address."""
Shown = dict[str, dict[str, Any]]
"""By page: tiles, figures, tables, sentences, exceptions."""


def pages_of(project: Project, address: str, paths: Iterable[str]) -> Shown:
    """What pages show, with the packages of this environment and the settings of the project.

    Args:
        project: whose warehouse is shown.
        address: what the reader has chosen, as `by=platform`.
        paths: of the pages.
    """
    folders = [project.root / "dashboard", project.root / "pipelines", REPOSITORY / "tests", REPOSITORY]
    result = project.run("-m", "support.pages", address, *paths, PYTHONPATH=":".join(map(str, folders)))
    shown: Shown = json.loads(succeeded(result).stdout.splitlines()[-1])
    return shown


def show(path: str, address: str) -> dict[str, Any]:
    """Run a page, and return what it shows."""
    page = opened(path, address)
    unfold_numbers(page)
    return {
        "tiles": {each.label: each.value for each in page.metric},
        "figures": figures(page),
        "tables": [
            plain(json.loads(each.value.to_json(date_format="iso", orient="values"))) for each in page.dataframe
        ],
        "sentences": sentences(page),
        "exceptions": [each.value for each in page.exception],
    }


@contextmanager
def settings_of(root: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Have pages of this process show what the settings of a checkout name; they keep no answer of another."""
    with mock.patch.dict(os.environ, env), ExitStack() as stack:
        for module in (warehouse, question, files):
            stack.enter_context(mock.patch.object(module, "ROOT", root))
        folder = Path.cwd()
        forget()
        yield
        forget()
        os.chdir(folder)


def forget() -> None:
    """Forget all answers, and the warehouse that gave them."""
    st.cache_resource.clear()
    st.cache_data.clear()


def opened(path: str, address: str = "") -> AppTest:
    """Run a page until its copy of gold is there; a traceback is the caller's to look for.

    Args:
        path: of the page.
        address: what the reader has chosen, as `by=platform&segment=Web&segment=iOS`.
    """
    page = AppTest.from_string(SCRIPT.format(path=path), default_timeout=SECONDS)
    for name, values in parse_qs(address).items():
        page.query_params[name] = values
    end = time.monotonic() + SECONDS
    while True:
        page.run()
        if not any("is copied for the dashboard" in each for each in sentences(page)):
            return page
        assert time.monotonic() < end, "the copy is never made"
        time.sleep(0.1)


def sentences(page: AppTest) -> list[str]:
    """What the page says in frames of their own: why there is nothing, or what is wrong."""
    return [each.value for each in (*page.info, *page.warning, *page.error)]


def figures(page: AppTest) -> list[Any]:
    """The lines of each figure, as Plotly gets them."""
    return [plain(json.loads(each.proto.spec)["data"]) for each in page.get("plotly_chart")]


def unfold_numbers(page: AppTest) -> None:
    """Open the numbers of all figures, as a reader does by a click."""
    for each in page.expander:
        if each.label == "Numbers":
            _, mark, name = each.proto.id.partition("numbers-")
            page.session_state[mark + name] = True
    page.run()


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


def assert_pages_show_the_same_on_both(one: Project, local: Project, paths: Iterable[str]) -> None:
    """Pages of the dashboard, with a break-down, on two engines."""
    theirs, ours = (pages_of(project, "by=platform", paths) for project in (one, local))
    assert [page["exceptions"] for page in ours.values() if page["exceptions"]] == []
    assert [*differences(ours, theirs)] == []


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
    sys.stdout.write(f"\n{json.dumps({path: show(path, sys.argv[1]) for path in sys.argv[2:]})}\n")
