"""Snowflake from outside, as a user and a role of the dashboard's own."""

import os

import pandas as pd
import snowflake.connector
from dlt.destinations.impl.snowflake.configuration import SnowflakeCredentials
from snowflake.connector.errors import Error

from amplitude_source.settings import DASHBOARD_VARIABLES, resolve
from board.inside import Snowflake, tidy, unanswered

VARIABLE = "DASHBOARD_SNOWFLAKE_"
SESSION = {"TIMEZONE": "UTC", "QUERY_TAG": "amplitude-warehouse: dashboard"}


def credentials() -> SnowflakeCredentials:
    """Return as whom the dashboard signs in: a user and a role of its own, or as the pipeline where none is named."""
    found = resolve(SnowflakeCredentials(), ("destination", "snowflake", "credentials"))
    for variable in DASHBOARD_VARIABLES:
        if value := os.environ.get(variable):
            setattr(found, variable.removeprefix(VARIABLE).lower(), value)
    if os.environ.get(f"{VARIABLE}PRIVATE_KEY_PATH"):
        found.private_key = found.password = None
    return found


class SnowflakeWarehouse(Snowflake):
    """Snowflake from outside. A connection for each question, closed with the answer."""

    def __init__(self) -> None:
        self._parameters = credentials().to_connector_params() | {"session_parameters": SESSION}

    def answer(self, sql: str, *, live: bool) -> pd.DataFrame:  # noqa: ARG002 - there is no copy
        try:
            with snowflake.connector.connect(**self._parameters) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                names = [column.name for column in cursor.description]
                return tidy(pd.DataFrame(cursor.fetchall(), columns=names))
        except Error as error:
            raise unanswered(error) from error
