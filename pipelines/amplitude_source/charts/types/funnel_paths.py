"""The ways that users take through a funnel, as SQL: the tables of a funnel chart's query after those of its events.

A way is a row: `t_2` is when its event of step 2 happened, and `m_2` when all up to it had happened. Events at most a
second apart are simultaneous, and count in either order. Two that may be of one step are one event
(funnel-analysis-how-amplitude-handles-simultaneous-events.md).
"""

from ..definitions import Words
from ..durations import seconds_of
from ..queries import listed
from .exclusive import may_share_an_event
from .funnel import Funnel
from .funnel_events import NEVER, SECOND, Events, more

CHUNKS = """
  SELECT person, chunk, MIN(moment) AS first_at, MAX(moment) AS last_at FROM chunked GROUP BY person, chunk
"""


def tables_of_paths(chart: Funnel, events: Events, words: Words) -> dict[str, str]:
    """Write the tables up to `paths`, in which the ways that may be the best of an entry are.

    Args:
        chart: as its file has it.
        events: the tables that they read.
        words: the columns, events and segments that the chart was checked with.

    Returns:
        Queries by their names.
    """
    if chart.order == "any":
        return _AnyOrder(chart, events).tables()
    return _InOrder(chart, events, words).tables()


class _InOrder:
    """Writes the ways of `this` and `exact` order, a table for each number of steps.

    Where nothing may end a way, the earliest event is the best for each step, because an earlier one hinders nothing
    later. Else all events that make a difference to what may end the way are followed.
    """

    def __init__(self, chart: Funnel, events: Events, words: Words) -> None:
        self._events = events
        self._length = len(chart.steps)
        self._window = seconds_of(chart.within) * SECOND
        self._apart: dict[int, list[int]] = {step: [] for step in range(1, self._length + 1)}
        """The steps before each whose events must be more than a second earlier, because they may be its event."""
        for earlier, later in chart.pairs():
            if may_share_an_event(chart.steps[earlier - 1], chart.steps[later - 1], words):
                self._apart[later].append(earlier)

    def tables(self) -> dict[str, str]:
        stops = more("", self._events.stops)
        tables = {"chunked": self._chunked(), "chunks": CHUNKS} if stops else {}
        tables["paths_1"] = f"SELECT person, entry, moment AS t_1, moment AS m_1{stops} FROM entries"
        for step in range(2, self._length + 1):
            tables[f"paths_{step}"] = self._choices(step) if stops else self._nexts(step)
        return {**tables, "paths": " UNION ALL ".join(map(self._paths, range(1, self._length + 1)))}

    def _times(self, step: int) -> list[str]:
        return [f"{kind}_{number}" for number in range(1, step + 1) for kind in "tm"]

    def _since(self, step: int, table: str = "") -> str:
        """Return from when on an event may do a step."""
        apart = [f"{table}t_{number} + {SECOND + 1}" for number in self._apart[step]]
        return greatest([f"{table}m_{step - 1} - {SECOND}", *apart])

    def _nexts(self, step: int) -> str:
        """Each way with the earliest event of its next step."""
        last, before = step - 1, self._times(step - 1)
        nothing = "".join(f", NULL AS {name}" for name in ["entry", *before])
        return f"""
            SELECT person, entry{more("", before)}, next_moment AS t_{step}, GREATEST(next_moment, m_{last}) AS m_{step}
            FROM (
              SELECT *, MIN(moment) OVER (
                  PARTITION BY person ORDER BY mark, is_doing ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
                ) AS next_moment
              FROM (
                SELECT person, entry{more("", before)}, {self._since(step)} AS mark, NULL AS moment, 0 AS is_doing
                FROM paths_{last}
                UNION ALL
                SELECT person{nothing}, moment AS mark, moment, 1 AS is_doing
                FROM doings
                WHERE does_{step}
              ) AS marks
            ) AS looks
            WHERE is_doing = 0 AND next_moment <= t_1 + {self._window}
        """

    def _chunked(self) -> str:
        """The events that do steps, by the dozen, so that a way looks at those alone that lie in its time.

        Among events of a step before the same later stoppers, the first one leads. A way needs those that lead, and
        the first event that it may take.
        """
        before = "OVER (PARTITION BY person ORDER BY moment ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        columns = {"chunk": "FLOOR(ROW_NUMBER() OVER (PARTITION BY person ORDER BY moment) / 12)"}
        for step in range(2, self._length + 1):
            leads = [f"{stop} > MAX(IFF(does_{step}, {stop}, NULL)) {before}" for stop in self._stops_later(step)]
            columns[f"leads_{step}"] = f"COALESCE({' OR '.join(leads)}, FALSE)" if leads else "FALSE"
            columns[f"before_{step}"] = f"COALESCE(MAX(IFF(does_{step}, moment, NULL)) {before}, -{NEVER})"
        return f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in columns.items())} FROM doings"

    def _choices(self, step: int) -> str:
        """Each way with each event of its next step that makes a difference to what may end it later.

        Among ways that may go on alike, one has the earliest event for each step, and stays. There always is one: if
        two ways are possible, then so is the way that takes the earlier event of both for each step.
        """
        last, before, stop = step - 1, self._times(step - 1), self._events.stop_after(step - 1)
        since, until = self._since(step, "paths."), f"paths.t_1 + {self._window}"
        if stop:
            until = f"LEAST({until}, paths.{stop} + {SECOND})"
        stops = "".join(
            f", IFF(doings.moment > paths.m_{last}, doings.{name}, paths.{name}) AS {name}"
            for name in self._events.stops
        )
        return f"""
            SELECT person, entry{more("", self._times(step) + self._events.stops)}
            FROM (
              SELECT *, ROW_NUMBER() OVER (
                  PARTITION BY entry{more("", self._stops_later(step))} ORDER BY {latest("t", step)}
                ) AS place
              FROM (
                SELECT paths.person, paths.entry{more("paths", before)}, doings.moment AS t_{step},
                  GREATEST(doings.moment, paths.m_{last}) AS m_{step}{stops}
                FROM paths_{last} AS paths
                JOIN chunks
                  ON chunks.person = paths.person AND chunks.last_at >= {since} AND chunks.first_at <= {until}
                JOIN chunked AS doings
                  ON doings.person = chunks.person AND doings.chunk = chunks.chunk AND doings.does_{step}
                  AND doings.moment BETWEEN {since} AND {until}
                  AND (doings.leads_{step} OR doings.before_{step} < {since})
              ) AS choices
            ) AS ranked
            WHERE place = 1
        """

    def _stops_later(self, step: int) -> list[str]:
        """Return the columns of what may end a way after a step."""
        stops = (self._events.stop_after(later) for later in range(step, self._length))
        return [*dict.fromkeys(filter(None, stops))]

    def _paths(self, depth: int) -> str:
        """The ways that end with a step."""
        reached = [f"m_{step}" for step in range(1, depth + 1)]
        missing = "".join(f", NULL::BIGINT AS m_{step}" for step in range(depth + 1, self._length + 1))
        return f"SELECT person, entry, {depth} AS depth, {listed('', reached)}{missing} FROM paths_{depth}"


class _AnyOrder:
    """Writes the ways of `any` order: an entry, and what was done in a time around it that is as long as the window.

    The times that may be the best begin with the entry, or with the last event of another step before it. No stopper
    may lie between the first event and the last.
    """

    def __init__(self, chart: Funnel, events: Events) -> None:
        self._events = events
        self._others = range(2, len(chart.steps) + 1)
        self._window = seconds_of(chart.within) * SECOND

    def tables(self) -> dict[str, str]:
        return {"around": self._around(), "times": self._times(), "done": self._done(), "paths": self._paths()}

    def _around(self) -> str:
        """Each entry with the nearest events of the other steps, before and after it."""
        over = "OVER (PARTITION BY person ORDER BY moment RANGE BETWEEN"
        before, after = f"{over} UNBOUNDED PRECEDING AND CURRENT ROW)", f"{over} CURRENT ROW AND UNBOUNDED FOLLOWING)"
        columns = {}
        for step in self._others:
            columns[f"before_{step}"] = f"MAX(IFF(does_{step}, moment, NULL)) {before}"
            columns[f"after_{step}"] = f"MIN(IFF(does_{step}, moment, NULL)) {after}"
            for stop in self._events.stops:
                columns[f"{stop}_before_{step}"] = f"MAX(IFF(does_{step}, {stop}, NULL)) {before}"
        looks = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
        return f"""
            SELECT entries.person, entries.entry, entries.moment{more("entries", self._events.stops)},
              {listed("looks", columns)}
            FROM entries
            JOIN (SELECT DISTINCT person, moment, {looks} FROM doings) AS looks
              ON looks.person = entries.person AND looks.moment = entries.moment
        """

    def _times(self) -> str:
        """Each entry with each time around it."""
        stop = self._events.stop_after(1)
        starts = {"moment": stop or NEVER}
        starts |= {f"before_{step}": f"{stop}_before_{step}" if stop else NEVER for step in self._others}
        return " UNION ALL ".join(
            f"""
            SELECT *, {first} AS first_at, LEAST({first} + {self._window}, {stop} + {SECOND}) AS last_at
            FROM around
            WHERE moment <= LEAST({first} + {self._window}, {stop} + {SECOND})
            """
            for first, stop in starts.items()
        )

    def _done(self) -> str:
        """When each step was done, from the entry on."""
        steps = ", ".join(
            f"CASE WHEN before_{step} >= first_at THEN moment WHEN after_{step} <= last_at THEN after_{step} END "
            f"AS t_{step}"
            for step in self._others
        )
        return f"SELECT person, entry, moment AS t_1, {steps} FROM times"

    def _paths(self) -> str:
        depth = " ".join(f"WHEN t_{step} IS NULL THEN {step - 1}" for step in self._others)
        reached = ", ".join(
            f"IFF(depth >= {step}, {greatest([f't_{number}' for number in range(1, step + 1)])}, NULL) AS m_{step}"
            for step in self._others
        )
        return f"""
            SELECT person, entry, depth, t_1 AS m_1, {reached}
            FROM (SELECT *, CASE {depth} ELSE {len(self._others) + 1} END AS depth FROM done) AS counted
        """


def greatest(values: list[str]) -> str:
    """Return the largest of some values as SQL."""
    return f"GREATEST({', '.join(values)})" if len(values) > 1 else values[0]


def latest(kind: str, step: int) -> str:
    """Return the order in which the way comes first that is over first: by its times `t` or `m` up to a step."""
    return ", ".join(f"{kind}_{number}" for number in range(step, 1, -1))
