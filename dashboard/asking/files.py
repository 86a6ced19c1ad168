"""The files of charts: which have a fault, which are not built yet, and how a new one is written."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from amplitude_source.charts.book import name_of, read_chart
from amplitude_source.charts.compared import FOLDER, chart_files
from amplitude_source.charts.properties import COLUMN
from amplitude_source.errors import AmplitudeError
from amplitude_source.invocation import sqlmesh_command
from asking.question import words_of_files, yaml_of
from board.errors import UnansweredError
from board.warehouse import ROOT

SCHEMA = "# yaml-language-server: $schema=../schemas/chart.json\n"


def faults(built: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each file of a chart that has a fault, and one for those that are not as they are built.

    Args:
        built: the definitions of gold.charts by the charts' names.
    """
    try:
        words, files = words_of_files(), chart_files(ROOT)
    except (UnansweredError, AmplitudeError) as error:
        yield str(error)
        return
    others: list[str] = []
    for path in files:
        try:
            name, chart = name_of(path, ROOT), read_chart(path, ROOT, words)
        except AmplitudeError as error:
            yield str(error)
            continue
        if json.loads(chart.model_dump_json(exclude_unset=True, by_alias=True)) != json.loads(built.get(name, "{}")):
            others.append(str(path.relative_to(ROOT)))
    if others:
        yield f"Not built yet, or changed since: {', '.join(others)}. Build them: {sqlmesh_command('plan')}"


def save(name: str, content: Mapping[str, Any], *, over: bool) -> str:
    """Write a chart's file.

    Args:
        name: of the chart, and of its file.
        content: what the file shall hold.
        over: whether it may take the place of one of that name.

    Returns:
        the file, from the repository's folder.

    Raises:
        UnansweredError: the name cannot be, or there is a chart of that name.
    """
    if not COLUMN.fullmatch(name):
        raise UnansweredError("Name the chart with small letters, digits and _ alone, such as orders_by_week.")
    path = next((each for each in chart_files(ROOT) if each.stem == name), ROOT / FOLDER / f"{name}.yaml")
    file = str(path.relative_to(ROOT))
    if path.parent != ROOT / FOLDER:
        raise UnansweredError(f"There is {file} already, which is not yours. Choose another name.")
    if path.exists() and not over:
        raise UnansweredError(f"There is {file} already. Choose another name, or replace it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCHEMA + yaml_of(content), encoding="utf-8")
    return file
