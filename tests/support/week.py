"""A week that is loaded and built once, for tests that begin after that."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.project import Project, make_project, succeeded
from support.shared import built_once

WEEK = Product(seed=8, days=7, events_per_day=120)


def settle(project: Project, simulator: Simulator) -> None:
    """Sets the clocks to when every hour of the product is final."""
    project.set_clock(simulator.product.end + timedelta(days=1), simulator)


def copy_week(project: Project, simulator: Simulator, factory: pytest.TempPathFactory) -> None:
    """Gives a project the data of one that has loaded and planned the week."""

    def build(folder: Path) -> Path:
        with Simulator(WEEK) as simulator:
            built = make_project(folder, simulator)
            settle(built, simulator)
            succeeded(built.load_here())
        warehouse.plan(built)
        return built.root / "data"

    settle(project, simulator)
    data = built_once(factory, "built-week", build)
    shutil.copytree(data, project.root / "data", ignore=shutil.ignore_patterns("work"))
