"""How many users come back, and when."""

import pandas as pd
import streamlit as st

from board import figures
from board.blocks import show
from board.figures import PERCENT
from board.intervals import UNITS, starts
from board.numbers import count
from board.view import View, chosen, current, one_segment
from board.warehouse import ask

WINDOWS = {"24 hours": "retention_24h", "calendar": "retention_calendar"}
COUNTED = {"on": "returned_on", "on or after": "returned_on_or_after"}
"""N-day and unbounded retention, as Amplitude calls them."""


def page() -> None:
    """Draw the page."""
    view = current()
    unit_place, windows_place, counted_place, segment_place = st.columns(4)
    with unit_place:
        unit = chosen("Interval", [*UNITS], "interval")
    with windows_place:
        windows = chosen("Windows", [*WINDOWS], "windows")
    with counted_place:
        counted = chosen("Users who return", [*COUNTED], "returned")
    with segment_place:
        alone = one_segment(view)
    cells = ask(cells_of(view, unit, windows, counted))
    show_curve(cells, view, unit, counted)
    show_heat(cells[cells["segment"].isin(alone.segments)], unit, counted)


def cells_of(view: View, unit: str, windows: str, counted: str) -> str:
    """Return the query of how many users of each cohort came back in each interval after their first."""
    return f"""
        SELECT segment, cohort_date, interval_number, cohort_users, {COUNTED[counted]} AS returned,
          {COUNTED[counted]}_rate AS rate, is_complete
        FROM gold.{WINDOWS[windows]}
        WHERE {view.of_app} AND {view.of_segments} AND interval_unit = '{unit}'
          AND cohort_date IN ({starts(view, unit)})
        ORDER BY {view.segment_order}, cohort_date, interval_number
    """


def show_curve(cells: pd.DataFrame, view: View, unit: str, counted: str) -> None:
    """Show the share of all users who came back, by the interval after their first."""
    overall = curve(cells)
    figure = figures.lines(overall, "interval_number", "rate", view.line, PERCENT)
    figures.count_along(figure, overall["interval_number"], f"{unit}s after the first event")
    show(
        f"Users who return {counted} a {unit}",
        figure,
        overall,
        "retention-curve",
        f"Of all cohorts of these days together. A cohort for which the {unit} is not over is left out, so the cohorts "
        "become fewer to the right.",
    )


def curve(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of all cohorts, complete cells alone, as the cohort (all) of gold has them."""
    whole = cells[cells["is_complete"].astype(bool)]
    sums = whole.groupby(["segment", "interval_number"], as_index=False, sort=False)[["cohort_users", "returned"]].sum()
    return sums.assign(rate=sums["returned"] / sums["cohort_users"])


def show_heat(cells: pd.DataFrame, unit: str, counted: str) -> None:
    """Show each cohort with the share of its users who came back, by the interval after their first."""
    shares = table(cells, "rate")
    is_whole = table(cells, "is_complete").eq(True)
    later = shares[[each for each in shares.columns if each]]
    most = float(later.max(axis=None)) if later.size else 1.0
    hover = f"%{{y}} users, {unit} %{{x}}: %{{z:.1%}}"
    figure = figures.heat(shares, f"{unit}s after the first event", hover, most or 1.0, is_whole)
    show(
        f"Cohorts by {unit}, in percent",
        figure,
        cells,
        "retention",
        f"Each row is the users who were new in a {unit}, with their number. The share of them who return {counted} a "
        f"later {unit} is in the cells. A star, and grey, mark a {unit} that is not over for all of them.",
    )


def table(cells: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of cells by cohort and interval."""
    names = [
        f"{day:%Y-%m-%d} · {count(users)}"
        for day, users in zip(pd.to_datetime(cells["cohort_date"]), cells["cohort_users"], strict=True)
    ]
    return cells.assign(cohort=names).pivot(index="cohort", columns="interval_number", values=column)
