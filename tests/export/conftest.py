"""The fixtures of the Export API's client."""

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine between the client and what the tests serve."""
    monkeypatch.setenv("NO_PROXY", "*")
