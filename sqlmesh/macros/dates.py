"""Days, weeks and months as the charts of the Amplitude project cut them, by the variables in config.yaml."""

import datetime as dt
from zoneinfo import ZoneInfo

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator

# A day from which weeks can be counted, for each day that a week may start with.
WEEK_STARTS = {"monday": "1970-01-05", "sunday": "1970-01-04"}

FIRST_YEAR, LAST_YEAR = 1900, 2100  # zones have no other rules before or later that anybody knows


@macro()
def reporting_date(evaluator: MacroEvaluator, time: exp.Expr) -> exp.Expr:
    """Return the date of a UTC time in the time zone `reporting_timezone`."""
    return evaluator.parse_one(reporting_date_sql(evaluator, time.sql(evaluator.dialect)))


@macro()
def reporting_hour(evaluator: MacroEvaluator, time: exp.Expr) -> exp.Expr:
    """Return the UTC time at which the hour of a UTC time began, by the clocks in `reporting_timezone`.

    Where they differ from UTC by whole hours, that is the hour of UTC. To convert each time would take a third of the
    seconds of a retention chart.
    """
    utc = time.sql(evaluator.dialect)
    local = reporting_time_sql(evaluator, utc)
    past = f"DATEDIFF(MICROSECOND, DATE_TRUNC('HOUR', {local}), {local})"
    began = f"DATEADD(MICROSECOND, -{past}, {utc})"
    if since := whole_hours_since(str(evaluator.var("reporting_timezone"))):
        began = f"IFF({utc} >= CAST('{since}' AS TIMESTAMPNTZ), DATE_TRUNC('HOUR', {utc}), {began})"
    return evaluator.parse_one(began)


def whole_hours_since(zone: str) -> dt.date | None:
    """Return a day from which on the clocks of a zone differ from UTC by whole hours; None if they do not."""
    since = day = dt.datetime(FIRST_YEAR, 1, 1, tzinfo=dt.UTC)
    while day.year < LAST_YEAR:
        offset = day.astimezone(ZoneInfo(zone)).utcoffset()
        day += dt.timedelta(days=7)  # no offset was ever kept for less
        if offset and offset % dt.timedelta(hours=1):
            since = day
    return since.date() if since.year < LAST_YEAR - 1 else None


@macro()
def reporting_day_start(evaluator: MacroEvaluator, date: exp.Expr) -> exp.Expr:
    """Return the UTC time at which a date begins in `reporting_timezone`."""
    midnight = f"CAST({date.sql(evaluator.dialect)} AS TIMESTAMPNTZ)"
    return evaluator.parse_one(f"CONVERT_TIMEZONE({reporting_zone_sql(evaluator)}, 'UTC', {midnight})")


@macro()
def week_of(evaluator: MacroEvaluator, date: exp.Expr) -> exp.Expr:
    """Return the first day of a date's week by `week_start`; DATE_TRUNC would go by settings of the engine."""
    start = WEEK_STARTS.get(str(evaluator.var("week_start")).lower())
    if not start:
        raise ValueError(f"week_start is {evaluator.var('week_start')!r}; it is one of {', '.join(WEEK_STARTS)}.")
    day = date.sql(evaluator.dialect)
    days = f"DATEDIFF(DAY, CAST('{start}' AS DATE), {day})"
    return evaluator.parse_one(f"CAST(DATEADD(DAY, -MOD(MOD({days}, 7) + 7, 7), {day}) AS DATE)")


@macro()
def month_of(evaluator: MacroEvaluator, date: exp.Expr) -> exp.Expr:
    """Return the first day of a date's month."""
    return evaluator.parse_one(f"CAST(DATE_TRUNC('MONTH', {date.sql(evaluator.dialect)}) AS DATE)")


@macro()
def period_of(evaluator: MacroEvaluator, unit: exp.Expr, date: exp.Expr) -> exp.Expr:
    """Return the first day of a date's interval: a day, a week or a month."""
    start: exp.Expr = {"day": lambda _, day: day, "week": week_of, "month": month_of}[unit.name.lower()](
        evaluator, date
    )
    return start


@macro()
def period_after(evaluator: MacroEvaluator, unit: exp.Expr, start: exp.Expr) -> exp.Expr:
    """Return the first day of the interval after the one that starts with a date."""
    return evaluator.parse_one(f"CAST(DATEADD({unit.name}, 1, {start.sql(evaluator.dialect)}) AS DATE)")


def reporting_date_sql(evaluator: MacroEvaluator, time: str) -> str:
    return f"CAST({reporting_time_sql(evaluator, time)} AS DATE)"


def reporting_time_sql(evaluator: MacroEvaluator, time: str) -> str:
    return f"CONVERT_TIMEZONE('UTC', {reporting_zone_sql(evaluator)}, {time})"


def reporting_zone_sql(evaluator: MacroEvaluator) -> str:
    return exp.Literal.string(str(evaluator.var("reporting_timezone"))).sql(evaluator.dialect)
