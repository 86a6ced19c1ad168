"""The query of a chart of journeys, written table by table."""

from collections.abc import Sequence

from ..definitions import Part, Words
from ..queries import (
    LINE,
    NONE,
    OTHER,
    Column,
    Compiled,
    Query,
    Scan,
    compose,
    equal,
    group_name,
    line_columns,
    listed,
    literal,
    select_events,
)
from .journeys import DROPPED, NOTHING_BEFORE, Journeys

SEPARATOR = ">"
"""What stands between the events of a path; it is doubled within the name of one."""


def compile_journeys(chart: Journeys, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each beginning of paths: for those to an event, each ending.
    """
    return _Writer(chart, words).compiled()


class _Writer:
    """Writes the tables of a chart.

    Each event that takes part (`chosen`) is looked at with those next to it (`ways`). A path is such a row of the event
    that the chart asks for (`begun`). Paths with the same events are counted (`journeys`), and the rare events of each
    step get one name (`kept`, `named`).
    """

    def __init__(self, chart: Journeys, words: Words) -> None:
        self._chart, self._query, self._words = chart, Query(words, chart.count_by), words
        self._line = [*LINE, *map(group_name, chart.by)]
        self._steps = [f"event_{number}" for number in range(1, chart.steps + 1)]
        own = [] if chart.window_seconds else [self._query.own_id, "session_id"]
        self._owner = [*dict.fromkeys(["canonical_amplitude_id", *own])]
        """Whose events are looked at in their order."""
        self._over = f"OVER (PARTITION BY {listed('', [*LINE, *self._owner])} ORDER BY event_time, uuid)"

    def compiled(self) -> Compiled:
        chart = self._chart
        tables = {"chosen": " UNION ALL ".join(map(self._chosen, chart.segments))}
        if chart.collapse_repeats:
            tables["collapsed"] = self._collapsed()
        tables |= {
            "ways": self._ways("collapsed" if chart.collapse_repeats else "chosen"),
            "begun": self._begun(),
            "journeys": self._journeys(),
            "kept": self._kept(),
            "named": self._named(),
            "counted": " UNION ALL ".join(self._counted(step) for step in range(1, chart.steps + 1)),
            "results": self._results(),
        }
        return compose(self._query, tables, self._columns(), [*self._line, "step", "path"], "paths")

    def _columns(self) -> list[Column]:
        chart = self._chart
        end, way = ("begin", "on") if chart.from_ else ("end", "back")
        counted = f"Users whose first path {end}s so" if chart.measure == "uniques" else f"Paths that {end} so"
        name = chart.anchor.event
        event, neighbour = "Event of the step", "Event of the step with the number before, NULL for step 1"
        source, target = (neighbour, event) if chart.from_ else (event, neighbour)
        return [
            *line_columns(chart.by, f", at {name}"),
            Column("step", "BIGINT", f"Number of the step, 1 for {name}, from which steps count {way}"),
            Column("path", "VARCHAR", f"The events with which paths {end}, in the order of their time"),
            Column("from_event", "VARCHAR", source),
            Column("to_event", "VARCHAR", target),
            Column("paths", "BIGINT", counted),
            Column("share", "DOUBLE", "Their share of all paths of the line"),
            Column("is_complete", "BOOLEAN", "Whether the export has all of the chart's days"),
        ]

    # --- events

    def _chosen(self, segment: str) -> str:
        """Each event of a segment that takes part in paths."""
        chart, scan = self._chart, Scan(self._query)
        anchor = f"COALESCE({scan.takes(chart.anchor)}, FALSE)"
        is_shown = "events.is_active" if chart.window_seconds else "events.is_in_session"
        if chart.events:
            is_shown = self._any(scan, chart.events)
        if chart.exclude:
            is_shown = f"{is_shown} AND NOT COALESCE({self._any(scan, chart.exclude)}, FALSE)"
        conditions = [f"({is_shown} OR {anchor})", scan.is_in(segment), *self._days_of_chart()]
        if not chart.window_seconds:
            conditions.append("NOT events.session_id IS NULL")
        columns = [
            f"{literal(segment)} AS segment",
            *(f"{scan.group(name)} AS {group_name(name)}" for name in chart.by),
            *(f"events.{name}" for name in (*self._owner, "event_time", "uuid")),
            f"{self._name(scan)} AS event_1",
            f"{anchor} AS is_anchor",
        ]
        return select_events(scan, columns, conditions)

    def _days_of_chart(self) -> list[str]:
        """The conditions that a day of gold.days is one of the chart's."""
        ends = {">=": self._chart.since, "<=": self._chart.until}
        return [f"days.date {sign} '{day}'::DATE" for sign, day in ends.items() if day]

    def _any(self, scan: Scan, parts: Sequence[Part]) -> str:
        return f"({' OR '.join(f'({scan.takes(part)})' for part in parts)})"

    def _name(self, scan: Scan) -> str:
        """The name of an event in paths: that of an event of one's own, or the type."""
        own = [part for part in (self._chart.anchor, *(self._chart.events or ())) if part.event in self._words.events]
        cases = " ".join(f"WHEN {scan.takes(part)} THEN {literal(part.event)}" for part in own)
        name = f"COALESCE(events.event_type, '{NONE}')"
        return f"CASE {cases} ELSE {name} END" if cases else name

    def _collapsed(self) -> str:
        """The events without those that repeat the one before."""
        repeats = [f"LAG({name}) {self._over} = {name}" for name in ("event_1", "is_anchor")]
        if self._chart.window_seconds:
            repeats.append(f"LAG(event_time) {self._over} >= {self._moved(-self._chart.window_seconds)}")
        return f"SELECT * FROM chosen QUALIFY NOT COALESCE({' AND '.join(repeats)}, FALSE)"

    def _moved(self, seconds: int) -> str:
        return f"DATEADD(SECOND, {seconds}, event_time)"

    def _ways(self, rows: str) -> str:
        """Each event with those after it, or before it, that its path may have."""
        events = ", ".join(f"{self._other(number)} AS {name}" for number, name in enumerate(self._steps[1:], 1))
        keys = listed("", [*self._line, "canonical_amplitude_id", "event_time", "uuid", "is_anchor", "event_1"])
        return f"SELECT {keys}, {events} FROM {rows}"

    def _other(self, number: int) -> str:
        """The event so many places away, NULL if it lies outside of the window."""
        look = "LEAD" if self._chart.from_ else "LAG"
        event, time = (f"{look}({name}, {number}) {self._over}" for name in ("event_1", "event_time"))
        seconds = self._chart.window_seconds
        if seconds is None:
            return event
        is_near = f"{time} <= {self._moved(seconds)}" if self._chart.from_ else f"{time} >= {self._moved(-seconds)}"
        return f"IFF({is_near}, {event}, NULL)"

    def _begun(self) -> str:
        """The paths that count."""
        if self._chart.measure == "totals":
            return "SELECT * FROM ways WHERE is_anchor"
        user = listed("", [*self._line, "canonical_amplitude_id"])
        first = f"ROW_NUMBER() OVER (PARTITION BY {user} ORDER BY event_time, uuid) = 1"
        return f"SELECT * FROM ways WHERE is_anchor QUALIFY {first}"

    # --- paths

    def _journeys(self) -> str:
        keys = listed("", [*self._line, *self._steps])
        return f"SELECT {keys}, COUNT(*) AS paths FROM begun GROUP BY {keys}"

    def _kept(self) -> str:
        """The events of each step that have rows of their own."""
        line = listed("", self._line)
        placed = " UNION ALL ".join(
            f"SELECT {line}, {number} AS step, {name} AS event, paths FROM journeys WHERE NOT {name} IS NULL"
            for number, name in enumerate(self._steps, 1)
        )
        return f"""
            SELECT {line}, step, event
            FROM ({placed}) AS placed
            GROUP BY {line}, step, event
            QUALIFY ROW_NUMBER() OVER (PARTITION BY {line}, step ORDER BY SUM(paths) DESC, event) <= {self._chart.top}
        """

    def _named(self) -> str:
        """The paths with one name for all events of a step that do not have rows of their own."""
        names = ", ".join(
            f"IFF({name} IS NULL, NULL, COALESCE(kept_{number}.event, '{OTHER}')) AS {name}"
            for number, name in enumerate(self._steps, 1)
        )
        joins = "\n".join(
            f"LEFT JOIN kept AS kept_{number} ON {equal(f'kept_{number}', 'journeys', self._line)} "
            f"AND kept_{number}.step = {number} AND kept_{number}.event = journeys.{name}"
            for number, name in enumerate(self._steps, 1)
        )
        return f"SELECT {listed('journeys', self._line)}, {names}, journeys.paths FROM journeys {joins}"

    def _counted(self, step: int) -> str:
        """How many paths have the same events up to a step."""
        is_forward = self._chart.from_ is not None
        last = f"COALESCE({self._steps[step - 1]}, '{DROPPED if is_forward else NOTHING_BEFORE}')"
        before = self._steps[step - 2] if step > 1 else "NULL"
        events = [f"REPLACE({name}, '{SEPARATOR}', '{2 * SEPARATOR}')" for name in (*self._steps[: step - 1], last)]
        path = f", ' {SEPARATOR} ', ".join(events if is_forward else reversed(events))
        source, target = (before, last) if is_forward else (last, before)
        line = listed("", self._line)
        return f"""
            SELECT {line}, {step} AS step, CONCAT({path}) AS path, {source}::VARCHAR AS from_event,
              {target}::VARCHAR AS to_event, SUM(paths) AS paths
            FROM named
            {f"WHERE NOT {before} IS NULL" if step > 1 else ""}
            GROUP BY {line}, {listed("", self._steps[:step])}
        """

    def _results(self) -> str:
        total = f"SUM(IFF(step = 1, paths, 0)) OVER (PARTITION BY {listed('counted', self._line)})"
        return f"""
            SELECT counted.*, paths::DOUBLE / {total} AS share, spans.is_complete
            FROM counted
            JOIN ({self._spans()}) AS spans
              ON {equal("spans", "counted", ["project", "app"])}
        """

    def _spans(self) -> str:
        """Whether the export has all of the chart's days."""
        return f"""
            SELECT project, app, MIN(IFF(is_complete, 1, 0)) = 1 AS is_complete
            FROM gold.days AS days
            WHERE {" AND ".join(["TRUE", *self._days_of_chart()])}
            GROUP BY project, app
        """
