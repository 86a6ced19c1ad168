"""What a user may configure, and the hours that go by it."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigValueCannotBeCoercedException
from dlt.common.configuration.providers import DictionaryProvider, EnvironProvider
from dlt.common.configuration.providers.toml import SettingsTomlProvider
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration, ConnectionStringCredentials
from dlt.common.configuration.specs.base_configuration import NotResolved
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.typing import TSecretStrValue
from dlt.common.utils import update_dict_nested

from .addresses import address_fault, is_safe_address
from .environment import Names, settle
from .errors import AmplitudeError
from .lake.privacy import PrivacySettings
from .lake.storage import ExportBucketConfiguration, LakeConfiguration, told_credentials
from .text_files import check_toml

HOUR = timedelta(hours=1)
SECTIONS = ("sources", "amplitude")
DLT_FILES = (".dlt/secrets.toml", ".dlt/config.toml")

# Amplitude documents that an hour can be exported about two hours after it has closed.
AVAILABLE_AFTER = 2 * HOUR

# The projects' own settings; the name of each follows, as in SOURCES__AMPLITUDE__PROJECTS__WEB__API_KEY.
VARIABLE_PREFIX = "SOURCES__AMPLITUDE__"
PROJECTS_PREFIX = f"{VARIABLE_PREFIX}PROJECTS__"
ALERTS_PREFIX = "ALERTS__"
ONLY_PROJECT = "default"
DATE = re.compile(r"\d{4}-?\d\d-?\d\d")
PROJECT_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
REGIONS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
EXPERIMENT_REGIONS = {"us": "https://experiment.amplitude.com", "eu": "https://experiment.eu.amplitude.com"}
MOST_SAMPLED_USERS = 360  # which Amplitude allows in an hour

DESTINATION_VARIABLE, GATEWAY_VARIABLE = "AMPLITUDE_DESTINATION", "SQLMESH_GATEWAY"
GATEWAYS = {
    "duckdb": "local",
    "ducklake": "ducklake",
    "snowflake": "snowflake",
}  # of SQLMesh, by the destination that it builds on
ENGINES = {"duckdb": "duckdb", "ducklake": "duckdb", "snowflake": "snowflake"}  # whose SQL they take
DESTINATIONS = (*GATEWAYS, "filesystem")
CATALOG = "amplitude"  # DuckDB names it after the file, and the views of silver and gold go by that name
DUCKDB_VARIABLE = "DESTINATION__DUCKDB__CREDENTIALS"
CATALOGUE_VARIABLE = "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG"
MEMORY_VARIABLE = "SQLMESH_DUCKDB_MEMORY_LIMIT"
MORE_CHARTS_VARIABLE = "SQLMESH_MORE_CHARTS"

NOT_NEGATIVE = (
    "settle_hours",
    "recheck_hours",
    "look_again_hours",
    "read_timeout_seconds",
    "max_rejected_share",
    "cohort_requests_a_month",
    "sampled_users",
)

NESTED: dict[str, type[BaseConfiguration]] = {"privacy": PrivacySettings, "lake": LakeConfiguration}
"""The settings that are tables of their own."""
RETENTION = "lake__retention_days"

Spec = TypeVar("Spec", bound=BaseConfiguration)
Settings = TypeVar("Settings", bound="FirstHour")


@configspec
class FirstHour(BaseConfiguration):
    """The settings of a project that SQLMesh needs as well."""

    start_hour: str = dlt.config.value
    """The first hour of the warehouse (UTC, hour of upload), as `2026-01-01T00` or `2026-01-01`."""
    now: str | None = None
    """The time to take for the present (ISO, UTC), for trials. Default: the clock."""
    freshness_hours: int = 12
    """How many hours old the newest finished hour may be before `status` and an audit call the export stale."""
    project: Annotated[str, NotResolved()] = ONLY_PROJECT
    """The name of the Amplitude project."""

    @property
    def first_hour(self) -> datetime:
        """Return `start_hour` as a naive UTC datetime."""
        return parse_hour(self.start_hour, self.variable("start_hour"))

    @property
    def present(self) -> datetime:
        """Return the present, naive UTC."""
        if self.now is None:
            return datetime.now(UTC).replace(tzinfo=None)
        return parse_time(self.now, f"{VARIABLE_PREFIX}NOW")

    def check(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            AmplitudeError: with the variable, the value and what to write instead.
        """
        if self.freshness_hours < 1:
            raise AmplitudeError(f"{self.variable('freshness_hours')}: write 1 or more, not {self.freshness_hours}.")

    def variable(self, name: str) -> str:
        """Return the environment variable of one of the settings that belong to a project."""
        prefix = VARIABLE_PREFIX if self.project == ONLY_PROJECT else f"{PROJECTS_PREFIX}{self.project.upper()}__"
        return prefix + name.upper()


@configspec
class AmplitudeSettings(FirstHour):
    """`SOURCES__AMPLITUDE__*`, or `[sources.amplitude]` of `.dlt/config.toml`.

    A project among several has its own in `SOURCES__AMPLITUDE__PROJECTS__<NAME>__*`, or
    `[sources.amplitude.projects.<name>]`; what it leaves out it takes from those.
    """

    api_key: TSecretStrValue | None = None
    """The project's API key."""
    secret_key: TSecretStrValue | None = None
    """The project's secret key."""
    region: str = "us"
    """Where Amplitude keeps the project's data: `us` or `eu`."""
    base_url: str | None = None
    """Another address than the region's: https, unless it is this machine."""
    settle_hours: int = 6
    """How many hours after its end an hour without data becomes empty for good."""
    recheck_hours: int = 24
    """How many hours after its end an hour is compared with Amplitude's once more, and a last time after seven times as
    long; 0: never. An hour that was empty is asked for after three times as long, too."""
    look_again_hours: int = 100
    """How many hours a run may compare with Amplitude once more because a day has fewer events here; 0: none."""
    read_timeout_seconds: float = 600
    """How many seconds Amplitude may send nothing; it prepares a large zip before it sends the first byte."""
    max_rejected_share: float = 0.1
    """The share of an hour's rows, from 0 to 1, that may be rejected before a load and `status` report the hour."""
    export_bucket_url: str | None = None
    """Where Amplitude's own export writes, a folder, `s3://bucket/prefix` or `gs://bucket/prefix`: hours are read there
    instead of from the Export API. The credentials for S3 are the lake's, those for GCS are Google's default ones."""
    export_app: int | None = None
    """Amplitude's number of the project, needed if files of several lie there."""
    rest_resources: list[str] | None = None
    """What is loaded of Amplitude's REST APIs once a day, by the names of `load --only`. Default: all that the plan and
    the other settings allow."""
    cohorts: list[str] | None = None
    """The cohorts whose users are kept, by id or name, as `["Paying", "5mjbq8w"]`; `["all"]` for every one. Default:
    none."""
    cohort_requests_a_month: int = 400
    """How often a month Amplitude may be asked for the users of a cohort. It allows 500, to all clients together."""
    sampled_users: int = 20
    """How many users a day are compared with Amplitude's own word on who they are; 0: none. It allows 360 an hour."""
    experiment_key: TSecretStrValue | None = None
    """A key of the Experiment Management API, if experiments and flags are to be loaded."""
    experiment_url: str | None = None
    """Another address than the region's of that API: https, unless it is this machine."""
    lake: LakeConfiguration = None  # type: ignore[assignment]  # dlt resolves it, like every field without a default
    privacy: PrivacySettings = None  # type: ignore[assignment]  # as above
    work_dir: str = "data/work"
    """The folder of downloads on their way and of dlt's working files. Deleting it between two runs loses nothing."""
    exports: Annotated[ExportBucketConfiguration | None, NotResolved()] = None
    """The place of `export_bucket_url`."""

    @property
    def address(self) -> str:
        """Return the address of the API."""
        return self.base_url or REGIONS[self.region]

    @property
    def experiment_address(self) -> str:
        """Return the address of the Experiment Management API."""
        return self.experiment_url or EXPERIMENT_REGIONS[self.region]

    @property
    def newest_hour(self) -> datetime:
        """The newest hour that Amplitude can have made available by now."""
        return floor_hour(self.present - AVAILABLE_AFTER) - HOUR

    def is_settled(self, hour: datetime, asked_at: datetime) -> bool:
        """Whether a 404 for this hour, asked for then, is final."""
        return asked_at >= hour + HOUR + self.settle_hours * HOUR

    @property
    def kept_from(self) -> datetime:
        """Return the first hour whose files the lake keeps whatever happens."""
        days = self.lake.retention_days
        return datetime.min if days is None else floor_hour(self.present - timedelta(days=days))

    @property
    def work_path(self) -> Path:
        return Path(self.work_dir).expanduser()

    @property
    def pipelines_path(self) -> Path:
        """Return the folder of dlt's working files."""
        return self.work_path.absolute() / "pipelines"

    def check(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            AmplitudeError: with the variable, the value and what to write instead.
        """
        super().check()
        if self.region not in REGIONS:
            raise AmplitudeError(f"{self.variable('region')}: write us or eu, not {self.region!r}.")
        for name, address in {"base_url": self.address, "experiment_url": self.experiment_address}.items():
            if fault := address_fault(address):
                raise AmplitudeError(f"{self.variable(name)}: {fault}")
        for name in NOT_NEGATIVE:
            if (value := getattr(self, name)) < 0:
                raise AmplitudeError(f"{self.variable(name)}: write 0 or more, not {value:g}.")
        if self.lake.retention_days is not None and self.lake.retention_days < 1:
            raise AmplitudeError(
                f"{self.variable(RETENTION)}: write 1 or more, not {self.lake.retention_days}; leave it out to keep "
                "all files."
            )
        if self.sampled_users > MOST_SAMPLED_USERS:
            raise AmplitudeError(
                f"{self.variable('sampled_users')}: write {MOST_SAMPLED_USERS} or less, not {self.sampled_users}."
            )
        if "%" in str(self.work_path.absolute()):  # dlt puts the paths of its files into SQL with placeholders
            raise AmplitudeError(
                f"{VARIABLE_PREFIX}WORK_DIR: {self.work_path.absolute()} has a % in it; choose another."
            )


@configspec
class AlertSettings(BaseConfiguration):
    """`ALERTS__*`, or `[alerts]` of dlt's files."""

    webhook_url: TSecretStrValue | None = None
    """Where each message is posted, as `{"text": ...}`: an incoming webhook of Slack, or what takes the same."""
    command: str | None = None
    """A command that gets each message on its standard input, as `mail -s Amplitude ops@example.com`."""
    heartbeat_url: TSecretStrValue | None = None
    """An address that `alert` asks at its end, of a service that notices if nobody asks any more."""

    @property
    def has_channel(self) -> bool:
        """Whether messages go anywhere."""
        return bool(self.webhook_url or self.command)

    @property
    def words(self) -> list[str]:
        """Return the words of the command, none without one.

        Raises:
            AmplitudeError: it cannot be read as a command.
        """
        try:
            return shlex.split(self.command or "")
        except ValueError as error:
            raise AmplitudeError(f"{ALERTS_PREFIX}COMMAND cannot be read as a command: {error}.") from None

    def check(self) -> None:
        """Refuse values that mean nothing. A sentence never has an address, because that alone lets others write there.

        Raises:
            AmplitudeError: with the variable.
        """
        for name in ("webhook_url", "heartbeat_url"):
            if (address := getattr(self, name)) and not is_safe_address(address):
                raise AmplitudeError(
                    f"{ALERTS_PREFIX}{name.upper()}: its value is no address; write it whole, like "
                    "https://hooks.example.com/services/..."
                )
        if self.command and not self.words:
            raise AmplitudeError(f"{ALERTS_PREFIX}COMMAND has no words: write a command, or leave it out.")


@configspec
class DuckDbFile(BaseConfiguration):
    """`DESTINATION__DUCKDB__*`."""

    credentials: Any = "data/amplitude.duckdb"


@configspec
class DuckLakeCredentials(BaseConfiguration):
    """`DESTINATION__DUCKLAKE__CREDENTIALS__*`, by dlt's names."""

    catalog: ConnectionStringCredentials = None  # type: ignore[assignment]  # dlt resolves it
    """The PostgreSQL that has the catalogue, as `postgresql://user:password@host:5432/database`."""


@configspec
class DuckLakeSettings(BaseConfiguration):
    """`DESTINATION__DUCKLAKE__*`."""

    credentials: DuckLakeCredentials = None  # type: ignore[assignment]  # as above


def settle_settings(root: Path, started_with: Mapping[str, str] = os.environ) -> None:
    """Have dlt read the repository's files, make the environment whole from `.env`, and refuse unknown names.

    Args:
        root: the repository's folder, where `.env` and `.dlt` are.
        started_with: as for `environment.settle`.

    Raises:
        AmplitudeError: a file cannot be read, a name is misspelt, or two switches choose different warehouses.
    """
    settle_files(root, started_with)
    all_names().check(root)
    destination()


def settle_files(root: Path, started_with: Mapping[str, str] = os.environ) -> None:
    """Have dlt read the repository's files, and make the environment whole from `.env`, whatever names stand there.

    Args:
        root: as for `settle_settings`.
        started_with: as for `environment.settle`.

    Raises:
        AmplitudeError: a file cannot be read.
    """
    for name in DLT_FILES:
        if (root / name).is_file():
            check_toml(root / name)
    # Without a file of secrets dlt asks Streamlit, whose import takes a third of a second. No setting of ours is there.
    SettingsTomlProvider._read_streamlit_secrets = lambda *_: None  # type: ignore[method-assign,assignment]  # so it has none
    run_context = Container()[PluggableRunContext]
    if Path(run_context.context.run_dir).resolve() != root.resolve():
        run_context.reload(str(root))
    settle(root, started_with)


def all_names() -> Names:
    """Return the names of all settings."""
    from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
    from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration

    specs: dict[str, type[BaseConfiguration]] = {
        VARIABLE_PREFIX: AmplitudeSettings,
        ALERTS_PREFIX: AlertSettings,
        "DESTINATION__DUCKDB__": DuckDbClientConfiguration,
        "DESTINATION__DUCKLAKE__": DuckLakeSettings,
        "DESTINATION__SNOWFLAKE__": SnowflakeClientConfiguration,
    }
    switches = (DESTINATION_VARIABLE, GATEWAY_VARIABLE)
    return Names(specs, PROJECTS_PREFIX, (*switches, *SQLMESH_VARIABLES, *DASHBOARD_VARIABLES))


# Charts, DuckDB's memory, how sqlmesh signs in to Snowflake, and where it keeps its state: the environment has them,
# dlt's files do not.
SQLMESH_VARIABLES = {
    MORE_CHARTS_VARIABLE: "A folder of the repository with charts besides those of `sqlmesh/charts`, as the demo has.",
    MEMORY_VARIABLE: "How much memory DuckDB may take for silver and gold, as `4GB`. Default: half of the machine's.",
    "SQLMESH_SNOWFLAKE_USERNAME": "The user as whom sqlmesh signs in. Default: the pipeline's, as all of these.",
    "SQLMESH_SNOWFLAKE_PRIVATE_KEY_PATH": "The file of the user's private key.",
    "SQLMESH_SNOWFLAKE_ROLE": "The user's role.",
    "SQLMESH_SNOWFLAKE_WAREHOUSE": "The warehouse that computes.",
    "SQLMESH_SNOWFLAKE_HOST": "Another address than the account's.",
    "SQLMESH_SNOWFLAKE_PORT": "Its port. Default: 443.",
    "SQLMESH_SNOWFLAKE_MASKING": "1 sets the masking policies of `infra/snowflake/masking.sql` on each view.",
    "SQLMESH_STATE_HOST": "The host of the PostgreSQL that keeps SQLMesh's state; needed with Snowflake.",
    "SQLMESH_STATE_PORT": "Its port. Default: 5432.",
    "SQLMESH_STATE_DATABASE": "Its database. Default: sqlmesh.",
    "SQLMESH_STATE_USERNAME": "Its user. Default: sqlmesh.",
    "SQLMESH_STATE_PASSWORD": "The user's password.",
    "SQLMESH_STATE_SSLMODE": "libpq's sslmode. Default: require.",
    "SQLMESH_STATE_FILE": "With Snowflake, for trials: a DuckDB file for the state, instead of PostgreSQL.",
}

# How the dashboard signs in to Snowflake: the environment has them, dlt's files do not.
DASHBOARD_VARIABLES = {
    "DASHBOARD_SNOWFLAKE_USERNAME": "The user as whom the dashboard signs in. Default: the pipeline's, as all.",
    "DASHBOARD_SNOWFLAKE_PRIVATE_KEY_PATH": "The file of the user's private key.",
    "DASHBOARD_SNOWFLAKE_ROLE": "The user's role: AMPLITUDE_ANALYST can read what the pages show.",
    "DASHBOARD_SNOWFLAKE_WAREHOUSE": "The warehouse that computes.",
}


def destination() -> str:
    """Return where bronze lies: `duckdb`, `ducklake`, `snowflake` or `filesystem`.

    `AMPLITUDE_DESTINATION` chooses for both tools. `SQLMESH_GATEWAY`, SQLMesh's own switch, chooses where it stands
    alone.

    Raises:
        AmplitudeError: the two disagree, or there is no such destination.
    """
    chosen, gateway = os.environ.get(DESTINATION_VARIABLE), os.environ.get(GATEWAY_VARIABLE)
    by_gateway = next((name for name, of in GATEWAYS.items() if of == gateway), None)
    if chosen is None:
        return by_gateway or DESTINATIONS[0]
    if chosen not in DESTINATIONS:
        nearest = (*get_close_matches(chosen, DESTINATIONS, 1), "duckdb, ducklake, snowflake or filesystem")[0]
        raise AmplitudeError(f"{DESTINATION_VARIABLE}: write {nearest}, not {chosen!r}.")
    if by_gateway and by_gateway != chosen:
        raise AmplitudeError(
            f"{DESTINATION_VARIABLE}={chosen} and {GATEWAY_VARIABLE}={gateway} choose different warehouses: leave out "
            f"{GATEWAY_VARIABLE}."
        )
    return chosen


def warehouses(chosen: str) -> list[str]:
    """Return a warehouse, then each other one that the settings have credentials of."""
    return [chosen, *(name for name in GATEWAYS if name != chosen and _is_named(name))]


def _is_named(destination: str) -> bool:
    prefix, table = f"DESTINATION__{destination.upper()}__CREDENTIALS", f"destination.{destination}.credentials"
    in_environment = any(value for name, value in os.environ.items() if name.startswith(prefix))
    return in_environment or any(provider.get(table) for provider in (dlt.config, dlt.secrets))


def port(variable: str, default: int) -> int:
    """Return the port that a variable of the environment names.

    Raises:
        AmplitudeError: it names none.
    """
    text = os.environ.get(variable, str(default))
    if not text.isdecimal():
        raise AmplitudeError(f"{variable}: {text!r} is not a port; write a number such as {default}.")
    return int(text)


def duckdb_path(root: Path) -> Path:
    """Return the absolute path of the DuckDB file.

    Raises:
        AmplitudeError: the file has another name than the catalog, or it is not a file.
    """
    value = resolve(DuckDbFile(), ("destination", "duckdb")).credentials
    text = str(value.get("database", "") if isinstance(value, dict) else value)
    if text.startswith("duckdb:"):
        text = unquote(text.removeprefix("duckdb:").removeprefix("///").partition("?")[0])
    if ":" in text.partition("/")[0] and not Path(text).drive:
        raise AmplitudeError(f"{DUCKDB_VARIABLE}: {text!r} is not a file; write a path like data/{CATALOG}.duckdb.")
    path = root / Path(text).expanduser()
    if path.stem.lower() != CATALOG:
        raise AmplitudeError(
            f"{DUCKDB_VARIABLE}: name the file {CATALOG}.duckdb, not {path.name}: DuckDB names the "
            "catalog after it, and the views of silver and gold go by that name."
        )
    return path


def alert_settings() -> AlertSettings:
    """Resolve the settings of alerts.

    Raises:
        AmplitudeError: a value means nothing.
    """
    settings = resolve(AlertSettings(), ("alerts",))
    settings.check()
    return settings


def load_projects() -> list[AmplitudeSettings]:
    """The settings of every project, read as dlt does: environment, `.dlt/secrets.toml`, `.dlt/config.toml`.

    Raises:
        AmplitudeError: a project's name cannot be one, keys are set beside the projects' own, or a value means nothing.
    """
    projects = [project_settings(AmplitudeSettings(), name) for name in project_names()]
    refuse_future(min(projects, key=lambda settings: settings.first_hour))
    return projects


def refuse_future(settings: FirstHour) -> None:
    """Refuse a first hour that is still to come.

    Raises:
        AmplitudeError: it is.
    """
    if settings.first_hour > settings.present:
        raise AmplitudeError(
            f"{settings.variable('start_hour')}: {format_hour(settings.first_hour)} lies in the future; it is "
            f"{settings.present:%Y-%m-%dT%H:%M} UTC."
        )


def first_hours() -> list[FirstHour]:
    """Return what SQLMesh needs of each project, for which neither keys nor the lake are asked."""
    return [project_settings(FirstHour(), name) for name in project_names()]


def project_settings(settings: Settings, name: str) -> Settings:
    """Resolve the settings of one project: its own come first, from whatever place, then those of all projects."""
    settings.project = name
    with preferred(own_values(name)), told_credentials():
        resolved = resolve(settings, SECTIONS)
    resolved.project = name
    resolved.check()
    if isinstance(resolved, AmplitudeSettings) and resolved.export_bucket_url:
        resolved.exports = export_bucket(name, resolved.export_bucket_url)
    return resolved


def export_bucket(project: str, url: str) -> ExportBucketConfiguration:
    """Resolve a place that exported files are read from, with the credentials of the project's lake."""
    values = own_values(project)
    values["lake"] = {**values.get("lake", {}), "bucket_url": url}
    with preferred(values), told_credentials():
        return resolve(ExportBucketConfiguration(), (*SECTIONS, "lake"))


@contextmanager
def preferred(values: dict[str, Any]) -> Iterator[None]:
    """Have dlt take these settings of ours before those of any other place."""
    providers = Container()[PluggableRunContext].providers.providers
    own = DictionaryProvider()
    providers.insert(0, own)
    try:
        with own.values({"sources": {"amplitude": values}}):
            yield
    finally:
        providers.remove(own)


def own_values(project: str) -> dict[str, Any]:
    """Return what is set for one project alone; dlt would take any variable before any file."""
    values: dict[str, Any] = {}
    for provider in reversed(dlt.config.config_providers):
        if not isinstance(provider, EnvironProvider):
            update_dict_nested(values, provider.get_value(project, dict, "", *SECTIONS, "projects")[0] or {})
    prefix = f"{PROJECTS_PREFIX}{project.upper()}__"
    for variable in [name for name in os.environ if name.startswith(prefix)]:
        *sections, key = variable.removeprefix(prefix).lower().split("__")
        table = values
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = os.environ[variable]
    return values


def resolve(spec: Spec, sections: tuple[str, ...]) -> Spec:
    """Resolve a specification by dlt's providers.

    Raises:
        AmplitudeError: a setting is missing, or its value is of another type.
    """
    variable = spec.variable if isinstance(spec, FirstHour) else lambda name: "__".join((*sections, name)).upper()
    try:
        return resolve_configuration(spec, sections=sections)
    except ConfigValueCannotBeCoercedException as error:
        nested = next(
            (f"{name}__" for name, of in NESTED.items() if error.field_name in of.get_resolvable_fields()), ""
        )
        name, kind = variable(f"{nested}{error.field_name}"), getattr(error.hint, "__name__", error.hint)
        raise AmplitudeError(f"{name}: {str(error.field_value)!r} is not of the type {kind}.") from error
    except ConfigFieldMissingException as error:
        if not set(error.fields) <= spec.get_resolvable_fields().keys() - {"lake"}:
            raise  # of the lake's credentials
        names = ", ".join(variable(field) for field in error.fields)
        raise AmplitudeError(
            f"A setting is missing: set {names} in .env or the environment; .env.example lists them all."
        ) from error


def project_names() -> list[str]:
    """Return the names in the environment's variables and in dlt's files, sorted; only `default` if there are none.

    Raises:
        AmplitudeError: a name cannot be one, or keys are set beside the projects' own.
    """
    variables = [name.removeprefix(PROJECTS_PREFIX) for name in os.environ if name.startswith(PROJECTS_PREFIX)]
    names = {name.partition("__")[0].lower() for name in variables}
    for provider in (dlt.config, dlt.secrets):
        names |= (provider.get("sources.amplitude.projects") or {}).keys()
    for name in sorted(names):
        if not PROJECT_NAME.fullmatch(name):
            raise AmplitudeError(
                f"{PROJECTS_PREFIX}...: {name!r} cannot be a project's name; take letters, digits and single "
                "underscores, and a letter first."
            )
    if names and (dlt.secrets.get("sources.amplitude.api_key") or dlt.secrets.get("sources.amplitude.secret_key")):
        raise AmplitudeError(
            f"{VARIABLE_PREFIX}API_KEY and SECRET_KEY belong to a project of their own here: give it a name, as in "
            f"{PROJECTS_PREFIX}{min(names).upper()}__API_KEY."
        )
    return sorted(names) or [ONLY_PROJECT]


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
        raise AmplitudeError(f"{where}: {text!r} is not an ISO date and time.") from None


def parse_hour(text: str, where: str) -> datetime:
    """Parses an hour like `2026-06-01T00`, a date (its first hour), or Amplitude's own `20260601T00`.

    Raises:
        AmplitudeError: the text is none of these; `where` tells the user which setting or option is meant.
    """
    try:
        hour = as_utc(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise AmplitudeError(f"{where}: {text!r} is not an hour; write it like 2026-06-01T00 (UTC).") from None
    if hour != floor_hour(hour):
        raise AmplitudeError(f"{where}: {text!r} is not a full hour; write it like 2026-06-01T00 (UTC).")
    return hour


def parse_last_hour(text: str, where: str) -> datetime:
    """Parse the hour that ends a range: a date means its last hour.

    Raises:
        AmplitudeError: as for `parse_hour`.
    """
    hour = parse_hour(text, where)
    return hour + 23 * HOUR if DATE.fullmatch(text.strip()) else hour


def format_hour(hour: datetime) -> str:
    return hour.strftime("%Y-%m-%dT%H")


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """Every hour from `first` to `last`, both included."""
    return [first + i * HOUR for i in range((last - first) // HOUR + 1)]
