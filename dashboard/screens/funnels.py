"""How many users do one step after the other."""

import json
from collections.abc import Mapping
from math import floor, log2
from typing import Any

import pandas as pd
import streamlit as st

from board import figures
from board.blocks import kindly, show, took
from board.charts import count_chart
from board.figures import PERCENT
from board.numbers import count, duration, share
from board.sql import literal
from board.view import View, chosen, current, refuse_unknown
from board.warehouse import ask

OWN = "(steps of your own)"
ORDERS = ["this", "any", "exact"]
ORDER_HELP = "`this`: other events may lie between the steps. `exact`: none may. `any`: the steps in whatever order."
MOST_STEPS, MOST_DAYS = 20, 366
MOST_BARS = 15
SHOWN = ("conversion", "conversion_over_time", "time_to_convert")
Spec = Mapping[str, Any]


def page() -> None:
    """Draw the page."""
    view = current()
    charts = ask("SELECT chart, title, table_name, definition FROM gold.charts WHERE type = 'funnel' ORDER BY chart")
    name = chosen("Funnel", [*charts["chart"], OWN], "funnel")
    if name == OWN:
        show_own(view)
    else:
        chart = charts[charts["chart"] == name].iloc[0]
        st.text(chart["title"] or "")
        show_chart(view, chart["table_name"], json.loads(chart["definition"]))


# --- a chart of the project


def show_chart(view: View, table_name: str, spec: Spec) -> None:
    """Show a chart of the project as it stands in gold."""
    rows = ask(f"SELECT * FROM {table_name} WHERE {view.of_app}")
    rows = with_lines(rows.sort_values([*rows.columns], kind="stable"), spec.get("by", []))
    show_rows(rows, spec.get("show", "conversion"))
    st.caption("The chart's file has its days and break-downs; those of the sidebar do not change it.")


def with_lines(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return rows with what tells their lines apart in one column: the segment, and the values of the break-downs."""
    names = ["segment", *(name.replace(".", "_") for name in by)]
    if rows["segment"].nunique() == 1 and by:
        names = names[1:]
    line = rows[names].agg(" · ".join, axis=1) if len(rows) else rows["segment"]
    return rows.drop(columns=["project", "app", *names, "segment"], errors="ignore").assign(segment=line)


# --- steps of the reader's own


def show_own(view: View) -> None:
    """Let the reader choose steps, and count who does them."""
    types = list(ask(types_of(view))["event_type"])
    refuse_unknown("step", types)
    steps = st.multiselect("Steps, in their order", types, key="step", bind="query-params", placeholder="Event types")
    window_place, order_place, unit_place, _ = st.columns(4)
    refuse_unknown("within", [str(days) for days in range(1, MOST_DAYS + 1)])
    with window_place:
        days = st.number_input("Days from first to last", 1, MOST_DAYS, 1, key="within", bind="query-params")
    with order_place:
        order = chosen("Order", ORDERS, "order", ORDER_HELP)
    with unit_place:
        unit = chosen("Interval", ["day", "week", "month"], "interval")
    if not 2 <= len(steps) <= MOST_STEPS:
        st.info(f"Choose 2 to {MOST_STEPS} event types, in the order in which users do them.")
        return
    spec = {"type": "funnel", "steps": steps, "order": order, "within": f"{days} {'day' if days == 1 else 'days'}"}
    for shown in SHOWN:
        with kindly():
            interval = {"interval": unit} if shown == "conversion_over_time" else {}
            rows, seconds = count_chart({**spec, "show": shown, **interval}, view)
            show_rows(rows.drop(columns=["project", "app"]), shown)
            took(seconds)


def types_of(view: View) -> str:
    """Return the query of the event types that ever came, the most frequent first."""
    return f"""
        SELECT event_type FROM silver.event_types
        WHERE project = {literal(view.project)} AND events > 0
        ORDER BY events DESC, event_type
    """


# --- figures


def show_rows(rows: pd.DataFrame, shown: str) -> None:
    """Show the rows of a funnel, as its `show` has it."""
    places = [name for name in ("step", "period", "from_step", "to_step", "bucket_seconds") if name in rows]
    rows = rows.sort_values(places, kind="stable")
    {"conversion": show_steps, "conversion_over_time": show_over_time, "time_to_convert": show_times}[shown](rows)


def show_steps(rows: pd.DataFrame) -> None:
    """Show the users of each step, as shares of those who entered."""
    line = line_of(rows)
    named = rows.drop(columns="is_complete").assign(
        place=[f"{step}. {event}" for step, event in zip(rows["step"], rows["event"], strict=True)],
        label=[f"{row.conversion_from_start:.0%}" if line else step_label(row) for row in rows.itertuples()],
    )
    figure = figures.bars(named, "place", "conversion_from_start", line, PERCENT, mode="group", text="label")
    figure.update_yaxes(range=[0, 1.3], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_layout(hovermode="closest")
    show(
        "Conversion",
        figure,
        rows,
        "funnel",
        "The share of those who entered with step 1. Where there is one line, the share of those who did the step "
        "before is below it, with the median time since then.",
    )
    if not rows["is_complete"].all():
        st.caption("Some of these users have time left to convert, so the shares may rise.")


def step_label(row: Any) -> str:
    """Return what stands on a bar: the share of all, that of the step before, and how long users took."""
    parts = [f"<b>{share(row.conversion_from_start)}</b>", count(row.users)]  # one line would be too wide for a phone
    if row.step > 1 and pd.notna(row.conversion_from_previous):
        parts.append(f"{share(row.conversion_from_previous)} of {row.step - 1}.")
    if row.step > 1 and pd.notna(row.median_seconds):
        parts.append(f"in {duration(row.median_seconds)}")
    return "<br>".join(parts)


def show_over_time(rows: pd.DataFrame) -> None:
    """Show the share of those who entered in an interval and did all steps."""
    last = rows[rows["step"] == rows["step"].max()]
    figure = figures.lines(last, "period", "conversion_from_start", line_of(rows), PERCENT)
    show(
        "Conversion over time",
        figure,
        last,
        "funnel-over-time",
        "By when users entered. It is dotted while some of them have time left.",
    )


def show_times(rows: pd.DataFrame) -> None:
    """Show how long users took from the first step to the last."""
    whole = rows[(rows["from_step"] == 1) & (rows["to_step"] == rows["to_step"].max())]
    wider = doubled(whole)
    named = wider.assign(bucket=[duration(each) for each in wider["bucket_seconds"]])
    figure = figures.bars(named, "bucket", "share", line_of(rows), PERCENT, mode="group")
    figure.update_xaxes(title="from the first step to the last, at least")
    show(
        "Time to convert",
        figure,
        rows,
        "time-to-convert",
        "The share of those who did all steps. The numbers have narrower times, and those from each step to the next. "
        "It is hatched while some users have time left.",
    )


def doubled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return buckets that are so few that they can be read: where there are many, each is as long as all before it."""
    starts = sorted(rows["bucket_seconds"].unique())
    if len(starts) <= MOST_BARS:
        return rows
    size = starts[1] - starts[0]
    wider = [size * 2 ** floor(log2(each / size)) if each else 0 for each in rows["bucket_seconds"]]
    sums = {"users": "sum", "share": "sum", "is_complete": "min"}
    return (
        rows.assign(bucket_seconds=wider).groupby(["segment", "bucket_seconds"], as_index=False, sort=False).agg(sums)
    )


def line_of(rows: pd.DataFrame) -> str | None:
    """Return the column that names the lines of a figure; None where there is one."""
    return "segment" if rows["segment"].nunique() > 1 else None
