"""The client of Amplitude's Export API: hours in, zip files on disk out."""

import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

import requests
from dlt.sources.helpers.requests import Client

from .archive import Archive, ExportHour, Member, MemberName
from .settings import HOUR, AmplitudeError, AmplitudeSettings, format_hour, hours_between

WINDOW_HOURS = 24
DOWNLOAD_ATTEMPTS = 3
TIMEOUT_SECONDS = (
    15,
    600,
)  # to connect; between two reads: Amplitude prepares a large zip before it sends the first byte
READ_BYTES = 1 << 20


class Outcome(Enum):
    """What Amplitude answers to a request for a range of hours, apart from what ends the run."""

    ZIP = auto()
    NO_DATA = auto()
    TOO_LARGE = auto()


class ExportClient:
    """Downloads ranges of hours with the project's two keys."""

    def __init__(self, settings: AmplitudeSettings) -> None:
        if not settings.api_key or not settings.secret_key:
            raise AmplitudeError(
                "No keys for Amplitude: set SOURCES__AMPLITUDE__API_KEY and SOURCES__AMPLITUDE__SECRET_KEY, "
                "for example in .env (Amplitude shows them under Settings > Projects)."
            )
        self._base_url = settings.base_url
        self._url = f"{settings.base_url.rstrip('/')}/api/2/export"
        self.host = urlsplit(settings.base_url).netloc or settings.base_url
        login = b64encode(f"{settings.api_key}:{settings.secret_key}".encode()).decode()
        self._http = Client(
            request_timeout=TIMEOUT_SECONDS,
            raise_for_status=False,
            status_codes=(429, 500, 502, 503),
            request_max_attempts=DOWNLOAD_ATTEMPTS,
            session_attrs={"auth": partial(_authorize, f"Basic {login}")},
        )

    def download(self, first: datetime, last: datetime, target: Path) -> Outcome:
        """Writes the zip of the hours `first` to `last`, both included, to `target`.

        Raises:
            AmplitudeError: the keys are refused, the host cannot be reached, or the answer is none that is documented.
        """
        window = f"{format_hour(first)} to {format_hour(last)}"
        for _ in range(DOWNLOAD_ATTEMPTS):
            try:
                outcome = self._request(first, last, target, window)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                problem = f"cannot be reached ({type(_root_cause(error)).__name__})"
                continue
            except (
                requests.exceptions.InvalidSchema,
                requests.exceptions.InvalidURL,
                requests.exceptions.MissingSchema,
            ):
                raise AmplitudeError(
                    f"SOURCES__AMPLITUDE__BASE_URL: {self._base_url!r} is no address; write it like https://amplitude.com."
                ) from None
            if outcome is not Outcome.ZIP or _is_whole_zip(target):
                return outcome
            problem = "answered with a body that is no complete zip file"
        raise AmplitudeError(
            f"{self.host} {problem} for the hours {window}, {DOWNLOAD_ATTEMPTS} times; "
            "check SOURCES__AMPLITUDE__BASE_URL and the network, then run again: finished hours are kept."
        )

    def _request(self, first: datetime, last: datetime, target: Path, window: str) -> Outcome:
        params = {"start": f"{first:%Y%m%dT%H}", "end": f"{last:%Y%m%dT%H}"}
        with self._http.get(self._url, params=params, stream=True) as response:
            match response.status_code:
                case 200:
                    with target.open("wb") as sink:
                        for chunk in response.iter_content(READ_BYTES):
                            sink.write(chunk)
                    return Outcome.ZIP
                case 404:
                    return Outcome.NO_DATA
                case 400 | 504:
                    return Outcome.TOO_LARGE
                case 401 | 403:
                    raise AmplitudeError(
                        f"{self.host} refuses the keys (HTTP {response.status_code}): check "
                        "SOURCES__AMPLITUDE__API_KEY and SOURCES__AMPLITUDE__SECRET_KEY, and that BASE_URL names the "
                        "project's region (https://amplitude.com or https://analytics.eu.amplitude.com)."
                    )
                case status:
                    raise AmplitudeError(
                        f"{self.host} answered HTTP {status} for the hours {window}; run again later: "
                        "finished hours are kept."
                    )


def export_hours(
    client: ExportClient, archive: Archive, settings: AmplitudeSettings, first: datetime, last: datetime
) -> Iterator[ExportHour]:
    """Downloads and archives the hours `first` to `last`, both included, in order.

    A window holds up to 24 hours and is halved for as long as Amplitude finds it too large.

    Raises:
        AmplitudeError: see `ExportClient.download`; or a single hour is too large for the Export API.
    """
    settings.work_path.mkdir(parents=True, exist_ok=True)
    zip_path = settings.work_path / "window.zip"
    window, hour = WINDOW_HOURS, first
    while hour <= last:
        end = min(hour + (window - 1) * HOUR, last)
        try:
            outcome = client.download(hour, end, zip_path)
            if outcome is not Outcome.TOO_LARGE:
                yield from _window_hours(archive, settings, zip_path if outcome is Outcome.ZIP else None, hour, end)
                hour = end + HOUR
            elif hour == end:
                raise AmplitudeError(
                    f"Hour {format_hour(hour)} alone is over the Export API's limit of 4 GB: "
                    "only Amplitude's own export to S3 serves it; load its files with --replay DIR."
                )
            else:
                window = ((end - hour) // HOUR + 1) // 2
        finally:
            zip_path.unlink(missing_ok=True)


def _window_hours(
    archive: Archive, settings: AmplitudeSettings, zip_path: Path | None, first: datetime, last: datetime
) -> Iterator[ExportHour]:
    members = _zip_members(zip_path) if zip_path else {}
    if strangers := members.keys() - set(hours_between(first, last)):
        raise AmplitudeError(
            f"Amplitude sent hour {format_hour(min(strangers))} with the hours {format_hour(first)} to "
            f"{format_hour(last)}, which were asked for; nothing of them was loaded. Run again."
        )
    for hour in hours_between(first, last):
        is_final = hour in members or settings.is_settled(hour)
        yield archive.store_hour(hour, members.get(hour, []), is_final)


def _zip_members(zip_path: Path) -> dict[datetime, list[Member]]:
    """The members of a window's zip, by hour.

    Raises:
        AmplitudeError: an entry's name is not one of Amplitude's, or two entries have the same.
    """
    by_name: dict[MemberName, Member] = {}
    with zipfile.ZipFile(zip_path) as archive:
        entries = [entry for entry in archive.namelist() if not entry.endswith("/")]
    for entry in entries:
        name = MemberName.parse(entry)
        if name is None or name in by_name:
            problem = "comes twice" if name else "is not named like an hour's file"
            raise AmplitudeError(f"In Amplitude's zip {entry!r} {problem}; nothing of it was loaded. Run again.")
        by_name[name] = Member(name, partial(_open_entry, zip_path, entry))
    by_hour: dict[datetime, list[Member]] = {}
    for name, member in by_name.items():
        by_hour.setdefault(name.hour, []).append(member)
    return by_hour


def _open_entry(zip_path: Path, entry: str) -> IO[bytes]:
    with zipfile.ZipFile(zip_path) as archive:  # the entry keeps the file open for itself
        return archive.open(entry)


def _is_whole_zip(path: Path) -> bool:
    """Whether the file is a zip whose every member can be read and has its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return False


def _authorize(login: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    """As `auth` of the session, for otherwise requests prefers what a ~/.netrc says."""
    request.headers["Authorization"] = login
    return request


def _root_cause(error: BaseException) -> BaseException:
    while error.__context__ or error.__cause__:
        error = cast(BaseException, error.__cause__ or error.__context__)
    return error
