"""The SQL by which DuckDB types JSON lines: a row of `lines`, with columns as in `LINES_SCHEMA`, becomes an event.

Names of its own begin with `$`, which no column's does.
"""

import json
from collections.abc import Iterable

from .columns import EXPORT_COLUMNS, REQUIRED_KEYS
from .lines import LINE

# For each type: the SQL of its value from {text}, the JSON value as text; and when {value} is not what {text} says.
TYPES: dict[str, tuple[str, str | None]] = {
    "bigint": ("TRY_CAST({text} AS BIGINT)", "{value}::VARCHAR IS DISTINCT FROM {text}"),
    "double": ("TRY_CAST({text} AS DOUBLE)", "{text} IS NOT NULL AND NOT COALESCE(ISFINITE({value}), FALSE)"),
    "bool": ("TRY_CAST({text} AS BOOLEAN)", "{text} NOT IN ('true', 'false')"),
    "timestamp": (
        "TRY_STRPTIME({text}, ['%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%d %H:%M:%S'])",
        "{text} IS NOT NULL AND {value} IS NULL",
    ),
    "text": ("{text}", None),
    "json": ("{text}::VARCHAR", None),
}

# What JSON writers that do not keep to the standard write for a number, and DuckDB reads.
DOUBT = f"""(CONTAINS("{LINE}", 'NaN') OR CONTAINS("{LINE}", 'Infinity'))"""
NO_OBJECT = "no JSON object"
DOUBLE_KEY = "a key comes twice"


def regular_query(keys: dict[str, str], shape: list[str]) -> str:
    """The SQL that types lines with exactly the keys of the shape; any other line gets some `$reason`."""
    parse = f'TRY(FROM_JSON_STRICT("{LINE}", {structure(shape)}))'  # NULL where a key is missing or comes twice, too
    odd = ['"$fields" IS NULL', f'LEN(JSON_KEYS("{LINE}")) <> {len(shape)}', DOUBT]
    fields = set(shape)
    texts = {key: f'"$fields".{quoted(key)}' if key in fields else "NULL::VARCHAR" for key in keys}
    return typing_query(keys, parse, dict.fromkeys(odd, "odd"), texts)


def odd_query(keys: dict[str, str]) -> str:
    """The SQL that types JSON lines with any of the keys, those included that no DuckDB struct can hold."""
    fields = struct_fields(keys)
    parse = f'FROM_JSON("{LINE}", {structure(fields)})'
    odd = {
        f"""LEFT(LTRIM("{LINE}", E' \\t\\r\\n'), 1) <> '{{'""": NO_OBJECT,
        f'LEN(JSON_KEYS("{LINE}")) <> LEN(LIST_DISTINCT(JSON_KEYS("{LINE}")))': DOUBLE_KEY,
    }
    texts = {key: f'"$fields".{quoted(key)}' if key in fields else f'"{LINE}" ->> ({pointer(key)})' for key in keys}
    return typing_query(keys, parse, odd, texts)


def typing_query(keys: dict[str, str], parse: str, odd: dict[str, str], texts: dict[str, str]) -> str:
    """The SQL that types lines.

    Args:
        keys: each key of the export and the column that it lands in; keys not in `EXPORT_COLUMNS` are text.
        parse: the SQL of `$fields`, a struct, from `$line`.
        odd: SQL conditions under which a line is no row, and the `$reason` that it gets.
        texts: the SQL of each key's value as text from `$fields` or `$line`.
    """
    types = {key: EXPORT_COLUMNS.get(key, "text") for key in keys}
    names = {key: f'"${number}"' for number, key in enumerate(keys)}
    values = [f"{TYPES[types[key]][0].format(text=names[key])} AS {quoted(column)}" for key, column in keys.items()]
    reasons = [f"WHEN {condition} THEN {literal(reason)}" for condition, reason in odd.items()]
    reasons += [f"WHEN {names[key]} IS NULL THEN {literal(f'{key} is missing')}" for key in REQUIRED_KEYS]
    reasons += [misfit(key, types[key], names[key], quoted(column)) for key, column in keys.items()]
    return f"""
        SELECT *, CASE {" ".join(reasons)} END AS "$reason"
        FROM (
            SELECT *, {", ".join(values)}
            FROM (
                SELECT *, {", ".join(f"{texts[key]} AS {name}" for key, name in names.items())}
                FROM (SELECT *, {parse} AS "$fields" FROM lines)
            )
        )
    """


def misfit(key: str, type_: str, text: str, value: str) -> str:
    """The SQL of the reason where a value does not fit its column's type, if that can be."""
    is_misfit = TYPES[type_][1]
    if not is_misfit:
        return ""
    reason = f"{literal(f'{key} is no {type_}: ')} || LEFT({text}, 100)"
    return f"WHEN {is_misfit.format(text=text, value=value)} THEN {reason}"


def structure(keys: list[str]) -> str:
    """A DuckDB struct's fields, as FROM_JSON takes them: text, for a cast would round; nested values stay JSON."""
    return literal(json.dumps({key: "JSON" if EXPORT_COLUMNS.get(key) == "json" else "VARCHAR" for key in keys}))


def pointer(key: str) -> str:
    return literal("/" + key.replace("~", "~0").replace("/", "~1"))


def struct_fields(keys: Iterable[str]) -> list[str]:
    """The keys that one DuckDB struct can hold: of keys that differ in case only, the first; none without a name."""
    return sorted({key.lower(): key for key in reversed([*keys]) if key and "\0" not in key}.values())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "' || CHR(0) || '") + "'"
