"""Whether the data can be trusted: hours that are missing, days that differ from Amplitude's, rejected lines."""

import pandas as pd
import streamlit as st

from board import figures
from board.blocks import Tile, kindly, show, tiles
from board.numbers import amount, count
from board.sql import literal
from board.view import View, current, tab
from board.warehouse import ask

STATES = ("loaded", "empty", "pending", "missing")
COLOURS = ("#1B87C9", "#B8D8EE", "#E69F00", "#D55E00")
VERDICTS = ("equal", "open", "differs")
VERDICT_COLOURS = ("#1B87C9", "#C9C9C9", "#D55E00")
MOST_ROWS = 1000


def page() -> None:
    """Draw the part of the page that the reader has chosen."""
    view = current()
    parts = {
        "coverage": show_coverage,
        "reconciliation": show_reconciliation,
        "rejected rows": show_rejected,
        "schema changes": lambda _: show_changes(),
        "properties": show_properties,
        "loads": show_loads,
    }
    part = tab([*parts], "part")
    with kindly():
        parts[part](view)


def show_coverage(view: View) -> None:
    """Show each export hour of the days, and the command that fills each gap."""
    hours = ask(f"""
        SELECT export_hour, status, loaded_rows, rejected_rows, files, bytes, revision, loaded_at
        FROM gold.export_coverage
        WHERE project = {literal(view.project)}
          AND export_hour BETWEEN {literal(view.since)} AND DATEADD(HOUR, 23, {literal(view.until)})
        ORDER BY export_hour
    """)
    if hours.empty:
        st.info("No hour of these days is due yet.")
        return
    counts = hours["status"].value_counts()
    tiles(*(Tile(f"{state.capitalize()} hours", count(counts.get(state, 0))) for state in STATES))
    day, hour = hours["export_hour"].dt.date, hours["export_hour"].dt.hour
    cells = pd.pivot_table(
        hours.assign(day=day, hour=hour, place=hours["status"].map(STATES.index)), index="hour", columns="day",
        values="place",
    )  # fmt: skip
    figure = figures.calendar(cells, STATES, COLOURS)
    show("Each hour of upload (UTC)", figure, hours, "coverage", "A day's column has its 24 hours from top to bottom.")
    missing = hours[hours["status"] == "missing"]
    if not missing.empty:
        st.header("Fill the gaps", anchor=False)
        st.markdown("All at once, or range by range:")
        st.code("\n".join(["python pipelines/amplitude.py --gaps", *fills(missing["export_hour"])]), language="bash")


def fills(missing: pd.Series) -> list[str]:
    """Return the command that loads each range of missing hours."""
    ranges = (missing.diff() != pd.Timedelta(hours=1)).cumsum()
    return [
        f"python pipelines/amplitude.py --start {each.iloc[0]:%Y-%m-%dT%H} --end {each.iloc[-1]:%Y-%m-%dT%H}"
        for _, each in missing.groupby(ranges)
    ]


def show_reconciliation(view: View) -> None:
    """Show for each day and measure whether our number is Amplitude's."""
    days = ask(f"""
        SELECT event_date AS day, measure, detail, ours, theirs, difference, difference_share, verdict, likely_cause
        FROM gold.reconciliation_daily
        WHERE project = {literal(view.project)}
          AND event_date BETWEEN {literal(view.since)} AND {literal(view.until)}
        ORDER BY day, measure, detail
    """)
    if days.empty:
        st.info(
            "Amplitude's own numbers are not loaded for these days. This asks for them: "
            "`python pipelines/amplitude.py --only daily_numbers`"
        )
        return
    worst = days.assign(day=days["day"].dt.date, place=days["verdict"].map(VERDICTS.index))
    cells = worst.pivot_table(index="measure", columns="day", values="place", aggfunc="max")
    counts = days["verdict"].value_counts()
    tiles(*(Tile(verdict.capitalize(), count(counts.get(verdict, 0))) for verdict in VERDICTS))
    figure = figures.calendar(cells, VERDICTS, VERDICT_COLOURS)
    show(
        "Our numbers against Amplitude's", figure, days, "reconciliation", "The worst of a measure's numbers each day."
    )
    differing = days[days["verdict"] == "differs"]
    if differing.empty:
        st.caption("No number differs.")
        return
    st.header("Days that differ", anchor=False)
    st.dataframe(differing.drop(columns="verdict"), hide_index=True)
    st.caption("docs/guides/reconciliation.md says what each cause means, and what mends it.")


def show_rejected(view: View) -> None:
    """Show the lines that could not be read, by their reasons."""
    reasons = ask(f"""
        SELECT
          reason,
          COUNT(*) AS lines,
          MIN(_export_hour) AS first_hour,
          MAX(_export_hour) AS last_hour,
          MIN(value) AS example,
          MIN_BY(_archive_file, _export_hour) AS archive_file,
          MIN_BY(_archive_row, _export_hour) AS archive_row
        FROM bronze.rejected_rows
        WHERE _project = {literal(view.project)}
          AND _export_hour BETWEEN {literal(view.since)} AND DATEADD(HOUR, 23, {literal(view.until)})
        GROUP BY reason
        ORDER BY lines DESC, reason
        LIMIT {MOST_ROWS}
    """)
    if reasons.empty:
        st.success("Each line of these days' hours could be read.")
        return
    tiles(Tile("Lines rejected", count(reasons["lines"].sum())), Tile("Reasons", count(len(reasons))))
    st.dataframe(reasons, hide_index=True)
    st.caption("The lake's archive keeps each line. After a change that can read them: `amplitude.py --replay`.")


def show_changes() -> None:
    """Show which keys of the export became columns, for all projects."""
    changes = ask("""
        SELECT changed_at, table_name, column_name, key, data_type, example
        FROM bronze.schema_changes ORDER BY changed_at DESC, table_name, column_name
    """)
    if changes.empty:
        st.success("The export has had no new key so far.")
        return
    st.dataframe(changes, hide_index=True)


def show_properties(view: View) -> None:
    """Show which properties there are, with the types of their values; the reader may search."""
    owner = tab(["event", "user", "group"], "owner")
    wanted = st.text_input("Search", key="property", bind="query-params", placeholder="A part of a name")
    found = ask(f"""
        SELECT property, event_type, value_type, column_name, carriers, carriers_share, distinct_values, example,
          misfits, first_seen_at, last_seen_at, is_drift
        FROM gold.property_catalogue
        WHERE {view.of_app} AND owner = {literal(owner)}
          AND CONTAINS(LOWER(property), LOWER({literal(wanted or "")}))
        ORDER BY carriers DESC, property, event_type, value_type
        LIMIT {MOST_ROWS}
    """)
    drifts = int(found["is_drift"].astype(bool).sum())
    if drifts:
        st.warning(f"{amount(drifts)} of them have a type that came up later than the property.")
    st.dataframe(
        found, hide_index=True, column_config={"carriers_share": st.column_config.NumberColumn(format="percent")}
    )
    if len(found) == MOST_ROWS:
        st.caption(f"These are the first {count(MOST_ROWS)}: search for the others.")


def show_loads(view: View) -> None:
    """Show the last loads: their hours and rows, and what the REST APIs said."""
    loads = ask(f"""
        SELECT loaded_at, COUNT(*) AS hours, MIN(export_hour) AS first_hour, MAX(export_hour) AS last_hour,
          SUM(loaded_rows) AS rows_loaded, SUM(rejected_rows) AS rows_rejected, SUM(bytes) AS bytes
        FROM gold.export_coverage
        WHERE project = {literal(view.project)} AND NOT loaded_at IS NULL
        GROUP BY loaded_at ORDER BY loaded_at DESC LIMIT {MOST_ROWS}
    """)
    st.header("Hours", anchor=False)
    st.dataframe(loads, hide_index=True)
    st.header("REST APIs", anchor=False)
    answers = ask(f"""
        SELECT resource, outcome, problem, _snapshot_at AS asked_at
        FROM bronze.resource_loads WHERE _project = {literal(view.project)} ORDER BY resource
    """)
    st.dataframe(answers, hide_index=True)
