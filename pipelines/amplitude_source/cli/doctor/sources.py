"""What lies outside of this machine: Amplitude's API, the bucket of its export, and the lake."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from ...errors import AmplitudeError
from ...export.client import CLOCK_TOLERANCE, Access, ExportClient
from ...lake.open import open_files, open_lake
from ...lake.storage import LAKE_VARIABLE, Lake
from ...settings import AmplitudeSettings
from .findings import Checkup

CLOCK, LAKE, BUCKET, KEYS, AMPLITUDE = "clock", "lake", "export bucket", "keys", "Amplitude"
TOO_MANY_REQUESTS = 429
# AWS refuses requests whose clock is 15 minutes off, and Snowflake the tokens of a clock that is a minute off.
WRONG_CLOCK = timedelta(minutes=1)
PROBE = b"A probe of `doctor`, which removes it at once.\n"


def check_amplitude(checkup: Checkup, settings: AmplitudeSettings, shown: str | None) -> None:
    """Look for the keys, then ask Amplitude once with them.

    Args:
        checkup: takes the findings.
        settings: of a project.
        shown: the project's name, where there are several.
    """
    if settings.exports and not settings.api_key and not settings.secret_key:
        checkup.warn(
            KEYS, "There are no keys for Amplitude's API: hours come from the bucket, and nothing else.", shown
        )
        for check in (AMPLITUDE, CLOCK):
            checkup.skip(check, KEYS, shown)
        return
    client = None
    with checkup.asking(KEYS, shown):
        client = ExportClient(settings)
        checkup.ok(KEYS, f"{Access.of(settings).keys} are set.", shown)
    if client is None:
        for check in (AMPLITUDE, CLOCK):
            checkup.skip(check, KEYS, shown)
        return
    greeting = client.greet()
    if not greeting.fault:
        checkup.ok(AMPLITUDE, f"{client.host} answers, and takes the keys.", shown)
    elif greeting.status == TOO_MANY_REQUESTS:
        checkup.warn(AMPLITUDE, greeting.fault, shown)
    else:
        checkup.fail(AMPLITUDE, greeting.fault, shown)
    if greeting.status is None:
        checkup.skip(CLOCK, AMPLITUDE, shown)
    else:
        _check_clock(checkup, client, greeting.ahead, shown)


def _check_clock(checkup: Checkup, client: ExportClient, ahead: timedelta | None, shown: str | None) -> None:
    if ahead is None:
        checkup.warn(
            CLOCK, f"{client.host} does not say its time, so there is nothing to compare the clock with.", shown
        )
    elif ahead > CLOCK_TOLERANCE:
        checkup.fail(CLOCK, f"{client.clock_fault(ahead)}; until then loads are refused.", shown)
    elif abs(ahead) > WRONG_CLOCK:
        checkup.warn(CLOCK, f"{client.clock_fault(ahead)}; AWS and Snowflake may refuse it.", shown)
    else:
        checkup.ok(CLOCK, f"It agrees with that of {client.host} to {abs(ahead).total_seconds():.0f} s.", shown)


def check_bucket(checkup: Checkup, settings: AmplitudeSettings, shown: str | None) -> None:
    """Look into the place where Amplitude's own export writes, if there is one, and read from the first file."""
    if not settings.exports:
        return
    with checkup.asking(BUCKET, shown):
        files = open_files(settings.exports)
        first = next((path for page in files.pages("") for path in page), None)
        if first is None:
            raise AmplitudeError(
                f"{settings.exports.bucket_url} has no files: correct {settings.exports.variable}, or have Amplitude "
                "export there."
            )
        with files.open(first) as file:
            file.read(1)
        checkup.ok(BUCKET, f"{settings.exports.bucket_url} can be listed and read.", shown)


def check_lakes(checkup: Checkup, projects: Sequence[AmplitudeSettings]) -> None:
    """Look at each lake: a folder is looked at as a disk is, a bucket gets a probe, which is removed at once."""
    places = {settings.lake.bucket_url: settings for settings in projects}
    for url, settings in places.items():
        with checkup.asking(LAKE):
            lake = open_lake(settings.lake)
            if settings.lake.is_local_filesystem:
                folder = settings.lake.make_local_path(url)
                checkup.ok(LAKE, f"It is the folder {folder} ({LAKE_VARIABLE}); `disk` says whether it can be used.")
            else:
                probe(lake, f"raw/project={settings.project}/app=doctor/{uuid4().hex}")
                checkup.ok(LAKE, f"{url} can be listed, written, read, and cleared of a file.")


def probe(lake: Lake, path: str) -> None:
    """Write a file, list its folder, read it and remove it, because each of these is a right of its own.

    Raises:
        LakeError: one of them is refused; the file is gone all the same, if it may be removed.
    """
    folder = path.rpartition("/")[0]
    lake.paths(folder)
    lake.write(path, PROBE)
    try:
        lake.read(path)
    except OSError:
        with suppress(OSError):  # the first refusal is the one to mend
            lake.remove(path)
        raise
    lake.remove(path)
