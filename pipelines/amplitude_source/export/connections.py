"""HTTP connections that give up an answer whose headers drip, and the proxy that the environment names.

A read timeout is for each piece of an answer alone.
"""

import os
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

PATIENCE = 2  # times the read timeout: Amplitude may be silent that long before its first byte


class LateHeadersError(OSError):
    """The headers of an answer did not end in time."""


class _TimedHeaders(HTTPConnection):
    """Ends a connection whose answer's headers take too long."""

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        sock, seconds = self.sock, self.timeout
        if not isinstance(seconds, int | float):  # it may wait for ever
            return super().getresponse()
        is_late = threading.Event()

        def hang_up() -> None:
            is_late.set()
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(PATIENCE * seconds, hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()  # of headers that are cut off, the beginning passes for all of them
        finally:
            timer.cancel()
            if is_late.is_set():
                raise LateHeadersError(f"no end of its headers within {PATIENCE * seconds:g} s")


class _TimedHttps(_TimedHeaders, HTTPSConnection):
    """The same within TLS."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _TimedHeaders


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHttps


class TimedAdapter(HTTPAdapter):
    """For a session: all its connections, those by way of a proxy too, have a deadline for headers."""

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]  # passed on
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, *args: object, **kwargs: object) -> object:
        manager = super().proxy_manager_for(*args, **kwargs)  # type: ignore[arg-type]  # passed on
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


def proxy_variable(address: str) -> str | None:
    """Return the variable that names the proxy for an address; None where no proxy is used."""
    if not get_environ_proxies(address):
        return None
    scheme = urlsplit(address).scheme
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name)), "the system's settings")
