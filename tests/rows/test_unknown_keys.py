"""Keys of the export that bronze does not know: each becomes a column, or stands beside."""

import pytest

from amplitude_source.rows.typer import column_name
from support.members import export_row
from support.rows import DLT_COLUMNS, HOUR, NAME, columns_of_unknown_keys, normalize, read_rows

SPELLINGS = [
    *("user_geo_source", "userGeoSource", "it's", 'say "hi"', '"', "größe", "東京", "🎉", "a.b", "$price", "a$b"),
    *("$.a", "a[0]", "[0]", "*", "a/b~c", "~1", "/", "with blanks in it", " ", "\t", "back\\slash", "{}", "select"),
    *("-- comment", "%s", "x" * 300, "1st", "UUID", "Event_Time", "insert_id", "_insert_id", "fields", "batch", "line"),
    *("reason", "values", "Line", "$line", "$reason", "$doubt", "$fields", "$0", "", "\0", "nul\0inside", "blank"),
    *("_export_hour", "_archive_file", "_Archive_Row", "_dlt_load_id", "_dlt_id"),
    *("$export_hour", "$archive_file", "$archive_row", "$dlt_load_id", "$dlt_id", "$odd_values", "$odd", "$value"),
]


@pytest.mark.parametrize("key", SPELLINGS)
def test_an_unknown_key_of_any_spelling_gets_a_column_of_its_own(key: str) -> None:
    batch = read_rows(export_row(**{key: "value"}))
    assert batch.rejected.num_rows == 0
    found = columns_of_unknown_keys(batch)
    assert list(found.values()) == [["value"]], f"{key!r}: {found}"
    (column,) = found
    assert column not in DLT_COLUMNS, f"{column} belongs to dlt"
    assert normalize(column) == column, "dlt would rename it"
    (event,) = batch.events.to_pylist()
    assert event["_export_hour"] == HOUR
    assert event["_archive_file"] == NAME


@pytest.mark.parametrize(
    "keys",
    [
        ["Plan", "PLAN"],
        ["theme", "Theme", "THEME"],
        ["a b", "a_b", "a.b", "aB"],
        ["a$b", "a_b"],
        ["$price", "_price", "price"],
        ["é", "è", "🎉", "*"],
        ["insert_id", "Insert_ID", "$Insert_ID"],
        ["straße", "STRASSE", "strasse"],
        ["İ", "i", "I"],
        ["x_2", "x", "X"],
        ["", " ", "\0", "\0\0", "blank", "Blank"],
    ],
)
def test_keys_that_are_one_name_to_the_warehouse_get_a_column_each(keys: list[str]) -> None:
    row = export_row(**{key: f"value of {key}" for key in keys}, plan={"known": True})
    batch = read_rows(row)
    assert batch.rejected.num_rows == 0
    found = columns_of_unknown_keys(batch)
    assert sorted(values[0] for values in found.values()) == sorted(f"value of {key}" for key in keys)
    assert batch.events["plan"].to_pylist() == ['{"known":true}']


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("user_geo_source", "user_geo_source"),
        ("x_2", "x_2"),
        ("$price", "_price"),
        ("Theme", "theme_efb52e"),
        ("with blanks", "with_blanks_f06ff6"),
        ("_price", "_price_983cd7"),
        ("", "blank_e3b0c4"),
    ],
)
def test_a_key_that_is_not_its_column_is_told_apart_by_a_hash(key: str, column: str) -> None:
    """Bronze has these names: another one would put a key into two columns."""
    assert column_name(key, normalize) == column


def test_values_of_unknown_keys_are_text_as_in_the_json() -> None:
    values = {"t": "x", "n": 12345678901234567890123, "f": 0.1, "b": False, "o": {"a": [1]}, "nothing": None}
    found = columns_of_unknown_keys(read_rows(export_row(**values)))
    assert found == {
        "t": ["x"],
        "n": ["12345678901234567890123"],
        "f": ["0.1"],
        "b": ["false"],
        "o": ['{"a":[1]}'],
        "nothing": [None],
    }
