"""What the reader has chosen: project, days, break-down. It stands in the address, so that a view can be shared."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from difflib import get_close_matches

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from board.markup import markdown
from board.sql import literal, one_of
from board.warehouse import ask

DEFAULT_DAYS = 30
ALL = "(all)"
MOST_LINES = 6  # of a break-down; more cannot be told apart
NOTHING = "nothing"
BREAKDOWNS = (NOTHING, "platform", "country")
APPS = "SELECT project, app, first_date, frontier_date FROM silver.apps ORDER BY project, app"


@dataclass(frozen=True)
class View:
    """The part of the data that a page shows."""

    project: str
    app: int
    since: date
    until: date
    breakdown: str
    segments: tuple[str, ...]
    first_date: date
    frontier_date: date

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.until - self.since).days + 1

    @property
    def before(self) -> "View":
        """Return the view of as many days just before."""
        return replace(self, since=self.since - timedelta(days=self.days), until=self.since - timedelta(days=1))

    @property
    def line(self) -> str | None:
        """Return the column that names the lines of a figure; None where there is one line."""
        return None if self.breakdown == "all" else "segment"

    @property
    def segment_order(self) -> str:
        """Return SQL that puts segments in the order in which the reader chose them, the largest first by default."""
        cases = " ".join(f"WHEN {literal(each)} THEN {place}" for place, each in enumerate(self.segments))
        return f"CASE segment {cases} END"

    @property
    def of_app(self) -> str:
        """Return the condition of the project's rows."""
        return f"project = {literal(self.project)} AND app = {self.app}"

    def within(self, column: str) -> str:
        """Return the condition of the rows of the project and the days, by the column with their day."""
        return f"{self.of_app} AND {column} BETWEEN {literal(self.since)} AND {literal(self.until)}"

    def of(self, column: str) -> str:
        """Return the condition of the rows of the project, the days and the segments."""
        return f"{self.within(column)} AND {self.of_segments}"

    @property
    def of_segments(self) -> str:
        """Return the condition of the rows of the break-down and its segments."""
        return f"breakdown = {literal(self.breakdown)} AND {one_of('segment', self.segments)}"


def one_segment(view: View) -> View:
    """Let the reader choose the segment of figures that show one alone; the first by default."""
    if len(view.segments) < 2:
        return view
    return replace(view, segments=(chosen("Segment", [*view.segments], "of"),))


def current() -> View:
    """Return what the reader has chosen, for a page."""
    view: View = st.session_state["view"]
    return view


def notices() -> DeltaGenerator:
    """Return the place below the title for what is wrong with the address: the sidebar may be folded away."""
    place: DeltaGenerator = st.session_state["notices"]
    return place


def choose() -> View | None:
    """Draw the sidebar, and return what it says; None while there are no events.

    Raises:
        UnansweredError: there is no gold yet.
    """
    apps = ask(APPS)
    if apps.empty:
        return None
    with st.sidebar:
        project, app, first, frontier = choose_app(apps)
        since, until = choose_days(project, first, frontier)
        breakdown = chosen("Break down by", [*BREAKDOWNS], "by")
        segments = (ALL,) if breakdown == NOTHING else choose_segments(project, app, breakdown)
    breakdown = "all" if breakdown == NOTHING else breakdown
    view = View(project, app, since, until, breakdown, segments, first, frontier)
    st.session_state["view"] = view
    return view


def choose_app(apps: pd.DataFrame) -> tuple[str, int, date, date]:
    """Let the reader choose a project; one of several apps by its number, too."""
    names = {
        (row.project if sum(apps["project"] == row.project) == 1 else f"{row.project}/{row.app}"): row
        for row in apps.itertuples()
    }
    row = names[chosen("Project", [*names], "project")]
    return row.project, int(row.app), pd.Timestamp(row.first_date).date(), pd.Timestamp(row.frontier_date).date()


def choose_days(project: str, first: date, frontier: date) -> tuple[date, date]:
    """Let the reader choose days; the newest ones if they do not."""
    default = (max(first, frontier - timedelta(days=DEFAULT_DAYS - 1)), frontier)
    for text in st.query_params.get_all("days"):
        if not is_day_within(text, first, frontier):
            notices().warning(markdown(f"The address asks for the day {text!r}. {project} has {first} to {frontier}."))
    days = st.date_input("Days", default, first, frontier, key="days", bind="query-params", format="YYYY-MM-DD")
    if not isinstance(days, tuple) or not days:
        return default
    if len(days) == 1:  # as in the address of a view of one day, which never has the same day twice
        st.caption("This day alone, until you choose a last one.")
    return days[0], days[-1]


def is_day_within(text: str, first: date, last: date) -> bool:
    """Whether a text is a day of a project."""
    try:
        return all(first <= date.fromisoformat(each) <= last for each in text.split(","))
    except ValueError:
        return False


def choose_segments(project: str, app: int, breakdown: str) -> tuple[str, ...]:
    """Let the reader choose values of a break-down; the largest ones if they choose none."""
    found = ask(f"""
        SELECT segment FROM gold.daily_metrics
        WHERE project = {literal(project)} AND app = {app} AND breakdown = {literal(breakdown)}
        GROUP BY segment ORDER BY SUM(active_users) DESC, segment
    """)
    names = list(found["segment"])
    refuse_unknown("segment", names)
    picked = st.multiselect("Show", names, key="segment", bind="query-params", placeholder=f"The {MOST_LINES} largest")
    return tuple(picked or names[:MOST_LINES])


def chosen(label: str, options: list[str], key: str, help: str | None = None) -> str:
    """Let the reader choose one of several, and say if the address asks for another.

    Args:
        label: of the field.
        options: as they stand in the address, too.
        key: of the address.
        help: what the options mean.
    """
    refuse_unknown(key, options)
    return st.selectbox(label, options, key=key, help=help, bind="query-params")


def tab(options: list[str], key: str) -> str:
    """Let the reader choose one of a few, which all show; the first if they choose none."""
    refuse_unknown(key, options)
    picked = st.segmented_control(
        key, options, default=options[0], key=key, bind="query-params", label_visibility="collapsed"
    )
    return picked or options[0]


def refuse_unknown(key: str, options: list[str]) -> None:
    """Say what the address asks for and nothing has, with the nearest word."""
    for text in st.query_params.get_all(key):
        if text not in options:
            near = get_close_matches(text, options, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            notices().warning(markdown(f"The address asks for {key} {text!r}, which there is not.{hint}"))
