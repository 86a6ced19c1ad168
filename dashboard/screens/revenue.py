"""What users pay."""

import pandas as pd
import streamlit as st

from board import figures
from board.blocks import Tile, kindly, pairs, show, tiles, took
from board.charts import count_chart
from board.figures import DECIMALS, THOUSANDS
from board.intervals import ADVERBS, UNITS, intervals
from board.numbers import Written, amount, change, count, share
from board.view import View, chosen, current, tab
from board.warehouse import ask

WHAT_COUNTS = (
    "Revenue is the property `$revenue` of an event. Where that is missing, it is `$price` times `$quantity`, or else "
    "the property `revenue`."
)
FIELD_WIDTH = 240
MEASURES = {
    "revenue": ("Revenue", THOUSANDS),
    "payers": ("Paying users", THOUSANDS),
    "per_payer": ("Revenue per paying user", DECIMALS),
    "per_active_user": ("Revenue per active user", DECIMALS),
}
PAID, LIFETIME = "Paid", "Lifetime"
LIFETIME_MEASURES = {"arpu": "Revenue per new user", "arppu": "Revenue per new user who pays"}


def page() -> None:
    """Draw the page."""
    view = current()
    shown = tab([PAID, LIFETIME], "show")
    with st.container(width=FIELD_WIDTH):
        unit = chosen("Interval", [*UNITS], "interval")
    with kindly():
        (show_paid if shown == PAID else show_lifetime)(view, unit)


def show_paid(view: View, unit: str) -> None:
    """Show how much users pay."""
    paid = ask(paid_of(view, unit))
    if paid.empty:
        st.info(f"No event of these days has revenue. {WHAT_COUNTS}")
        return
    show_tiles(view)
    show_rest(paid, view)
    rows = per_user(ask(active_of(view, unit)), paid)
    for place, (measure, (title, y_format)) in zip(pairs(), MEASURES.items(), strict=False):
        with place:
            columns = ["start_date", "segment", measure, "is_complete"]
            figure = figures.lines(rows, "start_date", measure, view.line, y_format)
            show(f"{title} by {unit}", figure, rows[columns], measure, WHAT_COUNTS)


def paid_of(view: View, unit: str) -> str:
    """Return the query of the revenue of each interval, by segment."""
    segment = "'(all)'" if view.breakdown == "all" else f"COALESCE(payments.{view.breakdown}, '(none)')"
    return f"""
        SELECT days.start_date, {segment} AS segment, SUM(payments.revenue) AS revenue,
          COUNT(DISTINCT payments.canonical_amplitude_id) AS payers, COUNT(*) AS payments
        FROM gold.payments AS payments
        JOIN ({intervals(view, unit)}) AS days ON days.date = payments.event_date
        WHERE {view.of_app}
        GROUP BY ALL
        ORDER BY start_date, segment
    """


def show_rest(paid: pd.DataFrame, view: View) -> None:
    """Say how much of the revenue is not in the segments that are shown, and where it is."""
    sums = paid.groupby("segment")["revenue"].sum().sort_values(ascending=False)
    rest = sums[~sums.index.isin(view.segments)]
    if len(rest):
        st.text(
            f"The segments shown have {share(1 - rest.sum() / sums.sum())} of the revenue. The largest of the others "
            f"is {rest.index[0]} with {amount(rest.iloc[0])}."
        )


def active_of(view: View, unit: str) -> str:
    """Return the query of the active users of each interval, by segment."""
    return f"""
        SELECT days.start_date, lifecycle.segment, lifecycle.active_users, days.is_complete
        FROM (
          SELECT start_date, MIN(IFF(is_complete, 1, 0)) = 1 AS is_complete
          FROM ({intervals(view, unit)}) AS days GROUP BY start_date
        ) AS days
        JOIN (
          SELECT * FROM gold.lifecycle_{ADVERBS[unit]} WHERE {view.of_app} AND {view.of_segments}
        ) AS lifecycle ON lifecycle.start_date = days.start_date
        ORDER BY {view.segment_order}, days.start_date
    """


def per_user(active: pd.DataFrame, paid: pd.DataFrame) -> pd.DataFrame:
    """Return the revenue of each interval, 0 where nobody paid, with its averages."""
    rows = active.merge(paid, "left", ["start_date", "segment"])
    rows[["revenue", "payers", "payments"]] = rows[["revenue", "payers", "payments"]].fillna(0)
    return rows.assign(
        per_payer=rows["revenue"] / rows["payers"].where(rows["payers"] > 0),
        per_active_user=rows["revenue"] / rows["active_users"].where(rows["active_users"] > 0),
    )


def totals_of(view: View) -> str:
    """Return the query of the revenue of some days, and of the sum of their active users."""
    return f"""
        SELECT paid.revenue, paid.payers, active.active_days
        FROM (
          SELECT SUM(revenue) AS revenue, COUNT(DISTINCT canonical_amplitude_id) AS payers
          FROM gold.payments WHERE {view.within("event_date")}
        ) AS paid
        CROSS JOIN (
          SELECT SUM(active_users) AS active_days
          FROM gold.daily_metrics WHERE {view.within("metric_date")} AND breakdown = 'all'
        ) AS active
    """


def show_tiles(view: View) -> None:
    """Show the numbers of the days against those of the ones before, if these are there as a whole."""
    totals = pd.concat([ask(totals_of(view)), ask(totals_of(view.before))], ignore_index=True).astype(float)
    totals["per_payer"] = totals["revenue"] / totals["payers"]
    totals["per_active_day"] = totals["revenue"] / totals["active_days"]
    now, before = totals.iloc[0], totals.iloc[1]
    has_before = view.before.since >= view.first_date

    def tile(label: str, column: str, written: Written = amount) -> Tile:
        value = written(now[column])
        return Tile(label, value, change(now[column], before[column]) if has_before else None)

    tiles(
        tile("Revenue", "revenue"),
        tile("Paying users", "payers", count),
        tile("Per paying user", "per_payer"),
        tile("Per daily active user", "per_active_day"),
    )
    compared = f"{view.before.since} to {view.before.until}"
    st.caption(f"Compared with {compared}." if has_before else f"There are no numbers of {compared} to compare with.")


def show_lifetime(view: View, unit: str) -> None:
    """Show how much new users bring in, so many intervals after they came."""
    rows, seconds = count_chart({"type": "revenue", "interval": unit}, view)
    whole = rows[rows["cohort"] == "(all)"].sort_values("interval_number", kind="stable")
    for place, (measure, title) in zip(pairs(), LIFETIME_MEASURES.items(), strict=False):
        with place:
            figure = figures.lines(whole, "interval_number", measure, view.line, DECIMALS)
            figures.count_along(figure, whole["interval_number"], f"{unit}s after the first event")
            show(
                f"{title}, by the {unit}",
                figure,
                whole[["segment", "interval_number", "users", "paying_users", "revenue", measure, "is_complete"]],
                measure,
                "What users who were new in these days have brought in up to then. The newest users are not in later "
                "intervals yet, so averages may fall near the end. It is dotted where an interval is not over for all.",
            )
    took(seconds)
