"""What each table and column means, and what it is made of."""

import re

import plotly.graph_objects as go
import streamlit as st

from board.blocks import kindly, show_figure
from board.dictionary import Table, children, read_tables
from board.view import chosen

FIRST = "gold.daily_metrics"
COLOURS = {"bronze": "#E69F00", "silver": "#7F7F7F", "gold": "#1B87C9"}
OWN = "#D55E00"


def page() -> None:
    """Draw a table's description and its lineage."""
    with kindly():
        tables = read_tables()
        wanted = st.text_input(
            "Search", key="word", bind="query-params", placeholder="A word of a name, a column, a text"
        )
        names = [name for name, each in tables.items() if wanted.lower() in f"{name} {each.text}".lower()]
        if not names:
            st.info(f"No table and no column has {wanted!r}.")
            return
        name = chosen("Table", sorted(names, key=lambda each: (each != FIRST, each)), "table")
        st.header(name, anchor=False)
        show_figure(lineage(tables, name), "lineage", lineage_in_words(tables, name))
        st.markdown(as_list(tables[name].text))


def as_list(text: str) -> str:
    """Return a description with its columns as a list, because a table does not fit on a narrow screen."""
    without_head = re.sub(r"^\|.*\| \|\n\|---.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^\| (`.*?`) \| (.*?) \| (.*?) \|$", r"- \1 \2: \3", without_head, flags=re.MULTILINE)


def lineage_in_words(tables: dict[str, Table], name: str) -> str:
    """Return the lineage for screen readers."""
    parents, readers = tables[name].parents, children(tables, name)
    return f"{name} reads {', '.join(parents) or 'no table'}. It is read by {', '.join(readers) or 'no table'}."


def lineage(tables: dict[str, Table], name: str) -> go.Figure:
    """Return what a table reads, to its left, and what reads it."""
    edges = {(parent, name) for parent in tables[name].parents} | {(name, child) for child in children(tables, name)}
    nodes = sorted({node for edge in edges for node in edge} | {name})
    place = {node: number for number, node in enumerate(nodes)}
    figure = go.Figure(
        go.Sankey(
            node={
                "label": nodes,
                "color": [OWN if node == name else COLOURS[node.partition(".")[0]] for node in nodes],
                "pad": 12,
                "thickness": 12,
                "hovertemplate": "%{label}<extra></extra>",
            },
            link={
                "source": [place[parent] for parent, _ in sorted(edges)],
                "target": [place[child] for _, child in sorted(edges)],
                "value": [1] * len(edges),
                "color": "rgba(127, 127, 127, 0.25)",
                "hovertemplate": "%{target.label} reads %{source.label}<extra></extra>",
            },
        )
    )
    figure.update_layout(margin={"l": 0, "r": 0, "t": 8, "b": 8}, height=max(160, 30 * len(nodes)))
    return figure
