"""The tables of bronze: the type of each column, what it holds, and how dlt and Arrow call that type. Times are UTC.

The descriptions become comments in warehouses that keep them (Snowflake). Those of Amplitude's keys say in short what
Amplitude documents. `sqlmesh/external_models.yaml` has the same columns; a test compares them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
from dlt.common.data_types import TDataType
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns


class Column(NamedTuple):
    """A column of bronze."""

    type: str
    """One of `DLT_TYPES`."""
    description: str


# The 55 keys of an export row (2023 and later) and the type that each has in bronze. Times are naive and UTC; nested
# values stay JSON text, because a parquet string lands in Snowflake's VARIANT as a string: one type on every engine.
EXPORT_COLUMNS: dict[str, Column] = {
    "$insert_id": Column("text", "The client's id of the event, by which Amplitude drops repeats within seven days"),
    "$insert_key": Column("text", "Amplitude's own key of the event for that purpose"),
    "$schema": Column("bigint", "Amplitude's version of the row; null since 2025"),
    "adid": Column("text", "Advertising id of an Android device"),
    "amplitude_attribution_ids": Column(
        "json", "Hashed advertising ids by which Amplitude attributes installs, a JSON array"
    ),
    "amplitude_event_type": Column("text", "Type of an event that Amplitude made itself; null since 2023"),
    "amplitude_id": Column("bigint", "Amplitude's id of the user as of the event"),
    "app": Column("bigint", "Amplitude's number of the project"),
    "city": Column("text", "City, from the IP address"),
    "client_event_time": Column("timestamp", "When it happened by the client's own clock"),
    "client_upload_time": Column("timestamp", "When the client sent it by its own clock"),
    "country": Column("text", "Country, from the IP address"),
    "data": Column("json", "What Amplitude notes on how it took the event in, JSON"),
    "data_type": Column("text", "Kind of row, as Amplitude notes it"),
    "device_brand": Column("text", "Brand of the device; null since 2023"),
    "device_carrier": Column("text", "Mobile carrier"),
    "device_family": Column("text", "Family of the device"),
    "device_id": Column("text", "Id of the device or browser"),
    "device_manufacturer": Column("text", "Manufacturer of the device; null since 2023"),
    "device_model": Column("text", "Model of the device; null since 2023"),
    "device_type": Column("text", "Type of the device"),
    "dma": Column("text", "Designated market area (United States)"),
    "event_id": Column("bigint", "The client's running number of the event"),
    "event_properties": Column("json", "The event's properties, a JSON object"),
    "event_time": Column("timestamp", "When it happened, the client's clock corrected by Amplitude"),
    "event_type": Column("text", "Name of the event"),
    "global_user_properties": Column("json", "User properties over all projects, a JSON object"),
    "group_properties": Column("json", "Properties of the user's groups: {type: {id: {}}}, JSON"),
    "groups": Column("json", "The groups that the user was in: {type: [id]}, JSON"),
    "idfa": Column("text", "Advertising id of an Apple device"),
    "ip_address": Column("text", "IP address of the client"),
    "is_attribution_event": Column("bool", "Whether the event came from an attribution provider; null since 2023"),
    "language": Column("text", "Language of the device"),
    "library": Column("text", "SDK or API that sent the event"),
    "location_lat": Column("double", "Latitude in degrees, where the client sent it"),
    "location_lng": Column("double", "Longitude in degrees, where the client sent it"),
    "os_name": Column("text", "Operating system or browser"),
    "os_version": Column("text", "Its version"),
    "partner_id": Column("text", "Id of the partner that sent the event"),
    "paying": Column("text", "Whether the user has ever paid, as Amplitude writes it"),
    "plan": Column("json", "Tracking plan that the event was checked by, a JSON object"),
    "platform": Column("text", "Web, iOS, Android; null for events of a server"),
    "processed_time": Column("timestamp", "When Amplitude processed it"),
    "region": Column("text", "Region, from the IP address"),
    "sample_rate": Column("text", "Amplitude's sampling, where there was one"),
    "server_received_time": Column("timestamp", "When Amplitude received it"),
    "server_upload_time": Column("timestamp", "When Amplitude stored it; the export goes by this time"),
    "session_id": Column(
        "bigint", "Start of the session in epoch milliseconds by the client's clock; -1 outside of sessions"
    ),
    "source_id": Column("text", "Id of the source that sent the event"),
    "start_version": Column("text", "Version of the app that the user began with"),
    "user_creation_time": Column("timestamp", "When Amplitude first saw the user; null since 2023"),
    "user_id": Column("text", "The user's id in your product, null before login"),
    "user_properties": Column("json", "The user's properties as of the event, a JSON object"),
    "uuid": Column("text", "Amplitude's id of the row"),
    "version_name": Column("text", "Version of the app"),
}

# Without these a row has no identity, no user or no place in time. Only they can cost the row.
REQUIRED_KEYS = ("uuid", "app", "amplitude_id", "event_type", "event_time", "server_upload_time")

# Beside a row: the values that do not fit their columns, as a JSON object by key. NULL where each value fits.
ODD_VALUES = "_odd_values"
LOAD_ID = "_dlt_load_id"

# What the pipeline adds to each row: where it came from.
ORIGIN_COLUMNS = {
    "_project": Column("text", "The Amplitude project, as named in the settings"),
    "_export_hour": Column("timestamp", "Hour of the export that brought the row: the hour of its upload"),
    "_archive_file": Column("text", "Name of the file in the lake that holds the line"),
    "_archive_row": Column("bigint", "Number of the line in it, from 1"),
}

EVENTS_COLUMNS = {
    **EXPORT_COLUMNS,
    **ORIGIN_COLUMNS,
    LOAD_ID: Column("text", "Load that brought the row; those of an hour's newest finished load count"),
    ODD_VALUES: Column(
        "text", "Values that do not fit their columns, which are NULL then: a JSON object by key; else NULL"
    ),
}

# Silver reads bronze by hours, and hours are replaced as a whole, so Snowflake keeps them apart. dlt has to know of it,
# because without hints it drops the clustering key with each new column.
CLUSTERED_BY = "_export_hour"

REJECTED_COLUMNS = {
    **ORIGIN_COLUMNS,
    "reason": Column("text", "Why the line is no row"),
    "value": Column("text", "The value that is at fault"),
    "line": Column("text", "The line; of a longer one the first 64 KB, because the archive has all of it"),
}

LEDGER_COLUMNS = {
    "project": Column("text", "The Amplitude project, as named in the settings"),
    "export_hour": Column("timestamp", "Hour of the export: the hour of upload"),
    "status": Column(
        "text", "loaded, empty (no data, for good), pending (data may still come) or retired (the project ends here)"
    ),
    "files": Column("bigint", "Files of the hour in the lake"),
    "bytes": Column("bigint", "Their size, compressed"),
    "loaded_rows": Column("bigint", "Rows of the hour in events"),
    "rejected_rows": Column("bigint", "Rows of the hour in rejected_rows"),
    "sha256": Column("text", "SHA-256 over the names and contents of the files"),
    "revision": Column("bigint", "How many contents the hour has had, from 1"),
    "revised_at": Column("timestamp", "When the last of them came, null for the first"),
    "exported_at": Column("timestamp", "When Amplitude was asked for the hour"),
    "loaded_at": Column("timestamp", "When it was loaded"),
    "erased_rows": Column("bigint", "Rows of the hour that are left out because their persons were erased"),
}

# A key of the export that became a column of its own.
SCHEMA_CHANGES_COLUMNS = {
    "table_name": Column("text", "Table that got a column"),
    "column_name": Column("text", "The new column"),
    "key": Column("text", "Key of the export that it holds"),
    "data_type": Column("text", "Type of the new column"),
    "example": Column("text", "Its first value, cut short"),
    "_archive_file": Column("text", "Name of the file in the lake that holds the line"),
    "_archive_row": Column("bigint", "Number of the line in it, from 1"),
    "changed_at": Column("timestamp", "When it came"),
}

# The event list's keys that silver reads; the others come as Amplitude sends them.
EVENTS_LIST_COLUMNS = {
    "value": Column("text", "Name of the event type"),
    "display": Column("text", "Its name as shown in Amplitude"),
    "non_active": Column("bool", "Whether its events make no user active"),
    "deleted": Column("bool", "Whether it is deleted in Amplitude"),
    "_project": Column("text", "The Amplitude project, as named in the settings"),
    "_snapshot_at": Column("timestamp", "When Amplitude was asked"),
    "_effective_hour": Column("timestamp", "Export hour from which on it counts"),
}

# Which of Amplitude's answers a row came from. Of a table that is asked for as a whole, the rows count that came last.
ANSWER_COLUMNS = {
    "_project": Column("text", "The Amplitude project, as named in the settings"),
    "_snapshot_at": Column("timestamp", "When Amplitude was asked"),
}

# What was asked of Amplitude's REST APIs.
RESOURCE_LOADS_COLUMNS = {
    "resource": Column("text", "What was asked for, as `load --only` names it"),
    "outcome": Column("text", "loaded, not offered (by this plan or to these keys) or failed"),
    "problem": Column("text", "Why it is not loaded, or what was left out; NULL if all was"),
    "loaded_at": Column(
        "timestamp", "When it was loaded last: rows that were not among its answers then are gone in Amplitude"
    ),
    **ANSWER_COLUMNS,
}

# Amplitude's own numbers of a day, to be laid beside ours.
DAILY_NUMBERS_COLUMNS = {
    "event_date": Column("date", "Day in the time zone of the Amplitude project"),
    "measure": Column(
        "text", "active_users, new_users, events, sessions_per_user, average_session_seconds, or saved_chart"
    ),
    "detail": Column("text", "The event type, or the id of the chart; (all) for all events and for users"),
    "value": Column("double", "Amplitude's own number"),
    **ANSWER_COLUMNS,
}

ANNOTATIONS_COLUMNS = {
    "id": Column("bigint", "Amplitude's id of the annotation"),
    "starts_at": Column("timestamp", "When it begins"),
    "ends_at": Column("timestamp", "When it ends; NULL for a moment"),
    "label": Column("text", "Its name in charts"),
    "details": Column("text", "Its description"),
    "category_id": Column("bigint", "Id of its category"),
    "category": Column("text", "Name of its category"),
    "chart_id": Column("text", "The one chart that shows it; NULL for all charts"),
    **ANSWER_COLUMNS,
}

ANNOTATION_CATEGORIES_COLUMNS = {
    "id": Column("bigint", "Amplitude's id of the category"),
    "name": Column("text", "Its name"),
    **ANSWER_COLUMNS,
}

COHORTS_COLUMNS = {
    "id": Column("text", "Amplitude's id of the cohort"),
    "name": Column("text", "Its name"),
    "description": Column("text", "Its description"),
    "size": Column("bigint", "Number of its users by Amplitude's last computation"),
    "type": Column("text", "Kind of cohort, as Amplitude notes it"),
    "archived": Column("bool", "Whether it is archived"),
    "published": Column("bool", "Whether others can find it"),
    "created_at": Column("timestamp", "When it was made"),
    "modified_at": Column("timestamp", "When its definition changed last"),
    "computed_at": Column("timestamp", "When Amplitude computed its users last"),
    "owners": Column("json", "Who owns it, a JSON array"),
    "definition": Column("json", "Its definition in Amplitude's own form, JSON"),
    **ANSWER_COLUMNS,
}

# A user's stay in a cohort. Someone who left and came back has two rows.
COHORT_MEMBERS_COLUMNS = {
    "cohort_id": Column("text", "Amplitude's id of the cohort"),
    "amplitude_id": Column("bigint", "Amplitude's id of the user"),
    "valid_from": Column("timestamp", "The computation that first had the user in the cohort"),
    "valid_to": Column("timestamp", "The computation that no longer had the user; NULL for members of today"),
    "_project": Column("text", "The Amplitude project, as named in the settings"),
}

# Amplitude allows 500 a month: each is noted before it is made, so that none is forgotten.
COHORT_REQUESTS_COLUMNS = {
    "cohort_id": Column("text", "Amplitude's id of the cohort"),
    "computed_at": Column("timestamp", "The computation whose users were asked for"),
    "requested_at": Column("timestamp", "When they were asked for"),
    "_project": Column("text", "The Amplitude project, as named in the settings"),
}

TAXONOMY_COLUMNS = {
    "kind": Column("text", "category, event_type, event_property, user_property or group_property"),
    "name": Column("text", "Name of the category, event type or property; that of a user property without gp:"),
    "belongs_to": Column("text", "Event type or group type of a property; (all) for a shared one and for other kinds"),
    "display_name": Column("text", "Name that charts show"),
    "category": Column("text", "Category of an event type"),
    "description": Column("text", "Its description"),
    "type": Column("text", "Type of a property's values by the tracking plan"),
    "classifications": Column("json", "PII, SENSITIVE or REVENUE, a JSON array; of properties"),
    "is_required": Column("bool", "Whether events must have the property"),
    "is_active": Column("bool", "Whether the event type makes a user active"),
    "deleted": Column("bool", "Whether it is deleted in Amplitude"),
    "definition": Column("json", "All that Amplitude says of it, JSON"),
    **ANSWER_COLUMNS,
}

# Whom Amplitude takes some of our users for, a sample.
USER_IDENTITIES_COLUMNS = {
    "amplitude_id": Column("bigint", "Amplitude's id of the user as of an event, which was asked about"),
    "canonical_amplitude_id": Column("bigint", "The user that Amplitude counts it as"),
    "merged_amplitude_ids": Column("json", "All ids that it counts as that user, a JSON array"),
    "events": Column("bigint", "Number of events that Amplitude has of the user"),
    "sessions": Column("bigint", "Number of sessions that Amplitude has of the user"),
    **ANSWER_COLUMNS,
}

DELETION_JOBS_COLUMNS = {
    "day": Column("date", "Day on which the job runs"),
    "amplitude_id": Column("bigint", "Amplitude's id of the user to be deleted"),
    "status": Column("text", "staging, submitted or done"),
    "app": Column("bigint", "Amplitude's number of the project, where the job is for several"),
    "requester": Column("text", "Who asked for it"),
    "requested_on": Column("date", "Day on which it was asked for"),
    "scrubbed_on": Column("date", "Day on which the data was out of reach"),
    **ANSWER_COLUMNS,
}

# Experiments and feature flags.
EXPERIMENTS_COLUMNS = {
    "id": Column("text", "Amplitude's id"),
    "kind": Column("text", "experiment or flag"),
    "key": Column("text", "Key by which the product asks for it"),
    "name": Column("text", "Its name"),
    "description": Column("text", "Its description"),
    "enabled": Column("bool", "Whether it is on"),
    "state": Column("text", "Where it stands: planning, running, done and the like"),
    "decision": Column("text", "What was decided at its end"),
    "started_on": Column("timestamp", "When it began"),
    "ended_on": Column("timestamp", "When it ended"),
    "bucketing_unit": Column("text", "Whom a variant is given to, such as User"),
    "rollout_percentage": Column("double", "Share of users who get a variant, in percent"),
    "variants": Column("json", "Its variants, a JSON array of objects with a key"),
    "definition": Column("json", "All that Amplitude says of it, JSON"),
    **ANSWER_COLUMNS,
}

# Amplitude's merge feed: whom it merged into whom.
MERGE_IDS_COLUMNS = {
    "amplitude_id": Column("bigint", "Amplitude's id of the user as of the event"),
    "merged_amplitude_id": Column("bigint", "Amplitude's id of the user that it was merged into, its original"),
    "merge_event_time": Column("timestamp", "Time of the event that merged them"),
    "merge_server_time": Column("timestamp", "When Amplitude's server merged them"),
    "_project": Column("text", "The Amplitude project, as named in the settings"),
    "_effective_hour": Column("timestamp", "Export hour from which on it counts"),
}

# The runs of loads, each for one project.
PIPELINE_RUNS_COLUMNS = {
    "project": Column("text", "The Amplitude project, as named in the settings"),
    "run_id": Column("text", "Id of the run; a command that loads several projects has a run for each"),
    "command": Column("text", "The command: load, archive verify, declare-empty or erase"),
    "version": Column("text", "Version of this pipeline"),
    "started_at": Column("timestamp", "When it began"),
    "ended_at": Column("timestamp", "When it ended; NULL while it is at work, and for good if it was killed"),
    "outcome": Column("text", "done, partly loaded, rejected rows, failed or stopped; NULL without an end"),
    "problem": Column("text", "The sentence of a run that is not done; NULL if all is well"),
    "hours": Column("bigint", "Hours that it loaded, empty and pending ones too"),
    "loaded_rows": Column("bigint", "Rows that it loaded into events"),
    "rejected_rows": Column("bigint", "Rows that it loaded into rejected_rows"),
    "bytes": Column("bigint", "Size of the files of these hours, compressed"),
    "retries": Column("bigint", "Requests to Amplitude that were made again after a fault"),
    "new_columns": Column("bigint", "Columns that it added to events"),
}

# The tables that silver and gold read.
TABLES = {
    "events": EVENTS_COLUMNS,
    "export_hours": LEDGER_COLUMNS,
    "events_list": EVENTS_LIST_COLUMNS,
    "merge_ids": MERGE_IDS_COLUMNS,
    "daily_numbers": DAILY_NUMBERS_COLUMNS,
    "user_identities": USER_IDENTITIES_COLUMNS,
    "resource_loads": RESOURCE_LOADS_COLUMNS,
    "annotations": ANNOTATIONS_COLUMNS,
    "cohorts": COHORTS_COLUMNS,
    "cohort_members": COHORT_MEMBERS_COLUMNS,
    "experiments": EXPERIMENTS_COLUMNS,
    "pipeline_runs": PIPELINE_RUNS_COLUMNS,
}

# Where a table of bronze names a person: the columns with ids, and those with a JSON array of them.
IDS_OF_PERSONS: dict[str, tuple[str, ...]] = {
    "events": ("user_id", "amplitude_id"),
    "merge_ids": ("amplitude_id", "merged_amplitude_id"),
    "cohort_members": ("amplitude_id",),
    "user_identities": ("amplitude_id", "canonical_amplitude_id", "merged_amplitude_ids"),
    "deletion_jobs": ("amplitude_id",),
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
    "date": pa.date32(),
}


def types_of(columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the type of each column."""
    return {name: column.type for name, column in columns.items()}


def arrow_schema(types: Mapping[str, str]) -> pa.Schema:
    """Return the Arrow schema of columns of our types."""
    return pa.schema([(name, ARROW_TYPES[type_]) for name, type_ in types.items()])


EXPORT_TYPES = types_of(EXPORT_COLUMNS)
ORIGIN_TYPES = types_of(ORIGIN_COLUMNS)


def column_hints(columns: Mapping[str, Column]) -> TTableSchemaColumns:
    """Return dlt's hints for columns: JSON as text, times without a zone (dlt's default is one with a zone)."""
    hints: TTableSchemaColumns = {}
    for name, (type_, description) in columns.items():
        hints[name] = TColumnSchema(name=name, data_type=DLT_TYPES[type_], description=description)
        if type_ == "timestamp":
            hints[name]["timezone"] = False
        if name == CLUSTERED_BY:
            hints[name]["cluster"] = True
    return hints
