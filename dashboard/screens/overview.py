"""How many people use the product, how often, and how that has changed."""

import pandas as pd
import streamlit as st

from board import figures
from board.blocks import Tile, kindly, pairs, show, show_table, tiles
from board.figures import PERCENT, THOUSANDS
from board.numbers import Written, change, count, duration, share
from board.sql import literal
from board.view import View, current
from board.warehouse import ask

MEASURES = {
    "active_users": "Active users by day",
    "weekly_active_users": "Active users in 7 days",
    "monthly_active_users": "Active users in 30 days",
    "new_users": "New users by day",
    "sessions": "Sessions by day",
    "events": "Events by day",
    "dau_mau": "Stickiness: daily of monthly active users",
}


def page() -> None:
    """Draw the page."""
    view = current()
    show_tiles(view)
    days, happened = ask(days_of(view)), annotations(view)
    for place, (measure, title) in zip(pairs(), MEASURES.items(), strict=False):
        with place:
            figure = figures.lines(days, "day", measure, view.line, PERCENT if measure == "dau_mau" else THOUSANDS)
            figures.mark_days(figure, [(each.day, each.label) for each in happened.itertuples()])
            show(title, figure, columns(days, view, measure), measure)
    if not happened.empty:
        st.header("Annotations", anchor=False)
        show_table(happened)


def annotations(view: View) -> pd.DataFrame:
    """Return what Amplitude's annotations of all charts say of the days; nothing where they are not loaded."""
    with kindly():
        return ask(f"""
            SELECT annotation_date AS day, label, details, category
            FROM silver.annotations
            WHERE project = {literal(view.project)} AND chart_id IS NULL
              AND annotation_date BETWEEN {literal(view.since)} AND {literal(view.until)}
            ORDER BY day, label
        """)
    return pd.DataFrame()


def days_of(view: View) -> str:
    """Return the query of the numbers of each day, by segment."""
    return f"""
        SELECT metrics.metric_date AS day, metrics.segment, days.is_complete, {", ".join(MEASURES)}
        FROM gold.daily_metrics AS metrics
        JOIN (SELECT date, is_complete FROM gold.days WHERE {view.of_app}) AS days ON days.date = metrics.metric_date
        WHERE {view.of("metrics.metric_date")}
        ORDER BY {view.segment_order}, day
    """


def columns(days: pd.DataFrame, view: View, measure: str) -> pd.DataFrame:
    """Return the columns of one measure."""
    return days[["day", *([view.line] if view.line else []), measure, "is_complete"]]


def totals_of(view: View) -> str:
    """Return the query of the numbers of a whole period, those of complete days."""
    return f"""
        SELECT
          AVG(active_users) AS active_users,
          MAX_BY(weekly_active_users, metric_date) AS weekly_active_users,
          MAX_BY(monthly_active_users, metric_date) AS monthly_active_users,
          SUM(new_users) AS new_users,
          SUM(sessions) AS sessions,
          SUM(sessions * average_session_seconds) / NULLIF(SUM(sessions), 0) AS session_seconds,
          SUM(events) AS events,
          AVG(dau_mau) AS dau_mau,
          COUNT(*) AS days
        FROM gold.daily_metrics AS metrics
        JOIN (SELECT date FROM gold.days WHERE {view.of_app} AND is_complete) AS days ON days.date = metrics.metric_date
        WHERE {view.within("metrics.metric_date")} AND breakdown = 'all'
    """


def show_tiles(view: View) -> None:
    """Show the numbers of the period against those of the one before, if that is there as a whole."""
    now, before = ask(totals_of(view)).iloc[0], ask(totals_of(view.before)).iloc[0]
    has_before = before["days"] == view.days

    def tile(label: str, column: str, written: Written = count, help: str | None = None) -> Tile:
        return Tile(label, written(now[column]), change(now[column], before[column]) if has_before else None, help)

    tiles(
        tile("Active users a day", "active_users", help="On average, over the complete days."),
        tile("Active in 7 days", "weekly_active_users", help="Up to the last complete day."),
        tile("Active in 30 days", "monthly_active_users", help="Up to the last complete day."),
        tile("New users", "new_users"),
        tile("Sessions", "sessions"),
        tile("Session length", "session_seconds", duration, help="On average."),
        tile("Events", "events"),
        tile("Stickiness", "dau_mau", share, help="Daily of monthly active users, on average."),
    )
    compared = f"{view.before.since} to {view.before.until}"
    st.caption(
        f"Compared with {compared}." if has_before else f"There are no numbers of {compared} to compare with: "
        "choose fewer days."
    )  # fmt: skip
