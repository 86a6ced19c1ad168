"""The simulator with a small shop."""

from collections.abc import Iterator

import pytest

from simulator.server import Simulator
from support.small_shop import SMALL


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(SMALL) as simulator:
        yield simulator
