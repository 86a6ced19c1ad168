"""A dashboard on the demo's month, and a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from support import dashboard
from support.dashboard import Dashboard
from support.pages import Pages, opened, settings_of
from support.project import Project
from support.shared import started_once
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


@pytest.fixture(scope="module")
def pages(shop: Project) -> Iterator[Pages]:
    """Its pages in this process, without a browser."""
    with settings_of(shop.root, shop.env):
        yield opened


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A window of a browser, in which all tests look at pages, one after the other."""
    started_once(tmp_path_factory, "browser")
    with dashboard.browser() as shown:
        yield shown.new_page()
