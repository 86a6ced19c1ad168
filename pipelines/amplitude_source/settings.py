"""What is fixed about the export: its columns, and what a user may configure."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import dlt
import pyarrow as pa
from dlt.common.configuration import configspec
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import NotResolved
from dlt.common.data_types import TDataType
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns
from dlt.common.storages import FilesystemConfiguration
from dlt.common.typing import TSecretStrValue

HOUR = timedelta(hours=1)

# Amplitude documents that an hour can be exported about two hours after it has closed.
AVAILABLE_AFTER = 2 * HOUR

# The 55 keys of an export row (2023 and later) and the type that each has in bronze. Times are naive and UTC; nested
# values stay JSON text, because a parquet string lands in Snowflake's VARIANT as a string: one type on every engine.
EXPORT_COLUMNS: dict[str, str] = {
    "$insert_id": "text",
    "$insert_key": "text",
    "$schema": "bigint",
    "adid": "text",
    "amplitude_attribution_ids": "json",
    "amplitude_event_type": "text",
    "amplitude_id": "bigint",
    "app": "bigint",
    "city": "text",
    "client_event_time": "timestamp",
    "client_upload_time": "timestamp",
    "country": "text",
    "data": "json",
    "data_type": "text",
    "device_brand": "text",
    "device_carrier": "text",
    "device_family": "text",
    "device_id": "text",
    "device_manufacturer": "text",
    "device_model": "text",
    "device_type": "text",
    "dma": "text",
    "event_id": "bigint",
    "event_properties": "json",
    "event_time": "timestamp",
    "event_type": "text",
    "global_user_properties": "json",
    "group_properties": "json",
    "groups": "json",
    "idfa": "text",
    "ip_address": "text",
    "is_attribution_event": "bool",
    "language": "text",
    "library": "text",
    "location_lat": "double",
    "location_lng": "double",
    "os_name": "text",
    "os_version": "text",
    "partner_id": "text",
    "paying": "text",
    "plan": "json",
    "platform": "text",
    "processed_time": "timestamp",
    "region": "text",
    "sample_rate": "text",
    "server_received_time": "timestamp",
    "server_upload_time": "timestamp",
    "session_id": "bigint",
    "source_id": "text",
    "start_version": "text",
    "user_creation_time": "timestamp",
    "user_id": "text",
    "user_properties": "json",
    "uuid": "text",
    "version_name": "text",
}

# What the pipeline adds to each row: where it came from.
ORIGIN_COLUMNS = {"_project": "text", "_export_hour": "timestamp", "_archive_file": "text", "_archive_row": "bigint"}

REJECTED_COLUMNS = {**ORIGIN_COLUMNS, "reason": "text", "line": "text"}

LEDGER_COLUMNS = {
    "project": "text",
    "export_hour": "timestamp",
    "status": "text",
    "files": "bigint",
    "bytes": "bigint",
    "loaded_rows": "bigint",  # ROWS is a reserved word in Snowflake
    "rejected_rows": "bigint",
    "sha256": "text",
    "revision": "bigint",
    "loaded_at": "timestamp",
}

# A key of the export that became a column of its own.
SCHEMA_CHANGES_COLUMNS = {
    "table_name": "text",
    "column_name": "text",
    "key": "text",
    "data_type": "text",
    "example": "text",
    "_archive_file": "text",
    "_archive_row": "bigint",
    "changed_at": "timestamp",
}

# The event list's keys that silver reads; the others come as Amplitude sends them.
EVENTS_LIST_COLUMNS = {
    "value": "text",
    "display": "text",
    "non_active": "bool",
    "_project": "text",
    "_snapshot_at": "timestamp",
    "_effective_hour": "timestamp",
}


class AmplitudeError(Exception):
    """Something the user can mend: one sentence with the cause, the place and the mend."""


@configspec
class AmplitudeSettings(BaseConfiguration):
    """`SOURCES__AMPLITUDE__*`, or `[sources.amplitude]` of `.dlt/config.toml`."""

    project: Annotated[str, NotResolved()] = "default"
    """The name of the Amplitude project; "default" where there is but one."""
    api_key: TSecretStrValue | None = None
    secret_key: TSecretStrValue | None = None
    base_url: str = "https://amplitude.com"
    start_hour: str = dlt.config.value
    """The first hour of the warehouse, `YYYY-MM-DDTHH` (UTC)."""
    settle_hours: int = 6
    """How long after an hour has closed a 404 for it may still turn into data."""
    read_timeout_seconds: float = 600
    """How long Amplitude may send nothing; it prepares a large zip before it sends the first byte."""
    now: str | None = None
    """The time to take for the present (ISO, UTC): for the demo and for tests. Default: the clock."""
    lake: FilesystemConfiguration = None  # type: ignore[assignment]  # dlt resolves it, like every field without a default
    work_dir: str = "data/work"
    """Downloads on their way to the lake, and dlt's working directory. Loses nothing when deleted between two runs."""

    @property
    def first_hour(self) -> datetime:
        """`start_hour` as a naive UTC datetime."""
        return parse_hour(self.start_hour, "SOURCES__AMPLITUDE__START_HOUR")

    @property
    def present(self) -> datetime:
        """The present, naive UTC."""
        if self.now is None:
            return datetime.now(UTC).replace(tzinfo=None)
        try:
            return as_utc(datetime.fromisoformat(self.now))
        except ValueError:
            raise AmplitudeError(f"SOURCES__AMPLITUDE__NOW: {self.now!r} is no ISO date and time.") from None

    @property
    def newest_hour(self) -> datetime:
        """The newest hour that Amplitude can have made available by now."""
        return floor_hour(self.present - AVAILABLE_AFTER) - HOUR

    def is_settled(self, hour: datetime) -> bool:
        """Whether a 404 for this hour is final."""
        return self.present >= hour + HOUR + self.settle_hours * HOUR

    @property
    def work_path(self) -> Path:
        return Path(self.work_dir)


def load_settings() -> AmplitudeSettings:
    """Reads the settings as dlt does: environment, `.dlt/secrets.toml`, `.dlt/config.toml`."""
    return resolve_configuration(AmplitudeSettings(), sections=("sources", "amplitude"))


DLT_TYPES: dict[str, TDataType] = {
    "json": "text",
    "text": "text",
    "bigint": "bigint",
    "double": "double",
    "bool": "bool",
    "timestamp": "timestamp",
}


ARROW_TYPES = {
    "json": pa.string(),
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}


def arrow_schema(types: dict[str, str]) -> pa.Schema:
    return pa.schema([(name, ARROW_TYPES[type_]) for name, type_ in types.items()])


def column_hints(types: dict[str, str]) -> TTableSchemaColumns:
    """dlt's hints for columns of our types: JSON as text, times without a zone (dlt's default is one with a zone)."""
    hints: TTableSchemaColumns = {}
    for name, type_ in types.items():
        hints[name] = TColumnSchema(name=name, data_type=DLT_TYPES[type_])
        if type_ == "timestamp":
            hints[name]["timezone"] = False
    return hints


def as_utc(time: datetime) -> datetime:
    """A naive datetime in UTC: one without a zone is taken to be in UTC already."""
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def floor_hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def parse_hour(text: str, where: str) -> datetime:
    """Parses an hour like `2026-06-01T00`, a date (its first hour), or Amplitude's own `20260601T00`.

    Raises:
        AmplitudeError: the text is none of these; `where` tells the user which setting or option is meant.
    """
    try:
        hour = as_utc(datetime.fromisoformat(text))
    except ValueError:
        raise AmplitudeError(f"{where}: {text!r} is no hour; write it like 2026-06-01T00 (UTC).") from None
    if hour != floor_hour(hour):
        raise AmplitudeError(f"{where}: {text!r} is not a full hour; write it like 2026-06-01T00 (UTC).")
    return hour


def format_hour(hour: datetime) -> str:
    return hour.strftime("%Y-%m-%dT%H")


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """Every hour from `first` to `last`, both included."""
    return [first + i * HOUR for i in range((last - first) // HOUR + 1)]
