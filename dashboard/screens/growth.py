"""Where users come from, who stays, and who goes."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from board import figures
from board.blocks import show
from board.figures import DECIMALS, LIFECYCLE
from board.intervals import ADVERBS, UNITS, intervals, starts
from board.view import MOST_LINES, View, chosen, current, one_segment
from board.warehouse import ask

ATTRIBUTES = ["source", "medium", "campaign", "referrer"]
TOUCHES = ["first", "last"]
OTHER = "(other)"
MOST_ROWS = 20
NAMES: Mapping[str, ColumnConfig | str] = {
    "channel": "Value",
    "new_users": st.column_config.NumberColumn("New users", format="localized"),
    "share": st.column_config.NumberColumn("Share", format="percent"),
    "sessions": st.column_config.NumberColumn("Sessions", format="localized"),
    "sessions_share": st.column_config.NumberColumn("Share of sessions", format="percent"),
}


def page() -> None:
    """Draw the page."""
    view = current()
    unit_place, attribute_place, touch_place, segment_place = st.columns(4)
    with unit_place:
        unit = chosen("Interval", [*UNITS], "interval")
    with attribute_place:
        attribute = chosen("Acquired by", ATTRIBUTES, "attribute")
    with touch_place:
        touch = chosen("Touch that gets the credit", TOUCHES, "touch")
    with segment_place:
        alone = one_segment(view)
    show_lifecycle(view, alone, unit)
    show_acquisition(alone, unit, attribute, touch)


def lifecycle_of(view: View, unit: str) -> str:
    """Return the query of who was new, current, resurrected and dormant in each interval, by segment."""
    return f"""
        SELECT start_date, segment, new_users AS "new", current_users AS "current", resurrected_users AS resurrected,
          dormant_users AS dormant, pulse, is_complete
        FROM gold.lifecycle_{ADVERBS[unit]}
        WHERE {view.of_app} AND {view.of_segments} AND start_date IN ({starts(view, unit)})
        ORDER BY {view.segment_order}, start_date
    """


def show_lifecycle(view: View, alone: View, unit: str) -> None:
    """Show the users of each interval by what they were in the one before, and pulse."""
    rows = ask(lifecycle_of(alone, unit))
    states = rows.melt(["start_date", "is_complete"], [*LIFECYCLE], "state", "users")
    states["users"] = states["users"].where(states["state"] != "dormant", -states["users"])
    figure = figures.bars(states, "start_date", "users", "state", colours=[*LIFECYCLE.values()])
    show(
        f"Lifecycle by {unit}",
        figure,
        rows,
        "lifecycle",
        f"New users are new to the product, current ones were active in the {unit} before, too, and resurrected ones "
        f"are back after a {unit} or more without activity. Dormant users, below zero, were active in the {unit} "
        "before and are not now.",
    )
    pulses = ask(lifecycle_of(view, unit))[["start_date", "segment", "pulse", "is_complete"]]
    figure = figures.lines(pulses, "start_date", "pulse", view.line, DECIMALS)
    figures.mark_level(figure, 1, "as many come as go")
    show(
        f"Pulse by {unit}",
        figure,
        pulses,
        "pulse",
        "New and resurrected users for each dormant one. Above 1 the number of active users grows.",
    )


def acquisition_of(view: View, unit: str, attribute: str, touch: str) -> str:
    """Return the query of what each channel brought in each interval."""
    return f"""
        SELECT days.start_date, acquisition.{attribute} AS channel, SUM(acquisition.new_users) AS new_users,
          SUM(acquisition.sessions) AS sessions, MIN(IFF(days.is_complete, 1, 0)) = 1 AS is_complete
        FROM gold.acquisition AS acquisition
        JOIN ({intervals(view, unit)}) AS days ON days.date = acquisition.metric_date
        WHERE {view.of_app} AND {view.of_segments} AND touch = '{touch}'
        GROUP BY days.start_date, acquisition.{attribute}
        ORDER BY days.start_date, acquisition.{attribute}
    """


def show_acquisition(view: View, unit: str, attribute: str, touch: str) -> None:
    """Show the new users of the largest channels over time, and all channels with their shares."""
    rows = ask(acquisition_of(view, unit, attribute, touch))
    channels = largest(rows)
    by_interval = with_rest(rows, list(channels["channel"][: MOST_LINES - 1]))
    show(
        f"New users by {attribute} of the {touch} touch",
        figures.bars(by_interval, "start_date", "new_users", "channel"),
        by_interval,
        "acquisition",
        "(none) is no value: such as a direct visit, or an app that does not know where its user came from.",
    )
    st.header(f"The largest by {attribute}", anchor=False)
    st.dataframe(channels.head(MOST_ROWS), hide_index=True, column_config=NAMES)
    if len(channels) > MOST_ROWS:
        st.caption(
            f"The {MOST_ROWS} largest of {len(channels):,}. The CSV above has the new users of the rest as (other)."
        )


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the channels with their new users, sessions and shares; those with the most new users come first."""
    sums = rows.groupby("channel", as_index=False)[["new_users", "sessions"]].sum()
    sums = sums.sort_values(["new_users", "sessions", "channel"], ascending=[False, False, True], ignore_index=True)
    sums.insert(2, "share", sums["new_users"] / (sums["new_users"].sum() or float("nan")))
    return sums.assign(sessions_share=sums["sessions"] / (sums["sessions"].sum() or float("nan")))


def with_rest(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the new users of some channels in each interval, those of the rest as one."""
    order = {name: place for place, name in enumerate([*names, OTHER])}
    named = rows.assign(channel=rows["channel"].where(rows["channel"].isin(names), OTHER))
    sums = named.groupby(["channel", "start_date"], as_index=False).agg({"new_users": "sum", "is_complete": "min"})
    return sums.sort_values(
        ["channel", "start_date"], key=lambda each: each.map(order) if each.name == "channel" else each
    )
