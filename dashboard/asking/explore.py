"""The explorer: a question that is built by clicking, its answer, its SQL and its file."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from amplitude_source.charts.book import TYPES, Chart, compiled, unseen_events
from amplitude_source.charts.definitions import SPECIAL_EVENTS, Words
from amplitude_source.charts.expressions import EVENTS_ALIAS, USERS_ALIAS, parsed
from amplitude_source.charts.queries import Compiled
from amplitude_source.charts.vocabulary import USERS
from amplitude_source.invocation import sqlmesh_command
from amplitude_source.yaml_files import PlacedError
from asking.files import save
from asking.form import Form, Offers, choice, columns_of
from asking.question import Content, FaultError, checked, from_address, within_days, words_of_files, yaml_of
from board.blocks import address_of, kindly, show_drawing, took
from board.errors import UnansweredError
from board.markup import markdown
from board.sql import literal
from board.view import View, notices
from board.warehouse import ask, count_live, warehouse

ADDRESS = "chart"
MOST_EVENTS, MOST_VALUES = 1000, 200
"""That a box offers; the reader may type any other."""
TEXTS = ("text", "list")


def explore(view: View) -> None:
    """Draw the page.

    Raises:
        UnansweredError: a file of words has a fault, or there is no answer now.
    """
    words, events = words_of_files(), event_types(view)
    base, mark = begun(words, events)
    with st.container(border=True, key="explorer-form"):
        type_ = choice("Type of chart", [*TYPES], base["type"], f"explorer-{mark}-type", width=280)
        offers = Offers(
            [*SPECIAL_EVENTS, *words.events, *events],
            columns_of(words),
            [*words.segments],
            partial(values_of, view, words),
        )
        own = base if type_ == base["type"] else first_question(type_, events)
        try:
            content = Form(own, offers, f"{mark}-{type_}").ask(type_)
            show_fault_of_address(content)
            chart = checked(within_days(content, view.since, view.until), words)
        except (PlacedError, FaultError) as fault:
            st.warning(markdown(fault))
            return
    st.query_params[ADDRESS] = st.session_state["explorer-written"] = address_of(content)
    show_answer(view, words, content, chart)


def begun(words: Words, events: Sequence[str]) -> tuple[Content, str]:
    """Return the chart that the widgets begin with, and a mark that changes with it.

    It is that of the address, unless the widgets have written it themselves. Without one it is the chart of before.
    """
    state, text = st.session_state, st.query_params.get(ADDRESS)
    if text is None or text != state.get("explorer-written"):
        text = text or state.get("explorer-written", "")
        content, said = from_address(text, words) if text else ({}, "")
        state["explorer-written"], state["explorer-said"] = text, said
        state["explorer-base"] = content or first_question("segmentation", events)
        state["explorer-mark"] = state.get("explorer-mark", 0) + 1
        state.pop("explorer-first", None)
    return state["explorer-base"], str(state["explorer-mark"])


def show_fault_of_address(content: Content) -> None:
    """Say what is wrong with the address, as long as the reader has not changed the chart that was made of it."""
    is_first = content == st.session_state.setdefault("explorer-first", content)
    if is_first and (said := st.session_state["explorer-said"]):
        notices().warning(markdown(said))


def first_question(type_: str, events: Sequence[str]) -> Content:
    """Return what a chart of a type begins with, so that there is something to see at once."""
    started: Content = {
        "segmentation": {"events": ["_active"]},
        "engagement_matrix": {},
        "funnel": {"steps": [*events[:2]]},
        "journeys": {"from": [*events, "_active"][0]},
        "composition": {"by": ["platform"]},
    }
    return {"type": type_, **started.get(type_, {})}


def event_types(view: View) -> list[str]:
    """Return the commonest event types; those that make a user active come first."""
    found = ask(f"""
        SELECT event_type FROM silver.event_types
        WHERE project = {literal(view.project)} AND events > 0
        ORDER BY IFF(non_active, 1, 0), events DESC, event_type
        LIMIT {MOST_EVENTS}
    """)
    return [*found["event_type"]]


def values_of(view: View, words: Words, column: str) -> list[str]:
    """Return the commonest values that a column has on the days of the view; none for numbers and times."""
    kind = columns_of(words)[column]
    if kind == "boolean":
        return ["true", "false"]
    if kind not in TEXTS:
        return []
    value, table, where = "value", f"gold.event_values AS {EVENTS_ALIAS}", f"column_name = {literal(column)}"
    if kind == "text":
        is_of_user = column.startswith(f"{USERS}.")
        value = parsed(column, words.vocabulary).sql("snowflake")
        table = f"gold.users AS {USERS_ALIAS}" if is_of_user else f"gold.events AS {EVENTS_ALIAS}"
        where = "TRUE" if is_of_user else view.within("event_date")
    try:
        rows, _ = count_live(f"""
            SELECT {value} AS value FROM {table} WHERE {view.of_app} AND {where} AND NOT {value} IS NULL
            GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT {MOST_VALUES}
        """)
    except UnansweredError:  # the chart's own question says why; values can be typed meanwhile
        return []
    return [*rows["value"]]


def show_answer(view: View, words: Words, content: Content, chart: Chart) -> None:
    """Ask, and show the figure, the numbers, the SQL and the file."""
    query = compiled(chart, words)
    seen = ask(f"SELECT event_type FROM silver.event_types WHERE project = {literal(view.project)}")["event_type"]
    for sentence in unseen_events(chart, words, set(seen)):
        st.warning(markdown(sentence[0].upper() + sentence[1:]))
    title = chart.title or chart.headline
    st.header(markdown(title), anchor=False)
    with kindly():
        keys = ", ".join(query.keys)
        rows, seconds = count_live(f"SELECT * FROM ({query.sql}) AS chart WHERE {view.of_app} ORDER BY {keys}")
        show_drawing("explorer", title, content, rows)
        took(seconds)
    show_sql(query)
    show_file(content)


def show_sql(query: Compiled) -> None:
    """Show the question as the engine takes it."""
    with st.expander("SQL"):
        st.code(query.for_engine(warehouse().engine), "sql")


def show_file(content: Content) -> None:
    """Show the chart's file, and save it."""
    with st.expander("File of the chart, and how to keep it"):
        text = yaml_of(content)
        st.code(text, "yaml")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name of the chart", key="explorer-name", placeholder="orders_by_week", width=280)
            name = name.strip()
            over = st.checkbox("Replace one of that name", key="explorer-over")
            st.download_button("Download", text, f"{name or 'chart'}.yaml", "application/yaml")
            is_saved = st.button("Save", type="primary", disabled=not name)
        if is_saved:
            try:
                file = save(name, content, over=over)
            except UnansweredError as error:
                st.warning(markdown(error))
            else:
                st.success(f"`{file}` is written. The view `gold.chart_{name}` comes with `{sqlmesh_command('plan')}`.")
