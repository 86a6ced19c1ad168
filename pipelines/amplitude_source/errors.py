"""What a user is told."""

import re
from collections.abc import Iterator

# User name and password of an address, which may lack its scheme. A password that was not encoded may have slashes.
LOGIN = re.compile(r"""(?<=://)(?:[^\s/:@]*:\S*|[^\s/]*)@|(?<![\w/])[^\s/:@'"]+:(?!//)[^\s@'"]+@""")


class AmplitudeError(Exception):
    """Something the user can mend: one sentence with the cause, the place and the mend.

    Args:
        sentence: where it quotes an address, the address loses the login that it may have.
    """

    def __init__(self, sentence: object) -> None:
        super().__init__(without_logins(str(sentence)))


class RejectedRowsError(AmplitudeError):
    """Hours are loaded, but too many of their rows were rejected."""


class PartlyLoadedError(AmplitudeError):
    """Hours are loaded, but not all that was asked of Amplitude's REST APIs."""


def without_logins(text: str) -> str:
    """Return a text whose addresses have `***` in place of user name and password."""
    return LOGIN.sub("***@", text)


def chain_of_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what caused it, and so on to the innermost cause."""
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__
