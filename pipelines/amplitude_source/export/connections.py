"""HTTP connections that give up an answer whose headers drip, and the environment's settings for connections.

A read timeout is for each piece of an answer alone.
"""

import os
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

# Each names a file of certificates. A library takes the first of its own that is set, and no other.
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # of requests
AWS_CERTIFICATE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")  # of botocore
NOT_READ = "SSL_CERT_FILE"  # what other tools read
# OpenSSL's numbers for what is wrong with a certificate.
WRONG_TIME = {9, 10}
WRONG_NAME = {62, 64}

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
        super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, *args: object, **kwargs: object) -> object:
        manager = super().proxy_manager_for(*args, **kwargs)  # type: ignore[arg-type]
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


def certificates_fault(variables: tuple[str, ...] = CERTIFICATE_VARIABLES) -> str | None:
    """Return what is wrong with the file of certificates that the environment names; None if nothing is.

    The libraries themselves do not name the variable.
    """
    name = certificate_variable(variables)
    if name is None:
        return None
    path = Path(os.environ[name]).absolute()
    if path.is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except FileNotFoundError:
        reason = "which does not exist"
    except ssl.SSLError:
        reason = "which holds no certificates in PEM"
    except OSError as error:
        reason = f"which cannot be read ({error.strerror})"
    else:
        return None
    return f"{name} names {path}, {reason}: name a PEM file of the certificates to trust, or leave {name} out."


def certificate_variable(variables: tuple[str, ...] = CERTIFICATE_VARIABLES) -> str | None:
    """Return the variable that names the file of certificates."""
    return next((name for name in variables if os.environ.get(name)), None)


def certificate_mend(error: ssl.SSLCertVerificationError, address_variable: str) -> str:
    """Return what the user can do about a certificate that is not accepted, as the rest of a sentence."""
    if error.verify_code in WRONG_TIME:
        return "check this machine's clock"
    if error.verify_code in WRONG_NAME:
        return f"check {address_variable}"
    if name := certificate_variable():
        return f"{name} names {os.environ[name]}: add the certificate of its signer to that file"
    note = f" ({NOT_READ} is not read)" if os.environ.get(NOT_READ) else ""
    return (
        f"if a proxy of your company signed it, set REQUESTS_CA_BUNDLE{note} to a PEM file with the company's "
        f"certificate, else check {address_variable}"
    )


def proxy_variable(address: str) -> str | None:
    """Return the variable that names the proxy for an address; None where no proxy is used."""
    if not get_environ_proxies(address):
        return None
    scheme = urlsplit(address).scheme
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name)), "the system's settings")
