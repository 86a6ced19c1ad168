"""The SQL by which DuckDB types JSON lines: a row of `lines`, with columns as in `LINES_SCHEMA`, becomes an event.

Names of its own begin with `$`, which no column's does.
"""

import json
from collections.abc import Iterable
from typing import Literal

from ..tables import EXPORT_TYPES, ODD_VALUES, REQUIRED_KEYS
from .lines import LINE

ODD = "$odd"  # of a line: values that were taken out of it, as JSON members without the braces
MAX_KEYS = 500  # of a line: nine times what Amplitude sends, and a quarter of the columns that there is room for
MAX_KEY_CHARACTERS = 1024  # as Amplitude has it for the keys of properties

PARSED_TIME = "TRY_STRPTIME({text}, ['%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%d %H:%M:%S'])"
# DuckDB takes `infinity` and `epoch` for 1900, and knows a year 0.
NO_TIME = f"{{text}} IS NOT NULL AND ({PARSED_TIME} IS NULL OR {{text}} NOT BETWEEN '0001' AND ':')"

# For each type: the SQL of its value from {text}, the JSON value as text; and when {value} is not what {text} says.
TYPES: dict[str, tuple[str, str | None]] = {
    "bigint": ("TRY_CAST({text} AS BIGINT)", "{value}::VARCHAR IS DISTINCT FROM {text}"),
    "double": (  # a whole number may have more digits than a double
        "TRY_CAST({text} AS DOUBLE)",
        "{text} IS NOT NULL AND NOT COALESCE("
        "ISFINITE({value}) AND {text} IN ({value}::VARCHAR, TRY_CAST({value} AS HUGEINT)::VARCHAR), FALSE)",
    ),
    "bool": ("TRY_CAST({text} AS BOOLEAN)", "{text} NOT IN ('true', 'false')"),
    "timestamp": (PARSED_TIME, NO_TIME),
    "text": ("{text}", None),
    "json": ("{text}::VARCHAR", None),
}

# The same where DuckDB may change a value as it reads it, for that would be seen: as what it is read, how JSON has it
# (within quotes, for some), and when it is none for all that.
WRITTEN_TYPES: dict[str, tuple[str, str, str | None]] = {
    "bigint": ("BIGINT", "{value}::VARCHAR", None),
    "double": ("DOUBLE", "{value}::VARCHAR", "NOT ISFINITE({value})"),
    "bool": ("BOOLEAN", "{value}::VARCHAR", None),
    "timestamp": (
        "TIMESTAMP",
        "STRFTIME({value}, '%Y-%m-%d %H:%M:%S.%f')",
        "{value} NOT BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'",
    ),
    "text": ("VARCHAR", "{value}", None),
    "json": ("JSON", "{value}::VARCHAR", None),
}

QUOTED_TYPES = ("text", "timestamp")

# DuckDB reads what the standard does not allow (`nan`, `inf`, commas before a closing bracket), makes doubles of what
# has a point or an exponent, and keeps the text of numbers that are too large for one.
TOO_LARGE = r"(?i:nan|inf(?:inity)?)\s*[,\]}]|[0-9]{39}|[0-9.]+[eE]\+?[0-9]{3}"
TOO_EXACT = r"[0.]*[1-9](?:[0-9]{17}|[0-9.]{18})|[0-9.]+[eE]-[0-9]{3}"


def suspect(text: str, number: str) -> str:
    """The SQL of whether JSON text may have such a number or a comma too many: fast, and too often rather than not."""
    return " OR ".join(  # not as one, for each is fast by the one character that it begins with
        f"REGEXP_MATCHES({text}, '{expression}')"
        for expression in (rf":\s*-?(?:{number})", rf"\[\s*-?(?:{number})", rf",\s*(?:[\]}}]|-?(?:{number}))")
    )


SUSPECT_LINE = f"""({suspect(f'"{LINE}"', f"{TOO_LARGE}|{TOO_EXACT}")})"""

NOT_READ = "no JSON that DuckDB reads"
NO_OBJECT = "no JSON object"
TOO_MANY_KEYS = f"more than {MAX_KEYS} keys"
TOO_LONG_KEY = f"a key of more than {MAX_KEY_CHARACTERS:,} characters"
DOUBLE_KEY = "a key comes twice"
VALUE_CHARACTERS = 100


Values = Literal["none", "some", "all"]
"""Whether a key has a value in no line, in some or in all."""


def written_query(keys: dict[str, str], shape: dict[str, Values]) -> str:
    """The SQL that types lines of the shape that read as their values are written here, as Amplitude's do.

    The values are put together to a line again. Where that is the line, DuckDB has changed nothing, and there are no
    other keys: a text with a quote or a backslash would not end there, or not be what was read (of a key that comes
    twice, DuckDB reads the first). Any other line gets some `$reason`, as does one that has values or none against
    expectation.

    Args:
        keys: each key of the export and the column that it lands in.
        shape: the keys of a line in their order, and which of them are expected to have a value; those without get no
            column.
    """
    types = {key: WRITTEN_TYPES[type_] for key, type_ in types_of(shape).items() if shape[key] != "none"}
    fields = literal(json.dumps({key: read_as for key, (read_as, _, _) in types.items()}))
    nested = {key: f"{field(key)}::VARCHAR" for key, (read_as, _, _) in types.items() if read_as == "JSON"}
    values = [f"{nested.get(key, field(key))} AS {quoted(keys[key])}" for key in types]
    odd = [
        '"$fields" IS NULL',
        f'NOT STARTS_WITH("{LINE}", {written_line(shape)})',  # after that DuckDB takes nothing but blanks
        suspect('"$nested"', TOO_LARGE),
        *(misfit.format(value=field(key)) for key, (_, _, misfit) in types.items() if misfit),
    ]
    return f"""
        SELECT {", ".join(values)}, CASE WHEN {" OR ".join(f"({each})" for each in odd)} THEN 'odd' END AS "$reason"
        FROM (
            SELECT *, CONCAT({", ".join(["''", *nested.values()])}) AS "$nested"
            FROM (SELECT "{LINE}", TRY(FROM_JSON("{LINE}", {fields})) AS "$fields" FROM lines)
        )
    """


def written_line(shape: dict[str, Values]) -> str:
    """The SQL of a line with the values of `$fields`; where one that all lines have is missing, it is no such line.

    TO_JSON would write the same, and texts with quotes too, but typing would take a twelfth longer.
    """
    pieces: list[str] = []
    text = "{"  # since the last value
    for key, type_ in types_of(shape).items():
        text += f"{json.dumps(key, ensure_ascii=False)}:"
        _, value, _ = WRITTEN_TYPES[type_]
        quote = '"' if type_ in QUOTED_TYPES else ""
        match shape[key]:
            case "none":
                text += "null,"
            case "some":
                written = f"CONCAT('{quote}', {value.format(value=field(key))}, '{quote}')"
                pieces += [literal(text), f"CASE WHEN {field(key)} IS NULL THEN 'null' ELSE {written} END"]
                text = ","
            case "all":
                pieces += [literal(f"{text}{quote}"), value.format(value=field(key))]
                text = f"{quote},"
    return f"CONCAT({', '.join(pieces)}, {literal(text.removesuffix(',') + '}')})"


def shape_query(keys: dict[str, str], shape: list[str]) -> str:
    """The SQL that types lines with exactly the keys of the shape and only values that fit.

    Any other line gets some `$reason`, which nobody reads.
    """
    keys = {key: keys[key] for key in shape}
    text = names(keys)
    fields = f'SELECT *, TRY(FROM_JSON_STRICT("{LINE}", {structure(shape)})) AS "$fields" FROM lines'
    odd = [
        '"$fields" IS NULL',  # a key is missing or comes twice, too
        f'LEN(JSON_KEYS("{LINE}")) <> {len(shape)}',
        SUSPECT_LINE,
        *(f"{text[key]} IS NULL" for key in REQUIRED_KEYS),
        *misfits_of(keys).values(),
    ]
    reasons = " ".join(f"WHEN {condition} THEN 'odd'" for condition in odd)
    return f"""
        SELECT {", ".join(map(quoted, keys.values()))}, CASE {reasons} END AS "$reason"
        FROM ({values_query(keys, texts_query(fields, {key: field(key) for key in keys}))})
    """


def odd_query(keys: dict[str, str]) -> str:
    """The SQL that types JSON objects with any of the keys, those included that no DuckDB struct can hold.

    A value that does not fit its column's type is NULL there, and stands in `ODD_VALUES` with those in `ODD`.
    """
    in_struct = struct_fields(keys)
    fields = f'SELECT *, FROM_JSON("{LINE}", {structure(in_struct)}) AS "$fields" FROM lines'
    texts = {key: f"""FROM_JSON("{LINE}" -> {pointer(key)}, '"VARCHAR"')""" for key in keys}
    texts |= {key: field(key) for key in in_struct}
    misfits = misfits_of(keys)
    members = [f'"{ODD}"']
    members += [member_if(key, misfit) for key, misfit in misfits.items()]
    values = [
        f"CASE WHEN NOT ({misfits[key]}) THEN {quoted(column)} END AS {quoted(column)}"
        if key in misfits
        else quoted(column)
        for key, column in keys.items()
    ]
    return f"""
        SELECT {", ".join(values)}, '{{' || NULLIF(CONCAT_WS(',', {", ".join(members)}), '') || '}}' AS "{ODD_VALUES}"
        FROM ({values_query(keys, texts_query(fields, texts))})
    """


def facts_query() -> str:
    """The SQL of each line's `$reason` why it is no row, with the `$value` at fault, `$suspect` and `$keys`.

    What is suspect has to be looked at more closely. Only the required keys are typed here.
    """
    keys = {key: f"${key}" for key in REQUIRED_KEYS}
    fields = f"""
        SELECT *, CASE WHEN "$reason" IS NULL THEN TRY(FROM_JSON("{LINE}", {structure([*keys])})) END AS "$fields"
        FROM ({KEYS_QUERY})
    """
    text = names(keys)
    misfits = misfits_of(keys)
    reasons = [f"WHEN {text[key]} IS NULL THEN {literal(f'{key} is missing')}" for key in keys]
    reasons += [f"WHEN {is_odd} THEN {literal(not_typed(key))}" for key, is_odd in misfits.items()]
    misfit_values = [f"WHEN {is_odd} THEN LEFT({text[key]}, {VALUE_CHARACTERS})" for key, is_odd in misfits.items()]
    return f"""
        SELECT
            "$suspect",
            CASE WHEN "$keys" IS NOT NULL THEN "$keys" ELSE [] END AS "$keys",
            CASE WHEN "$reason" IS NOT NULL THEN "$reason" {" ".join(reasons)} END AS "$reason",
            CASE WHEN "$reason" IS NOT NULL THEN NULL {" ".join(misfit_values)} END AS "$value"
        FROM ({values_query(keys, texts_query(fields, {key: field(key) for key in keys}))})
    """


# Of each line: its keys, whether it has to be looked at more closely, and why it is no row if its form is at fault.
KEYS_QUERY = f"""
    SELECT *, "$keys" IS NULL OR {SUSPECT_LINE} AS "$suspect", CASE
        WHEN "$keys" IS NULL THEN '{NOT_READ}'
        WHEN LEFT(LTRIM("{LINE}", E' \t\r\n'), 1) <> '{{' THEN '{NO_OBJECT}'
        WHEN LEN("$keys") > {MAX_KEYS} THEN '{TOO_MANY_KEYS}'
        WHEN LIST_MAX(LIST_TRANSFORM("$keys", LAMBDA key : LENGTH(key))) > {MAX_KEY_CHARACTERS} THEN '{TOO_LONG_KEY}'
        WHEN LEN("$keys") <> LEN(LIST_DISTINCT("$keys")) THEN '{DOUBLE_KEY}'
    END AS "$reason"
    FROM (SELECT "{LINE}", TRY(JSON_KEYS("{LINE}")) AS "$keys" FROM lines)
"""


def names(keys: Iterable[str]) -> dict[str, str]:
    """The column of each key's value as text."""
    return {key: f'"${number}"' for number, key in enumerate(keys)}


def texts_query(source: str, texts: dict[str, str]) -> str:
    """The SQL that adds each key's value as text to the source's columns."""
    return f"SELECT *, {', '.join(f'{texts[key]} AS {name}' for key, name in names(texts).items())} FROM ({source})"


def values_query(keys: dict[str, str], texts: str) -> str:
    """The SQL that adds each key's value in its type to the columns of `texts_query`."""
    text = names(keys)
    types = types_of(keys)
    values = [f"{TYPES[types[key]][0].format(text=text[key])} AS {quoted(column)}" for key, column in keys.items()]
    return f"SELECT *, {', '.join(values)} FROM ({texts})"


def misfits_of(keys: dict[str, str]) -> dict[str, str]:
    """The SQL of whether the value in a column is not what its text says, for each key with which that can be."""
    text = names(keys)
    misfits = {key: TYPES[type_][1] for key, type_ in types_of(keys).items()}
    return {key: misfit.format(text=text[key], value=quoted(keys[key])) for key, misfit in misfits.items() if misfit}


def member_if(key: str, condition: str) -> str:
    """The SQL of a key and its value as members of a JSON object, where a condition holds."""
    name = literal(f"{json.dumps(key, ensure_ascii=False)}:")
    return f"""CASE WHEN {condition} THEN {name} || ("{LINE}" -> {pointer(key)})::VARCHAR END"""


def types_of(keys: Iterable[str]) -> dict[str, str]:
    """The type of each key; keys not in `EXPORT_TYPES` are text."""
    return {key: EXPORT_TYPES.get(key, "text") for key in keys}


def not_typed(key: str) -> str:
    return f"{key} is no {EXPORT_TYPES[key]}"


def structure(keys: list[str]) -> str:
    """A DuckDB struct's fields, as FROM_JSON takes them: text, for a cast would round; nested values stay JSON."""
    return literal(json.dumps({key: "JSON" if EXPORT_TYPES.get(key) == "json" else "VARCHAR" for key in keys}))


def field(key: str) -> str:
    return f'"$fields".{quoted(key)}'


def pointer(key: str) -> str:
    return literal("/" + key.replace("~", "~0").replace("/", "~1"))


def struct_fields(keys: Iterable[str]) -> list[str]:
    """The keys that one DuckDB struct can hold: of keys that differ in case only, the first; none without a name."""
    return sorted({key.lower(): key for key in reversed([*keys]) if key and "\0" not in key}.values())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "' || CHR(0) || '") + "'"


FACTS_QUERY = facts_query()
