"""Amplitude's small REST endpoints: the event list, through dlt's `rest_api` source, and the numbers of users a day."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import dlt
from dlt.common.typing import TDataItem
from dlt.extract import DltResource
from dlt.sources.rest_api import rest_api_resources
from dlt.sources.rest_api.typing import RESTAPIConfig

from .columns import EVENTS_LIST_COLUMNS, USER_COUNTS_COLUMNS, column_hints
from .download import EVENTS_LIST, USER_COUNTS, ExportClient, JsonSession
from .errors import AmplitudeError
from .settings import AmplitudeSettings

# How far back Amplitude's numbers of users are asked for: late rows still change them. Each run costs as many units for
# each metric, of 108,000 an hour.
DAYS_OF_USER_COUNTS = 30
METRICS = ("active", "new")


@dlt.source(name="amplitude")
def amplitude_rest(
    settings: AmplitudeSettings, client: ExportClient, effective_hour: datetime, warn: Callable[[str], None]
) -> list[DltResource]:
    """A resource for each endpoint: the event list, and Amplitude's numbers of users a day.

    The list shows the current week only, so each run keeps a dated snapshot. `_effective_hour` is the first export hour
    that this run asked for, one that silver cannot have seen yet: silver applies a snapshot from that hour on, so that
    a rebuild gives what the runs gave. Of runs that ask for the same hour the last one's snapshot stays.

    Numbers of users are only compared with ours: without them a run goes on, and `warn` is told.
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

    def user_counts() -> Iterator[TDataItem]:
        try:
            for metric in METRICS:
                yield from count_users(settings, client, metric)
        except AmplitudeError as error:
            warn(
                f"Amplitude's own numbers of users are not to be had, so there is nothing to compare ours with: {error}"
            )

    return [
        *[resource.add_map(with_origin) for resource in rest_api_resources(config)],
        dlt.resource(
            user_counts,
            write_disposition="merge",
            primary_key=["_project", "metric", "event_date"],
            columns=column_hints(USER_COUNTS_COLUMNS),
        ),
    ]


def count_users(settings: AmplitudeSettings, client: ExportClient, metric: str) -> list[TDataItem]:
    """Amplitude's numbers of the last days that have ended or are about to, in the project's time zone.

    Raises:
        AmplitudeError: they cannot be had, or read.
    """
    last = settings.present.date() - timedelta(days=1)  # which has begun wherever the project is
    first = max(settings.first_hour.date(), last - timedelta(days=DAYS_OF_USER_COUNTS - 1))
    if first > last:
        return []
    query = f"m={metric}&start={first:%Y%m%d}&end={last:%Y%m%d}&i=1"
    answer = client.get_json(f"{client.address.rstrip('/')}/{USER_COUNTS}?{query}").json()
    try:
        days, (users, *_) = answer["data"]["xValues"], answer["data"]["series"]
    except (KeyError, TypeError, ValueError):
        raise AmplitudeError(f"{client.host} answered {USER_COUNTS} in a way that is not known.") from None
    origin = {"_project": settings.project, "_snapshot_at": settings.present}
    return [
        {"event_date": day, "metric": metric, "users": count, **origin} for day, count in zip(days, users, strict=True)
    ]
