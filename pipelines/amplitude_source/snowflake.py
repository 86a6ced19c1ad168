"""Snowflake as the destination, and what its errors ask of the user."""

import os
from typing import Any

import dlt
from dlt.common.configuration.specs.base_configuration import BaseConfiguration
from dlt.common.destination import Destination

from .errors import AmplitudeError

STAGE_VARIABLE = "DESTINATION__SNOWFLAKE__STAGE_NAME"
LAKE_VARIABLE = "SOURCES__AMPLITUDE__LAKE__BUCKET_URL"


def snowflake_destination(lake: str) -> Destination[Any, Any]:
    """dlt's destination; all tables go through Parquet, which COPY reads from the stage over the lake's staging area.

    Raises:
        AmplitudeError: it would have to be loaded without the stage: dlt would put the keys of the bucket into its SQL.
    """
    if not lake.startswith("s3://"):
        raise AmplitudeError(
            f"{LAKE_VARIABLE}: Snowflake loads from the lake, so it must be s3://bucket or s3://bucket/prefix, not {lake}."
        )
    if not dlt.config.get("destination.snowflake.stage_name"):
        raise AmplitudeError(f"{STAGE_VARIABLE} is empty: name the stage over {staging_url(lake)}, schema included.")
    return dlt.destinations.snowflake(
        preferred_loader_file_format="parquet", preferred_staging_file_format="parquet"
    )


def staging_url(lake: str) -> str:
    """Where files lie on their way into Snowflake, and the stage's URL, to the slash: COPY puts a file's path behind it."""
    return f"{lake}/staging/"
