"""A chart of journeys on the terminal: paths as a tree."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table

from ..charts.queries import Compiled
from ..charts.types.journeys import Journeys
from ..charts.types.journeys_query import SEPARATOR

MOST_NODES = 40
Node: TypeAlias = Mapping[str, Any]
"""A row of the chart: a step that paths have in common."""
Tree: TypeAlias = Mapping[Sequence[str], Sequence[Node]]
"""The nodes below each, by the events up to it."""


def show_paths(out: Console, chart: Journeys, query: Compiled, rows: Sequence[Sequence[object]]) -> None:
    """Print each line of a chart as a tree: below an event those that follow it, or those that come before it."""
    names = [each.name for each in query.columns]
    own = query.keys[:-2]
    nodes = [dict(zip(names, row, strict=True)) for row in rows]
    telling = [name for name in own if len({node[name] for node in nodes}) > 1]
    for _, of_line in groupby(nodes, key=lambda node: [node[name] for name in own]):
        line = [*of_line]
        if telling:
            out.print()
            out.print(" / ".join(f"{line[0][name]}" for name in telling), style="bold")
        show_tree(out, chart, line)
    if not all(node["is_complete"] for node in nodes):
        out.print("The export does not have all of the days.")


def show_tree(out: Console, chart: Journeys, nodes: Sequence[Node]) -> None:
    """Print the largest nodes of a line, with their paths and the share of all paths."""
    shown = sorted(nodes, key=lambda node: (-node["paths"], node["step"], node["path"]))[:MOST_NODES]
    below: defaultdict[Sequence[str], list[Node]] = defaultdict(list)
    for node in shown:
        below[events_of(chart, node)[:-1]].append(node)
    table = Table("", chart.measure, "share", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for node in branches(chart, below):
        event = node["to_event" if chart.from_ else "from_event"]
        mark = "" if chart.from_ or node["step"] == 1 else "← "
        table.add_row(f"{'  ' * (node['step'] - 1)}{mark}{event}", f"{node['paths']:,}", f"{node['share']:.1%}")
    out.print(table)
    if len(shown) < len(nodes):
        out.print(f"{len(nodes) - len(shown):,} smaller branches: --csv prints all.")


def events_of(chart: Journeys, node: Node) -> tuple[str, ...]:
    """Return the events up to a node, from that of the first step on."""
    events = node["path"].split(f" {SEPARATOR} ")
    return tuple(events if chart.from_ else reversed(events))


def branches(chart: Journeys, below: Tree, events: tuple[str, ...] = ()) -> Iterator[Node]:
    """Yield the nodes below some events, each before those below it, the largest first."""
    for node in below.get(events, ()):
        yield node
        yield from branches(chart, below, events_of(chart, node))
