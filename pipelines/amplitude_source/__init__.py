"""Amplitude's events as dlt sources: what others may import."""

from .bronze.cleanup import forget_loads, remove_leftovers, remove_superseded
from .export.merges import amplitude_merges, read_merges
from .plan import first_unseen_hour
from .rest.context import Asking
from .rest.resources import RESOURCES, due_resources, load_resources
from .source import Progress, amplitude, cursors, due_looks, empty_tables, ledger_mark

__all__ = [
    "RESOURCES",
    "Asking",
    "Progress",
    "amplitude",
    "amplitude_merges",
    "cursors",
    "due_looks",
    "due_resources",
    "empty_tables",
    "first_unseen_hour",
    "forget_loads",
    "ledger_mark",
    "load_resources",
    "read_merges",
    "remove_leftovers",
    "remove_superseded",
]
