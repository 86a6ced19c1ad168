"""Figures. Grounds and grids have the colours of the theme, light or dark, and words those of `style.css`."""

import html
from collections.abc import Sequence
from datetime import date
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

COLOURS = ("#1B87C9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7F7F7F")
DOWN = "#D55E00"
LIFECYCLE = {"new": COLOURS[0], "current": COLOURS[5], "resurrected": COLOURS[2], "dormant": DOWN}
"""Colours of what users are, the same on each page."""
GREY = "#7F7F7F"
BLUES, GREYS = ((0, "#EAF3FA"), (0.5, "#86BADD"), (1, "#00324F")), ((0, "#F0F0F0"), (1, "#A6A6A6"))
"""From nothing to the most."""
THOUSANDS, DECIMALS, PERCENT = ",", ",.2f", ".0%"
"""How values stand on an axis, as D3 writes it."""
HEIGHT = 340
DAY_MILLISECONDS = 86_400_000
LABELS = {
    "margin": {"l": 0, "r": 8, "t": 28, "b": 0},
    "height": HEIGHT,
    "hovermode": "x unified",
    "barmode": "relative",
}
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None}

MOST_NAMED, MOST_COUNTED, LONGEST_LABEL = 8, 12, 16


def plain(text: object) -> str:
    """Return a text that stands in a figure as it is: Plotly would take `<b>` in a label for bold."""
    return html.escape(str(text), quote=False)


def shortened(text: str) -> str:
    """Return a text that is short enough for a narrow place."""
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


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
        add_line(figure, points.sort_values(x), x, y, plain(name), COLOURS[place % len(COLOURS)])
    figure.update_layout(showlegend=by is not None)
    mark_few(figure, rows[x])
    return figure


def add_line(figure: go.Figure, points: pd.DataFrame, x: str, y: str, name: str, colour: str) -> None:
    """Add a line, the parts that lead to and from incomplete intervals dotted."""
    whole = points["is_complete"].astype(bool) if "is_complete" in points else pd.Series(True, index=points.index)
    style = {"x": points[x], "name": name, "legendgroup": name, "mode": "lines" if len(points) > 1 else "markers"}
    line = {"color": colour, "width": 2}
    figure.add_scatter(y=points[y].where(whole), line=line, showlegend=bool(whole.any()), **style)
    if not whole.all():
        is_next = ~(whole & whole.shift(1, fill_value=True) & whole.shift(-1, fill_value=True))
        dotted = {**line, "dash": "dot"}
        figure.add_scatter(y=points[y].where(is_next), line=dotted, showlegend=not whole.any(), **style)


def bars(
    rows: pd.DataFrame,
    x: str,
    y: str,
    by: str | None = None,
    y_format: str = THOUSANDS,
    *,
    colours: Sequence[str] = COLOURS,
    mode: Literal["relative", "group"] = "relative",
    text: str | None = None,
) -> go.Figure:
    """Return bars; those of incomplete intervals are hatched.

    Args:
        rows: with the columns that are named, and `is_complete` if some intervals are not over.
        x: the column of the place.
        y: the column of the value.
        by: the column that names the parts of a bar, or the bars beside each other.
        y_format: how values are written, as D3 has it.
        colours: of the parts, in the order of the rows.
        mode: whether parts are stacked, the negative ones below zero (`relative`), or are beside each other (`group`).
        text: the column of what is written on a bar.
    """
    figure = empty(y_format)
    groups = rows.groupby(by, sort=False) if by else [(y, rows)]
    for place, (name, points) in enumerate(groups):
        whole = points["is_complete"].astype(bool) if "is_complete" in points else [True] * len(points)
        hatched = {"shape": ["" if each else "/" for each in whole], "fillmode": "overlay", "size": 7, "solidity": 0.4}
        marker = {"color": colours[place % len(colours)], "pattern": hatched}
        figure.add_bar(
            x=[plain(each) if isinstance(each, str) else each for each in points[x]],
            y=points[y],
            name=plain(name),
            marker=marker,
            text=points[text] if text else None,
            textposition="outside",
            textangle=0,
            cliponaxis=False,
        )
    figure.update_layout(showlegend=by is not None, barmode=mode, uniformtext={"minsize": 9, "mode": "hide"})
    mark_few(figure, rows[x])
    return figure


def mark_few(figure: go.Figure, days: pd.Series) -> None:
    """Have the axis name the days themselves where there are few: Plotly would part them into hours."""
    few = days.drop_duplicates()
    if 0 < len(few) <= MOST_NAMED and isinstance(few.iloc[0], date):
        figure.update_xaxes(tickvals=few, tickformat="%b %-d\n%Y")


def count_along(figure: go.Figure, numbers: pd.Series, title: str) -> None:
    """Have the axis count, such as days: of few numbers it has each, where Plotly would part them into halves."""
    figure.update_xaxes(title=title, tickformat="d", dtick=1 if numbers.nunique() <= MOST_COUNTED else None)


def heat(table: pd.DataFrame, x_title: str, hover: str, most: float, is_whole: pd.DataFrame) -> go.Figure:
    """Return a heat map of shares, in percent in its cells; cells that are not over are grey and have a star.

    Args:
        table: its cells, with rows from the top down; NaN where there is none.
        x_title: what its columns are.
        hover: what a cell is when the reader points to it, as Plotly's template.
        most: the share that has the darkest colour.
        is_whole: which cells are over.
    """
    figure = go.Figure()
    for cells, mark, colours in ((table.where(is_whole), "", BLUES), (table.mask(is_whole), "*", GREYS)):
        figure.add_heatmap(
            z=cells.values,
            x=[str(each) for each in cells.columns],
            y=[plain(each) for each in cells.index],
            text=[["" if pd.isna(each) else f"{100 * each:.0f}{mark}" for each in row] for row in cells.values],
            texttemplate="%{text}",
            hovertemplate=f"{hover}<extra></extra>",
            hoverongaps=False,
            colorscale=colours,
            zmin=0,
            zmax=most,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    figure.update_layout(margin={"l": 0, "r": 8, "t": 8, "b": 0}, height=max(HEIGHT, 26 * len(table) + 60))
    figure.update_xaxes(title=x_title, side="bottom", type="category", showgrid=False)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure


def flows(rows: pd.DataFrame, source: str, target: str, value: str, *, rest: Sequence[str]) -> go.Figure:
    """Return flows from step to step, as a Sankey diagram.

    Args:
        rows: with `step`, the number of the step that a flow leads to, and the columns that are named.
        source: the column of where a flow comes from.
        target: the column of where it goes.
        value: the column of its size.
        rest: names that are grey, as those are for which there are no colours left.
    """
    ends = [[*zip(rows["step"] + shift, rows[name], strict=True)] for shift, name in ((-1, source), (0, target))]
    nodes = {node: place for place, node in enumerate(dict.fromkeys([*ends[0], *ends[1]]))}
    sizes = rows[~rows[target].isin(rest)].groupby(target)[value].sum().sort_values(ascending=False, kind="stable")
    colours = dict(zip(sizes.index, COLOURS[:-1], strict=False))
    last = rows["step"].max()

    def label(step: int, name: str) -> str:
        """Return a node's name. Those of the last two steps face each other, so one colour has its name there once."""
        return "" if step == last and name in colours and (step - 1, name) in nodes else plain(shortened(name))

    figure = go.Figure(
        go.Sankey(
            node={
                "label": [label(*node) for node in nodes],
                "customdata": [plain(name) for _, name in nodes],
                "color": [colours.get(name, GREY) for _, name in nodes],
                "align": "left",
                "pad": 14,
                "thickness": 12,
                "hovertemplate": "%{customdata}: %{value:,.0f}<extra></extra>",
            },
            link={
                "source": [nodes[each] for each in ends[0]],
                "target": [nodes[each] for each in ends[1]],
                "value": rows[value],
                "color": "rgba(127,127,127,0.25)",
                "hovertemplate": "%{source.customdata} → %{target.customdata}: %{value:,.0f}<extra></extra>",
            },
        )
    )
    figure.update_traces(textfont={"size": 11})
    figure.update_layout(margin={"l": 0, "r": 0, "t": 8, "b": 8}, height=460)
    return figure


def points(rows: pd.DataFrame, x: str, y: str, label: str, titles: tuple[str, str]) -> go.Figure:
    """Return points with their names; lines through the medians part them into four fields.

    Args:
        rows: with the columns that are named, those first whose names matter most.
        x: the column of shares.
        y: the column of numbers.
        label: the column of the names.
        titles: of both axes.
    """
    figure = empty(DECIMALS)
    names = rows[label].map(plain)
    figure.add_scatter(
        x=rows[x],
        y=rows[y],
        mode="markers+text",
        marker={"size": 11, "color": COLOURS[0]},
        text=names.where(has_room(rows[x], rows[y]), ""),
        textposition=["top left" if each > rows[x].max() / 2 else "top right" for each in rows[x]],
        cliponaxis=False,
        hovertext=names,
        hovertemplate="%{hovertext}: %{x:.1%} · %{y:,.2f}<extra></extra>",
    )
    figure.add_vline(x=rows[x].median(), line={"color": GREY, "width": 1, "dash": "dot"})
    figure.add_hline(y=rows[y].median(), line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(title=titles[0], tickformat=PERCENT, rangemode="tozero")
    figure.update_yaxes(title=titles[1])
    return figure


def has_room(x: pd.Series, y: pd.Series) -> list[bool]:
    """Return which points can have their names beside them: those far enough from all named ones before them."""
    named: list[tuple[float, float]] = []
    found = []
    for place in zip(x / x.max(), y / y.max(), strict=True):
        is_free = all(abs(place[0] - left) > 0.6 or abs(place[1] - below) > 0.07 for left, below in named)
        found.append(is_free)
        if is_free:
            named.append(place)
    return found


def mark_level(figure: go.Figure, level: float, label: str) -> None:
    """Mark a value with a line across the figure. Its name is in the legend, where no other line crosses it."""
    figure.add_hline(y=level, line={"color": GREY, "width": 1, "dash": "dash"}, name=label, showlegend=True)
    figure.update_layout(showlegend=True)


def mark_days(figure: go.Figure, days: Sequence[tuple[object, str]]) -> None:
    """Mark days with what happened on them, and name it where there is room for the names."""
    for place, (day, label) in enumerate(days):
        figure.add_vline(x=day, line={"color": GREY, "width": 1, "dash": "dash"})
        if len(days) <= MOST_NAMED:
            figure.add_annotation(
                x=day, y=1 - 0.07 * (place % 3), yref="paper", text=plain(shortened(label)), hovertext=plain(label),
                showarrow=False, xanchor="left", font={"size": 11},
            )  # fmt: skip


def calendar(cells: pd.DataFrame, states: Sequence[str], colours: Sequence[str]) -> go.Figure:
    """Return a calendar of states.

    Args:
        cells: a column a day, with the place of each cell's state among `states`; NaN where there is none.
        states: their names.
        colours: theirs, in the same order.
    """
    steps = [(place / len(states), (place + 1) / len(states), colour) for place, colour in enumerate(colours)]
    days = pd.date_range(cells.columns[0], cells.columns[-1])
    cells = cells.reindex(columns=days.date)
    names = cells.map(lambda place: "" if pd.isna(place) else states[int(place)])
    figure = go.Figure(
        go.Heatmap(
            z=cells.values,
            x0=str(days[0].date()),
            dx=DAY_MILLISECONDS,
            y=[str(each) for each in cells.index],
            text=names.values,
            hovertemplate="%{x|%Y-%m-%d}, %{y}: %{text}<extra></extra>",
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
    figure.update_xaxes(type="date", title=None)
    return figure
