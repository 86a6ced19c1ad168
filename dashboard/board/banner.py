"""The line above each page: how new the numbers are, what is missing, and which days are proven."""

from datetime import datetime

import pandas as pd
import streamlit as st

from board.errors import UnansweredError
from board.sql import literal
from board.view import View
from board.warehouse import ask, present


def show_banner(view: View) -> None:
    """Show how far the data go; a warning if hours are missing or a day is not what Amplitude counts."""
    try:
        found = ask(f"""
            SELECT
              (SELECT MAX(export_hour) FROM gold.export_hours_taken WHERE project = {literal(view.project)}) AS newest,
              (SELECT COUNT(*) FROM gold.export_coverage
                WHERE project = {literal(view.project)} AND status = 'missing') AS missing,
              (SELECT MAX(IFF(verdict = 'equal', event_date, NULL)) FROM gold.proven_days
                WHERE project = {literal(view.project)}) AS proven,
              (SELECT MIN(IFF(verdict = 'differs', event_date, NULL)) FROM gold.proven_days
                WHERE project = {literal(view.project)}) AS differing
        """).iloc[0]
    except UnansweredError as error:
        st.info(str(error))
        return
    parts = [freshness(found["newest"], present()), missing(int(found["missing"]))]
    parts += proof(found["proven"], found["differing"])
    is_well = not found["missing"] and pd.isna(found["differing"])
    (st.caption if is_well else st.warning)(" · ".join(parts))


def freshness(newest: pd.Timestamp, now: datetime) -> str:
    """Return up to which hour events are there, and how long ago that was."""
    if pd.isna(newest):
        return "No hour is built yet"
    hours = int((pd.Timestamp(now) - newest).total_seconds() // 3600)
    age = f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"
    return f"Events up to {newest:%Y-%m-%d %H}:59 UTC ({age})"


def missing(hours: int) -> str:
    """Return how many hours are missing."""
    return "no hour is missing" if not hours else f"**{hours:,} hours are missing**, see Data quality"


def proof(proven: pd.Timestamp, differing: pd.Timestamp) -> list[str]:
    """Return which days Amplitude's own numbers prove."""
    found = [] if pd.isna(proven) else [f"proven by Amplitude's numbers to {proven:%Y-%m-%d}"]
    return found if pd.isna(differing) else [*found, f"**{differing:%Y-%m-%d} differs from Amplitude**"]
