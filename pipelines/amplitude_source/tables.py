"""The columns of bronze, and what dlt and Arrow call their types."""

import pyarrow as pa
from dlt.common.data_types import TDataType
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

from .descriptions import DESCRIPTIONS

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

# Without these a row has no identity, no user or no place in time. Only they can cost the row.
REQUIRED_KEYS = ("uuid", "app", "amplitude_id", "event_type", "event_time", "server_upload_time")

# What the pipeline adds to each row: where it came from.
ORIGIN_COLUMNS = {"_project": "text", "_export_hour": "timestamp", "_archive_file": "text", "_archive_row": "bigint"}

# Silver reads bronze by hours, and hours are replaced as a whole: so Snowflake keeps them apart. dlt has to know of it,
# for without hints it drops the clustering key with each new column.
CLUSTERED_BY = "_export_hour"

# Beside a row: the values that do not fit their columns, as a JSON object by key. NULL where each value fits.
ODD_VALUES = "_odd_values"

REJECTED_COLUMNS = {**ORIGIN_COLUMNS, "reason": "text", "value": "text", "line": "text"}

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
    "revised_at": "timestamp",
    "exported_at": "timestamp",
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
    "deleted": "bool",
    "_project": "text",
    "_snapshot_at": "timestamp",
    "_effective_hour": "timestamp",
}

# Amplitude's own numbers of users a day, to be laid beside ours: `metric` is active or new.
USER_COUNTS_COLUMNS = {
    "event_date": "date",
    "metric": "text",
    "users": "bigint",
    "_project": "text",
    "_snapshot_at": "timestamp",
}

# Amplitude's merge feed: whom it merged into whom.
MERGE_IDS_COLUMNS = {
    "amplitude_id": "bigint",
    "merged_amplitude_id": "bigint",
    "merge_event_time": "timestamp",
    "merge_server_time": "timestamp",
    "_project": "text",
    "_effective_hour": "timestamp",
}


DLT_TYPES: dict[str, TDataType] = {
    "json": "text",
    "text": "text",
    "bigint": "bigint",
    "double": "double",
    "bool": "bool",
    "timestamp": "timestamp",
    "date": "date",
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
        column = name.replace("$", "_")
        hints[name] = TColumnSchema(name=name, data_type=DLT_TYPES[type_], description=DESCRIPTIONS[column])
        if type_ == "timestamp":
            hints[name]["timezone"] = False
        if name == CLUSTERED_BY:
            hints[name]["cluster"] = True
    return hints
