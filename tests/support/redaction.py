"""Rows and texts as privacy rules leave them."""

import gzip
import hashlib
import hmac
import json
from typing import Any

from hypothesis import HealthCheck, settings

from amplitude_source.lake.privacy import PrivacySettings, Redactor

KEY = "0123456789abcdef"  # as short as may be
SETTINGS = "SOURCES__AMPLITUDE__PRIVACY"
Row = dict[str, Any]
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def redactor(**rules: Any) -> Redactor:
    found = PrivacySettings(**rules).redactor()
    assert found, "there are rules"
    return found


def redacted(text: bytes, **rules: Any) -> bytes:
    """The text that an export's text becomes."""
    return gzip.decompress(b"".join(redactor(**rules).redact([text])))


def redacted_line(line: bytes, **rules: Any) -> bytes:
    (found, rest) = redacted(line + b"\n", **rules).split(b"\n")
    assert rest == b""
    return found


def redacted_row(row: Row, **rules: Any) -> Row:
    found: Row = json.loads(redacted_line(json.dumps(row).encode(), **rules))
    return found


def shortened(value: object) -> str:
    """A parameter's name in the report."""
    return repr(value)[:40]


def hashed(text: str | bytes) -> str:
    return hmac.new(KEY.encode(), text.encode() if isinstance(text, str) else text, hashlib.sha256).hexdigest()


# --- what rules do
