"""The dashboard on silver and gold. `make dashboard` starts it; docs/guides/dashboard.md shows what it has."""

import streamlit as st

from board.frame import draw
from screens import PAGES


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="Amplitude warehouse", layout="wide")
    navigation = st.navigation(
        {
            section: [
                st.Page(page, title=title, url_path=path, default=not path) for path, (title, page) in pages.items()
            ]
            for section, pages in PAGES.items()
        }
    )
    draw(navigation.title, navigation.run)


main()
