"""Open incidents: a small file each in the lake, so that all machines know what was said already.

A message is delivered first, and noted after it. A kill in between has the next call deliver it once more.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import PurePosixPath

from ..errors import AmplitudeError
from ..lake.storage import Lake
from ..settings import AlertSettings
from .channels import AlertError, send

FOLDER = "bronze/_alerts"
"""Below bronze, where loaders may write and remove files; the names of dlt's own folders there begin alike."""
OPEN = f"{FOLDER}/open"
COLUMNS = f"{FOLDER}/columns.json"
TITLE = "Amplitude warehouse"
Key = tuple[str, str | None]
"""A check, and the project that it is for; None where it is for all."""


@dataclass(frozen=True)
class Incident:
    """Something that is wrong."""

    check: str
    project: str | None
    text: str
    since: datetime

    @property
    def key(self) -> Key:
        """Return what tells one incident from another; its text may change while it lasts."""
        return self.check, self.project

    @property
    def path(self) -> str:
        """Return the path of its file in the lake."""
        name = ".".join(part.replace(" ", "-") for part in self.key if part)
        return f"{OPEN}/{name}.json"

    @property
    def subject(self) -> str:
        """Return the begin of its messages."""
        return ", ".join(part for part in (TITLE, self.project, self.check) if part)


class Incidents:
    """The incidents that are open, and the messages about them.

    Args:
        lake: keeps them; None where the lake is at fault itself. Then nothing is known, and each call says everything.
        settings: of alerts.

    Raises:
        AmplitudeError: of the constructor, if a file is no incident.
    """

    def __init__(self, lake: Lake | None, settings: AlertSettings) -> None:
        self._lake = lake
        self._settings = settings
        self.open = {incident.key: incident for incident in self._read()}
        """By their keys."""
        self.delivered: list[str] = []
        self.failures: list[str] = []
        """What could not be delivered; the next call tries again."""

    def report(self, incident: Incident) -> None:
        """Deliver an incident, unless it is open already."""
        if incident.key in self.open or not self._deliver(f"{incident.subject}: {incident.text}"):
            return
        self.open[incident.key] = incident
        self._write(incident.path, asdict(incident))

    def end(self, key: Key) -> None:
        """Deliver that an incident is over, if it was open."""
        incident = self.open.get(key)
        if not incident:
            return
        since = f"{incident.since:%Y-%m-%d %H:%M}"
        if self._deliver(f"{incident.subject}: over. Since {since} UTC it was: {incident.text}"):
            del self.open[key]
            if self._lake:
                with suppress(FileNotFoundError):  # another machine has removed it
                    self._lake.remove(incident.path)

    def report_columns(self, columns: Collection[str]) -> None:
        """Deliver the columns that are new in `bronze.events` since the last call; the first call only notes them."""
        known = self._known_columns()
        new = sorted({*columns} - {*known}) if known is not None else []
        text = f"{TITLE}, schema: bronze.events has new columns, because Amplitude sends new keys: {', '.join(new)}."
        if (known is None or new) and (not new or self._deliver(text)):
            self._write(COLUMNS, sorted({*columns, *(known or ())}))

    def _deliver(self, text: str) -> bool:
        try:
            send(self._settings, text)
        except AlertError as error:
            self.failures.append(str(error))
            return False
        self.delivered.append(text)
        return True

    def _known_columns(self) -> list[str] | None:
        try:
            return list(json.loads(self._lake.read(COLUMNS))) if self._lake else None
        except FileNotFoundError:
            return None

    def _write(self, path: str, content: object) -> None:
        if self._lake:
            self._lake.write(path, json.dumps(content, default=str).encode())

    def _read(self) -> Iterator[Incident]:
        for path in self._lake.paths(OPEN) if self._lake else ():
            if PurePosixPath(path).suffix == ".json" and self._lake:
                yield _incident(path, self._lake.read(path))


def _incident(path: str, content: bytes) -> Incident:
    try:
        fields = json.loads(content)
        return Incident(fields["check"], fields["project"], fields["text"], datetime.fromisoformat(fields["since"]))
    except (ValueError, KeyError, TypeError):
        raise AmplitudeError(f"{path} in the lake is no incident of `alert`: remove the file.") from None
