"""What every page has around it: its title, the sidebar, and the line that says how new the numbers are."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from board.banner import show_banner
from board.blocks import kindly, show_copying
from board.view import choose

STYLE = Path(__file__).with_name("style.css")


def draw(title: str, page: Callable[[], None]) -> None:
    """Draw a page in its frame, or a sentence where there is nothing to show yet.

    Args:
        title: of the page.
        page: draws what is its own.
    """
    st.html(STYLE)
    with kindly():
        st.title(title, anchor=False)
        st.session_state["notices"] = st.container()
        show_copying()
        view = choose()
        if view is None:
            st.info("There are no events yet. Numbers come with the first hour that has some.")
            return
        show_banner(view)
        page()
