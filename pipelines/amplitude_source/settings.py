"""What a user may configure, and the hours that go by it."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import NotResolved
from dlt.common.storages import FilesystemConfiguration
from dlt.common.typing import TSecretStrValue

from .errors import AmplitudeError
from .lake import told_credentials
from .privacy import PrivacySettings

HOUR = timedelta(hours=1)
SECTIONS = ("sources", "amplitude")

# Amplitude documents that an hour can be exported about two hours after it has closed.
AVAILABLE_AFTER = 2 * HOUR

# The projects' own settings; the name of each follows, as in SOURCES__AMPLITUDE__PROJECTS__WEB__API_KEY.
VARIABLE_PREFIX = "SOURCES__AMPLITUDE__"
PROJECTS_PREFIX = f"{VARIABLE_PREFIX}PROJECTS__"
ONLY_PROJECT = "default"
PROJECT_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
REGIONS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}


@configspec
class AmplitudeSettings(BaseConfiguration):
    """`SOURCES__AMPLITUDE__*`, or `[sources.amplitude]` of `.dlt/config.toml`.

    A project among several has its own in `SOURCES__AMPLITUDE__PROJECTS__<NAME>__*`, or
    `[sources.amplitude.projects.<name>]`; what it leaves out it takes from those.
    """

    project: Annotated[str, NotResolved()] = ONLY_PROJECT
    """The name of the Amplitude project."""
    api_key: TSecretStrValue | None = None
    secret_key: TSecretStrValue | None = None
    region: str = "us"
    """Where Amplitude keeps the project's data: `us` or `eu`."""
    base_url: str | None = None
    """Another address than the region's."""
    start_hour: str = dlt.config.value
    """The first hour of the warehouse, `YYYY-MM-DDTHH` (UTC)."""
    settle_hours: int = 6
    """How long after an hour has closed a 404 for it may still turn into data."""
    recheck_hours: int = 24
    """How long after an hour has closed it is compared with Amplitude's once more; 0: never."""
    freshness_hours: int = 12
    """How old the newest finished hour may be before `status` and an audit call the export stale."""
    read_timeout_seconds: float = 600
    """How long Amplitude may send nothing; it prepares a large zip before it sends the first byte."""
    now: str | None = None
    """The time to take for the present (ISO, UTC): for the demo and for tests. Default: the clock."""
    lake: FilesystemConfiguration = None  # type: ignore[assignment]  # dlt resolves it, like every field without a default
    privacy: PrivacySettings = None  # type: ignore[assignment]  # as above
    work_dir: str = "data/work"
    """Downloads on their way to the lake, and dlt's working directory. Loses nothing when deleted between two runs."""

    @property
    def first_hour(self) -> datetime:
        """`start_hour` as a naive UTC datetime."""
        return parse_hour(self.start_hour, "SOURCES__AMPLITUDE__START_HOUR")

    @property
    def address(self) -> str:
        """Of the API.

        Raises:
            AmplitudeError: there is no such region.
        """
        if self.base_url:
            return self.base_url
        if self.region not in REGIONS:
            raise AmplitudeError(f"{self.variable('region')}: write us or eu, not {self.region!r}.")
        return REGIONS[self.region]

    def variable(self, name: str) -> str:
        """The environment variable of one of the settings that belong to a project."""
        prefix = VARIABLE_PREFIX if self.project == ONLY_PROJECT else f"{PROJECTS_PREFIX}{self.project.upper()}__"
        return prefix + name.upper()

    @property
    def present(self) -> datetime:
        """The present, naive UTC."""
        if self.now is None:
            return datetime.now(UTC).replace(tzinfo=None)
        return parse_time(self.now, "SOURCES__AMPLITUDE__NOW")

    @property
    def newest_hour(self) -> datetime:
        """The newest hour that Amplitude can have made available by now."""
        return floor_hour(self.present - AVAILABLE_AFTER) - HOUR

    def is_settled(self, hour: datetime) -> bool:
        """Whether a 404 for this hour is final."""
        return self.present >= hour + HOUR + self.settle_hours * HOUR

    @property
    def recheck_end(self) -> datetime:
        """The first hour that is too young to be compared with Amplitude's once more."""
        return floor_hour(self.present) - self.recheck_hours * HOUR if self.recheck_hours else datetime.min

    def is_young(self, hour: datetime, exported_at: datetime) -> bool:
        """Whether an hour was exported so early that it is to be compared with Amplitude's once more."""
        return exported_at < hour + HOUR + self.recheck_hours * HOUR

    @property
    def work_path(self) -> Path:
        return Path(self.work_dir)


def load_projects() -> list[AmplitudeSettings]:
    """The settings of every project, read as dlt does: environment, `.dlt/secrets.toml`, `.dlt/config.toml`.

    Raises:
        AmplitudeError: a project's name cannot be one, or keys are set beside the projects' own.
    """
    names = project_names()
    if not names:
        return [project_settings(ONLY_PROJECT, SECTIONS)]
    for name in names:
        if not PROJECT_NAME.fullmatch(name):
            raise AmplitudeError(
                f"{PROJECTS_PREFIX}...: {name!r} cannot be a project's name; take letters, digits and single "
                "underscores, and a letter first."
            )
    if dlt.secrets.get("sources.amplitude.api_key") or dlt.secrets.get("sources.amplitude.secret_key"):
        raise AmplitudeError(
            f"{VARIABLE_PREFIX}API_KEY and SECRET_KEY belong to a project of their own here: give it a name, as in "
            f"{PROJECTS_PREFIX}{names[0].upper()}__API_KEY."
        )
    return [project_settings(name, (*SECTIONS, "projects", name)) for name in names]


def project_settings(name: str, sections: tuple[str, ...]) -> AmplitudeSettings:
    with told_credentials():
        settings = resolve_configuration(AmplitudeSettings(), sections=sections)
    settings.project = name
    return settings


def project_names() -> list[str]:
    """The names in the environment's variables and in dlt's files, sorted."""
    variables = [name.removeprefix(PROJECTS_PREFIX) for name in os.environ if name.startswith(PROJECTS_PREFIX)]
    names = {name.partition("__")[0].lower() for name in variables}
    for provider in (dlt.config, dlt.secrets):
        names |= (provider.get("sources.amplitude.projects") or {}).keys()
    return sorted(names)


def as_utc(time: datetime) -> datetime:
    """A naive datetime in UTC: one without a zone is taken to be in UTC already."""
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def floor_hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def parse_time(text: str, where: str) -> datetime:
    """Parses an ISO date and time, UTC where it names no zone.

    Raises:
        AmplitudeError: the text is none; `where` tells the user which setting or option is meant.
    """
    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError:
        raise AmplitudeError(f"{where}: {text!r} is no ISO date and time.") from None


def parse_hour(text: str, where: str) -> datetime:
    """Parses an hour like `2026-06-01T00`, a date (its first hour), or Amplitude's own `20260601T00`.

    Raises:
        AmplitudeError: the text is none of these; `where` tells the user which setting or option is meant.
    """
    try:
        hour = as_utc(datetime.fromisoformat(text))
    except ValueError:
        raise AmplitudeError(f"{where}: {text!r} is no hour; write it like 2026-06-01T00 (UTC).") from None
    if hour != floor_hour(hour):
        raise AmplitudeError(f"{where}: {text!r} is not a full hour; write it like 2026-06-01T00 (UTC).")
    return hour


def format_hour(hour: datetime) -> str:
    return hour.strftime("%Y-%m-%dT%H")


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """Every hour from `first` to `last`, both included."""
    return [first + i * HOUR for i in range((last - first) // HOUR + 1)]
