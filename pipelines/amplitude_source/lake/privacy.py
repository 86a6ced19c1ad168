"""Drop, null or hash personal data of an export before a byte of it is kept anywhere.

A rule is the path to a value: keys joined by `/`, from a column inwards (`ip_address`, `user_properties/email`), where
`~1` stands for a `/` in a key and `~0` for a `~`. A list has no step of its own in a path: a rule holds for each of its
elements. A path that is not in a row does nothing there; one that is in no row of a load is reported, with the nearest
that is. Everything that no rule names stays as it is, down to how a number is written.

A hash replaces a text (by its UTF-8), a number or a boolean (by its JSON text, like a text of the same characters), and
each leaf of a list or an object, whose keys stay. A value has the same hash everywhere, so that joins survive. Null and
an empty text, which stand for no device and no user, stay as they are.

Odd values do not cost a row here either (see `odd_values.py`): the line passes with half of a character, a key that
comes twice or NaN still in it, and rules hold for such values as for others. A key with half of a character may be one
that a rule was meant for. Where a rule leads to its object, its value is withheld.
"""

import hmac
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import orjson
from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from ..errors import AmplitudeError
from ..tables import EXPORT_COLUMNS, EXPORT_TYPES, REQUIRED_KEYS
from ..verbatim import Members, is_broken, is_too_deep, read, written
from .key_paths import KeyPath, Keys, collect_keys, format_path, nearest_path, parse_path

SETTINGS = "SOURCES__AMPLITUDE__PRIVACY"
PROFILE_SETTING = f"{SETTINGS}__PROFILE"
HASH_KEY_SETTING = f"{SETTINGS}__HASH_KEY"
# A profile nulls: its columns stay, as do country and region. What an app sends as a property of its own is not in it.
PROFILES = {"ip_and_location": ("ip_address", "location_lat", "location_lng", "city", "dma")}
# By these silver tells the copies of one event, which their hashes do as well.
COPY_KEYS = ("device_id", "$insert_id")
MIN_KEY_CHARACTERS = 16
MAX_LINE_BYTES = 16 << 20
SAMPLED_ROWS = 10_000  # of a run, to know what keys there are; it takes 0.15 s, and only while a rule has met none
GZIP_LEVEL = 3  # measured: at level 6 files are a fifth smaller, and the whole takes half as long again

Change: TypeAlias = Callable[[Any], Any]  # from a value to what takes its place
Rules: TypeAlias = "dict[str, Step | Rules]"


@configspec
class PrivacySettings(BaseConfiguration):
    """`SOURCES__AMPLITUDE__PRIVACY__*`, or `[sources.amplitude.privacy]` of `.dlt/config.toml`."""

    profile: str | None = None
    """Ready rules that come on top: one of `PROFILES`."""
    drop: list[str] = field(default_factory=list)
    """Values that go together with their keys."""
    null: list[str] = field(default_factory=list)
    """Values that become null. Without `user_id` visits no longer merge into logins, without `session_id` no session
    is counted."""
    hash: list[str] = field(default_factory=list)
    """Values that become their HMAC-SHA256 under `hash_key`, in hexadecimal digits."""
    hash_key: TSecretStrValue | None = None
    """Keep it: under another key, the users and devices that are hashed come back as new ones. The list of erased
    persons goes by it, too."""

    def redactor(self) -> "Redactor | None":
        """What puts the rules into effect; None where there are none.

        Raises:
            AmplitudeError: a rule cannot be followed, or falls under another one.
        """
        rules = list(self._rules())
        for rule in rules:
            if objection := rule.objection():
                raise AmplitudeError(f"{rule.setting}: {rule.path!r} {objection}.")
        for one, other in pairwise(sorted(rules, key=lambda rule: rule.keys)):
            if other.keys[: len(one.keys)] == one.keys:
                raise AmplitudeError(
                    f"{other.setting}: {other.path!r} falls under {one.path!r} of {one.setting} too; keep one of them."
                )
        keyed = self._keyed_hash()
        return Redactor(rules, keyed) if rules else None

    def covers(self, path: KeyPath) -> bool:
        """Whether a rule is for a path, or for one above it."""
        return any(path[: len(rule.keys)] == rule.keys for rule in self._rules())

    def doubts(self) -> list[str]:
        """Return a sentence for each rule whose column Amplitude's export does not have, but one that resembles it.

        Such a rule is followed all the same, because a column may be new.
        """
        found = []
        for rule in self._rules():
            nearest = nearest_path(rule.keys[:1], {column: {} for column in EXPORT_COLUMNS})
            if rule.keys[0] not in EXPORT_COLUMNS and nearest:
                found.append(
                    f"{rule.setting}: {rule.path!r} begins with no known column of Amplitude's export; did you mean "
                    f"{format_path((*nearest, *rule.keys[1:]))}?"
                )
        return found

    def _rules(self) -> Iterator["Rule"]:
        if self.profile and self.profile not in PROFILES:
            names = ", ".join(PROFILES)
            raise AmplitudeError(f"{SETTINGS}__PROFILE: there is no {self.profile!r}; write one of these: {names}.")
        lists = {
            "PROFILE": ("null", PROFILES[self.profile] if self.profile else ()),
            "DROP": ("drop", self.drop),
            "NULL": ("null", self.null),
            "HASH": ("hash", self.hash),
        }
        for name, (action, paths) in lists.items():
            yield from (Rule.parse(action, path, f"{SETTINGS}__{name}") for path in paths)

    def _keyed_hash(self) -> "KeyedHash | None":
        return self.keyed_hash(f"{SETTINGS}__HASH") if self.hash or self.hash_key else None

    def keyed_hash(self, needed_by: str) -> "KeyedHash":
        """Return the hash under the key of the settings.

        Args:
            needed_by: what has a use for it, for the sentence.

        Raises:
            AmplitudeError: there is no key, or too short a one.
        """
        if not self.hash_key or len(self.hash_key) < MIN_KEY_CHARACTERS:
            raise AmplitudeError(
                f"{HASH_KEY_SETTING}, which {needed_by} needs, is missing or shorter than {MIN_KEY_CHARACTERS} "
                "characters; set it to a long random text (openssl rand -hex 32 gives one) and keep it."
            )
        return KeyedHash(self.hash_key)


class Rule(NamedTuple):
    """What happens to the values at a path, and the setting that says so."""

    action: str
    keys: KeyPath
    path: str
    setting: str

    @classmethod
    def parse(cls, action: str, path: str, setting: str) -> "Rule":
        try:
            return cls(action, parse_path(path), path, setting)
        except (ValueError, AttributeError):  # it may be of any type
            raise AmplitudeError(
                f"{setting}: {path!r} is no path; write a column, or keys joined by / as in user_properties/email."
            ) from None

    def objection(self) -> str | None:
        """Why the rule cannot be followed, and what to do instead."""
        column, *inner = self.keys
        type_ = EXPORT_TYPES.get(column, "json")  # a key that is not known may hold anything
        if column in REQUIRED_KEYS:
            return "is what no row can be loaded without; take it out of the list"
        if inner and type_ != "json":
            return f"leads into {column}, which has no values inside; write {column} itself"
        if column in COPY_KEYS and self.action != "hash":
            return f"tells the copies of an event; put it into {SETTINGS}__HASH instead"
        if self.action == "hash" and type_ not in ("text", "json"):
            return f"is a {type_}, which a hash is not; put it into {SETTINGS}__NULL instead"
        return None


class KeyedHash:
    """HMAC-SHA256 under a key."""

    def __init__(self, key: str) -> None:
        self.new = hmac.new(key.encode(), digestmod="sha256").copy

    def hashed(self, value: Any) -> Any:
        """Return a value with a hash in place of each leaf."""
        if value is None or value == "":
            return value
        if isinstance(value, dict | Members):
            members = []
            for key, inner in value.items():
                members.append((key, self.hashed(inner)))
            return type(value)(members)
        if isinstance(value, list):
            elements = []
            for inner in value:
                elements.append(self.hashed(inner))
            return elements
        keyed = self.new()
        keyed.update(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else orjson.dumps(value))
        return keyed.hexdigest()


DROPPED = object()
"""Takes the place of a value that goes together with its key."""


class Step(NamedTuple):
    """What a rule does once its last key is met."""

    number: int
    """Of the rule."""
    change: Change


def tree(rules: Iterable[Rule], keyed: KeyedHash | None) -> Rules:
    """Return what becomes of which key, level by level."""
    changes: dict[str, Change] = {"drop": lambda _: DROPPED, "null": lambda _: None}
    if keyed:
        changes["hash"] = keyed.hashed
    root: dict[str, Any] = {}
    for number, rule in enumerate(rules):
        *outer, last = rule.keys
        level = root
        for key in outer:
            level = level.setdefault(key, {})
        level[last] = Step(number, changes[rule.action])
    return root


@dataclass
class Effects:
    """What the rules did to some rows: counts, and never a value."""

    rules: list[Rule]
    sample: Keys
    """The keys of the first rows, to name the nearest one to a rule that met none."""
    rows: int = 0
    met: list[int] = field(default_factory=list)
    """By rule, how often its key was there."""
    values: list[int] = field(default_factory=list)
    """By rule, how often the key had a value: neither null nor an empty text."""

    def __post_init__(self) -> None:
        self.met = self.met or [0] * len(self.rules)
        self.values = self.values or [0] * len(self.rules)

    def __add__(self, other: "Effects") -> "Effects":
        """Return the effects on both their rows; the rules are the same."""
        met, values = (
            [one + more for one, more in zip(*counts, strict=True)]
            for counts in ((self.met, other.met), (self.values, other.values))
        )
        return Effects(self.rules, self.sample, self.rows + other.rows, met, values)

    def by_action(self) -> dict[str, int]:
        """Return how many values were dropped, nulled and hashed, where there are rules for it."""
        counts: dict[str, int] = {}
        for rule, values in zip(self.rules, self.values, strict=True):
            counts[rule.action] = counts.get(rule.action, 0) + values
        return counts

    def unmet(self) -> list[str]:
        """Return a sentence for each of the user's own rules whose key was in no row."""
        found = []
        for rule, met in zip(self.rules, self.met, strict=True):
            if self.rows and not met and rule.setting != PROFILE_SETTING:
                is_known = rule.path in EXPORT_COLUMNS  # so it is spelled right
                nearest = None if is_known else nearest_path(rule.keys, self.sample)
                hint = f"; did you mean {format_path(nearest)}?" if nearest else "."
                found.append(
                    f"{rule.setting}: {rule.path!r} is in none of {self.rows:,} rows, so the rule did nothing{hint}"
                )
        return found


def follow(rules: Rules, value: Any, effects: Effects) -> None:
    """Change a value as the rules for it say, and count what they did."""
    if isinstance(value, dict):
        for key, rule in rules.items():
            if key in value:
                value[key] = followed(rule, value[key], effects)
                if value[key] is DROPPED:
                    del value[key]
    elif isinstance(value, Members):
        members = Members()
        for key, inner in value:
            if is_broken(key):  # a rule may have meant it
                members.append((key, "withheld by the privacy rules: its key has half of a character"))
                continue
            changed = followed(rules[key], inner, effects) if key in rules else inner
            if changed is not DROPPED:
                members.append((key, changed))
        value[:] = members
    elif isinstance(value, list):
        for element in value:
            follow(rules, element, effects)


def followed(rule: "Step | Rules", value: Any, effects: Effects) -> Any:
    """Return what takes the place of the value of a key that a rule names, or below which rules go on."""
    if isinstance(rule, dict):
        follow(rule, value, effects)
        return value
    number, change = rule
    effects.met[number] += 1
    if value is not None and value != "":
        effects.values[number] += 1
    return change(value)


class Redactor:
    """Puts privacy rules into effect. Never twice on the same text, because a hash would be hashed again."""

    def __init__(self, rules: list[Rule], keyed: KeyedHash | None) -> None:
        self._rules = rules
        self._tree = tree(rules, keyed)
        self._keyed = keyed
        self._sample: Keys = {}
        self._sampled_rows = 0

    def no_effects(self) -> Effects:
        """Return counts that start from nothing."""
        return Effects(self._rules, self._sample)

    def redact(self, text: Iterable[bytes], effects: Effects | None = None) -> Iterator[bytes]:
        """Yield pieces of a gzip file from pieces of an export's unzipped text.

        The bytes depend on the text alone, and each line gives a line. One that is not understood may hide what a rule
        is about: a JSON text that says so takes its place, which is no row and ends in the rejected rows.

        Args:
            text: pieces of any size.
            effects: brought up to date line by line.
        """
        yield from gzipped(self._lines(text, effects or self.no_effects()))

    def try_on(self, texts: Iterable[Iterable[bytes]]) -> Effects:
        """Return what the rules would do to members of an export, which stay as they are."""
        effects = self.no_effects()
        for text in texts:
            deque(self.redact(text, effects), maxlen=0)
        return effects

    def _lines(self, text: Iterable[bytes], effects: Effects) -> Iterator[bytes]:
        line = Line(self._keyed)
        for piece in text:
            *ends, rest = piece.split(b"\n")
            for end in ends:
                line.add(end)
                yield self._redacted(line, effects) + b"\n"
                line = Line(self._keyed)
            line.add(rest)
        yield self._redacted(line, effects)

    def _redacted(self, line: "Line", effects: Effects) -> bytes:
        try:
            text = line.text()
            content = text.removesuffix(b"\r")
            if not content:
                return text
            row = understood(content)
        except NotUnderstoodError as error:
            return line.withheld(str(error))
        effects.rows += 1
        if self._sampled_rows < SAMPLED_ROWS and 0 in effects.met:
            self._sampled_rows += 1
            collect_keys(self._sample, row)
        follow(self._tree, row, effects)
        return as_line(row) + text[len(content) :]


def gzipped(text: Iterable[bytes]) -> Iterator[bytes]:
    """Yield pieces of a gzip file, whose bytes depend on the text alone."""
    gzip = zlib.compressobj(GZIP_LEVEL, wbits=31)
    for piece in text:
        if packed := gzip.compress(piece):
            yield packed
    yield gzip.flush()


class NotUnderstoodError(Exception):
    """A line that must not pass; the reason, and nothing of the line."""


class Line:
    """A line on its way in; of one that is too long nothing is held but its size and its hash."""

    def __init__(self, keyed: KeyedHash | None) -> None:
        self._keyed = keyed
        self._hmac: hmac.HMAC | None = None
        self._held: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._held.append(part)
        self._size += len(part)
        if self._size > MAX_LINE_BYTES:
            self._let_go()

    def text(self) -> bytes:
        if self._size > MAX_LINE_BYTES:
            raise NotUnderstoodError("too long")
        return b"".join(self._held)

    def withheld(self, reason: str) -> bytes:
        """What stands in for the line, with a hash of it if there is a key: without one its text could be guessed."""
        self._let_go()
        digest = f", HMAC-SHA256 {self._hmac.hexdigest()}" if self._hmac else ""
        return orjson.dumps(f"withheld by the privacy rules: {reason}, {self._size} bytes{digest}")

    def _let_go(self) -> None:
        if self._keyed:
            self._hmac = self._hmac or self._keyed.new()
            for part in self._held:
                self._hmac.update(part)
        self._held.clear()


def understood(line: bytes) -> dict[str, Any] | Members:
    """Return the row that a line is, such that `as_line` gives everything in it back.

    Raises:
        NotUnderstoodError: the line is no row.
    """
    row = plain(line) or with_numbers(line) or verbatim(line)
    if not isinstance(row, dict | Members):
        raise NotUnderstoodError("no JSON object")
    return row


def plain(line: bytes) -> object:
    """Read a line just as orjson would write it, as most are: no key comes twice and no number of it is rounded."""
    try:
        value: object = orjson.loads(line)
        return value if orjson.dumps(value) == line else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def with_numbers(line: bytes) -> object:
    """Read a line whose numbers or blanks orjson would write otherwise; several times slower."""
    try:
        value: object = NUMBERS_DECODER.decode(line.decode())
        orjson.dumps(value)
    except (ValueError, RecursionError, orjson.JSONEncodeError):
        return None
    return value


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the members of an object whose keys all differ.

    Raises:
        ValueError: a key comes twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


NUMBERS_DECODER = json.JSONDecoder(
    object_pairs_hook=without_repeats,
    parse_int=orjson.Fragment,
    parse_float=orjson.Fragment,
    parse_constant=int,  # raises ValueError: they are NaN and Infinity
)


def verbatim(line: bytes) -> object:
    """Read any other line; slower once more."""
    if is_too_deep(line):
        raise NotUnderstoodError("nested too deeply")
    try:
        return read(line)
    except ValueError:
        raise NotUnderstoodError("no JSON") from None


def as_line(row: dict[str, Any] | Members) -> bytes:
    """Return a row as JSON."""
    return orjson.dumps(row) if isinstance(row, dict) else written(row).encode()
