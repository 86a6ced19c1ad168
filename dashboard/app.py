"""The dashboard on silver and gold. `make dashboard` starts it; docs/guides/dashboard.md shows what it has."""

import streamlit as st

from board.banner import show_banner
from board.blocks import kindly, show_copying
from board.view import choose
from screens import dictionary, overview, quality

PAGES = {
    "Product": [("Overview", overview.page)],
    "Data": [("Data quality", quality.page), ("Dictionary", dictionary.page)],
}


def main() -> None:
    """Draw the frame and the page that the reader has chosen."""
    st.set_page_config(page_title="Amplitude warehouse", layout="wide")
    navigation = st.navigation(
        {
            section: [
                st.Page(draw, title=title, url_path=title.lower().replace(" ", "-"), default=title == "Overview")
                for title, draw in pages
            ]
            for section, pages in PAGES.items()
        }
    )
    with kindly():
        st.title(navigation.title, anchor=False)
        st.session_state["notices"] = st.container()
        show_copying()
        view = choose()
        if view is None:
            st.info("There are no events yet. Numbers come with the first hour that has some.")
            return
        show_banner(view)
        navigation.run()


main()
