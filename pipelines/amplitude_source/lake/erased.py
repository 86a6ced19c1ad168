"""Persons who were erased: of whom nothing comes into the archive, and so nothing out of it.

raw/project=<project>/erased/persons.json          their ids as keyed hashes
raw/project=<project>/erased/unfinished.json       an erasure that has begun
raw/project=<project>/erased/hours/<hour>.json     what that has rewritten
raw/project=<project>/erased/<time>-<digits>.json  a certificate

A line is a person's by its own `user_id` or `amplitude_id`. One that is no JSON is theirs if it has such a key with
their id anywhere.
"""

import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from ..errors import AmplitudeError
from ..verbatim import Members, is_too_deep, read
from .privacy import HASH_KEY_SETTING, PrivacySettings
from .storage import Lake

KINDS = ("user_id", "amplitude_id")
QUOTED = tuple(f'"{kind}"'.encode() for kind in KINDS)
ID_ANYWHERE = re.compile(rb'"(user_id|amplitude_id)"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)')
MAX_LINE_BYTES = 16 << 20
"""A line that is longer is no event; its beginning shows whose it is."""
KNOWN_IDS = 1 << 16
PERSONS = "erased/persons.json"
KEY_CHECK = "the key of the list of erased persons"

Found = Counter[tuple[str, ...]]
"""How many lines were found, by the hashes of the ids that they have."""


class Id(NamedTuple):
    """What Amplitude or the product calls a person."""

    kind: str
    """One of `KINDS`."""
    text: str


class Hasher:
    """Makes the keyed hashes of ids.

    Args:
        key: of HMAC-SHA256.
    """

    def __init__(self, key: str) -> None:
        self._new = hmac.new(key.encode(), digestmod="sha256").copy
        self.check = self._hash(KEY_CHECK)
        """Shows whether two keys are the same."""

    def of(self, id_: Id) -> str:
        """Return the hash of an id. Two kinds of ids never share one."""
        return self._hash(f"{id_.kind}\0{id_.text}")

    def _hash(self, text: str) -> str:
        keyed = self._new()
        keyed.update(text.encode("utf-8", "surrogatepass"))
        return keyed.hexdigest()


class Erased:
    """Whom a project has erased.

    Args:
        hasher: has the key.
        hashes: of their ids.
        user_id_rule: what the privacy rules make of a user_id, if they hash it: the archive has that, Amplitude does
            not.
    """

    def __init__(
        self, hasher: Hasher, hashes: Collection[str], user_id_rule: Callable[[Any], Any] | None = None
    ) -> None:
        self.hasher = hasher
        self.hashes = frozenset(hashes)
        self._rule = user_id_rule
        self._hash_if_erased = lru_cache(KNOWN_IDS)(self._looked_up)

    def with_hashes(self, hashes: Iterable[str]) -> "Erased":
        """Return these persons and others."""
        return Erased(self.hasher, self.hashes | {*hashes}, self._rule)

    def hash_if_erased(self, kind: str, value: object) -> str | None:
        """Return the hash of an id of an erased person; None for any other value."""
        return self._hash_if_erased(kind, str(value)) if isinstance(value, str | int) and value != "" else None

    def names_of(self, id_: Id) -> list[Id]:
        """Return an id as lines have it: as it is, and as the privacy rules write it."""
        return [id_, Id(id_.kind, self._rule(id_.text))] if self._rule and id_.kind == "user_id" else [id_]

    def _looked_up(self, kind: str, text: str) -> str | None:
        hashes = map(self.hasher.of, self.names_of(Id(kind, text)))
        return next((hash_ for hash_ in hashes if hash_ in self.hashes), None)

    def owns(self, line: bytes) -> bool:
        """Return whether a line is of one of these persons."""
        return not self._is_kept(line, Found())

    def others(self, rows: pa.Table, columns: Iterable[str]) -> pa.Table:
        """Return the rows of a table that are of nobody of these persons.

        Args:
            rows: of any columns.
            columns: those that have ids, or JSON arrays of ids; the table need not have all of them.
        """
        for column in set(columns) & set(rows.column_names):
            is_kept = [not self.names_one(column, value) for value in rows[column].to_pylist()]
            rows = rows.filter(pa.array(is_kept, pa.bool_()))
        return rows

    def names_one(self, column: str, value: object) -> bool:
        """Return whether the value of a column with ids, or with a JSON array of them, names one of these persons."""
        kind = "user_id" if column.lower() == "user_id" else "amplitude_id"
        values = orjson.loads(value) if isinstance(value, str) and column.endswith("_ids") else value
        each = values if isinstance(values, list) else [values]
        return any(self.hash_if_erased(kind, one) for one in each)

    def kept(self, text: Iterable[bytes], found: Found) -> Iterator[bytes]:
        """Yield pieces of a text without the lines of these persons; the others stay, byte for byte.

        Args:
            text: pieces of any size.
            found: is brought up to date.
        """
        return (piece for is_kept, piece in self._parted(text, found) if is_kept)

    def theirs(self, text: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines of these persons, in pieces."""
        return (piece for is_kept, piece in self._parted(text, Found()) if not is_kept)

    def _parted(self, text: Iterable[bytes], found: Found) -> Iterator[tuple[bool, bytes]]:
        held, size, is_kept = list[bytes](), 0, None
        for piece in text:
            *lines, rest = piece.split(b"\n")
            parts = [line + b"\n" for line in lines] + ([rest] if rest else [])
            for number, part in enumerate(parts):
                held.append(part)
                size += len(part)
                is_end = number < len(lines)
                if is_kept is None and (is_end or size > MAX_LINE_BYTES):
                    is_kept = self._is_kept(b"".join(held), found)
                if is_kept is not None:
                    yield is_kept, b"".join(held)
                    held.clear()
                if is_end:
                    size, is_kept = 0, None
        if held:
            yield self._is_kept(b"".join(held), found), b"".join(held)

    def _is_kept(self, line: bytes, found: Found) -> bool:
        hashes = [hash_ for kind, value in ids_of(line) if (hash_ := self.hash_if_erased(kind, value))]
        if hashes:
            found[tuple(hashes)] += 1
        return not hashes


def ids_of(line: bytes) -> Iterator[tuple[str, object]]:
    """Yield the ids that a line carries as its own, or anywhere where it is no JSON object."""
    row = row_of(line)
    if row is None:
        for kind, value in ID_ANYWHERE.findall(line):
            yield kind.decode(), text_of(value)
    elif isinstance(row, dict):
        for kind in KINDS:
            yield kind, row.get(kind)
    else:
        yield from (member for member in row if member[0] in KINDS)


def row_of(line: bytes) -> dict[str, Any] | Members | None:
    """Return a line as an object, as `Members` where a key of it comes twice; None where it is no object."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if isinstance(row, dict) and all(line.count(key) <= 1 for key in QUOTED):
        return row
    try:
        members = None if is_too_deep(line) else read(line)
    except ValueError:
        return None
    return members if isinstance(members, Members) else None


def text_of(value: bytes) -> str:
    """Return a text or a number as a line writes it."""
    try:
        return str(orjson.loads(value))
    except orjson.JSONDecodeError:
        return value.strip(b'"').decode("utf-8", "surrogateescape")


@dataclass
class Rewritten:
    """An hour of the archive that an erasure rewrites: its files before and after, and the lines that they lose."""

    hour: str
    before: dict[str, str]
    """The SHA-256 of each file by its name."""
    after: dict[str, str]
    erased: dict[str, int]
    """How many lines a file has lost in all, by earlier erasures too; files that lost none are not in it."""
    known: dict[str, int]
    """How many of these it had lost before."""
    elsewhere: list[str] = field(default_factory=list)
    """Addresses of files outside of the lake, which stay as they are."""


@dataclass
class Unfinished:
    """An erasure from its first write to its certificate."""

    name: str
    """Of the certificate; no two erasures share one."""
    started_at: str
    version: str
    hashes: list[str]
    """Of the ids that it is about."""
    counts: dict[str, int]
    """By table, the rows of these persons before."""
    restate_from: str | None = None
    """The first hour that silver and gold must take in again."""
    is_restated: bool = False
    unarchived: dict[str, int] = field(default_factory=dict)
    """How many rows bronze loses of each hour whose files retention has removed."""


class ErasedFolder:
    """A project's part of the lake about erased persons.

    Args:
        lake: of the settings.
        root: the project's folder in it.
        privacy: the settings that have the key.
    """

    def __init__(self, lake: Lake, root: str, privacy: PrivacySettings) -> None:
        self._lake, self._root, self._privacy = lake, f"{root}/erased", privacy

    def persons(self) -> Erased | None:
        """Return the persons who are erased, those of an unfinished erasure too; None where nobody ever was.

        Raises:
            AmplitudeError: the list or the key is missing, or the key is another one than that of the list.
        """
        paths = [path for path in self._lake.paths(self._root) if path.endswith(".json")]
        if not paths:
            return None
        if not {f"{self._root}/persons.json", f"{self._root}/unfinished.json"} & {*paths}:
            raise AmplitudeError(
                f"{self._root}/persons.json is missing in the lake, though {paths[0]} is there: restore it, or "
                "erased persons would come back."
            )
        erased = self.nobody()
        for name in ("persons", "unfinished"):
            if (path := f"{self._root}/{name}.json") in paths:
                stated = self._read(path)
                if stated["key_check"] != erased.hasher.check:
                    raise AmplitudeError(
                        f"{HASH_KEY_SETTING} is not the key with which {path} of the lake was written: set that key "
                        "again, or erased persons would come back."
                    )
                erased = erased.with_hashes(stated["hashes"])
        return erased

    def nobody(self) -> Erased:
        """Return a list of no persons, with the key.

        Raises:
            AmplitudeError: the key is missing.
        """
        self._privacy.keyed_hash(needed_by="the list of erased persons")
        return nobody(self._privacy, str(self._privacy.hash_key))

    def unfinished(self) -> Unfinished | None:
        """Return an erasure that was begun and has no certificate yet."""
        try:
            stated = self._read(f"{self._root}/unfinished.json")
        except FileNotFoundError:
            return None
        del stated["key_check"]
        return Unfinished(**stated)

    def note(self, unfinished: Unfinished) -> None:
        """Write down how far an erasure is. From here on, no line of its persons passes."""
        self._write("unfinished", {"key_check": self.nobody().hasher.check, **asdict(unfinished)})

    def rewritten(self, hour: datetime) -> Rewritten | None:
        """Return what the erasure does, or has done, to an hour."""
        try:
            return Rewritten(**self._read(self._hour_path(hour)))
        except FileNotFoundError:
            return None

    def all_rewritten(self) -> list[Rewritten]:
        """Return what the erasure has done to each hour."""
        paths = self._lake.paths(f"{self._root}/hours")
        return [Rewritten(**self._read(path)) for path in paths if path.endswith(".json")]

    def note_hour(self, hour: datetime, rewritten: Rewritten) -> None:
        """Write down what becomes of an hour, before it is done."""
        self._lake.write(self._hour_path(hour), as_json(asdict(rewritten)))
        self._lake.sync()

    def certificate_path(self, unfinished: Unfinished) -> str:
        """Return where in the lake the certificate of an erasure belongs."""
        return f"{self._root}/{unfinished.name}.json"

    def is_certified(self, unfinished: Unfinished) -> bool:
        """Return whether an erasure has its certificate already."""
        return self.certificate_path(unfinished) in self._lake.paths(self._root)

    def certify(self, unfinished: Unfinished, certificate: dict[str, object]) -> None:
        """Write the list of persons, then the certificate."""
        erased = (self.persons() or self.nobody()).with_hashes(unfinished.hashes)
        self._write("persons", {"key_check": erased.hasher.check, "hashes": sorted(erased.hashes)})
        self._lake.write(self.certificate_path(unfinished), as_json(certificate))
        self._lake.sync()

    def close(self) -> None:
        """Forget how far a certified erasure was."""
        for path in self._lake.paths(f"{self._root}/hours"):
            self._lake.remove(path)
        self._lake.remove(f"{self._root}/unfinished.json")

    def _hour_path(self, hour: datetime) -> str:
        return f"{self._root}/hours/{hour:%Y-%m-%dT%H}.json"

    def _read(self, path: str) -> dict[str, Any]:
        try:
            stated: dict[str, Any] = json.loads(self._lake.read(path))
        except ValueError as error:
            raise AmplitudeError(f"{path} of the lake is damaged ({error}): restore it from a backup.") from error
        return stated

    def _write(self, name: str, content: dict[str, object]) -> None:
        self._lake.write(f"{self._root}/{name}.json", as_json(content))
        self._lake.sync()


def nobody(privacy: PrivacySettings, key: str) -> Erased:
    """Return a list of no persons.

    Args:
        privacy: may have a rule that hashes user_id.
        key: of the list.
    """
    rule = privacy.keyed_hash("user_id").hashed if "user_id" in privacy.hash else None
    return Erased(Hasher(key), (), rule)


def as_json(content: dict[str, Any]) -> bytes:
    """Return JSON for the lake."""
    return json.dumps(content, indent=2).encode()


def joined(one: bytes, other: bytes) -> bytes:
    """Return the list of the persons of two lists.

    Raises:
        AmplitudeError: they were written with two keys.
    """
    lists = [json.loads(text) for text in (one, other)]
    if lists[0]["key_check"] != lists[1]["key_check"]:
        raise AmplitudeError(
            f"Both projects have erased persons, by two keys of {HASH_KEY_SETTING}: they cannot become one project."
        )
    hashes = sorted({*lists[0]["hashes"], *lists[1]["hashes"]})
    return as_json({"key_check": lists[0]["key_check"], "hashes": hashes})
