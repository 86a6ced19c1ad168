"""The worlds that random charts are asked in, and the tables of examples."""

from collections.abc import Iterator

import pytest

from support.chart_gold import Gold
from support.chart_world import World, build_world
from support.shared import built_once

WORLDS = [
    # Half hours, and a change of clocks within the month.
    pytest.param(("America/St_Johns", "sunday"), id="st-johns"),
    pytest.param(("Asia/Kolkata", "monday"), id="kolkata", marks=[pytest.mark.slow, pytest.mark.nightly]),
    pytest.param(("UTC", "sunday"), id="utc", marks=[pytest.mark.slow, pytest.mark.nightly]),
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
