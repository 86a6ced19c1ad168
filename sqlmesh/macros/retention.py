"""What retention starts and returns with, and the days, weeks and months that it is counted in.

Users start with their first event, Amplitude's `_new`, and return with any of an active type, its `_active`.
"""

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

from .breakdowns import breakdowns, segment
from .dates import month_of, reporting_hour, week_of
from .spine import LONGEST_EXPORT_DAYS, numbers

# The length in days of what Amplitude calls a day, a week and a month in 24-hour windows.
INTERVAL_DAYS = {"day": 1, "week": 7, "month": 30}
LONGEST_INTERVAL_DAYS = 31
# The hours of Amplitude's users, as those of merged users.
MERGED_HOURS = """
    SELECT
        own.project,
        own.app,
        aliases.canonical_amplitude_id AS amplitude_id,
        own.event_hour,
        own.event_date,
        own.platform,
        own.country
    FROM silver.user_hours AS own
    JOIN silver.user_aliases AS aliases
        ON aliases.project = own.project AND aliases.app = own.app AND aliases.amplitude_id = own.amplitude_id
"""


@macro()
def days_with(evaluator: MacroEvaluator, event: exp.Expr) -> exp.Expr:
    """Return a query of the days on which merged users had the event, by segment.

    Its columns are (project, app, amplitude_id, breakdown, segment, event_date, segment_date). The segment is that of
    an event on segment_date. The two dates differ for new users only: they have a row for each of their first days,
    because the segments of a new user are those of the whole interval in which the user was new.
    """
    match event.name:
        case "_new":
            sql = segment_days_sql("first_date", f"DATEDIFF(DAY, first_date, event_date) < {LONGEST_INTERVAL_DAYS}")
        case "_active":
            sql = segment_days_sql("event_date", "active_events > 0")
        case other:
            raise ValueError(f"{other} is neither _new nor _active.")
    return evaluator.parse_one(f"({sql})")


@macro()
def times_with(evaluator: MacroEvaluator, event: exp.Expr) -> exp.Expr:
    """Return a query of the times at which merged users had the event, by segment, for windows of 24 hours.

    Its columns are (project, app, amplitude_id, breakdown, segment, event_date, interval_unit, interval_days, time). By
    days a time is the start of an hour (UTC), by weeks and months it is the start of a day of the reporting calendar.
    """
    columns = "times.project, times.app, times.amplitude_id, times.breakdown, times.segment, times.event_date"
    interval = "intervals.interval_unit, intervals.interval_days"
    units, days = (each.sql(evaluator.dialect) for each in (intervals(evaluator), days_with(evaluator, event)))
    return evaluator.parse_one(
        f"""(
        SELECT {columns}, {interval}, times.event_hour AS time
        FROM ({hours_sql(evaluator, event)}) AS times
        JOIN {units} AS intervals ON intervals.interval_unit = 'day'
        UNION ALL
        SELECT {columns}, {interval}, CAST(times.event_date AS TIMESTAMPNTZ) AS time
        FROM {days} AS times
        JOIN {units} AS intervals ON intervals.interval_unit <> 'day'
        WHERE times.segment_date = times.event_date
        )"""
    )


@macro()
def retention_cells(evaluator: MacroEvaluator, reached_number: exp.Expr, is_complete: exp.Expr) -> exp.Expr:
    """Return every cell of every cohort up to the frontier, and the sums of complete cells over all cohorts.

    The model has the CTEs `cohorts` (a cohort's keys and `users`), `returned` and `last_returned` (its keys,
    `interval_number` and `users`): members who returned in an interval, and those who did so in no later one.

    Args:
        reached_number: the number of the interval that a cohort of `cohorts` is in on `apps.frontier_date`.
        is_complete: whether the interval `numbers.n` is over for all of that cohort.
    """
    reached, complete = (each.sql(evaluator.dialect) for each in (reached_number, is_complete))
    keys = ("project", "app", "interval_unit", "breakdown", "segment", "cohort_date")
    cohort = ", ".join(f"cohorts.{key}" for key in keys)
    own = ", ".join(keys)

    def of_cohort(table: str) -> str:
        return " AND ".join(f"{table}.{key} = cohorts.{key}" for key in keys)

    # Within a span, as many members return in an interval or later: those whose last interval is its end or later. The
    # last span has none. Spans are few, and a sum over the many cells would sort them all.
    spans = f"""
        SELECT
            {own},
            LAG(interval_number, 1, -1) OVER (PARTITION BY {own} ORDER BY interval_number) + 1 AS first_number,
            interval_number AS last_number,
            SUM(users) OVER (PARTITION BY {own} ORDER BY interval_number DESC) AS users
        FROM (
            SELECT {own}, interval_number, users FROM last_returned WHERE NOT interval_number IS NULL
            UNION ALL
            SELECT {own}, {LONGEST_EXPORT_DAYS} AS interval_number, 0 AS users FROM cohorts
        ) AS last_intervals
    """
    # One number more than there are days: where clocks were set back, they have more than 24 hours each.
    grid = f"""
        SELECT
            {cohort},
            numbers.n AS interval_number,
            cohorts.users AS cohort_users,
            COALESCE(returned.users, 0) AS returned_on,
            spans.users AS returned_on_or_after,
            {complete} AS is_complete
        FROM cohorts
        JOIN silver.apps AS apps ON apps.project = cohorts.project AND apps.app = cohorts.app
        JOIN ({spans}) AS spans ON {of_cohort("spans")}
        JOIN {numbers(evaluator, exp.Literal.number(LONGEST_EXPORT_DAYS)).sql(evaluator.dialect)} AS numbers
            ON numbers.n BETWEEN spans.first_number AND spans.last_number
            AND numbers.n <= DATEDIFF(DAY, apps.first_date, apps.frontier_date) + 1
            AND numbers.n <= {reached}
        LEFT JOIN returned ON {of_cohort("returned")} AND returned.interval_number = numbers.n
    """
    return evaluator.parse_one(
        f"""(
        WITH grid AS ({grid})
        SELECT
            project, app, interval_unit, breakdown, segment, TO_CHAR(cohort_date::DATE, 'yyyy-mm-DD') AS cohort,
            cohort_date, interval_number, cohort_users, returned_on, returned_on_or_after, is_complete
        FROM grid
        UNION ALL
        SELECT
            project, app, interval_unit, breakdown, segment, '(all)' AS cohort,
            NULL::DATE AS cohort_date, interval_number, SUM(cohort_users) AS cohort_users,
            SUM(returned_on) AS returned_on, SUM(returned_on_or_after) AS returned_on_or_after, TRUE AS is_complete
        FROM grid
        WHERE is_complete
        GROUP BY project, app, interval_unit, breakdown, segment, interval_number
        )"""
    )


@macro()
def intervals(evaluator: MacroEvaluator) -> exp.Expr:
    """Return a query with each `interval_unit` and its `interval_days` in 24-hour windows, to be cross joined."""
    rows = (f"SELECT '{unit}' AS interval_unit, {days} AS interval_days" for unit, days in INTERVAL_DAYS.items())
    return evaluator.parse_one(f"({' UNION ALL '.join(rows)})")


@macro()
def interval_of(evaluator: MacroEvaluator, unit: exp.Expr, date: exp.Expr) -> exp.Expr:
    """Return the first day of a date's day, week or month."""
    week, month = week_of(evaluator, date), month_of(evaluator, date)
    return by_unit(evaluator, unit, *(each.sql(evaluator.dialect) for each in (date, week, month)))


@macro()
def intervals_after(evaluator: MacroEvaluator, unit: exp.Expr, number: exp.Expr, date: exp.Expr) -> exp.Expr:
    """Return the date so many days, weeks or months of the calendar after a date."""
    n, start = (each.sql(evaluator.dialect) for each in (number, date))
    return by_unit(
        evaluator,
        unit,
        f"CAST(DATEADD(DAY, {n}, {start}) AS DATE)",
        f"CAST(DATEADD(DAY, 7 * ({n}), {start}) AS DATE)",
        f"CAST(DATEADD(MONTH, {n}, {start}) AS DATE)",
    )


@macro()
def intervals_between(evaluator: MacroEvaluator, unit: exp.Expr, first: exp.Expr, date: exp.Expr) -> exp.Expr:
    """Return the number of a date's day, week or month, counted from 0 for the one that starts with `first`."""
    span = f"{first.sql(evaluator.dialect)}, {date.sql(evaluator.dialect)}"
    days, months = f"DATEDIFF(DAY, {span})", f"DATEDIFF(MONTH, {span})"
    return by_unit(evaluator, unit, days, f"CAST(FLOOR({days} / 7) AS BIGINT)", months)


@macro()
def windows_between(evaluator: MacroEvaluator, days: exp.Expr, start: exp.Expr, time: exp.Expr) -> exp.Expr:
    """Return the number of the window that a time is in, of so many times 24 hours, counted from 0 for the first."""
    length, first, later = (each.sql(evaluator.dialect) for each in (days, start, time))
    return evaluator.parse_one(f"CAST(FLOOR(DATEDIFF(MINUTE, {first}, {later}) / (24 * 60 * {length})) AS BIGINT)")


def segment_days_sql(event_date: str, condition: str) -> str:
    return f"""
        SELECT project, app, amplitude_id, breakdown, segment, {event_date} AS event_date, event_date AS segment_date
        FROM silver.segment_days
        WHERE {condition}
    """


def hours_sql(evaluator: MacroEvaluator, event: exp.Expr) -> str:
    """Return a query of the hours in which merged users had the event, by segment."""
    match event.name:
        case "_new":
            hours = f"{MERGED_HOURS} {first_hours_join_sql(evaluator)}"
        case "_active":
            hours = f"{MERGED_HOURS} WHERE own.active_events > 0"
        case other:
            raise ValueError(f"{other} is neither _new nor _active.")
    return by_segment_sql(evaluator, hours, "event_hour", "event_date")


def first_hours_join_sql(evaluator: MacroEvaluator) -> str:
    """Keep of a merged user's hours the one with their first event."""
    first_hour = reporting_hour(evaluator, exp.Min(this=exp.column("first_seen_at"))).sql(evaluator.dialect)
    return f"""
        JOIN (
            SELECT project, app, canonical_amplitude_id, {first_hour} AS event_hour
            FROM silver.users
            GROUP BY project, app, canonical_amplitude_id
        ) AS firsts
            ON firsts.project = aliases.project
            AND firsts.app = aliases.app
            AND firsts.canonical_amplitude_id = aliases.canonical_amplitude_id
            AND firsts.event_hour = own.event_hour
    """


def by_segment_sql(evaluator: MacroEvaluator, query: str, *times: str) -> str:
    by, platform, country = (
        exp.column(name, table=table)
        for name, table in (("breakdown", "breakdowns"), ("platform", "own"), ("country", "own"))
    )
    return f"""
        SELECT DISTINCT
            own.project,
            own.app,
            own.amplitude_id,
            breakdowns.breakdown,
            {segment(evaluator, by, platform, country).sql(evaluator.dialect)} AS segment,
            {", ".join(f"own.{time}" for time in times)}
        FROM ({query}) AS own
        CROSS JOIN {breakdowns(evaluator).sql(evaluator.dialect)} AS breakdowns
    """


def by_unit(evaluator: MacroEvaluator, unit: exp.Expr, day: str, week: str, month: str) -> exp.Expr:
    return evaluator.parse_one(
        f"CASE {unit.sql(evaluator.dialect)} WHEN 'day' THEN {day} WHEN 'week' THEN {week} ELSE {month} END"
    )
