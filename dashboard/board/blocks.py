"""Parts that pages are made of: a figure with its numbers, tiles, and sentences instead of numbers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from board.errors import BusyError, UnansweredError
from board.warehouse import warehouse

ICONS = {"zoom": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d"]}


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
    st.subheader(title, help=help, anchor=False)
    if rows.empty:
        st.info("There are no rows for these days and this break-down.")
        return
    image = {"format": "png", "filename": name, "scale": 2}
    config = {"displaylogo": False, "modeBarButtonsToRemove": ICONS["zoom"], "toImageButtonOptions": image}
    st.plotly_chart(figure, key=f"figure-{name}", config=config)
    with st.expander("Numbers"):
        st.dataframe(rows, hide_index=True)
        st.download_button("CSV", csv_of(rows), f"{name}.csv", "text/csv", key=f"csv-{name}")


def took(seconds: float) -> None:
    """Say that an answer came from single events, and how long it took."""
    st.caption(f"Counted from single events, in {seconds:.1f} s. The answer is kept until there are new data.")


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


@st.fragment(run_every=1)
def _follow() -> None:
    _report(lambda text: st.info(f"Gold is copied for the dashboard: {text}"))


def _report(say: Callable[[str], object]) -> None:
    copying = warehouse().refresh()
    if copying and (text := copying.progress()):
        say(text)
    else:
        st.rerun()
