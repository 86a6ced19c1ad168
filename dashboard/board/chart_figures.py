"""Figures of charts as code, drawn as their types ask for. Their rows are those of gold.chart_<name>."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from board import figures
from board.figures import COLOURS, DECIMALS, LIFECYCLE, PERCENT, THOUSANDS
from board.numbers import count, duration, share

MOST_LINES = len(COLOURS)
MOST_COHORTS, MOST_NUMBERS = 40, 31
ALL_COHORTS = "(all)"
ENDS = ("(dropped off)", "(did not perform an event)", "(other)")
PATHS_STEPS, MOST_TICKS = 4, 6
STATES = {f"{state}_users": colour for state, colour in LIFECYCLE.items()}
"""Of a lifecycle, with their colours."""

Definition = Mapping[str, Any]
"""What a chart's file holds."""


@dataclass(frozen=True)
class Drawing:
    """A chart's figures."""

    figures: Mapping[str, go.Figure]
    """By what each of them shows; the one of a chart with one has no name."""
    notes: Sequence[str] = ()
    """What they leave out."""


def drawn(definition: Definition, rows: pd.DataFrame) -> Drawing:
    """Draw a chart.

    Args:
        definition: what its file holds.
        rows: its rows for one project, in the order of its keys.
    """
    rows = rows.copy()
    for name in ("period", "is_complete"):
        if name in rows:
            rows[name] = pd.to_datetime(rows[name]) if name == "period" else rows[name].astype(bool)
    return DRAWERS[definition["type"]](definition, rows)


def within(rows: pd.DataFrame, since: date, until: date) -> pd.DataFrame:
    """Return the rows of the intervals that hold some days; all rows of a chart that has no intervals of time."""
    if "period" not in rows:
        return rows
    periods = pd.to_datetime(rows["period"])
    begun = periods[periods <= pd.Timestamp(since)]
    first = pd.Timestamp(since) if begun.empty else begun.max()
    return rows[(periods >= first) & (periods < pd.Timestamp(until) + pd.Timedelta(days=1))]


def lined(definition: Definition, rows: pd.DataFrame, *own: str) -> pd.DataFrame:
    """Return rows with `line`, the name of the line that each belongs to.

    Args:
        definition: what the chart's file holds.
        rows: the chart's.
        own: what tells lines apart besides the segment and the values of `by`.
    """
    by = [name.replace(".", "_") for name in definition.get("by", [])]
    telling = [name for name in (*own, "segment", *by) if rows[name].nunique(dropna=False) > 1]
    label = rows[telling or ["segment"]].astype(str).agg(" / ".join, axis=1) if len(rows) else rows["segment"]
    return rows.assign(line=label)


def names_of(rows: pd.DataFrame) -> list[str]:
    """Return the lines, in the order of the rows."""
    return list(dict.fromkeys(rows["line"]))


def largest(rows: pd.DataFrame, value: str, *, ordered: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of as many lines as colours can tell apart, and a note if others are left out.

    Args:
        rows: with `line`.
        value: the column by whose largest value a line is large.
        ordered: whether the largest come first; if not, the order stays.
    """
    names = names_of(rows)
    if len(names) <= MOST_LINES and not ordered:
        return rows, []
    ranked = list(rows.groupby("line", sort=False)[value].max().sort_values(ascending=False, kind="stable").index)
    kept = ranked[:MOST_LINES]
    order = {name: place for place, name in enumerate(kept if ordered else [each for each in names if each in kept])}
    shown = rows[rows["line"].isin(kept)].sort_values("line", key=lambda each: each.map(order), kind="stable")
    left = len(names) - len(kept)
    note = f"The figure shows the {MOST_LINES} largest of {len(names):,} lines; the numbers have all."
    return shown, [note] if left else []


def line_figure(rows: pd.DataFrame, x: str, y: str, y_format: str = THOUSANDS) -> go.Figure:
    """Return lines, with a legend if there are several."""
    return figures.lines(rows, x, y, "line" if len(names_of(rows)) > 1 else None, y_format)


def over_time(rows: pd.DataFrame, y: str, y_format: str = THOUSANDS) -> go.Figure:
    """Return lines over time; bars beside each other if there is one interval alone."""
    if rows["period"].nunique() > 1:
        return line_figure(rows, "period", y, y_format)
    figure = figures.bars(rows, "line", y, y_format=y_format)
    figure.update_xaxes(type="category", title=f"{rows['period'].max():%Y-%m-%d}")
    return figure


def over_numbers(rows: pd.DataFrame, x: str, y: str, title: str, y_format: str) -> go.Figure:
    """Return lines over a number, such as that of days."""
    figure = line_figure(rows, x, y, y_format)
    figures.count_along(figure, rows[x], title)
    return figure


def distribution(rows: pd.DataFrame, place: str, value: str, y_format: str = THOUSANDS) -> Drawing:
    """Draw how many there are of each size, as bars.

    Several lines stand beside each other for the newest whole interval; of a single line, the newest intervals do.

    Args:
        rows: with `line` and `period`.
        place: the column of the sizes, as texts in their order.
        value: the column of the values.
        y_format: how values are written, as D3 has it.
    """
    if len(names_of(rows)) > 1:
        whole = rows[rows["is_complete"]]
        newest = (rows if whole.empty else whole)["period"].max()
        shown, notes = largest(rows[rows["period"] == newest], value)
        notes = [f"The bars are of the interval that begins on {newest:%Y-%m-%d}.", *notes]
    else:
        periods = sorted(rows["period"].unique())
        shown = rows[rows["period"].isin(periods[-MOST_LINES:])]
        shown, notes = shown.assign(line=shown["period"].dt.strftime("%Y-%m-%d")), []
        if len(periods) > MOST_LINES:
            notes = [f"The figure shows the {MOST_LINES} newest of {len(periods)} intervals; the numbers have all."]
    figure = figures.bars(shown, place, value, "line", y_format, mode="group")
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=list(dict.fromkeys(rows[place])))
    return Drawing({"": figure}, notes)


def draw_segmentation(definition: Definition, rows: pd.DataFrame) -> Drawing:
    if "times" in rows:  # how often users did it
        rows = rows.sort_values(["times", "period"], kind="stable")
        drawing = distribution(
            lined(definition, rows.assign(times=[f"{each:.0f}" for each in rows["times"]]), "series"), "times", "value"
        )
        drawing.figures[""].update_xaxes(title="Times")
        return drawing
    shown, notes = largest(lined(definition, rows, "series"), "value", ordered=True)
    y_format = PERCENT if definition.get("measure") == "active" else THOUSANDS
    return Drawing({"": over_time(shown, "value", y_format)}, notes)


def draw_funnel(definition: Definition, rows: pd.DataFrame) -> Drawing:
    if "bucket_seconds" in rows:
        return draw_time_to_convert(definition, rows)
    rows = lined(definition, rows)
    if "period" in rows:
        last = rows[rows["step"] == rows["step"].max()]
        shown, notes = largest(last, "conversion_from_start")
        figure = over_time(shown, "conversion_from_start", PERCENT)
        return Drawing({"": figure}, ["The figure shows who reached the last step; the numbers have each.", *notes])
    shown, notes = largest(rows, "users")
    labels = [f"{step:.0f} {event}" for step, event in zip(shown["step"], shown["event"], strict=True)]
    texts = [
        f"{share(each)} · {count(users)}"
        for each, users in zip(shown["conversion_from_start"], shown["users"], strict=True)
    ]
    figure = figures.bars(
        shown.assign(label=labels, text=texts), "label", "conversion_from_start", "line", PERCENT,
        mode="group", text="text",
    )  # fmt: skip
    is_single = len(names_of(shown)) == 1
    figure.update_layout(showlegend=not is_single, hovermode="closest")
    figure.update_yaxes(range=[0, 1.1], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_traces(textposition="outside", hovertemplate="%{x}: %{text}<extra></extra>")
    if not is_single:
        figure.update_traces(texttemplate="%{y:.0%}", textfont={"size": 11})
    return Drawing({"": figure}, notes)


def draw_time_to_convert(definition: Definition, rows: pd.DataFrame) -> Drawing:
    ways = [f"{one:.0f} → {other:.0f}" for one, other in zip(rows["from_step"], rows["to_step"], strict=True)]
    shown, notes = largest(lined(definition, rows.assign(way=ways), "way"), "share")
    figure = line_figure(shown, "bucket_seconds", "share", PERCENT)
    figure.update_traces(line_shape="hv")
    buckets = sorted(set(rows["bucket_seconds"]))
    ticks = buckets[:: max(1, len(buckets) // MOST_TICKS)]
    figure.update_xaxes(tickvals=ticks, ticktext=[duration(each) for each in ticks], title="Time to convert, from")
    return Drawing({"": figure}, notes)


def draw_retention(definition: Definition, rows: pd.DataFrame) -> Drawing:
    rows, unit = lined(definition, rows), definition.get("interval", "day")
    together, cohorts = rows[rows["cohort"] == ALL_COHORTS], rows[rows["cohort"] != ALL_COHORTS]
    shown, notes = largest(together, "users")
    curve = over_numbers(shown, "interval_number", "returned_on_rate", f"{unit.capitalize()}s after", PERCENT)
    title = f"{unit.capitalize()}s after the start"
    heats = {
        " of ".join(["Cohorts", *([name] if len(names_of(rows)) > 1 else [])]): cohort_heat(of_line, title)
        for name, of_line in cohorts.groupby("line", sort=False)
        if name in names_of(shown)
    }
    return Drawing({"Curve": curve, **heats}, notes)


def cohort_heat(rows: pd.DataFrame, title: str) -> go.Figure:
    """Return the newest cohorts of a line by interval."""
    newest = sorted(rows["cohort"].unique())[-MOST_COHORTS:]
    rows = rows[rows["cohort"].isin(newest)]
    if "last_interval_number" in rows:
        labels = {
            first: f"{first:.0f}" if first == last else f"{first:.0f}-{last:.0f}"
            for first, last in zip(rows["interval_number"], rows["last_interval_number"], strict=True)
        }
    else:
        labels = {first: f"{first:.0f}" for first in rows["interval_number"]}
    numbers = sorted(labels)[:MOST_NUMBERS]
    tables = [
        rows.pivot(index="cohort", columns="interval_number", values=value)[numbers].rename(columns=labels)
        for value in ("returned_on_rate", "is_complete")
    ]
    is_whole = tables[1].ne(False)
    most = tables[0].iloc[:, 1:].max().max()
    return figures.heat(tables[0], title, "%{y}, %{x} after: %{z:.1%}", most or 1, is_whole)


def draw_usage_interval(definition: Definition, rows: pd.DataFrame) -> Drawing:
    shown, notes = largest(lined(definition, rows), "all_users")
    title = f"{definition.get('interval', 'day').capitalize()}s between, or fewer"
    return Drawing({"": over_numbers(shown, "intervals", "share_up_to", title, PERCENT)}, notes)


def draw_lifecycle(definition: Definition, rows: pd.DataFrame) -> Drawing:
    shown, notes = largest(lined(definition, rows), "active_users")
    return Drawing({name: lifecycle_figure(of_line) for name, of_line in per_line(shown)}, notes)


def lifecycle_figure(rows: pd.DataFrame) -> go.Figure:
    """Return who is active above zero, and who fell asleep below it."""
    below = rows.assign(dormant_users=-rows["dormant_users"])
    parts = below.melt(["period", "is_complete"], [*STATES], "state", "users")
    named = parts.assign(state=parts["state"].str.removesuffix("_users").str.capitalize())
    return figures.bars(named, "period", "users", "state", THOUSANDS, colours=[*STATES.values()])


def per_line(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each line by its name; without a name if there is one line."""
    groups = [(str(name), of_line) for name, of_line in rows.groupby("line", sort=False)]
    return groups if len(groups) > 1 else [("", of_line) for _, of_line in groups]


def draw_stickiness(definition: Definition, rows: pd.DataFrame) -> Drawing:
    days = rows.assign(days=[f"{each:.0f}" for each in rows["active_days"]])
    drawing = distribution(lined(definition, days), "days", "share_or_more", PERCENT)
    drawing.figures[""].update_xaxes(title=f"Days of the {definition.get('interval', 'week')}, or more")
    return drawing


def draw_sessions(definition: Definition, rows: pd.DataFrame) -> Drawing:
    if "bucket" in rows:
        is_length = definition["measure"] == "length_distribution"
        names = [duration(each) if is_length else f"{each:.0f}" for each in rows["bucket"]]
        drawing = distribution(lined(definition, rows.assign(bucket=names)), "bucket", "value")
        drawing.figures[""].update_xaxes(title=f"{'Length' if is_length else 'Number of events'}, from")
        return drawing
    shown, notes = largest(lined(definition, rows), "value")
    return Drawing({"": over_time(shown, "value")}, notes)


def draw_journeys(definition: Definition, rows: pd.DataFrame) -> Drawing:
    shown, notes = largest(lined(definition, rows), "paths")
    deepest = rows["step"].max()
    if deepest > PATHS_STEPS:
        notes = [*notes, f"The figure shows {PATHS_STEPS} of {deepest} steps; the numbers have all."]
    return Drawing({name: journey_figure(definition, of_line) for name, of_line in per_line(shown)}, notes)


def journey_figure(definition: Definition, rows: pd.DataFrame) -> go.Figure:
    """Return the paths of a line as flows. Those to an event go from their earliest step to the last."""
    ways = rows[(rows["step"] > 1) & (rows["step"] <= PATHS_STEPS)]
    if "to" in definition:
        ways = ways.assign(step=ways["step"].max() + 2 - ways["step"])
    ways = ways.groupby(["step", "from_event", "to_event"], sort=False, as_index=False)["paths"].sum()
    figure = figures.flows(ways, "from_event", "to_event", "paths", rest=ENDS)
    (flow,) = figure.data
    inner = {*flow.link.source}
    # The names of the last events stand left of them, one line lower than those of the events before.
    labels = [name if place in inner else f"<br><br>{name}" for place, name in enumerate(flow.node.label)]
    figure.update_traces(node={"label": labels, "align": "right" if "to" in definition else "left"})
    return figure


def draw_revenue(definition: Definition, rows: pd.DataFrame) -> Drawing:
    unit = definition.get("interval", "day").capitalize()
    shown, notes = largest(lined(definition, rows[rows["cohort"] == ALL_COHORTS]), "revenue")
    columns = {"Per new user": "arpu", "Per paying user": "arppu"}
    return Drawing(
        {
            name: over_numbers(shown, "interval_number", column, f"{unit}s after the first event", DECIMALS)
            for name, column in columns.items()
        },
        notes,
    )


def draw_engagement(definition: Definition, rows: pd.DataFrame) -> Drawing:
    shown, notes = largest(lined(definition, rows), "times")
    unit = definition.get("interval", "day")
    titles = (f"Share of the {unit}'s active users", f"Times for each who did it in a {unit}")
    largest_first = shown.sort_values("active_share", ascending=False, kind="stable")
    matrices = {
        name: figures.points(of_line, "active_share", "average_times", "event", titles)
        for name, of_line in per_line(largest_first)
    }
    return Drawing(matrices, notes)


def draw_composition(definition: Definition, rows: pd.DataFrame) -> Drawing:
    (by,) = (name.replace(".", "_") for name in definition["by"])
    figure = figures.empty()
    for place, (segment, own) in enumerate(rows.groupby("segment", sort=False)):
        texts = [f"{count(users)} · {share(part)}" for users, part in zip(own["users"], own["share"], strict=True)]
        figure.add_bar(
            x=own["users"], y=own[by].map(figures.plain), text=texts, name=figures.plain(segment), orientation="h",
            marker={"color": COLOURS[place % len(COLOURS)]}, hovertemplate="%{y}: %{text}<extra></extra>",
        )  # fmt: skip
    order = rows.groupby(by)["users"].max().sort_values(ascending=False, kind="stable").index
    names = [*map(figures.plain, order)]
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names, autorange="reversed")
    figure.update_xaxes(tickformat=THOUSANDS)
    bars = len(order) * rows["segment"].nunique()
    figure.update_layout(
        showlegend=rows["segment"].nunique() > 1, hovermode="closest", barmode="group", height=max(340, 24 * bars + 60)
    )
    return Drawing({"": figure})


DRAWERS: Mapping[str, Callable[[Definition, pd.DataFrame], Drawing]] = {
    "segmentation": draw_segmentation,
    "funnel": draw_funnel,
    "retention": draw_retention,
    "usage_interval": draw_usage_interval,
    "lifecycle": draw_lifecycle,
    "stickiness": draw_stickiness,
    "sessions": draw_sessions,
    "journeys": draw_journeys,
    "revenue": draw_revenue,
    "engagement_matrix": draw_engagement,
    "composition": draw_composition,
}
