"""What every REST resource is given, and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

import dlt
import pyarrow as pa

from ..export.client import EVENTS_LIST
from ..lake.archive import erased_persons
from ..lake.erased import Erased
from ..settings import AmplitudeSettings
from .answers import Warn
from .session import RestSession

Row = dict[str, Any]


@dataclass
class Answer:
    """What a resource has for a table of bronze."""

    table: str
    rows: list[Row] | pa.Table
    state: dict[str, str] = field(default_factory=dict)
    """What dlt's state is to keep of it, for the project."""


@dataclass
class Asking:
    """A project's run, as far as it asks Amplitude's REST APIs."""

    settings: AmplitudeSettings
    session: RestSession
    pipeline: dlt.Pipeline
    effective_hour: datetime
    """The first export hour that silver cannot have seen: what the event list says counts from it on."""
    notice: Callable[[str], None]
    """Takes a sentence on a wait."""
    saved_charts: Sequence[str] = ()
    """Ids of Amplitude's charts to lay beside ours."""
    doubtful_days: Sequence[date] = ()
    """Some days on which Amplitude has other events than we: they are asked about by event type."""
    warnings: list[str] = field(default_factory=list)
    """On what the resource under way left out."""
    failures: list[str] = field(default_factory=list)
    """Why parts of it are not there, though the rest loads."""

    @property
    def warn(self) -> Warn:
        """Return what takes a warning."""
        return self.warnings.append

    @property
    def origin(self) -> Row:
        """Return the columns that each row gets."""
        return {"_project": self.settings.project, "_snapshot_at": self.settings.present}

    @cached_property
    def erased(self) -> Erased | None:
        """Return the persons who are erased, of whom no answer is loaded; None where nobody is."""
        return erased_persons(self.settings.lake, self.settings.project, self.settings.privacy)

    @cached_property
    def event_list(self) -> Any:
        """Return the answer of the event list, for which Amplitude is asked once a run."""
        return self.session.json(EVENTS_LIST)
