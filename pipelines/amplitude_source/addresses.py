"""The addresses of Amplitude that the project's keys may be sent to."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

EXAMPLE = "write it like https://amplitude.com"
# A text that cannot hide a password, so that it may be shown.
HARMLESS = re.compile(r"(?:\w+:?//?)?[\w.-]+(?::\d+)?(?:/[^@?#\s]*)?")


def address_fault(address: str) -> str | None:
    """Return what is wrong with an address, as the rest of a sentence; None if nothing is."""
    if "@" in address:
        return f"has a user name or a password in it; {EXAMPLE}, because API_KEY and SECRET_KEY hold the keys."
    shown = repr(address) if HARMLESS.fullmatch(address) else "its value"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        return f"{shown} is no address; {EXAMPLE}."
    if parts.scheme == "http" and not is_loopback(host):
        return f"{shown} is not encrypted, so others could read the keys on the way; {EXAMPLE}."
    return None


def is_safe_address(address: str) -> bool:
    """Return whether something may be sent to an address that is a secret itself: by https, or on this machine."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(str(host))))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
