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
        raise AmplitudeError(f"{path} cannot be read ({error.strerror}): give this user the right to.") from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise AmplitudeError(_not_utf8(path, content.count(b"\n", 0, error.start) + 1)) from None
    if "\0" in text:  # UTF-16 without a mark
        raise AmplitudeError(_not_utf8(path, 1))
    return text


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


def _not_utf8(path: Path, line: int) -> str:
    return f"{path} is not text in UTF-8 (line {line}): save it in that encoding."
