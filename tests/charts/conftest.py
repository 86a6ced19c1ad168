"""The worlds that random charts are asked in, and the tables of examples."""

import os
from collections.abc import Iterator

import pytest

from support.chart_gold import Gold
from support.chart_world import World, build_world
from support.shared import built_once

BY_HAND = pytest.mark.skipif("CHARTS" not in os.environ, reason="CHARTS=100 asks so many charts, here too")
WORLDS = [
    pytest.param(("America/Los_Angeles", "sunday"), id="los-angeles"),
    pytest.param(("Asia/Kolkata", "monday"), id="kolkata", marks=pytest.mark.slow),
    pytest.param(("UTC", "sunday"), id="utc", marks=[pytest.mark.slow, BY_HAND]),
]


@pytest.fixture(scope="session", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A shop's month, in a zone and with a first day of the week."""
    zone, week_start = request.param
    name = f"world-{zone.replace('/', '-')}"
    root = built_once(tmp_path_factory, name, lambda folder: build_world(folder, zone, week_start))
    world = World(root, zone, week_start)
    yield world
    world.close()


@pytest.fixture
def gold(request: pytest.FixtureRequest) -> Iterator[Gold]:
    """Gold with the days that the test names."""
    tables = Gold(*request.param)
    yield tables
    tables.close()
