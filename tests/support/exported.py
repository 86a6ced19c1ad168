"""What Amplitude's own export writes to a bucket, as a folder."""

from datetime import datetime, timedelta
from pathlib import Path

from simulator.bucket import bucket_files
from support.loads import END, MEMBERS, START
from support.members import SMALL_PRODUCT, gzip_lines, member_name

APP = SMALL_PRODUCT.app
LAST = END + timedelta(hours=5)  # the last hour that has settled at noon
MERGE = {"scope": 7, "merge_time": 1780309800123, "merge_server_time": 1780309800123}
URL = "SOURCES__AMPLITUDE__EXPORT_BUCKET_URL"


def write(folder: Path, first: datetime = START, last: datetime = LAST, *, marks: bool = True) -> Path:
    """What Amplitude has exported of the product's hours `first` to `last`."""
    for name, data in bucket_files(APP, MEMBERS, first, last):
        if data or marks:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


def write_member(folder: Path, hour: datetime, data: bytes, partition: int = 0, app: int = APP) -> Path:
    path = folder / f"{app}/{member_name(hour, partition, app)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_merges(folder: Path, hour: datetime, *pairs: tuple[int, int], owner: str = "-7") -> None:
    """Merged users, under the number of the organization or, in legacy ones, of the project."""
    lines = [MERGE | {"amplitude_id": user, "merged_amplitude_id": into} for user, into in pairs]
    (folder / owner).mkdir(exist_ok=True)
    (folder / f"{owner}/{owner}_{hour:%Y-%m-%d}_{hour.hour}.json.gz").write_bytes(gzip_lines(*lines))


def mark(folder: Path, hour: datetime, app: int = APP) -> Path:
    return folder / f"{app}/{app}_{hour:%Y-%m-%d}_{hour.hour}_complete"
