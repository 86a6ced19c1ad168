"""Parts that pages are made of: a figure with its numbers, tiles, and sentences instead of numbers."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from board.chart_figures import Definition, drawn
from board.errors import BusyError, UnansweredError
from board.markup import markdown
from board.warehouse import warehouse

ZOOM = ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d"]

NUMBERS_FOLLOW = "The numbers follow as a table."


@dataclass(frozen=True)
class Tile:
    """A number with what it was before."""

    label: str
    value: str
    change: str | None = None
    help: str | None = None


def tiles(*all_: Tile) -> None:
    """Show numbers beside each other; on a narrow screen they wrap."""
    with st.container(horizontal=True):
        for each in all_:
            st.metric(each.label, each.value, each.change, help=each.help, border=True, width=165)


def pairs() -> Iterator[DeltaGenerator]:
    """Yield places for figures, two beside each other; on a narrow screen they follow each other in the same order."""
    while True:
        yield from st.columns(2)


def show(title: str, figure: go.Figure, rows: pd.DataFrame, name: str, help: str | None = None) -> None:
    """Show a figure, with its numbers and a download below.

    Args:
        title: of the figure.
        figure: the figure. It can be saved as PNG by the button on it.
        rows: its numbers.
        name: of the files that are downloaded.
        help: how to read it.
    """
    st.header(title, help=help, anchor=False)
    if rows.empty:
        st.info("There are no rows for these days and this break-down.")
        return
    show_figure(figure, name, f"{title}. {NUMBERS_FOLLOW}")
    show_numbers(rows, name)


def took(seconds: float) -> None:
    """Say that an answer came from single events, and how long it took."""
    st.caption(f"Counted from single events, in {seconds:.1f} s. The answer is kept until there are new data.")


def show_figure(figure: go.Figure, name: str, alt: str) -> None:
    """Show a figure alone.

    Args:
        figure: the figure. The button on it saves it as PNG.
        name: of the PNG.
        alt: what screen readers say of it.
    """
    image = {"format": "png", "filename": name, "scale": 2}
    config = {"displaylogo": False, "modeBarButtonsToRemove": ZOOM, "toImageButtonOptions": image}
    st.plotly_chart(figure, key=f"figure-{name}", config=config, alt=alt)


@st.fragment
def show_numbers(rows: pd.DataFrame, name: str) -> None:
    """Show the numbers of a figure, folded, with a download; they go to the browser once they are unfolded."""
    numbers = st.expander("Numbers", key=f"numbers-{name}", on_change="rerun")
    if numbers.open:
        with numbers:
            show_table(rows)
            st.download_button("CSV", csv_of(rows), f"{name}.csv", "text/csv", key=f"csv-{name}")


def show_table(rows: pd.DataFrame) -> None:
    """Show rows; days stand without a time."""
    times = rows.select_dtypes("datetime")
    days = [name for name in times if times[name].dropna().dt.normalize().eq(times[name].dropna()).all()]
    st.dataframe(rows, hide_index=True, column_config={name: st.column_config.DateColumn() for name in days})


def show_drawing(name: str, title: str, definition: Definition, rows: pd.DataFrame) -> None:
    """Show the figures of a chart beside each other as tabs, and its numbers. Its title is there already."""
    if rows.empty:
        st.info("There are no rows: no event of the chart has come on these days.")
        return
    drawing = drawn(definition, rows)
    if len(drawing.figures) > 1:
        show_tabs(name, title, drawing.figures)
    else:
        for figure in drawing.figures.values():
            show_figure(figure, name, f"{title}. {NUMBERS_FOLLOW}")
    for note in drawing.notes:
        st.caption(markdown(note))
    show_numbers(rows.drop(columns=["project", "app"]), name)


@st.fragment
def show_tabs(name: str, title: str, parts: Mapping[str, go.Figure]) -> None:
    """Show figures as tabs; each goes to the browser once its tab is open."""
    tabs = st.tabs([markdown(part) for part in parts], key=f"tabs-{name}", on_change="rerun")
    for number, (tab, (part, figure)) in enumerate(zip(tabs, parts.items(), strict=True)):
        if tab.open:
            with tab:
                show_figure(figure, f"{name}-{number}", f"{title}, {part}. {NUMBERS_FOLLOW}")


def link_to_explorer(definition: Definition | None = None) -> None:
    """Show a link to the explorer, with a chart if there is one; a page that stands alone has nowhere to go."""
    address = {"chart": address_of(definition)} if definition else None
    if pages := st.session_state.get("pages"):
        st.page_link(pages["explorer"], label="Open in the explorer", query_params=address)


def address_of(definition: Definition) -> str:
    """Return a chart, as its file would hold it, as it stands in the explorer's address."""
    return json.dumps(definition, separators=(",", ":"), ensure_ascii=False)


def csv_of(rows: pd.DataFrame) -> str:
    """Return rows as CSV."""
    return str(rows.to_csv(index=False))


@contextmanager
def kindly() -> Iterator[None]:
    """Show a sentence instead of a traceback where a question has no answer."""
    try:
        yield
    except BusyError as error:
        st.warning(str(error))
        st.button("Look again", key=f"again-{id(error)}")
    except UnansweredError as error:
        st.info(str(error))


def show_copying() -> None:
    """Bring the copy of gold up to date, and say so while it is made.

    The first time there is nothing else to show, so the page waits.
    """
    copying = warehouse().refresh()
    for sentence in warehouse().problems():
        st.warning(sentence)
    if not copying:
        return
    if problem := copying.problem():
        st.warning(problem)
        return
    if copying.has_older:
        _follow_quietly()
    else:
        _follow()
        st.stop()


@st.fragment(run_every=2)
def _follow_quietly() -> None:
    _report(lambda text: st.caption(f"The warehouse has changed: a new copy of gold is on its way ({text})."))


@st.fragment(run_every=0.5)
def _follow() -> None:
    _report(lambda text: st.info(f"Gold is copied for the dashboard: {text}"))


def _report(say: Callable[[str], object]) -> None:
    copying = warehouse().refresh()
    if copying and (text := copying.progress()):
        say(text)
    else:
        st.rerun()
