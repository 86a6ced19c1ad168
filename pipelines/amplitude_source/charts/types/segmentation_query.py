"""The query of a segmentation chart, written table by table."""

from ..definitions import Part, Words
from ..queries import (
    LINE,
    OTHER,
    Column,
    Compiled,
    Query,
    Scan,
    compose,
    earliest,
    equal,
    group_name,
    line_columns,
    lines,
    listed,
    literal,
    periods,
    select_events,
)
from .formulas import Formula, Term
from .segmentation import Segmentation


def compile_segmentation(chart: Segmentation, words: Words) -> Compiled:
    """Write a chart's query.

    Args:
        chart: as its file has it.
        words: the columns, events and segments that it was checked with.

    Returns:
        The query, with a row for each line, segment, value of `by` and interval, those without events too.
    """
    return _Writer(chart, words).compiled()


class _Writer:
    """Writes the tables of a chart.

    The events that the chart has chosen (`chosen`) count in one interval or several (`windows`). Their metrics
    (`points`) stand at each point of each line (`grid`), and formulas make values of them (`results`).
    """

    def __init__(self, chart: Segmentation, words: Words) -> None:
        self._chart, self._query = chart, Query(words, chart.count_by)
        self._by = [group_name(name) for name in chart.by]
        self._terms = list(dict.fromkeys(term for _, formula in chart.lines for term in formula.terms))
        self._metrics: dict[str, str] = {}
        """The columns of points: by an aggregate, its name."""
        for term in self._terms:
            self._metrics.setdefault(self._aggregate(term), f"metric_{len(self._metrics) + 1}")
        self._is_frequency = chart.measure == "frequency" and not chart.formula
        self._has_shares = any(term.metric == "ACTIVE" for term in self._terms)
        self._details = ["amount"] * bool(chart.of) + ["session"] * any(
            t.metric == "SESSIONTOTALS" for t in self._terms
        )
        self._groups = [*LINE, *self._by]
        self._line = [*self._groups, *["times"] * self._is_frequency]
        """What tells a line from others, besides its series."""

    def compiled(self) -> Compiled:
        chart = self._chart
        tables = {"periods": periods(chart.interval, chart.until), "windows": self._windows(), "chosen": self._chosen()}
        rows = "chosen"
        if chart.top and self._by:
            tables |= {"kept": self._kept(), "grouped": self._grouped()}
            rows = "grouped"
        tables["windowed"] = self._windowed(rows)
        if self._is_frequency:
            tables["frequencies"] = self._frequencies()
        tables["points"] = self._points("frequencies" if self._is_frequency else "windowed")
        if self._has_shares:
            tables["active_users"] = self._active_users()
        tables |= {
            "lines": lines(self._line, chart.segments, "points"),
            "grid": self._grid(),
            "results": self._results(),
        }
        shown = f"WHERE last_date >= '{chart.since}'::DATE" if chart.since and chart.rolling_average else ""
        keys = ["project", "app", "series", *self._line[2:], "period"]
        return compose(self._query, tables, self._columns(), keys, "value", shown)

    def _columns(self) -> list[Column]:
        chart, unit = self._chart, self._chart.interval
        reach = (chart.rolling_window or chart.rolling_average or 1) - 1
        whole = "all intervals up to this one" if chart.cumulative else f"the {unit} and the {reach} before it"
        whole = whole if reach or chart.cumulative else f"the {unit}"
        rest = f", {OTHER} for all but the {chart.top} with the most events" if chart.top else ""
        names = {"hour": "Time (UTC) at which the hour begins", "day": "Day in the reporting time zone"}
        kind = "TIMESTAMPNTZ" if unit == "hour" else "DATE"
        period = Column("period", kind, names.get(unit, f"First day of the {unit}"))
        project, app, *line = line_columns(chart.by, rest)
        return [
            project,
            app,
            Column("series", "VARCHAR", "The event, or the formula"),
            *line,
            *[Column("times", "BIGINT", "How often each of the users did it")] * self._is_frequency,
            period,
            Column("value", "DOUBLE", f"{chart.formula or chart.measure}, NULL where it is not defined"),
            Column("is_complete", "BOOLEAN", f"Whether the export has all of {whole}"),
        ]

    # --- time

    def _windows(self) -> str:
        """Each point, with the intervals whose events count in it; an average looks at points before the first one."""
        before, reach = (self._chart.rolling_average or 1) - 1, self._chart.rolling_window or 1
        shown = f"IFF(last_date >= '{self._chart.since}'::DATE, number, NULL)" if self._chart.since else "number"
        return f"""
            SELECT points.project, points.app, points.period, points.last_date, points.number,
              held.period AS held_period, held.is_complete
            FROM (
              SELECT *, MIN({shown}) OVER (PARTITION BY project, app) AS first_number
              FROM periods
            ) AS points
            JOIN periods AS held
              ON {equal("held", "points", ["project", "app"])}
              AND held.number BETWEEN points.number - {reach - 1} AND points.number
            WHERE points.number >= points.first_number - {before}
        """

    # --- events

    def _chosen(self) -> str:
        """Each event of the chart, once for each segment that it is in."""
        scans = [
            self._scan(letter, part, segment, self._by)
            for letter, (_, part) in zip(self._chart.letters, self._chart.named, strict=True)
            for segment in self._chart.segments
        ]
        return " UNION ALL ".join(scans)

    def _scan(self, letter: str, part: Part, segment: str, by: list[str]) -> str:
        chart, scan = self._chart, Scan(self._query, self._chart.interval)
        conditions = [scan.takes(part), scan.is_in(segment)]
        session = f"CONCAT(events.{self._query.own_id}::VARCHAR, ' ', events.session_id::VARCHAR)"
        if chart.since:
            day = earliest(chart.since, chart.interval, chart.rolling_window or chart.rolling_average or 1)
            conditions.append(f"events.event_date >= '{day}'::DATE")
        values = {
            "letter": literal(letter),
            "segment": literal(segment),
            **{own: scan.group(name) for name, own in zip(chart.by, self._by, strict=True) if own in by},
            "held_period": {"hour": "events.event_hour", "day": "events.event_date"}.get(
                chart.interval, f"days.{chart.interval}"
            ),
            "counted": "events.canonical_amplitude_id",
            "amount": scan.value(chart.of) if chart.of else "",
            "session": f"IFF(events.session_id IS NULL, NULL, {session})" if "session" in self._details else "",
        }
        columns = [f"{sql} AS {name}" for name, sql in values.items() if sql]
        return select_events(scan, columns, conditions)

    def _kept(self) -> str:
        """The values that get rows of their own, by their events in the chart's time."""
        keys = listed("chosen", ["project", "app", *self._by])
        return f"""
            SELECT {keys}
            FROM chosen
            JOIN (SELECT DISTINCT project, app, held_period FROM windows) AS held
              ON {equal("held", "chosen", ["project", "app", "held_period"])}
            GROUP BY {keys}
            QUALIFY
              ROW_NUMBER() OVER (
                PARTITION BY chosen.project, chosen.app ORDER BY COUNT(*) DESC, {listed("chosen", self._by)}
              ) <= {self._chart.top}
        """

    def _grouped(self) -> str:
        """The same events, with one value for all those that do not get rows of their own."""
        kept = [f"IFF(kept.project IS NULL, '{OTHER}', chosen.{own}) AS {own}" for own in self._by]
        rest = ["project", "app", "letter", "segment", "held_period", "counted", *self._details]
        return f"""
            SELECT {", ".join([listed("chosen", rest), *kept])}
            FROM chosen
            LEFT JOIN kept
              ON {equal("kept", "chosen", ["project", "app", *self._by])}
        """

    def _windowed(self, rows: str) -> str:
        """Each event, once for each point that it counts in."""
        own = listed(rows, [*self._groups, "letter", "counted", *self._details])
        line = listed(rows, [*self._groups, "letter", "counted"])
        first = f", ROW_NUMBER() OVER (PARTITION BY {line} ORDER BY windows.period) = 1 AS is_first"
        return f"""
            SELECT {own}, windows.period{first if self._chart.cumulative else ""}
            FROM {rows}
            JOIN windows
              ON {equal("windows", rows, ["project", "app", "held_period"])}
        """

    def _frequencies(self) -> str:
        """How often each user did an event in a point's time."""
        keys = listed("", [*self._groups, "letter", "period", "counted"])
        return f"SELECT {keys}, COUNT(*) AS times FROM windowed GROUP BY {keys}"

    # --- points

    def _aggregate(self, term: Term) -> str:
        if self._chart.cumulative and term.metric == "UNIQUES":
            return "COUNT_IF(is_first)"  # each user counts in the point of their first event
        return term.definition.sql

    def _points(self, rows: str) -> str:
        """The metrics of each point with events."""
        keys = listed("", [*self._line, "letter", "period"])
        metrics = ", ".join(f"{sql} AS {name}" for sql, name in self._metrics.items())
        return f"SELECT {keys}, {metrics} FROM {rows} GROUP BY {keys}"

    def _active_users(self) -> str:
        """The active users of each segment and point, whatever they did: the rule of Active %, grouped by event."""
        active = Part.model_construct(event="_active", where=None)
        scans = " UNION ALL ".join(self._scan("", active, segment, []) for segment in self._chart.segments)
        keys = "actives.project, actives.app, actives.segment, windows.period"
        return f"""
            SELECT {keys}, COUNT(DISTINCT actives.counted) AS active_users
            FROM ({scans}) AS actives
            JOIN windows
              ON {equal("windows", "actives", ["project", "app", "held_period"])}
            GROUP BY {keys}
        """

    def _grid(self) -> str:
        """Each line at each point; a point is complete if the export has all the intervals that count in it."""
        keys = "windows.project, windows.app, windows.period, windows.last_date"
        return f"""
            SELECT {listed("lines", self._line)}, spans.period, spans.last_date, spans.is_complete
            FROM lines
            JOIN (
              SELECT {keys},
                MIN(IFF(windows.is_complete, 1, 0)) = 1 AND COUNT(*) = {self._chart.rolling_window or 1} AS is_complete
              FROM windows
              GROUP BY {keys}
            ) AS spans
              ON {equal("spans", "lines", ["project", "app"])}
        """

    def _results(self) -> str:
        """Each line's formula at each point."""
        return " UNION ALL ".join(self._line_results(name, formula) for name, formula in self._chart.lines)

    def _line_results(self, name: str, formula: Formula) -> str:
        chart = self._chart
        value, is_complete = formula.sql(self._metric), "grid.is_complete"
        over = f"OVER (PARTITION BY {listed('grid', self._line)} ORDER BY grid.period"
        everything = f"MIN(IFF(grid.is_complete, 1, 0)) {over}"
        if chart.rolling_average:
            rows = f"ROWS BETWEEN {chart.rolling_average - 1} PRECEDING AND CURRENT ROW)"
            value = f"AVG({value}) {over} {rows}"
            is_complete = f"{everything} {rows} = 1 AND COUNT(*) {over} {rows} = {chart.rolling_average}"
        elif chart.cumulative:
            is_complete = f"{everything} ROWS UNBOUNDED PRECEDING) = 1"
        joins = [
            f"LEFT JOIN points AS {letter} ON {letter}.letter = '{letter}' "
            f"AND {equal(letter, 'grid', [*self._line, 'period'])}"
            for letter in sorted({term.series for term in formula.terms})
        ]
        if self._has_shares:
            joins.append(
                f"LEFT JOIN active_users ON {equal('active_users', 'grid', ['project', 'app', 'segment', 'period'])}"
            )
        return f"""
            SELECT {literal(name)} AS series, {listed("grid", [*self._line, "period", "last_date"])},
              {value} AS value, {is_complete} AS is_complete
            FROM grid
            {" ".join(joins)}
        """

    def _metric(self, term: Term) -> str:
        """Return a metric of an event at a point of the grid."""
        value = f"{term.series}.{self._metrics[self._aggregate(term)]}"
        if term.definition.is_zero_for_nothing:
            value = f"COALESCE({value}, 0)"
        if term.metric == "ACTIVE":
            return f"{value}::DOUBLE / NULLIF(active_users.active_users, 0)"
        if self._chart.cumulative:
            line = listed("grid", self._line)
            return f"SUM({value}) OVER (PARTITION BY {line} ORDER BY grid.period ROWS UNBOUNDED PRECEDING)"
        return value
