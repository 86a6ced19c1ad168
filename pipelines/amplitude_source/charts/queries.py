"""SQL that all types of charts share: which events count, the columns of a break-down, and the intervals of time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from sqlglot import exp, parse_one

from .definitions import ALL, Did, Part, Words, parts_of
from .expressions import DIALECT, EVENTS_ALIAS, USERS_ALIAS, is_list, parsed

Interval = Literal["hour", "day", "week", "month", "quarter"]
LONGEST_DAYS: dict[Interval, int] = {"hour": 1, "day": 1, "week": 7, "month": 31, "quarter": 92}
NONE, OTHER = "(none)", "(other)"
"""What stands for no value, and for all values but the largest ones: as Amplitude's charts name them."""

APP = ("project", "app")
USER = (*APP, "canonical_amplitude_id")
EVENT = (*APP, "uuid")
LINE = ["project", "app", "segment"]
"""What tells the lines of every chart apart."""


@dataclass(frozen=True)
class Column:
    """An output column of a chart."""

    name: str
    type: str
    """In Snowflake's SQL."""
    comment: str
    value: str = ""
    """The SQL that gives it; its name if there is none."""
    is_share: bool = False
    """Whether people read it in percent."""

    def select(self) -> str:
        """Return it as part of the last SELECT."""
        return f"({self.value or self.name})::{self.type} AS {self.name} /* {self.comment.replace('*/', '* /')} */"


@dataclass(frozen=True)
class Compiled:
    """A chart as SQL over gold and silver."""

    sql: str
    """In Snowflake's dialect."""
    columns: Sequence[Column]
    keys: Sequence[str]
    """The columns that no two rows have alike. The last one goes along a line; the others tell lines apart."""
    value: str
    """The column that a plot shows."""
    place_name: str = ""
    """The column that says what each place along a line is, if the last key is a bare number."""

    def for_engine(self, engine: str) -> str:
        """Return the query as an engine takes it, `duckdb` or `snowflake`."""
        return parse_one(self.sql, read=DIALECT).sql(engine, pretty=True)


def literal(text: str) -> str:
    """Return a text as SQL."""
    return exp.Literal.string(text).sql(DIALECT)


def listed(table: str, names: Iterable[str]) -> str:
    """Return columns as a list, of a table if one is named."""
    return ", ".join(f"{table}.{name}" if table else name for name in names)


def equal(one: str, other: str, names: Iterable[str]) -> str:
    """Return the condition that two tables have the same in some columns."""
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)


def sql_of(tree: exp.Expr) -> str:
    return tree.sql(DIALECT)


class Query:
    """A chart's query as it is written: the words that it may use, and the tables that its scans of events share.

    If it counts something else than users, such as groups, that stands for the user in all that it asks, as in
    Amplitude's account-level reporting (analytics/en/account-level-reporting.md): members do steps for each other.

    Args:
        words: columns, events and segments.
        count_by: the column whose values are counted.
    """

    def __init__(self, words: Words, count_by: str) -> None:
        self.words = words
        self.shared: dict[str, str] = {}
        """Queries by their names, for the WITH."""
        self.events = "gold.events"
        """The table of events, in which canonical_amplitude_id is who counts."""
        self.own_id = "canonical_amplitude_id"
        """The column of it with the user."""
        self._doers: dict[str, str] = {}
        self._members: dict[str, str] = {}
        self._lists: dict[str, str] = {}
        if count_by != self.own_id:
            self.shared["counted_events"] = self._counted(count_by)
            self.events, self.own_id = "counted_events", "own_amplitude_id"

    def _counted(self, count_by: str) -> str:
        """The events that have a value of the column, with it in the user's place."""
        scan = Scan(self)
        value = scan.value(count_by)
        return f"""
            SELECT
              events.* EXCLUDE (canonical_amplitude_id),
              events.canonical_amplitude_id AS own_amplitude_id,
              {value} AS canonical_amplitude_id
            FROM {scan.source()}
            WHERE NOT {value} IS NULL
        """

    def firsts(self) -> str:
        """Return the name of the shared table of when each user is new.

        That is with their first event of whatever type: faq_and_troubleshooting, event-segmentation.md.
        """
        self.shared["firsts"] = f"""
            SELECT
              {listed("", USER)},
              MIN(event_date) AS first_date,
              MIN(event_hour) AS first_hour
            FROM {self.events}
            GROUP BY {listed("", USER)}
        """
        return "firsts"

    def doers(self, segment: str, what: Did) -> str:
        """Return the name of the shared table of the users who did what a segment asks for."""
        if segment not in self._doers:
            name = self._doers[segment] = f"doers_{len(self._doers) + 1}"
            self.shared[name] = doers(what, self)
        return self._doers[segment]

    def members(self, cohort: str) -> str:
        """Return the name of the shared table of the users who are in a cohort today, whoever counts."""
        if cohort not in self._members:
            name = self._members[cohort] = f"members_{len(self._members) + 1}"
            self.shared[name] = members(cohort)
        return self._members[cohort]

    def list_values(self, column: str) -> str:
        """Return the name of the shared table of events with each value of a list."""
        name = f"each_{column}"
        self.shared[name] = f"""
            SELECT project, app, uuid, value FROM gold.event_values WHERE column_name = {literal(column)}
        """
        return name

    def lists_with(self, column: str, wanted: str) -> str:
        """Return the name of the shared table of events that have a list, and whether any value of it is wanted.

        Args:
            column: the list.
            wanted: SQL over `value`.
        """
        sql = f"""
            SELECT project, app, uuid, MAX(IFF({wanted}, 1, 0)) = 1 AS is_met
            FROM {self.list_values(column)}
            GROUP BY project, app, uuid
        """
        name = self._lists.setdefault(sql, f"lists_{len(self._lists) + 1}")
        self.shared[name] = sql
        return name


class Scan:
    """One reading of gold.events, with the joins that its conditions need.

    Args:
        query: that it is part of.
        interval: for which a user is new; for others than hours and days, gold.days is joined as `days`.
    """

    def __init__(self, query: Query, interval: Interval = "day") -> None:
        self._query, self._words, self._interval = query, query.words, interval
        self._joins: dict[str, str] = {}

    def source(self) -> str:
        """Return what to write after FROM, once all conditions are written."""
        joins = [f"LEFT JOIN {table} ON {on}" for table, on in self._joins.items()]
        return "\n".join([f"{self._query.events} AS events", *joins])

    def value(self, sql: str) -> str:
        """Return a user's expression as SQL over events and users."""
        tree = parsed(sql, self._words.vocabulary).transform(self._asked_of_list).transform(self._own)
        if any(each.table == USERS_ALIAS for each in tree.find_all(exp.Column)):
            self._joins[f"gold.users AS {USERS_ALIAS}"] = self._of_user(USERS_ALIAS)
        return sql_of(tree)

    def takes(self, part: Part) -> str:
        """Return the condition that an event is one of a part.

        A filter takes an event only if it is true: one on a missing property is not.
        """
        alternatives = [
            " AND ".join([self._is_of_type(own.event), *([self.value(own.where)] if own.where else [])])
            for own in parts_of(part, self._words)
        ]
        whole = " OR ".join(f"({each})" for each in alternatives)
        return f"({whole}) AND {self.value(part.where)}" if part.where else f"({whole})"

    def is_in(self, name: str) -> str:
        """Return the condition that an event is in a segment."""
        if name == ALL:
            return "TRUE"
        segment = self._words.segments[name]
        if segment.where:
            return f"COALESCE({self.value(segment.where)}, FALSE)"
        if segment.did:
            table = self._query.doers(name, segment.did)
            self._join(table)
            return f"NOT {table}.canonical_amplitude_id IS NULL"
        if segment.cohort:
            table = self._query.members(segment.cohort)
            self._joins[table] = self._of_user(table)
            return f"NOT {table}.canonical_amplitude_id IS NULL"
        others = [f"({self.is_in(other)})" for other in segment.others]
        if segment.none_of:
            return f"NOT ({' OR '.join(others)})"
        return f"({(' AND ' if segment.all_of else ' OR ').join(others)})"

    def group(self, name: str) -> str:
        """Return a column as the text by which a chart breaks down; both engines write it alike."""
        kind = self._words.vocabulary.type_of(name)
        if kind == "list":
            table = self._query.list_values(name)
            self._join(table, EVENT)
            return f"COALESCE({table}.value, {literal(NONE)})"
        sql = self.value(name)
        text = f"{sql}::VARCHAR"
        if kind == "number":
            text = f"IFF({sql} = FLOOR({sql}) AND ABS({sql}) < 1e15, {sql}::BIGINT::VARCHAR, {text})"
        elif kind == "boolean":
            text = f"CASE WHEN {sql} THEN 'true' WHEN NOT {sql} THEN 'false' END"
        return f"COALESCE({text}, {literal(NONE)})"

    def _is_of_type(self, event: str) -> str:
        if event == "_all":
            return "TRUE"
        if event == "_active":
            return "events.is_active"
        if event == "_new":
            # All that a new user does in the interval of the first event: the same page, "What does New User mean?".
            self._join(self._query.firsts())
            own = {"hour": "firsts.first_hour >= events.event_hour", "day": "firsts.first_date >= events.event_date"}
            return own.get(self._interval, f"firsts.first_date >= days.{self._interval}")
        return f"events.event_type = {literal(event)}"

    def _asked_of_list(self, node: exp.Expr) -> exp.Expr:
        """Have a comparison with a list hold if it does for any of the list's values; <> if for none."""
        column = node.this
        if not isinstance(column, exp.Expr) or not is_list(column, self._words.vocabulary):
            return node
        wanted = "TRUE"
        if isinstance(node, exp.EQ | exp.NEQ):
            wanted = sql_of(exp.EQ(this=exp.column("value"), expression=node.expression))
        elif isinstance(node, exp.In):
            wanted = sql_of(exp.In(this=exp.column("value"), expressions=node.expressions))
        table = self._query.lists_with(column.name, wanted)
        self._join(table, EVENT)
        is_met = exp.column("is_met", table)
        if isinstance(node, exp.Is):
            return exp.Is(this=is_met, expression=node.expression)
        return exp.paren(exp.not_(is_met)) if isinstance(node, exp.NEQ) else is_met

    def _own(self, node: exp.Expr) -> exp.Expr:
        """Have a condition on the user be one on them, whoever counts."""
        is_user = isinstance(node, exp.Column) and (node.table, node.name) == (EVENTS_ALIAS, "canonical_amplitude_id")
        return exp.column(self._query.own_id, EVENTS_ALIAS) if is_user else node

    def _of_user(self, table: str) -> str:
        """The condition that a row of a table is of an event's user, whoever counts."""
        return f"{equal(table, 'events', APP)} AND {table}.canonical_amplitude_id = events.{self._query.own_id}"

    def _join(self, table: str, keys: Sequence[str] = USER) -> None:
        self._joins[table] = equal(table, "events", keys)


def doers(what: Did, query: Query) -> str:
    """Return the users who did something so often, ever or on the newest days."""
    scan = Scan(query)
    condition = scan.takes(Part.model_construct(event=what.event, where=what.where))
    oldest = f"DATEADD(DAY, -{what.within_days}, apps.frontier_date)" if what.within_days else "apps.first_date - 1"
    return f"""
        SELECT
          events.project,
          events.app,
          events.canonical_amplitude_id
        FROM {scan.source()}
        JOIN silver.apps AS apps
          ON apps.project = events.project AND apps.app = events.app
        WHERE
          NOT events.is_before_export AND events.event_date > {oldest} AND {condition}
        GROUP BY
          events.project,
          events.app,
          events.canonical_amplitude_id
        HAVING
          COUNT(*) >= {what.at_least}
    """


def members(cohort: str) -> str:
    """Return the users who are in a cohort today.

    Amplitude computes a chart's cohort anew whenever it draws the chart (analytics/en/behavioral-cohorts.md), so the
    same users count on all of its days.
    """
    return f"""
        SELECT DISTINCT
          aliases.project,
          aliases.app,
          aliases.canonical_amplitude_id
        FROM silver.cohort_members AS members
        JOIN silver.user_aliases AS aliases
          ON aliases.project = members.project AND aliases.amplitude_id = members.amplitude_id
        WHERE
          members.is_member AND {literal(cohort)} IN (members.cohort_id, members.cohort)
    """


def select_events(
    scan: Scan, columns: Iterable[str], conditions: Iterable[str], *, joins: str = "", distinct: bool = False
) -> str:
    """Return the query of the events that charts show, with their days as `days`.

    Args:
        scan: by which columns and conditions were written.
        columns: besides project and app.
        conditions: that an event has to meet.
        joins: what else to join.
        distinct: whether rows that are alike count once.
    """
    return f"""
        SELECT {"DISTINCT" if distinct else ""} events.project, events.app, {", ".join(columns)}
        FROM {scan.source()}
        JOIN gold.days AS days
          ON {equal("days", "events", ["project", "app"])} AND days.date = events.event_date
        {joins}
        WHERE {" AND ".join(["NOT events.is_before_export", *conditions])}
    """


def periods(interval: Interval, until: date | None) -> str:
    """Return the query of the intervals that the export has reached, up to the one that holds a day, numbered."""
    if interval == "hour":
        return f"""
            SELECT project, app, hour AS period, date AS last_date, is_complete,
              ROW_NUMBER() OVER (PARTITION BY project, app ORDER BY hour) AS number
            FROM gold.hours {f"WHERE date <= '{until}'::DATE" if until else ""}
        """
    start = day_column(interval)
    return f"""
        SELECT project, app, {start} AS period, MAX(date) AS last_date,
          MIN(IFF(is_complete, 1, 0)) = 1
            AND MIN(date) = {start}
            AND DATEADD({interval}, 1, {start})::DATE = DATEADD(DAY, 1, MAX(date))::DATE AS is_complete,
          ROW_NUMBER() OVER (PARTITION BY project, app ORDER BY {start}) AS number
        FROM gold.days
        GROUP BY project, app, {start}
        {f"HAVING MIN(date) <= '{until}'::DATE" if until else ""}
    """


def day_column(interval: Interval) -> str:
    """Return the column of gold.days with the first day of an interval."""
    return "date" if interval == "day" else interval


def lines(line: Sequence[str], segments: Sequence[str], rows: str) -> str:
    """Return the query of a chart's lines.

    They are those with rows where values break them down. Else they are all, so that one without events is at 0.

    Args:
        line: the columns that tell lines apart.
        segments: the chart's.
        rows: the table with what the lines have.
    """
    if [*line] != LINE:
        return f"SELECT DISTINCT {listed('', line)} FROM {rows}"
    names = " UNION ALL ".join(f"SELECT {literal(name)} AS segment" for name in segments)
    return f"""
        SELECT apps.project, apps.app, segments.segment
        FROM (SELECT DISTINCT project, app FROM periods) AS apps
        CROSS JOIN ({names}) AS segments
    """


def line_columns(by: Sequence[str], rest: str = "") -> list[Column]:
    """Return the output columns that tell lines apart: those of the app, the segment and the values of `by`."""
    return [
        Column("project", "VARCHAR", "The Amplitude project, as named in the settings"),
        Column("app", "BIGINT", "Amplitude's number of the project"),
        Column("segment", "VARCHAR", "The segment of sqlmesh/definitions.yaml; (all) for all"),
        *(
            Column(output_name(name), "VARCHAR", f"Value of {name}, {NONE} where there is none{rest}", group_name(name))
            for name in by
        ),
    ]


def compose(
    query: Query, tables: Mapping[str, str], columns: Sequence[Column], keys: Sequence[str], value: str, where: str = ""
) -> Compiled:
    """Put a chart's tables together; the last one, `results`, has its rows.

    Args:
        query: with the tables that scans share.
        tables: their queries by their names, each after those that it reads.
        columns: the output.
        keys: of the rows, as the tables name them.
        value: the column that a plot shows.
        where: a last condition with its WHERE.
    """
    ctes = ", ".join(f"{name} AS ({table})" for name, table in {**query.shared, **tables}.items())
    sql = f"WITH {ctes} SELECT {', '.join(each.select() for each in columns)} FROM results {where}"
    names = {each.value: each.name for each in columns}
    return Compiled(sql, columns, [names.get(key, key) for key in keys], value)


def group_name(name: str) -> str:
    """Return the name that a column of `by` has in a chart's tables, where no other column begins so."""
    return f"by_{output_name(name)}"


def output_name(name: str) -> str:
    """Return the name that a column of events or users has in a chart's rows."""
    return name.replace(".", "_")


def earliest(since: date, interval: Interval, intervals: int) -> date:
    """Return a day before which no event counts in so many intervals up to the one of a day."""
    return since - timedelta(days=LONGEST_DAYS[interval] * intervals)
