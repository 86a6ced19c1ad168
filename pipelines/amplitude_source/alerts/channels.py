"""Where messages go: a webhook that takes Slack's JSON, a command of the user's, and a heartbeat."""

import subprocess
from collections.abc import Callable

import requests

from ..certificates import certificates_fault
from ..errors import AmplitudeError, without_logins
from ..settings import ALERTS_PREFIX, AlertSettings

TIMEOUT_SECONDS = 30


class AlertError(AmplitudeError):
    """A message could not be delivered."""


def send(settings: AlertSettings, text: str) -> None:
    """Deliver one message to every channel that is set.

    Raises:
        AlertError: a channel did not take it; the others may have.
    """
    message = without_logins(text)
    failures = [failure for deliver in _channels(settings) if (failure := deliver(message))]
    if failures:
        raise AlertError(" ".join(failures))


def beat(settings: AlertSettings) -> None:
    """Ask the address of the heartbeat, if there is one.

    Raises:
        AlertError: it does not answer, or with an error.
    """
    if settings.heartbeat_url and (failure := _asked("GET", settings.heartbeat_url, "HEARTBEAT_URL")):
        raise AlertError(failure)


def _channels(settings: AlertSettings) -> list[Callable[[str], str | None]]:
    channels: list[Callable[[str], str | None]] = []
    if url := settings.webhook_url:
        channels.append(lambda text: _asked("POST", url, "WEBHOOK_URL", {"text": text}))
    if words := settings.words:
        channels.append(lambda text: _run(words, text))
    return channels


def _asked(method: str, url: str, name: str, body: dict[str, str] | None = None) -> str | None:
    """Ask once; return what went wrong, without the address, which is a secret."""
    if url.startswith("https:") and (fault := certificates_fault()):
        return fault
    try:
        with requests.request(method, url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False) as response:
            if response.ok and not response.is_redirect:
                return None
            problem = f"answers HTTP {response.status_code}"
    except requests.RequestException as error:  # whose text has the address
        problem = f"cannot be reached ({type(error).__name__})"
    return f"The address of {ALERTS_PREFIX}{name} {problem}: check it and the network."


def _run(words: list[str], text: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own
            words, input=text, text=True, timeout=TIMEOUT_SECONDS, check=False, stdout=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = f"cannot be run ({type(error).__name__})"
    else:
        if not done.returncode:
            return None
        problem = f"ended with {done.returncode}"
    return f"The command of {ALERTS_PREFIX}COMMAND, {words[0]}, {problem}: try it in a shell."
