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


def built_week(factory: pytest.TempPathFactory) -> Path:
    """The data of a project that has loaded and planned the week."""

    def build(folder: Path) -> Path:
        with Simulator(WEEK) as simulator:
            project = make_project(folder, simulator)
            settle(project, simulator)
            succeeded(project.load_here())
        warehouse.plan(project)
        return project.root / "data"

    return built_once(factory, "built-week", build)


def copy_week(project: Project, simulator: Simulator, factory: pytest.TempPathFactory) -> None:
    """Gives a project a copy of that data."""
    settle(project, simulator)
    shutil.copytree(built_week(factory), project.root / "data", ignore=shutil.ignore_patterns("work"))
