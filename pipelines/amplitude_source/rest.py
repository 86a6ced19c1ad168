"""Amplitude's small REST endpoints, through dlt's `rest_api` source."""

from datetime import datetime

import dlt
from dlt.common.typing import TDataItem
from dlt.extract import DltResource
from dlt.sources.rest_api import rest_api_resources
from dlt.sources.rest_api.typing import RESTAPIConfig

from .columns import EVENTS_LIST_COLUMNS, column_hints
from .download import EVENTS_LIST, ExportClient, JsonSession
from .settings import AmplitudeSettings


@dlt.source(name="amplitude")
def amplitude_rest(settings: AmplitudeSettings, client: ExportClient, effective_hour: datetime) -> list[DltResource]:
    """A resource for each endpoint; so far the event list.

    The list shows the current week only, so each run keeps a dated snapshot. `_effective_hour` is the first export hour
    that this run asked for, one that silver cannot have seen yet: silver applies a snapshot from that hour on, so that
    a rebuild gives what the runs gave. Of runs that ask for the same hour the last one's snapshot stays.
    """
    config: RESTAPIConfig = {
        "client": {
            "base_url": client.address,
            "session": JsonSession(client),
            "paginator": "single_page",
        },
        "resources": [
            {
                "name": "events_list",
                "endpoint": {"path": EVENTS_LIST, "data_selector": "data"},
                "write_disposition": "merge",
                "primary_key": ["_project", "_effective_hour", "value"],
                "max_table_nesting": 0,
                "columns": column_hints(EVENTS_LIST_COLUMNS),
            }
        ],
    }
    origin = {"_project": settings.project, "_snapshot_at": settings.present, "_effective_hour": effective_hour}

    def with_origin(item: TDataItem) -> TDataItem:
        dlt.current.resource_state()[settings.project] = effective_hour.isoformat()
        return {**item, **origin}

    return [resource.add_map(with_origin) for resource in rest_api_resources(config)]


@dlt.source(name="amplitude")
def no_rest() -> list[DltResource]:
    """The tables of `amplitude_rest`, without rows: for loads that do not ask the API, since silver reads them."""
    empty = dlt.mark.materialize_table_schema()
    return [dlt.resource([empty], name="events_list", columns=column_hints(EVENTS_LIST_COLUMNS))]
