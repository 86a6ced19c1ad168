"""The events of a funnel, as SQL: the first tables of a funnel chart's query.

Times are whole microseconds. A `person` is the number of a user, or of a user and the values that are held constant. An
`entry` is the number of an event of step 1, by which a person enters.
"""

from ..definitions import Part
from ..queries import USER, Query, Scan, day_column, equal, group_name, listed, select_events
from .funnel import Exclusion, Funnel

SECOND = 1_000_000
NEVER = "4000000000000000000"
MOMENT = "DATEDIFF(MICROSECOND, '1970-01-01'::TIMESTAMPNTZ, events.event_time)"


class Events:
    """Writes the tables `doings`, the events that do steps, and `entries`, those of step 1 by which users enter.

    An event that must not come between two steps is a stopper. `stop_1` of an event is when the first one came, more
    than a second after it: Amplitude takes what is closer for simultaneous (faq_and_troubleshooting,
    funnel-analysis.md, on exact order). Gaps between steps may have different stoppers, hence `stop_2` and so on.

    Args:
        chart: as its file has it.
        query: that the tables are part of.
    """

    def __init__(self, chart: Funnel, query: Query) -> None:
        self._chart, self._query = chart, query
        self._does = [f"does_{number}" for number in range(1, len(chart.steps) + 1)]
        self._held = [f"held_{number}" for number in range(1, len(chart.hold_constant) + 1)]
        self.by = [group_name(name) for name in chart.by]
        """The columns of the values of `by`."""
        self.segments = [f"in_{number}" for number in range(1, len(chart.segments) + 1)]
        """The columns that say whether an entry is in each segment."""
        gaps = [1] if chart.order == "any" else range(1, len(chart.steps))
        self._stoppers: list[list[Part]] = []
        for stoppers in map(self._stoppers_after, gaps):
            if stoppers and stoppers not in self._stoppers:
                self._stoppers.append(stoppers)
        self.stops = [f"stop_{number}" for number in range(1, len(self._stoppers) + 1)]
        self._ends = [f"ends_{number}" for number in range(1, len(self._stoppers) + 1)]

    def stop_after(self, step: int) -> str | None:
        """Return the column with the first stopper between a step and the next, if there may be any."""
        stoppers = self._stoppers_after(step)
        return self.stops[self._stoppers.index(stoppers)] if stoppers else None

    def tables(self) -> dict[str, str]:
        """Return the tables' queries by their names."""
        key = [*USER, *self._held]
        return {
            "scanned": self._scanned(),
            "people": f"""
                SELECT {listed("", key)}, ROW_NUMBER() OVER (ORDER BY {listed("", key)}) AS person
                FROM (SELECT DISTINCT {listed("", key)} FROM scanned WHERE does_1) AS people
            """,
            "acts": f"SELECT scanned.*, people.person FROM scanned JOIN people ON {equal('people', 'scanned', key)}",
            **({"stops": self._stops()} if self.stops else {}),
            "doings": self._doings(),
            "entries": self._entries(),
        }

    def _stoppers_after(self, step: int) -> list[Part]:
        exact: list[Part] = [Part.model_construct(event="_active", where=None)] if self._chart.order == "exact" else []
        return exact + [each for each in self._chart.exclude if self._is_excluded_after(each, step)]

    def _is_excluded_after(self, exclusion: Exclusion, step: int) -> bool:
        first, last = exclusion.between or (1, len(self._chart.steps))
        return first <= step < last

    def _scanned(self) -> str:
        """The events that do steps or are stoppers, with what they do."""
        chart, scan = self._chart, Scan(self._query)
        does = [scan.takes(step) for step in chart.steps]
        ends = [" OR ".join(f"({scan.takes(part)})" for part in stoppers) for stoppers in self._stoppers]
        held = [scan.value(name) for name in chart.hold_constant]
        columns = {
            **dict(zip(self._held, held, strict=True)),
            **{name: f"COALESCE({sql}, FALSE)" for name, sql in zip(self._does + self._ends, does + ends, strict=True)},
            **dict(zip(self.segments, map(scan.is_in, chart.segments), strict=True)),
            **dict(zip(self.by, map(scan.group, chart.by), strict=True)),
            "moment": MOMENT,
            "period": f"days.{day_column(chart.interval)}",
        }
        conditions = [*(f"NOT {sql} IS NULL" for sql in held), f"({' OR '.join(f'({sql})' for sql in does + ends)})"]
        selected = [f"{sql} AS {name}" for name, sql in columns.items()]
        return select_events(scan, ["events.canonical_amplitude_id", "events.uuid", *selected], conditions)

    def _stops(self) -> str:
        """The first stoppers after each moment at which a person did a step."""
        stops = ", ".join(
            f"COALESCE(MIN(IFF({end}, moment, NULL)) OVER (PARTITION BY person ORDER BY mark, is_look"
            f" ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING), {NEVER}) AS {stop}"
            for end, stop in zip(self._ends, self.stops, strict=True)
        )
        nothing = ", ".join(f"FALSE AS {end}" for end in self._ends)
        return f"""
            SELECT person, moment, {listed("", self.stops)}
            FROM (
              SELECT person, moment, is_look, {stops}
              FROM (
                SELECT person, moment, moment AS mark, 0 AS is_look, {listed("", self._ends)}
                FROM acts
                WHERE {" OR ".join(self._ends)}
                UNION ALL
                SELECT DISTINCT person, moment, moment + {SECOND} AS mark, 1 AS is_look, {nothing}
                FROM acts
                WHERE {" OR ".join(self._does)}
              ) AS marks
            ) AS looks
            WHERE is_look = 1
        """

    def _join_stops(self) -> str:
        return f"JOIN stops ON {equal('stops', 'acts', ['person', 'moment'])}" if self.stops else ""

    def _doings(self) -> str:
        return f"""
            SELECT acts.person, acts.moment, {listed("acts", self._does)}{more("stops", self.stops)}
            FROM acts
            {self._join_stops()}
            WHERE {" OR ".join(f"acts.{name}" for name in self._does)}
        """

    def _entries(self) -> str:
        """The events of step 1 in the chart's intervals and segments, in each person's order."""
        columns = ["person", "moment", "project", "app", *self.segments, *self.by, "period"]
        return f"""
            SELECT ROW_NUMBER() OVER (ORDER BY acts.person, acts.moment, acts.uuid) AS entry,
              {listed("acts", columns)}{more("stops", self.stops)}
            FROM acts
            JOIN spans ON {equal("spans", "acts", ["project", "app", "period"])}
            {self._join_stops()}
            WHERE acts.does_1 AND ({" OR ".join(f"acts.{name}" for name in self.segments)})
        """


def more(table: str, names: list[str]) -> str:
    """Return columns of a table to go on with in a list of columns."""
    return "".join(f", {table}.{name}" if table else f", {name}" for name in names)
