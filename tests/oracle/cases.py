"""Rows of small cases, as the tests of the oracle write them."""

import datetime as dt
import itertools

from oracle import Merge, Row

NUMBERS = itertools.count(1)


SHOP, BLOG = "shop", "blog"


QUIET = {SHOP: ["quiet"]}


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def row(event_time: str | None = "2024-03-01 10:00:00", hour: str | None = None, **data: object) -> Row:
    """An active event of user 1 on device D, without session, repeats or user_id, exported in the hour it happened."""
    number = next(NUMBERS)
    export_hour = moment(hour or event_time or "2024-03-01 10:00:00").replace(minute=0, second=0, microsecond=0)
    defaults: dict[str, object] = {
        "app": 1,
        "uuid": f"{number:08}",
        "$insert_id": None,
        "amplitude_id": 1,
        "device_id": "D",
        "user_id": None,
        "event_type": "click",
        "session_id": -1,
        "event_time": event_time,
        "client_event_time": event_time,
        "server_upload_time": str(export_hour),
    }
    if "insert_id" in data:
        data["$insert_id"] = data.pop("insert_id")
    member = f"1_{export_hour:%Y-%m-%d}_{export_hour.hour}#0.json.gz"
    return Row(str(data.pop("project", SHOP)), export_hour, member, number, defaults | data)


def people(case: str) -> list[Row]:
    """Rows of "device user_id amplitude_id; ...", a minute apart, "-" for no user_id."""
    start = moment("2024-03-01 10:00:00")
    rows = []
    for minute, entry in enumerate(case.split("; ")):
        device, user_id, amplitude_id = entry.split()
        carried = None if user_id == "-" else user_id
        time = str(start + dt.timedelta(minutes=minute))
        rows.append(row(time, device_id=device, user_id=carried, amplitude_id=int(amplitude_id)))
    return rows


def feed(case: str) -> list[Merge]:
    """Merges of "1>2 2>3", an hour apart by the server's time."""
    start = moment("2024-03-05 10:00:00")
    pairs = [pair.split(">") for pair in case.split()]
    hours = [start + hour * dt.timedelta(hours=1) for hour in range(len(pairs))]
    return [Merge(SHOP, int(a), int(b), hour, hour) for (a, b), hour in zip(pairs, hours, strict=True)]
