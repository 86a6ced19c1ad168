"""The pictures of the examples in the docs are what the command prints for the demo's shop."""

import io
import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from amplitude_source.charts.book import compiled, read_chart
from amplitude_source.charts.definitions import read_words
from amplitude_source.cli import chart_report
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.charts import DEFINITIONS_OF_GUIDE, EXAMPLES, PROPERTIES_OF_GUIDE, write_charts
from support.project import REPOSITORY, Project, make_project, succeeded
from support.shared import built_once

PICTURES = REPOSITORY / "docs/images/charts"
WIDTH = 88
# Without fonts from a host.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The demo's month, with the properties and definitions of the guide."""
    product = Product()

    def build(folder: Path) -> Path:
        project = make_project(folder, simulator)
        project.set_clock(product.end + timedelta(hours=9), simulator)
        write_charts(project.root, properties=PROPERTIES_OF_GUIDE, definitions=DEFINITIONS_OF_GUIDE)
        succeeded(project.load_here())
        warehouse.plan(project)
        return project.root / "data"

    with Simulator(product) as simulator:
        data = built_once(tmp_path_factory, "demo-charts", build)
        project = make_project(tmp_path_factory.mktemp("demo-charts"), simulator)
        shutil.copytree(data, project.root / "data", ignore=shutil.ignore_patterns("work"))
        write_charts(project.root, properties=PROPERTIES_OF_GUIDE, definitions=DEFINITIONS_OF_GUIDE)
        yield project


def picture(project: Project, example: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command prints, as SVG."""
    words = read_words(project.root)
    chart = read_chart(example, REPOSITORY, words)
    query = compiled(chart, words)
    rows = project.query(f"FROM ({query.for_engine('duckdb')}) ORDER BY {', '.join(query.keys)}")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, markup=False)
    monkeypatch.setattr(chart_report, "out", console)
    chart_report.show_answer(chart, query, rows)
    return console.export_svg(
        title=f"amplitude.py chart {example.stem}", code_format=FORMAT, unique_id=example.stem.replace("_", "-")
    )


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.stem))
def test_the_picture_of_an_example_is_what_the_command_prints(
    shop: Project, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = PICTURES / f"{example.stem}.svg", picture(shop, example, monkeypatch)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        PICTURES.mkdir(exist_ok=True)
        path.write_text(now, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == now, (
        f"look at the picture, and write {path.name} with UPDATE_SNAPSHOTS=1"
    )


def test_each_picture_is_of_an_example() -> None:
    assert {path.stem for path in PICTURES.glob("*.svg")} == {path.stem for path in EXAMPLES}
