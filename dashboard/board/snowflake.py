"""Snowflake from outside, as a user and a role of the dashboard's own."""

import pandas as pd
import snowflake.connector
from snowflake.connector.errors import Error

from amplitude_source.bronze.snowflake import login_of
from amplitude_source.settings import DASHBOARD_VARIABLES
from board.inside import Snowflake, tidy, unanswered

VARIABLE = "DASHBOARD_SNOWFLAKE_"
SESSION = {"TIMEZONE": "UTC", "QUERY_TAG": "amplitude-warehouse: dashboard"}


class SnowflakeWarehouse(Snowflake):
    """Snowflake from outside. A connection for each question, closed with the answer."""

    def __init__(self) -> None:
        self._parameters = login_of(VARIABLE, DASHBOARD_VARIABLES) | {"session_parameters": SESSION}

    def answer(self, sql: str, *, live: bool) -> pd.DataFrame:  # noqa: ARG002 - there is no copy
        try:
            with snowflake.connector.connect(**self._parameters) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                names = [column.name for column in cursor.description]
                return tidy(pd.DataFrame(cursor.fetchall(), columns=names))
        except Error as error:
            raise unanswered(error) from error
