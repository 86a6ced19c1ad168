"""Amplitude's events as dlt sources: what others may import."""

from .bronze.cleanup import forget_loads, remove_leftovers, remove_superseded
from .export.merges import amplitude_merges, read_merges
from .export.rest import amplitude_rest
from .plan import first_unseen_hour
from .source import Progress, amplitude, cursors, empty_tables, is_list_due, ledger_mark

__all__ = [
    "Progress",
    "amplitude",
    "amplitude_merges",
    "amplitude_rest",
    "cursors",
    "empty_tables",
    "first_unseen_hour",
    "forget_loads",
    "is_list_due",
    "ledger_mark",
    "read_merges",
    "remove_leftovers",
    "remove_superseded",
]
