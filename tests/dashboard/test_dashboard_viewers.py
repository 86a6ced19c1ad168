"""Viewers beside a load, a plan and a run: nobody waits for them, and none of them sees an error."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from screens import PAGES
from support.dashboard import Dashboard, Sight, browser, look
from support.project import Project, succeeded

VIEWERS = 10
SECONDS = float(os.environ.get("VIEWERS_SECONDS", "0"))  # that they look at least; VIEWERS_SECONDS=120 by hand
PAUSE_SECONDS = 2.0
PATHS = [path for pages in PAGES.values() for path in pages]
SQLMESH = ("-c", "from sqlmesh.cli.main import cli; cli()")


class Viewers(threading.Thread):
    """Pages of one browser, each of which looks at another page of the dashboard again and again.

    Args:
        url: of the dashboard.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._is_over = url, threading.Event()
        self.ready = threading.Event()
        self.seen = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Look until it is over."""
        with browser() as chromium:
            contexts = [look(chromium, self._url) for _ in range(VIEWERS)]
            sights = [context.__enter__() for context in contexts]
            self.ready.set()
            for turn in self._turns():
                for number, sight in enumerate(sights):
                    self._look(sight, PATHS[(turn + number) % len(PATHS)])
                    self._is_over.wait(PAUSE_SECONDS)  # people read what they see

    def _turns(self) -> Iterator[int]:
        turn = 0
        while not self._is_over.is_set():
            yield turn
            turn += 1

    def _look(self, sight: Sight, path: str) -> None:
        sight.page.goto(f"{self._url}/{path}")
        sight.settle()
        exceptions = sight.page.get_by_test_id("stException")
        self.faults += [*exceptions.all_inner_texts(), *sight.errors]
        self.seen += 1

    def end(self) -> None:
        """Have them look away."""
        self._is_over.set()
        self.join()


@pytest.mark.slow
def test_nobody_waits_for_ten_viewers_and_none_of_them_sees_an_error(project: Project) -> None:
    succeeded(project.load_here("--end", f"{project.first_hour + timedelta(days=1):%Y-%m-%dT%H}"))
    succeeded(project.run(*SQLMESH, "plan", "--auto-apply", "--no-prompts"))
    with Dashboard(project) as served:
        viewers = Viewers(served.url)
        viewers.start()
        assert viewers.ready.wait(120), "the viewers do not see the first page"
        end = time.monotonic() + SECONDS
        succeeded(project.load())
        succeeded(project.run(*SQLMESH, "run"))
        succeeded(project.run(*SQLMESH, "plan", "dev", "--auto-apply", "--no-prompts", "--include-unmodified"))
        while time.monotonic() < end:
            succeeded(
                project.load("--start", f"{project.first_hour:%Y-%m-%d}", "--end", f"{project.first_hour:%Y-%m-%d}")
            )
            succeeded(project.run(*SQLMESH, "run"))
        viewers.end()
    assert viewers.faults == []
    assert viewers.seen >= VIEWERS
