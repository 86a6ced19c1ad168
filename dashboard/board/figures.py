"""Figures. Their colours come from the theme, light or dark; `.streamlit/config.toml` has them."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

COLOURS = ("#1B87C9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7F7F7F")
DOWN = "#D55E00"
THOUSANDS, PERCENT = ",", ".0%"
"""How values stand on an axis, as D3 writes it."""
HEIGHT = 340
LABELS = {
    "margin": {"l": 0, "r": 8, "t": 28, "b": 0},
    "height": HEIGHT,
    "hovermode": "x unified",
    "barmode": "relative",
}
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None}


def empty(y_format: str = THOUSANDS) -> go.Figure:
    """Return a figure without lines."""
    figure = go.Figure()
    figure.update_layout(**LABELS, legend=LEGEND)
    figure.update_yaxes(rangemode="tozero", tickformat=y_format, title=None)
    figure.update_xaxes(title=None)
    return figure


def lines(rows: pd.DataFrame, x: str, y: str, by: str | None = None, y_format: str = THOUSANDS) -> go.Figure:
    """Return lines over time. Where a row is not complete, its line is dotted.

    Args:
        rows: with the columns that are named, and `is_complete` if some intervals are not over.
        x: the column of the interval.
        y: the column of the value.
        by: the column that names the lines; one line if there is none.
        y_format: how values are written, as D3 has it.
    """
    figure = empty(y_format)
    groups = rows.groupby(by, sort=False) if by else [(y, rows)]
    for place, (name, points) in enumerate(groups):
        add_line(figure, points.sort_values(x), x, y, str(name), COLOURS[place % len(COLOURS)])
    figure.update_layout(showlegend=by is not None)
    return figure


def add_line(figure: go.Figure, points: pd.DataFrame, x: str, y: str, name: str, colour: str) -> None:
    """Add a line, the part of incomplete intervals dotted."""
    style = {"name": name, "legendgroup": name, "mode": "lines" if len(points) > 1 else "markers"}
    whole = points["is_complete"].astype(bool) if "is_complete" in points else pd.Series(True, index=points.index)
    solid = points[whole]
    figure.add_scatter(x=solid[x], y=solid[y], line={"color": colour, "width": 2}, **style)
    if not whole.all():
        rest = points[~whole]
        joined = pd.concat([solid[solid[x] < rest[x].min()].tail(1), rest])
        dotted = {"color": colour, "width": 2, "dash": "dot"}
        figure.add_scatter(
            x=joined[x], y=joined[y], line=dotted, showlegend=solid.empty, hoverinfo="skip" if len(rest) == 0 else None,
            **style,
        )  # fmt: skip


def bars(rows: pd.DataFrame, x: str, y: str, by: str | None = None, y_format: str = THOUSANDS) -> go.Figure:
    """Return bars, stacked where a column names their parts; those of incomplete intervals are hatched."""
    figure = empty(y_format)
    groups = rows.groupby(by, sort=False) if by else [(y, rows)]
    for place, (name, points) in enumerate(groups):
        whole = points["is_complete"].astype(bool) if "is_complete" in points else [True] * len(points)
        marker = {"color": COLOURS[place % len(COLOURS)], "pattern": {"shape": ["" if each else "/" for each in whole]}}
        figure.add_bar(x=points[x], y=points[y], name=str(name), marker=marker)
    figure.update_layout(showlegend=by is not None)
    return figure


def heat(table: pd.DataFrame, x_title: str, hover: str, texts: pd.DataFrame | None = None) -> go.Figure:
    """Return a heat map of shares.

    Args:
        table: its cells, with rows from the top down; NaN where there is none.
        x_title: what its columns are.
        hover: what a cell is when the reader points to it, as Plotly's template.
        texts: what stands in each cell.
    """
    figure = go.Figure(
        go.Heatmap(
            z=table.values,
            x=[str(each) for each in table.columns],
            y=[str(each) for each in table.index],
            text=None if texts is None else texts.values,
            texttemplate=None if texts is None else "%{text}",
            hovertemplate=f"{hover}<extra></extra>",
            colorscale=[[0, "#EAF3FA"], [0.5, "#5B9FCE"], [1, "#00324F"]],
            zmin=0,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_layout(margin={"l": 0, "r": 0, "t": 8, "b": 0}, height=max(HEIGHT, 26 * len(table) + 60))
    figure.update_xaxes(title=x_title, side="bottom", type="category")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def mark_days(figure: go.Figure, days: Sequence[tuple[object, str]]) -> None:
    """Mark days with what happened on them."""
    for day, label in days:
        figure.add_vline(x=day, line={"color": "#7F7F7F", "width": 1, "dash": "dash"})
        figure.add_annotation(x=day, y=1, yref="paper", text=label, showarrow=False, xanchor="left", font={"size": 11})


def calendar(cells: pd.DataFrame, states: Sequence[str], colours: Sequence[str]) -> go.Figure:
    """Return a calendar of states.

    Args:
        cells: with the place of each cell's state among `states`; NaN where there is none.
        states: their names.
        colours: theirs, in the same order.
    """
    steps = [(place / len(states), (place + 1) / len(states), colour) for place, colour in enumerate(colours)]
    names = cells.map(lambda place: "" if pd.isna(place) else states[int(place)])
    figure = go.Figure(
        go.Heatmap(
            z=cells.values,
            x=[str(each) for each in cells.columns],
            y=[str(each) for each in cells.index],
            text=names.values,
            hovertemplate="%{x}, %{y}: %{text}<extra></extra>",
            colorscale=[[edge, colour] for low, high, colour in steps for edge in (low, high)],
            zmin=-0.5,
            zmax=len(states) - 0.5,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    for state, colour in zip(states, colours, strict=True):  # the legend
        figure.add_scatter(x=[None], y=[None], mode="markers", marker={"color": colour, "symbol": "square"}, name=state)
    height = max(220, 15 * len(cells) + 80)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 28, "b": 0}, height=height, legend=LEGEND)
    figure.update_yaxes(autorange="reversed", type="category", title=None)
    figure.update_xaxes(type="category", title=None, nticks=12)
    return figure
