"""Silver and gold end to end: equal to the oracle, however the export arrives."""

import random
from datetime import datetime, timedelta

import pytest
import warehouse
from conftest import Project

from simulator.product import Product
from simulator.server import Simulator

HOUR = timedelta(hours=1)


@pytest.fixture(scope="session")
def month() -> Product:
    """Thirty days, thinly peopled, so that many small runs stay quick."""
    return Product(seed=7, days=30, events_per_day=60)


@pytest.fixture
def product(month: Product) -> Product:
    return month


def settled(product: Product) -> datetime:
    """A present in which every hour of the product is final."""
    return product.end + timedelta(days=1)


def test_silver_and_gold_of_the_month_equal_the_oracle(project: Project, simulator: Simulator, month: Product) -> None:
    project.set_clock(settled(month), simulator)
    assert project.load_here().returncode == 0
    warehouse.plan(project)
    warehouse.assert_equals_oracle(project, project.lake.rglob("*.json.gz"))


def test_thirty_daily_runs_give_what_one_run_gives(project: Project, simulator: Simulator, month: Product) -> None:
    for day in range(month.days):
        end = month.start + (day + 1) * 24 * HOUR
        project.set_clock(end + 9 * HOUR, simulator)
        last = project.load_here("--end", f"{end - HOUR:%Y-%m-%dT%H}")
        assert last.returncode == 0, last.stderr
        warehouse.run(project) if day else warehouse.plan(project)
    warehouse.assert_equals_oracle(project, project.lake.rglob("*.json.gz"))
