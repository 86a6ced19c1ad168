"""A chart's answer on the terminal: its lines as small plots, and its numbers."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import TypeAlias

from rich.table import Table

from ..charts.book import Chart
from ..charts.queries import Compiled
from ..charts.types.journeys import Journeys
from .chart_paths import show_paths
from .reports import out

Row: TypeAlias = tuple[object, ...]
Place: TypeAlias = date | datetime | int | str
"""Of a point: its interval, the number of one, or what else the chart counts by."""
BARS = "▁▂▃▄▅▆▇█"
NOTHING = "·"
MOST_LINES, MOST_POINTS = 20, 40
WIDEST_LABEL = 24


class Line:
    """The points of one line.

    Args:
        label: what tells it from the others.
        points: their places, values and whether they are complete, in order.
    """

    def __init__(self, label: str, points: Sequence[tuple[Place, float | None, bool]]) -> None:
        self.label, self.points = label, points

    @property
    def size(self) -> float:
        """Its largest value, by which lines are ordered."""
        return max((value for _, value, _ in self.points if value is not None), default=0)

    def plot(self, width: int) -> str:
        """Return its points as bars from 0 up, so many as the width takes."""
        shown = within([place for place, *_ in self.points], width)
        values = [value for place, value, _ in self.points if place in shown]
        top = max((value for value in values if value is not None), default=0)
        return "".join(bar(value, top) for value in values)


def within(places: Sequence[Place], most: int) -> list[Place]:
    """Return the places for which there is room: the newest intervals, or the first of others."""
    ordered = sorted(set(places))
    return ordered[:most] if ordered and isinstance(ordered[0], int | str) else ordered[-most:]


def bar(value: float | None, top: float) -> str:
    """Return a value as one character, of the height that it has below the largest one."""
    if value is None:
        return NOTHING
    return BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] if top > 0 and value > 0 else BARS[0]


def number(value: float | None, is_share: bool = False) -> str:
    """Return a value as people write it."""
    if value is None:
        return "-"
    if is_share:
        return f"{value:.1%}"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 10_000 else f"{value:,.4g}"


def lines_of(query: Compiled, rows: Sequence[Row]) -> list[Line]:
    """Return the lines of a chart's rows, in their order. A column with one value for all is not in their labels."""
    places = {each.name: place for place, each in enumerate(query.columns)}
    *own, along = [places[name] for name in query.keys]
    telling = [place for place in own if len({row[place] for row in rows}) > 1]
    lines = []
    for key, group in groupby(rows, key=lambda row: {place: row[place] for place in own}):
        label = " / ".join(f"{key[place]}" for place in telling or [places["segment"]])
        points = [(row[along], row[places[query.value]], row[places["is_complete"]]) for row in group]
        lines.append(Line(label, points))  # type: ignore[arg-type]  # the types of a database's rows
    return lines


def show_answer(chart: Chart, query: Compiled, rows: Sequence[Row]) -> None:
    """Print a chart: a plot a line, then the numbers, a row an interval, for as many lines as the terminal is wide.

    Paths are a tree instead.
    """
    out.print(chart.title or chart.headline, style="bold")
    if not rows:
        out.print("There are no rows: no event of the chart has come on its days.")
        return
    if isinstance(chart, Journeys):
        show_paths(out, chart, query, rows)
        return
    lines = lines_of(query, rows)
    if chart.type == "segmentation":
        lines.sort(key=lambda line: -line.size)
    is_share = next(each.is_share for each in query.columns if each.name == query.value)
    show_plots(lines, is_share)
    out.print()
    show_numbers(lines, query.keys[-1], names_of(query, rows), is_share)


def names_of(query: Compiled, rows: Sequence[Row]) -> dict[object, str]:
    """Return the places along the lines with what they are called."""
    columns = [each.name for each in query.columns]
    along = columns.index(query.keys[-1])
    if not query.place_name:
        return {row[along]: f"{row[along]}".removesuffix(":00") for row in rows}
    name = columns.index(query.place_name)
    return {row[along]: f"{row[along]} {row[name]}" for row in rows}


def show_plots(lines: Sequence[Line], is_share: bool) -> None:
    """Print each line's points as bars, with its smallest, its largest and its last value."""
    label = min(WIDEST_LABEL, max(len(line.label) for line in lines))
    width = max(10, min(out.width - label - 36, 90))
    table = Table("", "", "min", "max", "last", box=None, padding=(0, 1, 0, 0))
    for line in lines[:MOST_LINES]:
        values = [value for _, value, _ in line.points if value is not None]
        ends = (min(values, default=None), max(values, default=None), line.points[-1][1])
        table.add_row(shortened(line.label, label), line.plot(width), *(number(value, is_share) for value in ends))
    for column in table.columns[2:]:
        column.justify = "right"
    out.print(table)
    if len(lines) > MOST_LINES:
        out.print(f"{len(lines) - MOST_LINES:,} more lines: --csv prints all.")


def show_numbers(lines: Sequence[Line], along: str, names: Mapping[object, str], is_share: bool) -> None:
    """Print points as numbers, with a star at those that the export has not all of.

    Args:
        lines: of the points.
        along: what their places are.
        names: of the places.
        is_share: whether the numbers are read in percent.
    """
    periods = within([period for line in lines for period, *_ in line.points], MOST_POINTS)
    values = [{period: (value, whole) for period, value, whole in line.points} for line in lines]
    columns: list[list[str]] = []
    room = out.width - 4 - max(map(len, [along, *names.values()]))
    for line, of_line in zip(lines, values, strict=True):
        cells = [cell(*of_line.get(period, (None, True)), is_share) for period in periods]
        head = shortened(line.label, WIDEST_LABEL)
        room -= max(map(len, [head, *cells])) + 2
        if room < 0 and columns:
            break
        columns.append([head, *cells])
    table = Table(along, *(head for head, *_ in columns), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for place, period in enumerate(periods, 1):
        table.add_row(shortened(names[period], WIDEST_LABEL), *(cells[place] for cells in columns))
    out.print(table)
    if any(not whole for of_line in values for _, whole in of_line.values()):
        out.print("* The export does not have all of it.")
    if len(columns) < len(lines):
        out.print(f"{len(lines) - len(columns):,} more lines do not fit in: --csv prints all.")


def cell(value: float | None, is_complete: bool, is_share: bool) -> str:
    """Return a value with its star, or the room for one."""
    return f"{number(value, is_share)}{' ' if is_complete else '*'}"


def shortened(text: str, width: int) -> str:
    """Return a text that is no longer than a width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
