"""What users do, in which order, and how often."""

import pandas as pd
import streamlit as st

from board import figures
from board.blocks import kindly, pairs, show
from board.figures import PERCENT, THOUSANDS
from board.intervals import ADVERBS, starts
from board.sql import literal, one_of
from board.view import MOST_LINES, View, chosen, current, one_segment
from board.warehouse import ask

MEASURES = {"users": "users", "events": "events", "share of active users": "active_users_share"}
START, END, OTHER = "(start)", "(end)", "(other)"
DEPTHS, TOPS = ["3", "2", "4", "5", "6"], ["5", "3", "8", "12"]
DAYS_COUNTED = {"exactly": "", "or more": "_or_more"}
MOST_POINTS = 100


def page() -> None:
    """Draw the page."""
    view = current()
    measure_place, search_place, segment_place, _ = st.columns(4)
    with measure_place:
        measure = chosen("Measure", [*MEASURES], "measure")
    with search_place:
        search = st.text_input("Search event types", key="search", bind="query-params", placeholder="Part of a name")
    with segment_place:
        alone = one_segment(view)
    with kindly():
        show_adoption(alone, measure, search)
    with kindly():
        show_journeys(alone)
    with kindly():
        show_stickiness(view)


# --- adoption and engagement


def engagement_of(view: View, search: str) -> str:
    """Return the query of what the days' active users did: each event type, how many did it, and how often.

    Shares and averages are those of each day, averaged: docs/reference/charts.md, "Engagement matrix".
    """
    return f"""
        SELECT adoption.event_type, SUM(adoption.events) AS events,
          SUM(adoption.active_users_share) / MAX(active.days) AS active_share,
          AVG(adoption.events::DOUBLE / adoption.users) AS average_times,
          COALESCE(MIN(IFF(types.non_active, 0, 1)), 1) = 1 AS is_active
        FROM (SELECT * FROM gold.event_adoption_daily WHERE {view.of("event_date")}) AS adoption
        CROSS JOIN (
          SELECT NULLIF(COUNT(*), 0) AS days FROM gold.daily_metrics
          WHERE {view.of("metric_date")} AND active_users > 0
        ) AS active
        LEFT JOIN silver.event_types AS types
          ON types.project = adoption.project AND types.event_type = adoption.event_type
        WHERE CONTAINS(LOWER(adoption.event_type), LOWER({literal(search)}))
        GROUP BY adoption.event_type
        ORDER BY active_share DESC, events DESC, adoption.event_type
    """


def adoption_of(view: View, measure: str, types: list[str]) -> str:
    """Return the query of a measure of event types on each day, 0 on days without them."""
    return f"""
        SELECT days.date AS day, types.event_type, COALESCE(adoption.{measure}, 0) AS {measure}, days.is_complete
        FROM (SELECT date, is_complete FROM gold.days WHERE {view.within("date")}) AS days
        CROSS JOIN (
          SELECT DISTINCT event_type FROM gold.event_adoption_daily
          WHERE {view.of_app} AND {one_of("event_type", types)}
        ) AS types
        LEFT JOIN (
          SELECT * FROM gold.event_adoption_daily WHERE {view.of("event_date")}
        ) AS adoption ON adoption.event_date = days.date AND adoption.event_type = types.event_type
        ORDER BY types.event_type, day
    """


def show_adoption(view: View, measure: str, search: str) -> None:
    """Show the largest event types over time, all of them as a table, and the engagement matrix."""
    types = ask(engagement_of(view, search))
    if types.empty:
        st.info("No event type of these days has that in its name." if search else "These days have no events.")
        return
    column = MEASURES[measure]
    order = "events" if measure == "events" else "active_share"
    largest = list(types.sort_values(order, ascending=False, kind="stable")["event_type"][:MOST_LINES])
    days = ask(adoption_of(view, column, largest))
    days = days.sort_values("event_type", key=lambda each: each.map(largest.index), kind="stable")
    first, second = (place for place, _ in zip(pairs(), range(2), strict=False))
    with first:
        show(
            f"Event types by day: {measure}",
            figures.lines(days, "day", column, "event_type", PERCENT if column.endswith("share") else THOUSANDS),
            days,
            "adoption",
            f"The {len(largest)} largest of {len(types):,}.",
        )
    with second:
        show_matrix(types)


def show_matrix(types: pd.DataFrame) -> None:
    """Show how many of the active users do each event type, and how often."""
    active = types[types["is_active"].astype(bool)].drop(columns="is_active")
    figure = figures.points(
        active.head(MOST_POINTS), "active_share", "average_times", "event_type",
        ("Share of a day's active users who do it", "Times a day for each of them"),
    )  # fmt: skip
    show(
        "Engagement matrix",
        figure,
        active,
        "engagement",
        "Active event types, by how many of a day's active users do them, and how often each of these does; both as "
        f"means of the days. The dotted lines are the medians. At most {MOST_POINTS} are drawn; the numbers have all.",
    )


# --- journeys


def show_journeys(view: View) -> None:
    """Show what follows what in sessions."""
    starts_ = list(ask(beginnings_of(view))["event_type"])
    place, depth_place, top_place, _ = st.columns(4)
    with place:
        start = chosen("Journeys from", [START, *starts_], "from")
    with depth_place:
        depth = int(chosen("Steps", DEPTHS, "steps"))
    with top_place:
        top = int(chosen("Events of a step", TOPS, "top"))
    rows = journeys(view, start, depth, top)
    show(
        "Journeys in sessions",
        figures.flows(rows, "from_event", "to_event", "times", rest=(START, END, OTHER)),
        rows,
        "journeys",
        "How often an event was the next one in a session. The first step is counted. Later steps are estimates: each "
        "event goes on as it does on all its occasions, whatever came before it. A chart of the type `journeys` counts "
        "whole paths.",
    )


def beginnings_of(view: View) -> str:
    """Return the query of the event types in sessions, the most frequent first."""
    return f"""
        SELECT from_event_type AS event_type FROM gold.session_paths
        WHERE {view.of("event_date")} AND from_event_type <> '{START}'
        GROUP BY from_event_type ORDER BY SUM(transitions) DESC, from_event_type
    """


def transitions_of(view: View, types: list[str]) -> str:
    """Return the query of how often events of some types were followed by which."""
    return f"""
        SELECT from_event_type AS from_event, to_event_type AS to_event, SUM(transitions)::DOUBLE AS times
        FROM gold.session_paths
        WHERE {view.of("event_date")} AND {one_of("from_event_type", types)}
        GROUP BY from_event_type, to_event_type
        ORDER BY from_event_type, to_event_type
    """


def journeys(view: View, start: str, depth: int, top: int) -> pd.DataFrame:
    """Follow the largest events of each step, as often as they come on the way, until the depth is reached.

    Args:
        view: the days and the one segment.
        start: the event type from which the ways go, or (start).
        depth: how many steps there are after it.
        top: how many events of a step are followed; the rest is (other).

    Returns:
        `step`, from 1 on, `from_event`, `to_event`, and `times`.
    """
    found: list[pd.DataFrame] = []
    amounts: dict[str, float] = {}
    for step in range(1, depth + 1):
        followed = [start] if step == 1 else [*amounts]
        rows = ask(transitions_of(view, followed))
        if rows.empty:
            break
        if amounts:
            totals = rows.groupby("from_event")["times"].transform("sum")
            rows["times"] *= rows["from_event"].map(amounts) / totals
        rows, amounts = grouped(rows, top)
        found.append(rows.assign(step=step))
    columns = ["step", "from_event", "to_event", "times"]
    return pd.concat(found)[columns] if found else pd.DataFrame(columns=columns)


def grouped(rows: pd.DataFrame, top: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return a step with its rarer events as (other), and how often each of the largest comes."""
    sums = rows[rows["to_event"] != END].groupby("to_event")["times"].sum()
    kept = sums.sort_values(ascending=False, kind="stable").head(top)
    named = rows["to_event"].where(rows["to_event"].isin([*kept.index, END]), OTHER)
    flows = rows.assign(to_event=named).groupby(["from_event", "to_event"], as_index=False)["times"].sum()
    return flows.sort_values("times", ascending=False, kind="stable"), kept.to_dict()


# --- stickiness


def show_stickiness(view: View) -> None:
    """Show on how many days of a week or a month users are active."""
    unit_place, interval_place, counted_place, _ = st.columns(4)
    with unit_place:
        unit = chosen("Days of a", ["week", "month"], "stickiness")
    rows = ask(stickiness_of(view, unit))
    if rows.empty:
        st.info("Nobody was active on these days.")
        return
    rows["start"] = pd.to_datetime(rows["start_date"]).dt.strftime("%Y-%m-%d")
    intervals = [*dict.fromkeys(rows.sort_values(["is_complete", "start_date"], ascending=False)["start"])]
    with interval_place:
        start = chosen(f"{unit.title()} from", intervals, unit)
    with counted_place:
        counted = chosen("On so many days", [*DAYS_COUNTED], "days-counted")
    column = f"share{DAYS_COUNTED[counted]}"
    shown = rows[rows["start"] == start].drop(columns="start")
    figure = figures.bars(shown, "active_days", column, view.line, PERCENT, mode="group")
    figure.update_xaxes(title=f"Days of the {unit}, {counted}", dtick=1)
    show(
        f"Stickiness in the {unit} from {start}",
        figure,
        shown,
        "stickiness",
        f"The share of the {unit}'s active users who were active on so many days of it. It is hatched while the {unit} "
        "is not over.",
    )


def stickiness_of(view: View, unit: str) -> str:
    """Return the query of the active users by the number of their active days."""
    return f"""
        SELECT start_date, segment, active_days, users, users_or_more, active_users, share, share_or_more, is_complete
        FROM gold.stickiness_{ADVERBS[unit]}
        WHERE {view.of_app} AND {view.of_segments} AND start_date IN ({starts(view, unit)})
        ORDER BY {view.segment_order}, start_date, active_days
    """
