"""Viewers beside a load, a plan and a run: nobody waits for them, and none of them sees an error."""

import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from itertools import count

import pytest

from support.dashboard import TITLES, Dashboard, Sight, browser, look
from support.project import SQLMESH, Project, succeeded

PAUSE_SECONDS = 5.0
VIEWERS, SECONDS = 10, 120
PATHS = [*TITLES]
PLAN = (*SQLMESH, "plan", "--auto-apply", "--no-prompts", "--skip-tests")


class Viewers(threading.Thread):
    """Pages of one browser, each of which looks at another page of the dashboard again and again.

    Args:
        url: of the dashboard.
        number: of the viewers, at most as many as there are pages.
    """

    def __init__(self, url: str, number: int) -> None:
        super().__init__(daemon=True)
        self._url, self._number, self._is_over = url, number, threading.Event()
        self.ready = threading.Event()
        self.seen = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Look until it is over."""
        with browser() as chromium, ExitStack() as stack:
            context = chromium.new_context()  # of all, so that the scripts are fetched once
            sights = [
                stack.enter_context(look(context.new_page(), f"{self._url}/{path}")) for path in PATHS[: self._number]
            ]
            self.ready.set()
            for turn in count(1):
                for number, sight in enumerate(sights):
                    self._look(sight, PATHS[(turn + number) % len(PATHS)])
                    if self._is_over.wait(PAUSE_SECONDS) and turn > 1:  # people read what they see
                        return

    def _look(self, sight: Sight, path: str) -> None:
        menu = sight.page.get_by_test_id("stSidebarNav")
        menu.get_by_role("link", name=TITLES[path], exact=True).click()
        sight.page.get_by_role("heading", name=TITLES[path], level=1, exact=True).wait_for()
        sight.settle()
        exceptions = sight.page.get_by_test_id("stException")
        self.faults += [*exceptions.all_inner_texts(), *sight.errors]
        self.seen += 1

    def end(self) -> None:
        """Have them look away."""
        self._is_over.set()
        self.join()


@pytest.mark.slow
@pytest.mark.nightly
def test_nobody_waits_for_viewers_and_none_of_them_sees_an_error(project: Project) -> None:
    succeeded(project.load_here("--end", f"{project.first_hour + timedelta(days=1):%Y-%m-%dT%H}"))
    succeeded(project.run(*PLAN))
    with Dashboard(project) as served:
        viewers = Viewers(served.url, VIEWERS)
        viewers.start()
        assert viewers.ready.wait(120), "the viewers do not see the first page"
        end = time.monotonic() + SECONDS
        succeeded(project.load())
        succeeded(project.run(*SQLMESH, "run"))
        succeeded(project.run(*PLAN, "dev", "--include-unmodified"))
        while time.monotonic() < end:
            succeeded(
                project.load("--start", f"{project.first_hour:%Y-%m-%d}", "--end", f"{project.first_hour:%Y-%m-%d}")
            )
            succeeded(project.run(*SQLMESH, "run"))
        viewers.end()
    assert viewers.faults == []
    assert viewers.seen >= VIEWERS
