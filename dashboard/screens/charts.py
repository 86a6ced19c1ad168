"""Every chart of the project, drawn as its type asks for."""

import json

import pandas as pd
import streamlit as st

from board.blocks import kindly, link_to_explorer, pairs, show_drawing
from board.chart_figures import Definition, within
from board.markup import markdown
from board.view import View, chosen, current, tab
from board.warehouse import ask, has_package

CHARTS = "SELECT chart, type, title, table_name, definition FROM gold.charts ORDER BY chart"
EVERY = "all"
MOST_CHARTS = 6
"""That are drawn at once: a browser takes a tenth of a second for each."""
NO_CHARTS = (
    "There are no charts yet. Build one by clicking in the explorer and save it, or write a file into "
    "`sqlmesh/charts/`, as docs/guides/charts.md shows. `sqlmesh plan` builds it."
)


def page() -> None:
    """Draw the page."""
    view, charts = current(), ask(CHARTS)
    show_faults(charts)
    if charts.empty:
        st.info(NO_CHARTS)
        link_to_explorer()
        return
    picked = chosen("Chart", [EVERY, *charts["chart"]], "name")
    shown = some_of(charts) if picked == EVERY else charts[charts["chart"] == picked]
    places = pairs() if picked == EVERY else iter([st.container()])
    for place, chart in zip(places, shown.itertuples(index=False), strict=False):
        with place, kindly():
            show_chart(view, str(chart.chart), chart.title, str(chart.table_name), json.loads(str(chart.definition)))


def some_of(charts: pd.DataFrame) -> pd.DataFrame:
    """Return the charts that the reader has turned to, where there are more than can be drawn at once."""
    if len(charts) <= MOST_CHARTS:
        return charts
    parts = {
        f"{first + 1} to {min(first + MOST_CHARTS, len(charts))}": charts.iloc[first : first + MOST_CHARTS]
        for first in range(0, len(charts), MOST_CHARTS)
    }
    return parts[tab([*parts], "charts")]


def show_faults(charts: pd.DataFrame) -> None:
    """Say which files have a fault, and which differ from what is built."""
    if not has_package():
        return
    from asking.files import faults

    for sentence in faults(dict(zip(charts["chart"], charts["definition"], strict=True))):
        st.warning(markdown(sentence))


def show_chart(view: View, name: str, title: object, table: str, definition: Definition) -> None:
    """Show a chart with its numbers, and a way to ask it otherwise."""
    rows = ask(f"SELECT * FROM {table} WHERE {view.of_app}")
    rows = within(rows.sort_values([*rows.columns], kind="stable"), view.since, view.until)
    heading = title if isinstance(title, str) else name
    st.header(markdown(heading), anchor=False, help=f"The view `{table}`, of the file `{name}.yaml`.")
    show_drawing(name, heading, definition, rows)
    link_to_explorer(definition)
