"""A dashboard on the demo's month, and a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from support import dashboard
from support.dashboard import Dashboard
from support.project import Project
from support.shop import demo_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The demo's month with the charts of the guide."""
    with demo_shop(tmp_path_factory) as project:
        yield project


@pytest.fixture(scope="session")
def served(shop: Project) -> Iterator[Dashboard]:
    """Its dashboard."""
    with Dashboard(shop) as served:
        yield served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser for all pages of a process."""
    with dashboard.browser() as shown:
        yield shown
