"""The demo's month as a built warehouse, with the charts of the guide: for pictures of the docs and the dashboard."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.product import Product
from simulator.server import Simulator

from . import warehouse
from .charts import DEFINITIONS_OF_GUIDE, EXAMPLES, PROPERTIES_OF_GUIDE, write_charts
from .project import Project, make_project, succeeded
from .shared import built_once

RESOURCES = '["event_types", "daily_numbers", "annotations", "cohorts"]'


@contextmanager
def demo_shop(factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy of the demo's month, which is built once for all tests; its simulator runs as long as the context."""
    product = Product()
    with Simulator(product, now=product.end + timedelta(hours=9)) as simulator:
        project = make_shop(factory.mktemp("demo-shop"), simulator)
        data = built_once(factory, "demo-shop-built", lambda folder: build(make_shop(folder, simulator)))
        shutil.copytree(data, project.root / "data", ignore=shutil.ignore_patterns("work"))
        yield project


def make_shop(folder: Path, simulator: Simulator) -> Project:
    """A checkout of the demo's settings, with the examples of the docs as its charts."""
    project = make_project(folder, simulator)
    project.env["SOURCES__AMPLITUDE__REST_RESOURCES"] = RESOURCES
    charts = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES}
    write_charts(project.root, charts, properties=PROPERTIES_OF_GUIDE, definitions=DEFINITIONS_OF_GUIDE)
    return project


def build(project: Project) -> Path:
    """Loads all hours and plans; returns the project's data."""
    succeeded(project.load_here())
    warehouse.plan(project)
    return project.root / "data"
