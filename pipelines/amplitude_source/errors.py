"""What a user is told."""


class AmplitudeError(Exception):
    """Something the user can mend: one sentence with the cause, the place and the mend."""


class RejectedRowsError(AmplitudeError):
    """Hours are loaded, but too many of their rows were rejected."""
