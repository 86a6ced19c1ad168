"""The dashboard of a project as a process, and a browser that looks at it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
import requests
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from screens import PAGES

from .postgres import free_port
from .project import COMMAND, Project

START_SECONDS, PAGE_SECONDS = 60, 90
TITLES = {path: title for pages in PAGES.values() for path, (title, _) in pages.items()}
TALLEST = 1300  # of a picture in the documents
WIDE, NARROW = 1280, 390
# The script has run, nothing of an earlier run is left, each figure is drawn; and it has stayed so for a while, because
# Streamlit begins anew when it has read the address.
IS_SETTLED = """() => {
    const app = document.querySelector('[data-testid=stApp]'), main = document.querySelector('[data-testid=stMain]');
    const figures = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
    const isSettled = app?.dataset.testScriptState === 'notRunning' && main?.querySelector('h1')
        && !document.querySelector('[data-stale=true]') && !main.innerText.includes('Gold is copied for the dashboard')
        && !document.querySelector('[data-testid=stSkeleton]')
        && figures.every(figure => figure.querySelector('.main-svg'));
    window.settledSince = isSettled ? window.settledSince ?? Date.now() : undefined;
    return isSettled && Date.now() - window.settledSince > 500;
}"""
# What a reader can set, press or follow. Of one that is chosen among several the tab key reaches the group alone; what
# Streamlit shows beside a figure, a table or the menu while the mouse is there is not of the page.
FIELDS = """() => [...document.querySelectorAll('a[href], button, input, textarea, summary, [role=spinbutton]')]
    .filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility({visibilityProperty: true})
        && !each.closest('[role=radiogroup], [role=toolbar], [data-testid=stElementToolbar]')
        && !each.closest('[data-testid=stSidebarHeader]'))"""
NAME = """each => (each.ariaLabel || each.labels?.[0]?.innerText || each.innerText || each.placeholder || each.tagName)
    .trim().slice(0, 40)"""
# Words whose colour is too near to that of their ground, as WCAG 2.2 counts it (1.4.3). Those on bars and in cells of
# a heat map are left out, because their ground is a picture; so are chosen values, which Streamlit writes in white.
FAINT_WORDS = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const colour = text => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = (top, below) => [...[0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])), 1];
    const ground = each => each ? over(colour(getComputedStyle(each).backgroundColor), ground(each.parentElement))
        : [255, 255, 255, 1];
    const light = parts => parts.slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const found = [];
    for (const each of document.querySelectorAll('body *')) {
        const words = [...each.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
        const style = getComputedStyle(each), figure = each.closest('svg');
        if (!words || !each.checkVisibility({visibilityProperty: true})
            || each.closest('.heatmaplayer, .bartext, [data-testid=stMultiSelect]')) continue;
        const below = ground(figure ? figure.parentElement : each);
        const [more, less] = [light(over(colour(figure ? style.fill : style.color), below)), light(below)]
            .sort((one, other) => other - one);
        const isLarge = parseFloat(style.fontSize) >= 24;
        if ((more + 0.05) / (less + 0.05) < (isLarge ? 3 : 4.5)) found.push(words.slice(0, 40));
    }
    return found;
}"""
# Streamlit looks for its own root below the address of a page first, and goes one folder up.
OF_STREAMLIT = ("/_stcore/health", "/_stcore/host-config")


class Dashboard:
    """The command `dashboard` of a project.

    Args:
        project: whose warehouse is shown.
    """

    def __init__(self, project: Project) -> None:
        self._project, self._port = project, free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        command = [sys.executable, COMMAND, "dashboard", "--port", str(self._port)]
        self._process = subprocess.Popen(
            command, cwd=self._project.root, env=self._project.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"the dashboard has ended, with exit code {self._process.returncode}"
            assert time.monotonic() < end, "the dashboard does not answer"
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/_stcore/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def __exit__(self, *_: object) -> None:
        copying = psutil.Process(self._process.pid).children()
        self._process.terminate()
        self._process.wait()
        psutil.wait_procs(copying, START_SECONDS)


@dataclass
class Sight:
    """A page as the browser shows it, and what went wrong on the way."""

    page: Page
    outside: list[str] = field(default_factory=list)
    """Requests that did not go to the dashboard."""
    errors: list[str] = field(default_factory=list)
    """What the console says."""

    def text(self) -> str:
        """All words of the page, without the sidebar's."""
        return self.page.locator("[data-testid=stMain]").inner_text()

    def tiles(self) -> dict[str, str]:
        """The numbers of the page's tiles by their labels."""
        labels = self.page.get_by_test_id("stMetricLabel").all_inner_texts()
        values = self.page.get_by_test_id("stMetricValue").all_inner_texts()
        return dict(zip(map(str.strip, labels), map(str.strip, values), strict=True))

    def points(self, figure: int) -> list[tuple[str, list[object], list[object]]]:
        """The lines of a figure: name, x and y of each, as Plotly has them."""
        return [
            (line["name"], line["x"], line["y"])
            for line in self.page.evaluate(
                """number => {
                    const plot = document.querySelectorAll('.js-plotly-plot')[number];
                    return plot._fullData.map(line => ({
                        name: line.name, x: Array.from(line.x ?? []), y: Array.from(line.y ?? []),
                    }));
                }""",
                figure,
            )
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            self.page.evaluate(
                """() => Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')].map(
                    each => each.scrollWidth - each.clientWidth))"""
            )
        )

    def heading_levels(self) -> list[int]:
        """The levels of the headings, from above."""
        headings = self.page.get_by_test_id("stMain").get_by_role("heading").all()
        return [int(each.evaluate("each => each.tagName.slice(1)")) for each in headings]

    def fields(self) -> list[str]:
        """The names of all that a reader can set or press, in the order of the page."""
        return list(self.page.evaluate(f"() => ({FIELDS})().map({NAME})"))

    def reached_by_tab(self) -> list[str]:
        """The names of what the tab key comes to, from the begin of the page to its end."""
        self.page.evaluate("() => document.activeElement.blur()")
        found: list[str] = []
        while True:
            self.page.keyboard.press("Tab")
            place, name = self.page.evaluate(f"""() => {{
                const each = document.activeElement;
                return [({FIELDS})().indexOf(each), each === document.body ? null : ({NAME})(each)];
            }}""")
            if name is None or (place == 0 and found):
                return found
            found += [name] if place >= 0 else []

    def faint_words(self) -> list[str]:
        """The words that are hard to tell from their ground."""
        return list(self.page.evaluate(FAINT_WORDS))

    def settle(self) -> None:
        """Wait until the page is drawn."""
        self.page.wait_for_function(IS_SETTLED, timeout=1000 * PAGE_SECONDS, polling=100)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, as Debian has it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        raise FileNotFoundError("Pages are tested in Chromium, and there is none: make browser")
    with sync_playwright() as playwright:
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.getuid() == 0 else [])]  # of containers
        arguments += ["--process-per-site"]  # windows share what Chromium has made of the scripts
        shown = playwright.chromium.launch(executable_path=program, args=arguments)
        yield shown
        shown.close()


@contextmanager
def look(page: Page, url: str, width: int = WIDE, *, dark: bool = False) -> Iterator[Sight]:
    """Go to an address in a window, and wait until its page is drawn.

    A window that has shown a page before has read the scripts of Streamlit and Plotly, which takes longer than a page.
    """
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    sight = Sight(page)
    origin = "/".join(url.split("/")[:3])

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith(OF_STREAMLIT):
            sight.errors.append(message.text)

    def note_error(error: Error) -> None:
        sight.errors.append(str(error))

    def note_request(request: Request) -> None:
        if not is_own(request.url, origin):
            sight.outside.append(request.url)

    page.on("console", note)
    page.on("pageerror", note_error)
    page.on("request", note_request)
    page.goto(url)
    sight.settle()
    yield sight
    for event, listener in (("console", note), ("pageerror", note_error), ("request", note_request)):
        page.remove_listener(event, listener)


def is_own(url: str, origin: str) -> bool:
    """Whether a request stays with the dashboard."""
    return url.startswith((origin, origin.replace("http", "ws"), "data:", "blob:"))


def picture_of(sight: Sight, path: Path) -> None:
    """Write a picture of the whole page, as PNG."""
    height = sight.page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
    width = sight.page.viewport_size["width"] if sight.page.viewport_size else WIDE
    sight.page.set_viewport_size({"width": width, "height": min(int(height) + 20, TALLEST)})
    sight.page.wait_for_timeout(1000)  # Plotly draws anew
    sight.page.screenshot(path=path)
