"""What a page shows instead of its numbers."""


class UnansweredError(Exception):
    """A question that has no answer now. Its text is for the reader, with what to do."""


class MissingError(UnansweredError):
    """A table or a column is not there."""


class BusyError(UnansweredError):
    """Another process writes to the DuckDB file."""
