"""SQL as the pages write it: in Snowflake's dialect, whatever engine answers."""

from collections.abc import Iterable
from datetime import date, datetime

from sqlglot import exp, parse_one

DIALECT = "snowflake"


def literal(value: str | int | float | date | datetime) -> str:
    """Return a value as SQL. A reader's own words get into a query by this function alone."""
    if isinstance(value, datetime):
        return f"'{value:%Y-%m-%d %H:%M:%S}'::TIMESTAMP_NTZ"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::DATE"
    if isinstance(value, str):
        return exp.Literal.string(value).sql(DIALECT)
    return str(value)


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the condition that a column has one of the values; with none of them, no row has."""
    listed = ", ".join(map(literal, values))
    return f"{column} IN ({listed})" if listed else "FALSE"


def for_engine(sql: str, engine: str) -> str:
    """Translate a query.

    Args:
        sql: in Snowflake's dialect.
        engine: `duckdb` or `snowflake`.
    """
    return sql if engine == DIALECT else parse_one(sql, read=DIALECT).sql(engine)
