"""One person: who they are, which ids are theirs, and what they did."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st

from board.markup import markdown
from board.numbers import count, duration
from board.sql import literal, one_of
from board.view import View, current
from board.warehouse import count_live

MOST_FOUND, MOST_NEAR = 20, 3
PAGE = 100  # events
LONGEST_ID = 18
"""Digits of an Amplitude id that a BIGINT takes for sure."""
Row = Any  # a row of a frame, which has an attribute a column


def page() -> None:
    """Draw the page."""
    view = current()
    asked = st.text_input(
        "User id, device id or Amplitude id", key="user", bind="query-params", placeholder="or how a user id begins"
    ).strip()
    if not asked:
        st.info("Type an id above to see a person's properties, ids, sessions and events.")
        return
    found, seconds = count_live(found_by(view, asked))
    if found.empty:
        st.info(nobody(view, asked))
        return
    user = choose(found)
    facts, more = count_live(f"SELECT * FROM gold.users WHERE {of_user(view, user)}")
    show_facts(facts.iloc[0])
    seconds += more
    parts = {"Events": show_timeline, "Properties": show_properties, "Sessions": show_sessions, "Ids": show_ids}
    for tab, show_part in zip(st.tabs([*parts], on_change="rerun"), parts.values(), strict=True):
        if tab.open:
            with tab:
                seconds += show_part(view, facts.iloc[0])
    st.caption(f"Times are UTC. The warehouse took {seconds:.1f} s for this.")


def of_user(view: View, user: int, table: str = "", column: str = "canonical_amplitude_id") -> str:
    """Return the condition of a merged user's rows."""
    prefix = f"{table}." if table else ""
    return f"{prefix}project = {literal(view.project)} AND {prefix}app = {view.app} AND {prefix}{column} = {user}"


def aliases(view: View, condition: str) -> str:
    """Return the query of merged users some of whose ids meet a condition on `users`, `aliases` or `devices`."""
    return f"""
        FROM silver.user_aliases AS aliases
        JOIN silver.users AS users
          ON users.project = aliases.project AND users.app = aliases.app AND users.amplitude_id = aliases.amplitude_id
        WHERE aliases.project = {literal(view.project)} AND aliases.app = {view.app} AND {condition}
    """


def found_by(view: View, asked: str) -> str:
    """Return the query of who has an id, or of those whose user id begins so; those with the id itself come first."""
    devices = f"SELECT amplitude_id FROM silver.user_devices WHERE {view.of_app} AND device_id = {literal(asked)}"
    exact = [f"users.user_id = {literal(asked)}", f"aliases.amplitude_id IN ({devices})"]
    if asked.isascii() and asked.isdecimal() and len(asked) <= LONGEST_ID:
        exact.append(f"aliases.amplitude_id = {int(asked)}")
    is_exact = " OR ".join(exact)
    begins = f"COALESCE(STARTSWITH(users.user_id, {literal(asked)}), FALSE)"
    return f"""
        SELECT aliases.canonical_amplitude_id, MIN(users.user_id) AS user_id, MAX(users.last_seen_at) AS last_seen_at,
          MAX(IFF({is_exact}, 1, 0)) AS is_exact
        {aliases(view, f"({is_exact} OR {begins})")}
        GROUP BY aliases.canonical_amplitude_id
        ORDER BY is_exact DESC, user_id, aliases.canonical_amplitude_id
        LIMIT {MOST_FOUND}
    """


def nobody(view: View, asked: str) -> str:
    """Return that nobody has an id, with near ones."""
    rows, _ = count_live(f"""
        SELECT DISTINCT user_id, EDITDISTANCE(user_id, {literal(asked)}) AS distance
        FROM silver.users
        WHERE {view.of_app} AND NOT user_id IS NULL AND EDITDISTANCE(user_id, {literal(asked)}) <= {len(asked) // 3 + 1}
        ORDER BY distance, user_id
        LIMIT {MOST_NEAR}
    """)
    near = f" Did you mean {', '.join(map(markdown, rows['user_id']))}?" if len(rows) else ""
    return f"Nobody in {markdown(view.project)} has the id {markdown(asked)}, and no user id begins so.{near}"


def choose(found: pd.DataFrame) -> int:
    """Let the reader choose one of several. Their ids do not get into the address."""
    exact = found[found["is_exact"] == 1]
    shown = exact if len(exact) else found
    if len(shown) == 1:
        return int(shown["canonical_amplitude_id"].iloc[0])
    names = {
        int(row.canonical_amplitude_id): f"{row.user_id or 'anonymous'} · {row.canonical_amplitude_id} · "
        f"last seen {row.last_seen_at:%Y-%m-%d}"
        for row in shown.itertuples()
    }
    few = f"{len(shown)} people" if len(shown) < MOST_FOUND else f"The first {MOST_FOUND} people"
    return int(st.selectbox(f"{few} with this id, or one that begins so", [*names], format_func=names.__getitem__))


def show_facts(facts: Row) -> None:
    """Show who it is."""
    st.header(markdown(facts["user_id"] or "Anonymous"), anchor=False)
    parts = [
        f"Amplitude id {facts['canonical_amplitude_id']:.0f}",
        f"{count(facts['events'])} events",
        f"first seen {facts['first_seen_at']:%Y-%m-%d}, last seen {facts['last_seen_at']:%Y-%m-%d %H:%M}",
        facts["latest_platform"] or "",
        facts["latest_country"] or "",
    ]
    st.markdown(markdown(" · ".join(part for part in parts if part)))


def table(rows: pd.DataFrame) -> None:
    """Show rows."""
    st.dataframe(rows, hide_index=True)


def show_properties(view: View, facts: Row) -> float:
    """Show how the user came, and their properties as of now; return the seconds that it took."""
    user = int(facts["canonical_amplitude_id"])
    touches, seconds = count_live(f"""
        SELECT first_event.channel_group AS channel, users.first_source AS source, users.first_medium AS medium,
          users.first_campaign AS campaign, users.first_referrer AS referrer, users.first_platform AS platform,
          users.first_country AS country
        FROM silver.users AS users
        LEFT JOIN (
          SELECT channel_group FROM gold.events WHERE {of_user(view, user)} ORDER BY event_time, uuid LIMIT 1
        ) AS first_event
          ON TRUE
        WHERE {of_user(view, user, "users", "amplitude_id")}
    """)
    st.markdown("**How they came**")
    table(touches)
    st.markdown("**Properties as of now**")
    values = properties_of(facts["user_properties"])
    if values:
        table(pd.DataFrame(values.items(), columns=["property", "value"]))
    else:
        st.caption("No event of theirs carries user properties.")
    return seconds


def properties_of(value: object) -> dict[str, str]:
    """Return properties as texts by their names."""
    found = json.loads(value) if isinstance(value, str) else value
    found = found if isinstance(found, dict) else {}
    return {
        name: each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for name, each in found.items()
    }


def show_sessions(view: View, facts: Row) -> float:
    """Show the sessions of the days; return the seconds that it took."""
    user = int(facts["canonical_amplitude_id"])
    rows, seconds = count_live(f"""
        SELECT session_number AS number, session_started_at AS started, session_seconds AS length, events,
          entry_event_type AS first_event, exit_event_type AS last_event, entry_page, platform, country, source, medium,
          campaign
        FROM silver.sessions
        WHERE {of_user(view, user, column="amplitude_id")} AND {view.within("session_date")}
        ORDER BY session_started_at DESC, session_id DESC
        LIMIT {PAGE}
    """)
    if rows.empty:
        st.caption("They have no session on these days.")
    else:
        table(rows.assign(length=rows["length"].map(duration)))
    if len(rows) == PAGE:
        st.caption(f"These are the newest {PAGE}. Choose fewer days for older ones.")
    return seconds


def show_ids(view: View, facts: Row) -> float:
    """Show the ids that are merged into this user, and their devices; return the seconds that it took."""
    user = int(facts["canonical_amplitude_id"])
    ids, seconds = count_live(f"""
        SELECT aliases.amplitude_id, users.user_id, aliases.is_identified, users.events, users.first_seen_at,
          users.last_seen_at, merges.merged_amplitude_id AS merged_by_amplitude_into,
          merges.merge_server_time AS merged_at
        FROM silver.user_aliases AS aliases
        JOIN silver.users AS users
          ON users.project = aliases.project AND users.app = aliases.app AND users.amplitude_id = aliases.amplitude_id
        LEFT JOIN silver.merges AS merges
          ON merges.project = aliases.project AND merges.amplitude_id = aliases.amplitude_id AND merges.is_latest
        WHERE {of_user(view, user, "aliases")}
        ORDER BY users.first_seen_at, aliases.amplitude_id
    """)
    devices, more = count_live(f"""
        SELECT pairs.device_id, devices.platform, devices.os_name, devices.os_version, devices.device_family,
          SUM(pairs.events) AS events, MIN(pairs.first_seen_at) AS first_seen_at,
          MAX(pairs.last_seen_at) AS last_seen_at
        FROM silver.user_devices AS pairs
        LEFT JOIN silver.devices AS devices
          ON devices.project = pairs.project AND devices.app = pairs.app AND devices.device_id = pairs.device_id
        WHERE pairs.project = {literal(view.project)} AND pairs.app = {view.app}
          AND {one_of("pairs.amplitude_id::VARCHAR", [f"{each}" for each in ids["amplitude_id"]])}
        GROUP BY 1, 2, 3, 4, 5
        ORDER BY last_seen_at DESC
    """)
    st.markdown("**Ids of Amplitude that are this person**")
    table(ids)
    if len(ids) > 1 and ids["merged_at"].isna().all():
        st.caption("They were merged by a login on the same device. Amplitude's own merges come with `load-merges`.")
    st.markdown("**Devices**")
    table(devices)
    return seconds + more


def show_timeline(view: View, facts: Row) -> float:
    """Show events, the newest first, by session; return the seconds that it took."""
    user, last_seen = int(facts["canonical_amplitude_id"]), facts["last_seen_at"]
    key = f"older-{view.project}-{view.app}-{user}-{view.since}-{view.until}"
    skipped = st.session_state.get(key, 0)
    rows, seconds = count_live(f"""
        SELECT event_time, event_type, session_id, session_number, session_seconds, platform, country, device_id, page,
          uuid, event_properties
        FROM gold.events
        WHERE {of_user(view, user)} AND {view.within("event_date")}
        ORDER BY event_time DESC, uuid DESC
        LIMIT {PAGE + 1} OFFSET {skipped}
    """)
    if rows.empty:
        st.caption(f"They have no event on these days. The last one is of {last_seen:%Y-%m-%d}: choose days around it.")
        return seconds
    shown = [*rows.head(PAGE).itertuples(index=False)]
    for _, events in groupby(shown, key=lambda event: str(event.session_id)):
        show_session([*events])
    with st.container(horizontal=True):
        if skipped:
            st.button("Newer", on_click=skip, args=(key, max(0, skipped - PAGE)))
        if len(rows) > PAGE:
            st.button("Older", on_click=skip, args=(key, skipped + PAGE))
    return seconds


def skip(key: str, number: int) -> None:
    """Have the timeline begin after so many events."""
    st.session_state[key] = number


def show_session(events: Sequence[Row]) -> None:
    """Show the events of a session that follow each other."""
    newest, oldest = events[0], events[-1]
    parts = ["Outside of sessions" if pd.isna(newest.session_id) else "A session"]
    if not pd.isna(newest.session_number):
        parts = [f"Session {newest.session_number:.0f}", duration(newest.session_seconds)]
    parts += [f"{oldest.event_time:%Y-%m-%d %H:%M}", newest.platform or "", newest.country or ""]
    st.markdown(f"**{markdown(' · '.join(part for part in parts if part))}**")
    with st.container(gap=None):
        for event in events:
            show_event(event)


def show_event(event: Row) -> None:
    """Show an event, folded; its properties once it is open."""
    label = markdown(f"{event.event_time:%H:%M:%S} {event.event_type}")
    opened = st.expander(label, type="compact", key=f"event-{event.uuid}", on_change="rerun")
    if opened.open:
        with opened:
            facts = {"device id": event.device_id, "page": event.page, **properties_of(event.event_properties)}
            table(pd.DataFrame([pair for pair in facts.items() if pair[1]], columns=["property", "value"]))
