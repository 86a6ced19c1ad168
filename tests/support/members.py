"""Exported rows and files, as Amplitude would send them."""

import gzip
import json
from collections.abc import Mapping
from datetime import datetime

from amplitude_source.tables import EXPORT_COLUMNS
from simulator.product import Product
from support.project import _NUMBERS

SMALL_PRODUCT = Product(days=3, events_per_day=200)


def export_row(**values: object) -> dict[str, object]:
    """A row with all 55 keys, null but for those that identify it and those given."""
    number = next(_NUMBERS)
    required = {
        "uuid": f"00000000-0000-4000-a000-{number:012}",
        "app": SMALL_PRODUCT.app,
        "amplitude_id": number,
        "event_type": "click",
        "event_time": "2026-06-01 10:00:00.000000",
        "server_upload_time": "2026-06-01 10:00:01.000000",
    }
    return dict.fromkeys(EXPORT_COLUMNS) | required | values


def gzip_lines(*lines: Mapping[str, object] | bytes) -> bytes:
    """A member's bytes: JSON lines of rows, or lines as they are, gzipped without a time."""
    texts = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return gzip.compress(b"".join(text + b"\n" for text in texts), mtime=0)


def member_name(hour: datetime, partition: int = 0, app: int = SMALL_PRODUCT.app) -> str:
    """The base name of an export's member."""
    return f"{app}_{hour:%Y-%m-%d}_{hour.hour}#{partition}.json.gz"


def hour_text(hour: datetime) -> str:
    """An hour as the command takes it."""
    return f"{hour:%Y-%m-%dT%H}"
