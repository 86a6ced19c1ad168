"""The charts of a repository as SQLMesh's models: a view `gold.chart_<name>` each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlmesh.core.dialect import parse
from sqlmesh.core.model import Model, load_sql_based_model

from ..charts.book import Chart, compiled, event_types, files_by_name, read_chart, read_charts
from ..charts.cohorts import cohorts_of
from ..charts.definitions import Words, read_words
from ..charts.expressions import DIALECT
from ..charts.queries import Compiled

HEADER = """/* {description} */
MODEL (
  name gold.{table},
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain ({keys}),
  ignored_rules ('missingunittest'),
  audits (
    rows_are_sound(keys := ({keys}), columns := ({columns}))
  )
);
"""


def chart_models(root: Path, **loading: Any) -> Iterator[Model]:
    """Yield the model of each chart.

    A chart's rows are read from gold and silver whenever somebody looks, so an hour that comes late is in them, and a
    chart that changes rebuilds nothing.

    Args:
        root: the repository's folder.
        loading: how SQLMesh's loader loads models: its macros, variables, defaults.

    Raises:
        AmplitudeError: what is wrong in a chart's file, with the line.
    """
    words = read_words(root)
    for name, path in files_by_name(root).items():
        chart = read_chart(path, root, words)
        text = model_text(name, path.relative_to(root), chart, compiled(chart, words))
        model = load_sql_based_model(parse(text, default_dialect=DIALECT), path=path, dialect=DIALECT, **loading)
        yield model.copy(update={"formatting": False})


def table_of(name: str) -> str:
    """Return the name of a chart's view in gold."""
    return f"chart_{name}"


def model_text(name: str, file: Path, chart: Chart, query: Compiled) -> str:
    """Return a chart as the text of a model."""
    description = f"The {chart.type} chart of {file}{f': {chart.title}' if chart.title else ''}"
    header = HEADER.format(
        description=description.replace("*/", "* /"),
        table=table_of(name),
        keys=", ".join(query.keys),
        columns=", ".join([*query.keys, "is_complete"]),
    )
    return f"{header}\n{query.sql}"


def listed_charts(root: Path) -> list[dict[str, str | list[str]]]:
    """Return the charts as macros/charts.py lists them in gold.charts, with the event types and cohorts that they name.

    Args:
        root: the repository's folder.

    Raises:
        AmplitudeError: what is wrong in a chart's file, with the line.
    """
    words: Words = read_words(root)
    return [
        {
            "chart": name,
            "type": chart.type,
            "title": chart.title or "",
            "table_name": f"gold.{table_of(name)}",
            "definition": chart.model_dump_json(exclude_unset=True, by_alias=True),
            "events": event_types(chart, words),
            "cohorts": [*cohorts_of(chart.segments, words.segments).values()],
            "amplitude_chart": getattr(chart, "amplitude_chart", None) or "",
        }
        for name, chart in read_charts(root, words).items()
    ]
