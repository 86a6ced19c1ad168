"""Personal data at the door: what is dropped, nulled or hashed in an export before a byte of it is kept anywhere.

A rule is the path to a value: keys joined by `/`, from a column inwards (`ip_address`, `user_properties/email`), where
`~1` stands for a `/` in a key and `~0` for a `~`. A list has no step of its own in a path: a rule holds for each of its
elements. A path that is not in a row does nothing there. What no rule names stays, down to how a number is written.

Hashed are texts (by their UTF-8), numbers and booleans (by their JSON text, like a text of the same characters), and
of lists and objects each leaf; the keys of an object stay. A value has the same hash wherever it stands, so that joins
survive. What says nothing keeps saying so: null stays null, and an empty text, which is no device and no user, empty.
"""

import hmac
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from itertools import pairwise
from operator import delitem
from typing import Any, NamedTuple, NoReturn, TypeAlias

import orjson
from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from .columns import EXPORT_COLUMNS, REQUIRED_KEYS
from .errors import AmplitudeError

SETTINGS = "SOURCES__AMPLITUDE__PRIVACY"
# A profile nulls: its columns stay, as do country and region. What an app sends as a property of its own is not in it.
PROFILES = {"ip_and_location": ("ip_address", "location_lat", "location_lng", "city", "dma")}
# By these silver tells the copies of one event, which their hashes do as well.
COPY_KEYS = ("device_id", "$insert_id")
MIN_KEY_CHARACTERS = 16
MAX_LINE_BYTES = 16 << 20
GZIP_LEVEL = 3  # measured: at level 6 files are a fifth smaller, and the whole takes half as long again

Change: TypeAlias = Callable[[dict[str, Any], str], None]  # of the value of a key
Rules: TypeAlias = "dict[str, Change | Rules]"


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
    """Keep it: under another key, the users and devices that are hashed come back as new ones."""

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
        return Redactor(tree(rules, keyed), keyed) if rules else None

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
        if not self.hash and not self.hash_key:
            return None
        if not self.hash_key or len(self.hash_key) < MIN_KEY_CHARACTERS:
            raise AmplitudeError(
                f"{SETTINGS}__HASH_KEY, which {SETTINGS}__HASH needs, is missing or shorter than {MIN_KEY_CHARACTERS} "
                "characters; set it to a long random text (openssl rand -hex 32 gives one) and keep it."
            )
        return KeyedHash(self.hash_key)


class Rule(NamedTuple):
    """What happens to the values at a path, and the setting that says so."""

    action: str
    keys: tuple[str, ...]
    path: str
    setting: str

    @classmethod
    def parse(cls, action: str, path: str, setting: str) -> "Rule":
        keys = path.split("/") if isinstance(path, str) else [""]
        if not all(keys) or re.search("~(?![01])", path):
            raise AmplitudeError(
                f"{setting}: {path!r} is no path; write a column, or keys joined by / as in user_properties/email."
            )
        return cls(action, tuple(key.replace("~1", "/").replace("~0", "~") for key in keys), path, setting)

    def objection(self) -> str | None:
        """Why the rule cannot be followed, and what to do instead."""
        column, *inner = self.keys
        type_ = EXPORT_COLUMNS.get(column, "json")  # a key that is not known may hold anything
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

    def change(self, row: dict[str, Any], key: str) -> None:
        row[key] = self._of(row[key])

    def _of(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        if isinstance(value, list):
            return [self._of(element) for element in value]
        if isinstance(value, dict):
            return {key: self._of(inner) for key, inner in value.items()}
        keyed = self.new()
        keyed.update(value.encode() if isinstance(value, str) else orjson.dumps(value))
        return keyed.hexdigest()


def make_null(row: dict[str, Any], key: str) -> None:
    row[key] = None


def tree(rules: Iterable[Rule], keyed: KeyedHash | None) -> Rules:
    """What becomes of which key, level by level."""
    changes: dict[str, Change] = {"drop": delitem, "null": make_null}
    if keyed:
        changes["hash"] = keyed.change
    root: dict[str, Any] = {}
    for rule in rules:
        *outer, last = rule.keys
        level = root
        for key in outer:
            level = level.setdefault(key, {})
        level[last] = changes[rule.action]
    return root


def follow(rules: Rules, value: Any) -> None:
    """Changes a value as the rules for it say."""
    if isinstance(value, list):
        for element in value:
            follow(rules, element)
    elif isinstance(value, dict):
        for key, rule in rules.items():
            if key not in value:
                continue
            if isinstance(rule, dict):
                follow(rule, value[key])
            else:
                rule(value, key)


class Redactor:
    """Puts privacy rules into effect. Never twice on the same text: a hash would be hashed again."""

    def __init__(self, rules: Rules, keyed: KeyedHash | None) -> None:
        self._rules = rules
        self._keyed = keyed

    def redact(self, text: Iterable[bytes]) -> Iterator[bytes]:
        """From pieces of an export's unzipped text to pieces of a gzip file, whose bytes depend on the text alone.

        A line comes out for each that goes in. One that is not understood may hide what a rule is about: in its place
        comes a JSON text that says so, which is no row and ends in the rejected rows.
        """
        gzip = zlib.compressobj(GZIP_LEVEL, wbits=31)
        for line in self._lines(text):
            if packed := gzip.compress(line):
                yield packed
        yield gzip.flush()

    def _lines(self, text: Iterable[bytes]) -> Iterator[bytes]:
        line = Line(self._keyed)
        for piece in text:
            *ends, rest = piece.split(b"\n")
            for end in ends:
                line.add(end)
                yield self._redacted(line) + b"\n"
                line = Line(self._keyed)
            line.add(rest)
        yield self._redacted(line)

    def _redacted(self, line: "Line") -> bytes:
        try:
            text = line.text()
            content = text.removesuffix(b"\r")
            if not content:
                return text
            row = understood(content)
        except NotUnderstoodError as error:
            return line.withheld(str(error))
        follow(self._rules, row)
        return orjson.dumps(row) + text[len(content) :]


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


def understood(line: bytes) -> dict[str, Any]:
    """The row that a line is, such that `orjson.dumps` gives everything in it back.

    Raises:
        NotUnderstoodError: it is none, or its text has more in it than a row can hold.
    """
    row = plain(line) or verbatim(line)
    if not isinstance(row, dict):
        raise NotUnderstoodError("no JSON object")
    return row


def plain(line: bytes) -> Any:
    """A line just as orjson would write it, as most are: no key of it comes twice and no number of it is rounded."""
    try:
        value = orjson.loads(line)
        return value if orjson.dumps(value) == line else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def verbatim(line: bytes) -> Any:
    """Any other line, with its numbers as they are written; several times slower."""
    try:
        value = DECODER.decode(line.decode())
        orjson.dumps(value)
    except UnicodeDecodeError:
        raise NotUnderstoodError("no UTF-8") from None
    except json.JSONDecodeError:
        raise NotUnderstoodError("no JSON") from None
    except RecursionError:
        raise NotUnderstoodError("nested too deeply") from None
    except orjson.JSONEncodeError:
        raise NotUnderstoodError("nested too deeply, or with half of a character") from None
    return value


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotUnderstoodError("a key comes twice")
    return found


def refuse(constant: str) -> NoReturn:
    """NaN and Infinity, which Python takes for numbers."""
    raise json.JSONDecodeError("no number by the standard", constant, 0)


DECODER = json.JSONDecoder(
    object_pairs_hook=without_repeats, parse_int=orjson.Fragment, parse_float=orjson.Fragment, parse_constant=refuse
)
