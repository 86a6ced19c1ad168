"""The dashboard on silver and gold. `make dashboard` starts it; docs/guides/dashboard.md shows what it has."""

import streamlit as st

from board.frame import draw
from screens import PAGES


def main() -> None:
    """Draw the page that the address names."""
    sections = {
        section: [st.Page(page, title=title, url_path=path, default=not path) for path, (title, page) in pages.items()]
        for section, pages in PAGES.items()
    }
    st.session_state["pages"] = {page.url_path: page for pages in sections.values() for page in pages}
    navigation = st.navigation(sections)
    st.set_page_config(page_title=f"{navigation.title} · Amplitude warehouse", layout="wide")
    draw(navigation.title, navigation.run)


main()
