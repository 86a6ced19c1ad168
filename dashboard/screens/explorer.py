"""Any chart, built by clicking."""

import streamlit as st

from board.view import current
from board.warehouse import has_package

WITHOUT_PACKAGE = (
    "The explorer needs the project's own package, which is not here inside Snowflake. Start the dashboard outside, by "
    "`make dashboard`, or ask on the terminal: `amplitude.py chart`."
)


def page() -> None:
    """Draw the page."""
    if not has_package():
        st.info(WITHOUT_PACKAGE)
        return
    from asking.explore import explore

    explore(current())
