"""The way of every REST resource to Amplitude, dlt's `rest_api` included."""

from collections.abc import Callable
from functools import partial
from typing import Any

import requests

from ..export.client import Access, ExportClient, ThrottledError
from ..settings import AmplitudeSettings
from .limits import Limiter


class RestSession(requests.Session):
    """Sends requests within Amplitude's limits, again while a fault may pass, and gives whole answers.

    dlt's own session would retry what cannot get better, and say so in its own words.
    """

    def __init__(self, client: ExportClient, limiter: Limiter) -> None:
        """Make a session.

        Args:
            client: has the keys.
            limiter: of the run.
        """
        super().__init__()
        self._client, self._limiter = client, limiter
        self.address = client.address.rstrip("/")
        self.host = client.host

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        """Return the answer, which is JSON.

        Raises:
            AmplitudeError: a fault that cannot pass, or did not.
        """
        return self._insist(str(request.url))

    def json(self, path: str, **query: str | int) -> Any:
        """Return what a path below the address answers."""
        return self.get(f"{self.address}/{path}", params=query).json()

    def file(self, path: str) -> bytes:
        """Return a file that need not be JSON; Amplitude may send the request on to where it keeps the file."""
        return self._insist(f"{self.address}/{path}", is_json=False).content

    def status(self, path: str) -> int:
        """Return the status of an answer: 200, or 202 for one that is still being made."""
        return self.get(f"{self.address}/{path}").status_code

    def _insist(self, url: str, *, is_json: bool = True) -> requests.Response:
        while True:
            try:
                response = self._client.get(url, partial(self._limiter.turn, url), is_json=is_json)
            except ThrottledError as error:
                self._limiter.refused(url, error.retry_after)
            else:
                self._limiter.answered(url)
                return response


def experiments_access(settings: AmplitudeSettings) -> Access | None:
    """Return the access to the Experiment Management API, which has a host and a key of its own; None without one."""
    if not settings.experiment_key:
        return None
    key = settings.variable("EXPERIMENT_KEY")
    return Access(
        settings.experiment_address, f"Bearer {settings.experiment_key}", key, settings.variable("EXPERIMENT_URL")
    )


def open_session(
    settings: AmplitudeSettings, notice: Callable[[str], None], access: Access | None = None
) -> RestSession:
    """Open the session of a project's run."""
    client = ExportClient(settings, access=access)
    return RestSession(client, Limiter(client.host, notice))
