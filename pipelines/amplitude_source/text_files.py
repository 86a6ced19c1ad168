"""Read the files of settings, or say in one sentence why they cannot be read."""

import tomllib
from pathlib import Path

from .errors import AmplitudeError

BYTE_ORDER_MARK = "\ufeff"


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        AmplitudeError: the text is not UTF-8, or the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AmplitudeError(
            f"{path} cannot be read ({error.strerror}): check that it is there and that this user may read it."
        ) from error
    try:
        if b"\0" not in content:  # as in UTF-16
            return content.decode()
        line = 1
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise AmplitudeError(f"{path} is not text in UTF-8 (line {line}): save it in that encoding.")


def check_toml(path: Path) -> None:
    """Refuse a file that dlt could not read, because dlt does not name it.

    Raises:
        AmplitudeError: as for `read_text`, or the text is no TOML.
    """
    text = read_text(path)
    if text.startswith(BYTE_ORDER_MARK):
        raise AmplitudeError(f"{path} begins with a byte order mark: save it as UTF-8 without one.")
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AmplitudeError(f'{path} is no TOML: {error}; texts need quotes, as in region = "eu".') from None
