"""The ways that users take through a funnel, as SQL: the first tables of a funnel chart's query.

Times are whole microseconds. A way is a row: `t_2` is when its event of step 2 happened, and `m_2` when all up to it
had happened. Events at most a second apart are simultaneous, and count in either order; two that may be of one step
are one event (funnel-analysis-how-amplitude-handles-simultaneous-events.md).
"""

from collections.abc import Iterable

from .definitions import Part, Words
from .exclusive import may_share_an_event
from .funnel import Exclusion, Funnel, seconds_of
from .queries import (
    USER,
    Query,
    Scan,
    day_column,
    equal,
    listed,
    select_events,
)

SECOND = 1_000_000
NEVER = "4000000000000000000"
ENTRY = ("project", "app", "uuid")
MOMENT = "DATEDIFF(MICROSECOND, '1970-01-01'::TIMESTAMPNTZ, events.event_time)"


class Paths:
    """Writes the tables up to `paths`: a row for each way through the funnel that may be a user's best.

    Args:
        chart: as its file has it.
        query: that they are part of.
        words: the columns, events and segments that the chart was checked with.
    """

    def __init__(self, chart: Funnel, query: Query, words: Words) -> None:
        self._chart, self._query, self._words = chart, query, words
        self._length = len(chart.steps)
        self._window = seconds_of(chart.within) * SECOND
        self._held = [f"held_{number}" for number in range(1, len(chart.hold_constant) + 1)]
        self.key = [*USER, *self._held]
        """What tells those apart who are counted: users, or pairs of a user and what is held constant."""
        self.by = [f"by_{number}" for number in range(1, len(chart.by) + 1)]
        """The columns of the values of `by`, which the chart's output alone calls by names that users gave."""
        self._stoppers = self._all_stoppers()

    def tables(self) -> dict[str, str]:
        """Return the tables' queries by their names."""
        tables = {"acts": self._acts(), "doings": self._doings(), "entries": self._entries()}
        if self._chart.order == "any":
            return {**tables, "around": self._around(), "paths": self._paths_in_any_order()}
        tables["paths_1"] = (
            f"SELECT {listed('', [*self.key, 'uuid'])}, moment AS t_1, moment AS m_1{self._stops()} FROM entries"
        )
        for step in range(2, self._length + 1):
            tables[f"paths_{step}"] = self._choices(step) if self._stoppers else self._nexts(step)
        return {**tables, "paths": self._paths_in_order()}

    # --- events

    def _all_stoppers(self) -> list[list[Part]]:
        """The different sets of events that end a way between two steps."""
        gaps = [1] if self._chart.order == "any" else range(1, self._length)
        sets: list[list[Part]] = []
        for stoppers in map(self._stoppers_after, gaps):
            if stoppers and stoppers not in sets:
                sets.append(stoppers)
        return sets

    def _stoppers_after(self, step: int) -> list[Part]:
        """The events that must not come between a step and the next."""
        exact: list[Part] = [Part.model_construct(event="_active", where=None)] if self._chart.order == "exact" else []
        return exact + [each for each in self._chart.exclude if self._is_excluded_after(each, step)]

    def _is_excluded_after(self, exclusion: Exclusion, step: int) -> bool:
        first, last = exclusion.between or (1, self._length)
        return first <= step < last

    def _acts(self) -> str:
        """The events that do steps or end ways, with what they do."""
        chart, scan = self._chart, Scan(self._query)
        steps = [scan.takes(step) for step in chart.steps]
        stops = [" OR ".join(f"({scan.takes(part)})" for part in stoppers) for stoppers in self._stoppers]
        columns = [
            "events.canonical_amplitude_id",
            *(f"{scan.value(name)} AS {own}" for name, own in zip(chart.hold_constant, self._held, strict=True)),
            "events.uuid",
            f"{MOMENT} AS moment",
            *(f"COALESCE({takes}, FALSE) AS does_{number}" for number, takes in enumerate(steps, 1)),
            *(f"COALESCE({takes}, FALSE) AS ends_{number}" for number, takes in enumerate(stops, 1)),
            *(f"{scan.is_in(segment)} AS in_{number}" for number, segment in enumerate(chart.segments, 1)),
            *(f"{scan.group(name)} AS {own}" for name, own in zip(chart.by, self.by, strict=True)),
            f"days.{day_column(chart.interval)} AS period",
        ]
        held = [f"NOT {scan.value(name)} IS NULL" for name in chart.hold_constant]
        return select_events(scan, columns, [*held, f"({' OR '.join(f'({each})' for each in [*steps, *stops])})"])

    def _doings(self) -> str:
        """The events that do steps, each with the first event after its second that ends a way: `stop_1`, ..."""
        does = " OR ".join(f"does_{number}" for number in range(1, self._length + 1))
        if not self._stoppers:
            return f"SELECT * FROM acts WHERE {does}"
        numbers = range(1, len(self._stoppers) + 1)
        ends = " OR ".join(f"ends_{number}" for number in numbers)
        stops = ", ".join(
            f"COALESCE(MIN(IFF(is_look, NULL, IFF(ends_{number}, moment, NULL))) OVER (PARTITION BY "
            f"{listed('', self.key)} ORDER BY mark, IFF(is_look, 1, 0) ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"
            f", {NEVER}) AS stop_{number}"
            for number in numbers
        )
        return f"""
            SELECT *
            FROM (
              SELECT *, {stops}
              FROM (
                SELECT *, moment AS mark, FALSE AS is_look FROM acts WHERE {ends}
                UNION ALL
                SELECT *, moment + {SECOND} AS mark, TRUE AS is_look FROM acts WHERE {does}
              ) AS marks
            ) AS looks
            WHERE is_look
        """

    def _entries(self) -> str:
        """The events of step 1 in the chart's intervals and segments."""
        is_in = " OR ".join(f"doings.in_{number}" for number in range(1, len(self._chart.segments) + 1))
        return f"""
            SELECT doings.*
            FROM doings
            JOIN spans ON {equal("spans", "doings", ["project", "app", "period"])}
            WHERE doings.does_1 AND ({is_in})
        """

    # --- this and exact order

    def _stops(self, table: str = "") -> str:
        return "".join(f", {table}stop_{number}" for number in range(1, len(self._stoppers) + 1))

    def _apart(self, step: int) -> list[int]:
        """The steps before one whose events must be more than a second earlier, because they may be the same event."""
        steps = self._chart.steps
        return [
            earlier
            for earlier in range(1, step)
            if may_share_an_event(steps[earlier - 1], steps[step - 1], self._words)
        ]

    def _times(self, step: int) -> list[str]:
        return [f"{kind}_{number}" for number in range(1, step + 1) for kind in "tm"]

    def _nexts(self, step: int) -> str:
        """Each way with the earliest event of its next step, if nothing ends ways: an earlier one never hinders."""
        before, key = self._times(step - 1), listed("", self.key)
        soonest = _greatest(
            [f"m_{step - 1} - {SECOND}", *(f"t_{number} + {SECOND + 1}" for number in self._apart(step))]
        )
        nothing = "".join(f", NULL AS {name}" for name in ["uuid", *before])
        return f"""
            SELECT {key}, uuid, {listed("", before)}, next_moment AS t_{step}, GREATEST(next_moment, m_{step - 1}) AS m_{step}
            FROM (
              SELECT *, MIN(moment) OVER (
                  PARTITION BY {key} ORDER BY mark, IFF(moment IS NULL, 0, 1)
                  ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
                ) AS next_moment
              FROM (
                SELECT {key}, uuid, {listed("", before)}, {soonest} AS mark, NULL AS moment FROM paths_{step - 1}
                UNION ALL
                SELECT {key}{nothing}, moment AS mark, moment FROM doings WHERE does_{step}
              ) AS marks
            ) AS looks
            WHERE moment IS NULL AND next_moment <= t_1 + {self._window}
        """

    def _choices(self, step: int) -> str:
        """Each way with each event of its next step that makes a difference to what may end it."""
        before, last = self._times(step - 1), step - 1
        stop = self._stop_after(last)
        conditions = [
            equal("doings", "paths", self.key),
            f"doings.does_{step}",
            f"doings.moment >= paths.m_{last} - {SECOND}",
            f"doings.moment <= paths.t_1 + {self._window}",
            *(f"doings.moment > paths.t_{number} + {SECOND}" for number in self._apart(step)),
            *([f"doings.moment <= paths.{stop} + {SECOND}"] if stop else []),
        ]
        stops = "".join(
            f", IFF(doings.moment > paths.m_{last}, doings.stop_{number}, paths.stop_{number}) AS stop_{number}"
            for number in range(1, len(self._stoppers) + 1)
        )
        earliest = ", ".join(f"m_{number}" for number in range(step, 1, -1))
        return f"""
            SELECT {listed("", [*self.key, "uuid", *self._times(step)])}{self._stops()}
            FROM (
              SELECT *, ROW_NUMBER() OVER (
                  PARTITION BY {", ".join([*ENTRY, *self._later(step)])} ORDER BY {earliest}
                ) AS place
              FROM (
                SELECT {listed("paths", [*self.key, "uuid", *before])}, doings.moment AS t_{step},
                  GREATEST(doings.moment, paths.m_{last}) AS m_{step}{stops}
                FROM paths_{last} AS paths
                JOIN doings ON {" AND ".join(conditions)}
              ) AS choices
            ) AS ranked
            WHERE place = 1
        """

    def _stop_after(self, step: int) -> str | None:
        stoppers = self._stoppers_after(step)
        return f"stop_{self._stoppers.index(stoppers) + 1}" if stoppers else None

    def _later(self, step: int) -> list[str]:
        """Return all that later steps ask of a way so far, besides how early it is."""
        stops = {stop for later in range(step, self._length) if (stop := self._stop_after(later))}
        bounds = {
            _greatest(f"t_{number}" for number in apart if number <= step)
            for later in range(step + 1, self._length + 1)
            if (apart := self._apart(later)) and apart[0] <= step
        }
        return sorted(stops | bounds)

    def _paths_in_order(self) -> str:
        """All ways with the number of steps that they reach."""
        return " UNION ALL ".join(
            f"SELECT {listed('', [*self.key, 'uuid'])}, {depth} AS depth, {self._reached(depth)} FROM paths_{depth}"
            for depth in range(1, self._length + 1)
        )

    def _reached(self, depth: int) -> str:
        return ", ".join(
            f"m_{step}" if step <= depth else f"NULL::BIGINT AS m_{step}" for step in range(1, self._length + 1)
        )

    # --- any order

    def _around(self) -> str:
        """Each entry with the nearest events of the other steps, before and after it."""
        over = f"OVER (PARTITION BY {listed('', self.key)} ORDER BY moment RANGE BETWEEN"
        before, after = f"{over} UNBOUNDED PRECEDING AND CURRENT ROW)", f"{over} CURRENT ROW AND UNBOUNDED FOLLOWING)"
        columns = [
            sql
            for step in range(2, self._length + 1)
            for sql in (
                f"MAX(IFF(does_{step}, moment, NULL)) {before} AS before_{step}",
                f"MIN(IFF(does_{step}, moment, NULL)) {after} AS after_{step}",
                *([f"MAX(IFF(does_{step}, stop_1, NULL)) {before} AS stop_before_{step}"] if self._stoppers else []),
            )
        ]
        looked = f"SELECT *, {', '.join(columns)} FROM doings"
        return f"""
            SELECT looked.*
            FROM ({looked}) AS looked
            JOIN entries ON {equal("entries", "looked", ENTRY)}
        """

    def _paths_in_any_order(self) -> str:
        """Each entry in each window that may be its best: one begins with it, or with the event of a step before it."""
        stop = ["stop_1"] if self._stoppers else []
        starts = [f"SELECT *, moment AS starts_at, {(stop or [NEVER])[0]} AS stops_at FROM around"] + [
            f"SELECT *, before_{step} AS starts_at, {f'stop_before_{step}' if stop else NEVER} AS stops_at FROM around"
            for step in range(2, self._length + 1)
        ]
        times = ", ".join(
            f"CASE WHEN before_{step} >= starts_at THEN moment WHEN after_{step} <= last_at THEN after_{step} END AS t_{step}"
            for step in range(2, self._length + 1)
        )
        steps = range(2, self._length + 1)
        depth = " ".join(f"WHEN t_{step} IS NULL THEN {step - 1}" for step in steps)
        reached = ", ".join(
            f"IFF(depth >= {step}, {_greatest(f't_{number}' for number in range(1, step + 1))}, NULL) AS m_{step}"
            for step in steps
        )
        return f"""
            SELECT {listed("", [*self.key, "uuid"])}, depth, t_1 AS m_1, {reached}
            FROM (
              SELECT *, CASE {depth} ELSE {self._length} END AS depth
              FROM (
                SELECT *, moment AS t_1, {times}
                FROM (
                  SELECT *, LEAST(starts_at + {self._window}, stops_at + {SECOND}) AS last_at
                  FROM ({" UNION ALL ".join(starts)}) AS windows
                ) AS windows
                WHERE moment <= last_at
              ) AS done
            ) AS counted
        """


def _greatest(values: Iterable[str]) -> str:
    each = [*values]
    return f"GREATEST({', '.join(each)})" if len(each) > 1 else each[0]
