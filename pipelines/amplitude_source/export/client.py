"""One request to Amplitude: made again while a fault may pass, ended by one sentence where it cannot."""

import errno
import html
import logging
import random
import re
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar
from urllib.parse import urlsplit

import requests

from ..certificates import certificate_mend, certificates_fault
from ..errors import AmplitudeError, chain_of_causes
from ..settings import AmplitudeSettings, as_utc, format_hour
from .connections import LateHeadersError, TimedAdapter, proxy_variable
from .zips import is_whole_zip

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 4
LONGEST_WAIT_SECONDS = 300
NOTICE_SECONDS = 2
CONNECT_TIMEOUT_SECONDS = 15
CLOCK_TOLERANCE = timedelta(hours=1)  # harmless: what is final goes by the clock that is behind
ANSWER_SECONDS = 6 * 3600  # for all of one; 4 GB at 200 KB/s
READ_BYTES = 1 << 20
QUOTED_CHARACTERS = 200
MAX_ZIP_BYTES = 5 << 30  # Amplitude gives 4 GB at most
MAX_ANSWER_BYTES = 256 << 20  # the two million users of the largest cohort are 80 MB
EVENTS_LIST = "api/2/events/list"
TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d+)")  # what http.client says of a proxy's answer
LOAD_FILES = (
    "only Amplitude's own export to S3 serves it: set up that, and SOURCES__AMPLITUDE__EXPORT_BUCKET_URL to its place."
)

LOG = logging.getLogger(__name__)


class Outcome(Enum):
    """What Amplitude answers to a request for a range of hours, apart from what ends the run."""

    ZIP = auto()
    NO_DATA = auto()
    TOO_LARGE = auto()
    """Of several hours only: there is no smaller request than one for a single hour."""


Answer = TypeVar("Answer")


class UnreadAnswerError(AmplitudeError):
    """An answer that has another form than it should."""


class NotOfferedError(AmplitudeError):
    """Something that Amplitude has, but not for this plan or these keys."""


class ThrottledError(Exception):
    """Amplitude has had enough requests for now."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__()
        self.retry_after = retry_after


class PassingError(Exception):
    """A fault that may be over at the next attempt; its text goes on from the host's name."""

    lasting: type[AmplitudeError] = AmplitudeError
    """What the fault is if it is not over after all attempts."""

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class NoJsonError(PassingError):
    """A body that should be JSON, and is not."""

    lasting = UnreadAnswerError


class StoppedError(Exception):
    """Nobody waits for this download any more."""


class Attempts:
    """The attempts at one range of hours, and the waits between them.

    A wait is drawn from zero to a bound that doubles, so that clients which failed together do not come back together.
    """

    retries: ClassVar[int] = 0
    """How often this process has tried again, whatever for."""

    def __init__(self, host: str, pause: Callable[[float], object]) -> None:
        self._host, self._pause = host, pause
        self._made = 1

    def wait_for_next(self, problem: str, retry_after: float | None = None) -> bool:
        """Waits as long as it takes to try again, and says so if that is long; False where no attempt is left."""
        if self._made == ATTEMPTS:
            return False
        wait = retry_after or random.uniform(0, FIRST_WAIT_SECONDS * 2 ** (self._made - 1))
        wait = min(wait, LONGEST_WAIT_SECONDS)
        self._made += 1
        Attempts.retries += 1
        if wait > NOTICE_SECONDS:
            LOG.warning("%s %s: attempt %d of %d in %.0f s.", self._host, problem, self._made, ATTEMPTS, wait)
        self._pause(wait)
        return True


@dataclass(frozen=True)
class Access:
    """Where one of Amplitude's APIs is, and what it is asked with."""

    address: str
    authorization: str
    """The header."""
    keys: str
    """The variables that hold the keys."""
    place: str
    """The variable that holds the address."""

    @classmethod
    def of(cls, settings: AmplitudeSettings) -> "Access":
        """Return the access by the project's two keys.

        Raises:
            AmplitudeError: a key is missing.
        """
        if not settings.api_key or not settings.secret_key:
            raise AmplitudeError(
                f"No keys for Amplitude: set {settings.variable('API_KEY')} and {settings.variable('SECRET_KEY')}, "
                "for example in .env (Amplitude shows them under Settings > Projects)."
            )
        login = b64encode(f"{settings.api_key}:{settings.secret_key}".encode()).decode()
        keys = f"{settings.variable('API_KEY')} and {settings.variable('SECRET_KEY')}"
        return cls(settings.address, f"Basic {login}", keys, settings.variable("BASE_URL"))


@dataclass(frozen=True)
class Greeting:
    """What came of one question that every project's keys may ask."""

    status: int | None
    """Of the answer; None if there was none."""
    fault: str | None
    """What is wrong with it, and the mend."""
    ahead: timedelta | None = None
    """How far this machine's clock is ahead of Amplitude's; None where the answer has no time."""


class ExportClient:
    """Downloads ranges of hours with the project's two keys, and asks Amplitude's other APIs.

    Its session does not retry (dlt's would, on top of the attempts here, and not where a body breaks off).
    """

    def __init__(
        self,
        settings: AmplitudeSettings,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
        access: Access | None = None,
    ) -> None:
        """`pause` waits so many seconds, or until the event is set. The access is by the project's two keys by default.

        Raises:
            AmplitudeError: a key is missing, the time to wait is none, or the file of certificates cannot be read.
        """
        self._access = access or Access.of(settings)
        if not settings.read_timeout_seconds > 0:
            raise AmplitudeError("SOURCES__AMPLITUDE__READ_TIMEOUT_SECONDS: write a number above 0, such as 600.")
        self.address = self._access.address
        if self.address.lower().startswith("https:") and (fault := certificates_fault()):
            raise AmplitudeError(fault)
        self._settings = settings
        self.asked_at = settings.present
        """When the last export was asked for: by Amplitude's clock or this machine's, whichever is behind."""
        self._url = f"{self.address.rstrip('/')}/api/2/export"
        self._list_url = f"{self.address.rstrip('/')}/{EVENTS_LIST}"
        self.host = urlsplit(self.address).netloc.rpartition("@")[2] or self.address
        self._variable = settings.variable
        self._timeouts = (CONNECT_TIMEOUT_SECONDS, settings.read_timeout_seconds)
        self._pause = pause
        self._http = requests.Session()
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, TimedAdapter())
        self._http.auth = partial(_authorize, self._access.authorization)

    def check_address(self) -> None:
        """Check that Amplitude's API is at the address, and that this machine's clock is not ahead of Amplitude's.

        In both cases a 404 would pass for hours without data. Whatever else is wrong comes up with the first download.

        Raises:
            AmplitudeError: the event list, which every project has, is not found there; or the clock is ahead.
        """
        greeting = self.greet()
        if greeting.ahead and greeting.ahead > CLOCK_TOLERANCE:
            raise AmplitudeError(f"{self.clock_fault(greeting.ahead)}; nothing was loaded.")
        if greeting.status == 404:
            raise AmplitudeError(greeting.fault)

    def refused_keys(self) -> str | None:
        """Say so if Amplitude refuses the keys; whatever else may be wrong is for the next download to say.

        Only a download shows for certain that keys are wrong: the event list may be refused to keys that may export.
        """
        greeting = self.greet()
        return greeting.fault if greeting.status in (401, 403) else None

    def greet(self) -> Greeting:
        """Ask once for the event list, which every project has."""
        try:
            with (
                self._told(),
                self._http.get(self._list_url, stream=True, timeout=CONNECT_TIMEOUT_SECONDS) as response,
            ):
                answered_at = _date(response)
                ahead = self._settings.present - answered_at if answered_at else None
                return Greeting(response.status_code, self._fault_of_greeting(response), ahead)
        except (AmplitudeError, PassingError, OSError) as fault:
            return Greeting(None, self._lasting_fault(fault))

    def clock_fault(self, ahead: timedelta) -> str:
        """Say how far this machine's clock is from Amplitude's, and what to do; the sentence goes on."""
        present = self._settings.present
        relation = "ahead of" if ahead > timedelta() else "behind"
        return (
            f"The time here, {present:%Y-%m-%dT%H:%M} UTC, is {relation} that of {self.host}, "
            f"{present - ahead:%Y-%m-%dT%H:%M} UTC: set this machine's clock (or SOURCES__AMPLITUDE__NOW) "
            "right and run again"
        )

    def _fault_of_greeting(self, response: requests.Response) -> str | None:
        match response.status_code:
            case 200:
                return None
            case 404:
                return (
                    f"There is no API of Amplitude at {self.host} below the path of {self._access.place} (HTTP 404 "
                    "for the event list): write the host alone, like https://amplitude.com."
                )
            case _:
                return self._lasting_fault(self._refusal(response, "the event list"))

    def _lasting_fault(self, fault: Exception) -> str:
        """Return the sentence for a fault that nobody waits to pass."""
        if isinstance(fault, PassingError):
            return f"{self.host} {fault}; check {self._access.place} and the network, or run again later."
        return str(fault)

    def download(
        self, first: datetime, last: datetime, target: Path, stopped: threading.Event | None = None
    ) -> Outcome:
        """Writes the zip of the hours `first` to `last`, both included, to `target`; a whole one, member by member.

        Raises:
            AmplitudeError: a fault that cannot pass, or did not in five attempts.
            StoppedError: `stopped` was set by another thread; found out at the next read, at the latest.
        """
        stopped = stopped or threading.Event()
        return self._insist(lambda: self._download_once(first, last, target, stopped), _range(first, last), stopped)

    def get(
        self, url: str, turn: Callable[[], AbstractContextManager[None]] = nullcontext, *, is_json: bool = True
    ) -> requests.Response:
        """Return the answer to a request for something small: a whole one, and JSON unless it should be none.

        Args:
            url: below the address.
            turn: is entered for each attempt.
            is_json: whether the answer must be JSON.

        Raises:
            NotOfferedError: neither the plan nor the keys have it.
            ThrottledError: Amplitude has had enough requests for now.
            AmplitudeError: a fault that cannot pass, or did not in five attempts.
        """
        what = f"the answer of {urlsplit(url).path}"

        def once() -> requests.Response:
            with turn(), self._told():
                return self._get_once(url, what, is_json=is_json)

        return self._insist(once, what, threading.Event())

    def _insist(self, once: Callable[[], Answer], what: str, stopped: threading.Event) -> Answer:
        attempts = self.attempts(stopped)
        while not stopped.is_set():
            try:
                return once()
            except PassingError as fault:
                if not stopped.is_set() and not attempts.wait_for_next(str(fault), fault.retry_after):
                    raise fault.lasting(
                        f"{self.host} {fault}, {ATTEMPTS} times for {what}; check {self._access.place} and "
                        "the network, or run again later: finished hours are kept."
                    ) from fault
        raise StoppedError

    def attempts(self, stopped: threading.Event | None = None) -> Attempts:
        """Five of them: also for faults that come to light only after a download."""
        return Attempts(self.host, partial(self._pause, stopped or threading.Event()))

    def _get_once(self, url: str, what: str, *, is_json: bool) -> requests.Response:
        with self._http.get(url, timeout=self._timeouts, stream=True) as response, _in_time(response):
            match response.status_code:
                case 200 | 202:
                    _read(response, MAX_ANSWER_BYTES)
                case 402 | 403 | 404:
                    raise NotOfferedError(
                        f"{self.host} does not offer {urlsplit(url).path} to this project (HTTP "
                        f"{response.status_code}): it is not part of every plan, nor open to all keys."
                    )
                case 429:
                    raise ThrottledError(_retry_after(response))
                case _:
                    raise self._refusal(response, what)
            if is_json:
                try:
                    response.json()
                except ValueError:
                    raise NoJsonError("sent a body that is no JSON") from None
            return response

    def _download_once(self, first: datetime, last: datetime, target: Path, stopped: threading.Event) -> Outcome:
        try:
            with self._told():
                outcome = self._request(first, last, target, stopped)
        except OSError as error:
            raise AmplitudeError(
                f"The download of {_range(first, last)} cannot be kept on disk ({error}): make room, or set "
                "SOURCES__AMPLITUDE__WORK_DIR to another folder, then run again: finished hours are kept."
            ) from error
        if outcome is Outcome.ZIP and not is_whole_zip(target):
            raise PassingError("sent a body that is no complete zip file")
        return outcome

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what requests raises into our words."""
        try:
            yield
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            proxy = proxy_variable(self.address)
            if proxy is None:
                raise AmplitudeError(f"{self.host} leads to an address that cannot be asked: {error}.") from None
            raise AmplitudeError(
                f"{proxy} names no proxy that can be used ({_short(str(error))}): write it like http://proxy.example:80."
            ) from None
        except requests.RequestException as error:
            raise self._connection_fault(error) from error

    def _request(self, first: datetime, last: datetime, target: Path, stopped: threading.Event) -> Outcome:
        params = {"start": f"{first:%Y%m%dT%H}", "end": f"{last:%Y%m%dT%H}"}
        asked_at = self._settings.present
        with (
            self._http.get(self._url, params=params, stream=True, timeout=self._timeouts) as response,
            _in_time(response),
        ):
            self.asked_at = min(asked_at, _date(response) or asked_at)
            match response.status_code:
                case 200:
                    if _save(response, target, stopped):
                        return Outcome.ZIP
                    if first < last:
                        return Outcome.TOO_LARGE
                    raise AmplitudeError(
                        f"{self.host} sends more than {MAX_ZIP_BYTES >> 30} GB for hour {format_hour(first)}, which is "
                        f"over the Export API's own limit; {LOAD_FILES}"
                    )
                case 404:
                    return Outcome.NO_DATA
                case 400 | 504 if first < last:
                    return Outcome.TOO_LARGE
                case 400:
                    raise AmplitudeError(
                        f"{self.host} refuses hour {format_hour(first)} (HTTP 400, {_quote(response)}): if it alone is "
                        f"over the Export API's limit of 4 GB, {LOAD_FILES}"
                    )
                case _:
                    raise self._refusal(response, _range(first, last))

    def _refusal(self, response: requests.Response, what: str) -> Exception:
        """The fault that a status stands for."""
        proxy = proxy_variable(self.address) if self.address.startswith("http:") else None  # which may answer itself
        match response.status_code:
            case 407:
                return self._proxy_fault(407)
            case 403 if proxy:
                return AmplitudeError(
                    f"{self.host}, or the proxy of {proxy}, refuses the request (HTTP 403 for {what}): name the host "
                    f"in NO_PROXY if it can be reached without the proxy, else check {self._access.keys}."
                )
            case 401 | 403:
                return AmplitudeError(
                    f"{self.host} refuses the keys (HTTP {response.status_code} for {what}): check "
                    f"{self._access.keys}, and that "
                    f"{self._variable('REGION')} is the project's (us or eu)."
                )
            case status if status == 429 or status >= 500:
                return PassingError(f"answered HTTP {status}", _retry_after(response))
            case status:
                return AmplitudeError(
                    f"{self.host} answered HTTP {status} for {what}; check {self._access.place}, or run again "
                    "later: finished hours are kept."
                )

    def _proxy_fault(self, status: int) -> Exception:
        """The fault that a status of the proxy's own stands for."""
        proxy = proxy_variable(self.address)
        if status == 407:
            return AmplitudeError(
                f"{self.host} cannot be reached: the proxy wants a user name and a password (HTTP 407): write them "
                f"into {proxy}, in front of the proxy's host."
            )
        if status == 403:
            return AmplitudeError(
                f"{self.host} cannot be reached: the proxy of {proxy} forbids it (HTTP 403): have the proxy allow the "
                "host, or name the host in NO_PROXY if it can be reached without the proxy."
            )
        return PassingError(f"cannot be reached: the proxy of {proxy} answers HTTP {status}")

    def _connection_fault(self, error: requests.RequestException) -> Exception:
        """The fault in words; a certificate that is not accepted, and a proxy that refuses, are known to stay so."""
        causes = list(chain_of_causes(error))
        for cause in causes:
            match cause:
                case LateHeadersError():
                    return PassingError(f"sent {cause}")
                case ssl.SSLCertVerificationError():
                    return AmplitudeError(
                        f"{self.host} has a TLS certificate that is not accepted ({cause.verify_message}): "
                        f"{certificate_mend(cause, self._access.place)}, then run again: finished hours are "
                        "kept."
                    )
                case OSError() if status := TUNNEL_STATUS.search(str(cause)):
                    return self._proxy_fault(int(status[1]))
                case requests.exceptions.ProxyError():
                    proxy, reason = proxy_variable(self.address), _short(str(causes[-1]))
                    return PassingError(f"cannot be reached: the proxy of {proxy} does not work ({reason})")
                case ssl.SSLError():
                    return PassingError(f"fails in TLS ({cause.reason or cause})")
                case socket.gaierror():
                    return PassingError("cannot be reached: the name cannot be resolved")
                case ConnectionRefusedError():
                    return PassingError("cannot be reached: it refuses the connection")
                case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                    return PassingError("cannot be reached: no network leads to it")
                case requests.ConnectTimeout():
                    return PassingError(f"cannot be reached: no connection within {CONNECT_TIMEOUT_SECONDS} s")
                case requests.Timeout() | TimeoutError():
                    return PassingError(f"sent nothing for {self._timeouts[1]:g} s")
        return PassingError(f"gave no whole answer ({_short(str(causes[-1])) or type(causes[-1]).__name__})")


@contextmanager
def _in_time(response: requests.Response) -> Iterator[None]:
    """Ends an answer that drips for ever: the read timeout is for each piece alone.

    Raises:
        PassingError: its time is up.
    """
    is_late = threading.Event()

    def hang_up() -> None:
        is_late.set()
        response.raw.shutdown()

    timer = threading.Timer(ANSWER_SECONDS, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if is_late.is_set():
            raise PassingError(f"did not come to the end of its answer in {ANSWER_SECONDS / 3600:g} hours")


def _read(response: requests.Response, limit: int) -> None:
    """Reads a body to its end, for `response.content`.

    Raises:
        PassingError: it is longer.
    """
    pieces, size = [], 0
    for piece in response.iter_content(READ_BYTES):
        size += len(piece)
        if size > limit:
            raise PassingError(f"sent a body of more than {limit >> 20} MB")
        pieces.append(piece)
    response._content = b"".join(pieces)  # as its own `content` does, but with a limit


def _save(response: requests.Response, target: Path, stopped: threading.Event) -> bool:
    """Whether all of the body is kept: false where it is larger than any export can be."""
    size = 0
    chunks = response.iter_content(READ_BYTES)
    if stopped.is_set():
        raise StoppedError
    with target.open("wb") as sink:
        for chunk in chunks:
            if stopped.is_set():
                raise StoppedError
            size += len(chunk)
            if size > MAX_ZIP_BYTES:
                sink.truncate(0)
                return False
            sink.write(chunk)
    return True


def _retry_after(response: requests.Response) -> float | None:
    """The seconds that the server asks to wait, told as such or as a date; None where it does not."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = as_utc(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None
    return max(0.0, (date - datetime.now(UTC).replace(tzinfo=None)).total_seconds())


def _date(response: requests.Response) -> datetime | None:
    """Return the server's time, naive UTC, if it says it."""
    try:
        return as_utc(parsedate_to_datetime(response.headers.get("Date", "")))
    except (ValueError, OverflowError):
        return None


def _quote(response: requests.Response) -> str:
    """The beginning of the text or page that came with a status."""
    page = next(response.iter_content(READ_BYTES), b"").decode(errors="replace")
    text = _short(html.unescape(re.sub(r"<[^>]*>", " ", page)))
    return repr(text) if text else "no reason given"


def _short(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:QUOTED_CHARACTERS]


def _range(first: datetime, last: datetime) -> str:
    return f"hour {format_hour(first)}" if first == last else f"the hours {format_hour(first)} to {format_hour(last)}"


def _authorize(login: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    """As `auth` of the session, for otherwise requests prefers what a ~/.netrc says."""
    request.headers["Authorization"] = login
    return request
