"""The environment that both tools read, and the names in it that are no settings.

A variable of the process comes first, then `.env`, then dlt's files; an empty value is none.
"""

import io
import logging
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import isclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import dlt
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import NotResolved
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from .errors import AmplitudeError
from .text_files import BYTE_ORDER_MARK, read_text
from .verbatim import is_broken

REFERENCE = "docs/reference/settings.md"
SECRET_FILES = (".env", ".dlt/secrets.toml")
NEARLY = 0.9  # how alike a name must be to one of ours to be taken for a misspelt one
SHORTEST = 10  # characters; dlt takes SETTLE_HOURS alone too, but a variable like REGIONS is likely somebody else's


def settle(root: Path, started_with: Mapping[str, str] = os.environ) -> None:
    """Complete this process's environment from `.env`.

    Args:
        root: the folder of `.env`.
        started_with: the environment before any other tool read `.env` into it. SQLMesh lets `.env` overrule the
            environment, against the habit of every other tool, so its values are put back from here.

    Raises:
        AmplitudeError: `.env` is not text in UTF-8, or the locale lacks a character of a value.
    """
    for name, value in read_dotenv(root / ".env").items():
        try:
            settle_variable(name, value, started_with)
        except UnicodeEncodeError:
            raise AmplitudeError(unusable(name)) from None
    for name in [name for name, value in os.environ.items() if not value and name.startswith(OURS)]:
        del os.environ[name]
    broken = [name for name, value in os.environ.items() if name.startswith(OURS) and is_broken(value)]
    if broken or is_broken(str(root)):
        raise AmplitudeError(unusable(broken[0] if broken else "The path of this folder"))


def settle_variable(name: str, value: str | None, started_with: Mapping[str, str]) -> None:
    """Set a variable of `.env`, unless the process had it before."""
    own = os.environ.get(name)
    if own == value:  # perhaps because it was overruled
        own = started_with.get(name)
    if chosen := own or value:
        os.environ[name] = chosen
    else:
        os.environ.pop(name, None)


def unusable(name: str) -> str:
    """Say why a text cannot be used: Python's encoding for the system's texts, which the locale chooses, lacks it."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return f"{name} is not text in UTF-8: write it anew."
    return f"{name} has characters that are not in this locale's {encoding}: set PYTHONUTF8=1 and run again."


def keep_private() -> None:
    """Have all that this process writes from now on be the user's alone, and the logs that it has open.

    SQLMesh opens its log before it reads any configuration.
    """
    os.umask(0o077)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_file():
            Path(handler.baseFilename).chmod(0o600)


def exposed(root: Path) -> list[str]:
    """Return a sentence for each file of secrets that other users of the machine can read."""
    paths = [root / name for name in SECRET_FILES]
    return [
        f"Other users of this machine can read the keys in {path}: run chmod 600 {shlex.quote(str(path))}"
        for path in paths
        if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    ]


def print_anything() -> None:
    """Have characters that the terminal's encoding lacks printed as their codes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def dotenv(path: Path) -> io.StringIO:
    """Return the text of a `.env` file, an empty one if it does not exist.

    Raises:
        AmplitudeError: as for `read_text`.
    """
    return io.StringIO(read_text(path).removeprefix(BYTE_ORDER_MARK) if path.is_file() else "")


def read_dotenv(path: Path) -> dict[str, str | None]:
    """Return the variables of a `.env` file, none if it does not exist."""
    return dotenv_values(stream=dotenv(path))


@dataclass(frozen=True)
class Name:
    """A name that somebody gave a value to."""

    name: str
    """As an environment variable, whatever file it stands in."""
    place: str
    spelling: str
    """How it is written in that place."""


class Names:
    """The names of all settings.

    Args:
        specs: dlt's specifications by the prefix of their variables, as `DESTINATION__DUCKDB__`.
        projects: the prefix that the name of a project follows; it takes the settings of the first specification.
        variables: names that only the environment has.
    """

    def __init__(self, specs: Mapping[str, type[BaseConfiguration]], projects: str, variables: tuple[str, ...]) -> None:
        self._projects = projects
        self._own = next(iter(specs))
        fields = {prefix: set(_names(spec)) for prefix, spec in specs.items()}
        self._fields = fields[self._own]
        self._open = tuple(f"{prefix}{name}" for prefix, names in fields.items() for name in names if name[-1] == "_")
        self._known = {f"{prefix}{name.rstrip('_')}" for prefix, names in fields.items() for name in names}
        self._known |= set(variables)
        self._short = {name for name in self._fields if "__" not in name and len(name) >= SHORTEST}

    def check(self, root: Path) -> None:
        """Refuse what is no setting, in the environment, `.env` and dlt's files.

        Raises:
            AmplitudeError: with the place of the name and the nearest setting.
        """
        for complaint in self.complaints(root):
            raise AmplitudeError(complaint)

    def complaints(self, root: Path) -> Iterator[str]:
        """Yield a sentence for each name that is no setting."""
        for given in (*_in_dotenv(root / ".env"), *_in_environment(), *_in_files()):
            if complaint := self.complaint(given):
                yield complaint

    def complaint(self, given: Name) -> str | None:
        """Return the sentence for a name that is no setting, None for one that is or that is not ours."""
        name = given.name
        if name in self._known | self._short or name.startswith(self._open):
            return None
        if name.startswith(self._projects):
            return self._of_project(given)
        near = get_close_matches(name, self._known | self._short, n=1, cutoff=NEARLY)
        if name.startswith(OURS):
            return _sentence(given, near or get_close_matches(name, self._known, n=1, cutoff=0))
        return _sentence(given, near) if near else None

    def _of_project(self, given: Name) -> str | None:
        project, _, field = given.name.removeprefix(self._projects).partition("__")
        own = {f"{self._projects}{project}__{name}" for name in self._fields}
        known = {name for name in own if name[-1] != "_"}
        if given.name in known or given.name.startswith(tuple(own - known)):
            return None
        if not field:
            return f"{given.spelling} ({given.place}) names no setting of a project: write {given.name}__API_KEY."
        return _sentence(given, get_close_matches(given.name, known, n=1, cutoff=0))


# Names with these prefixes are this project's alone.
OURS = (
    "SOURCES__AMPLITUDE__",
    "ALERTS__",
    "DESTINATION__DUCKDB__",
    "DESTINATION__DUCKLAKE__",
    "DESTINATION__SNOWFLAKE__",
    "SQLMESH_STATE_",
    "SQLMESH_SNOWFLAKE_",
    "DASHBOARD_SNOWFLAKE_",
    "AMPLITUDE_DESTINATION",
    "SQLMESH_GATEWAY",
)


def _sentence(given: Name, nearest: list[str]) -> str:
    hint = f" Did you mean {nearest[0].rstrip('_')}?" if nearest else ""
    return f"{given.spelling} ({given.place}) is not a setting.{hint} {REFERENCE} lists them all."


def _names(spec: type[BaseConfiguration], prefix: str = "") -> Iterator[str]:
    """Yield the names of a specification's settings; below one that ends in `_` there may be anything."""
    for field, hint in spec.get_resolvable_fields().items():
        notes = getattr(hint, "__metadata__", ())
        if get_origin(hint) is Final or any(isinstance(note, NotResolved) for note in notes):
            continue
        name = f"{prefix}{field.upper()}"
        yield name
        if _takes_mapping(hint):
            yield f"{name}__"
        for nested in _specs(hint):
            yield from _names(nested, f"{name}__")


def _specs(hint: Any) -> list[type[BaseConfiguration]]:
    if isclass(hint) and issubclass(hint, BaseConfiguration):
        return [hint]
    return [spec for part in get_args(hint) for spec in _specs(part)]


def _takes_mapping(hint: Any) -> bool:
    return get_origin(hint) is dict or any(_takes_mapping(part) for part in get_args(hint))


def _in_dotenv(path: Path) -> Iterator[Name]:
    for binding in parse_stream(dotenv(path)):
        if binding.key and binding.value:
            yield Name(binding.key, f".env, line {binding.original.line}", binding.key)


def _in_environment() -> Iterator[Name]:
    for name, value in os.environ.items():
        if value:
            yield Name(name, "environment", name)


def _in_files() -> Iterator[Name]:
    """Yield what stands in dlt's files below our sections."""
    for provider in dlt.config.config_providers:
        if provider.is_empty or not provider.name.endswith(".toml"):
            continue
        for section in ("sources", "alerts", "destination"):
            tree, _ = provider.get_value(section, dict, "")
            for path in _paths(tree or {}):
                table = ".".join((section, *path[:-1]))
                yield Name("__".join((section, *path)).upper(), f".dlt/{provider.name}", f"[{table}] {path[-1]}")


def _paths(tree: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            for path in _paths(value):
                yield (key, *path)
        else:
            yield (key,)
