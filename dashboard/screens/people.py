"""One person: who they are, and what they did."""

import streamlit as st


def page() -> None:
    """Draw the page."""
    st.info("")
