"""The pictures of the examples in the docs are what the command prints for the demo's shop."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from amplitude_source.charts.book import compiled, read_chart
from amplitude_source.charts.definitions import read_words
from amplitude_source.cli import chart_report
from support.charts import EXAMPLES
from support.project import REPOSITORY, Project
from support.shop import demo_shop

PICTURES = REPOSITORY / "docs/images/charts"
WIDTH = 88
# Without fonts from a host.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The demo's month, with the properties and definitions of the guide."""
    with demo_shop(tmp_path_factory) as project:
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
