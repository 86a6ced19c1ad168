"""Numbers as people read them, and words of a reader in a query."""

import math
from datetime import date

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import numbers
from board.sql import for_engine, literal, one_of


@pytest.mark.parametrize(
    ("written", "value", "text"),
    [
        (numbers.count, 1234567, "1,234,567"),
        (numbers.count, None, "-"),
        (numbers.count, math.nan, "-"),
        (numbers.amount, 3.14159, "3.14"),
        (numbers.amount, 12345.678, "12,346"),
        (numbers.amount, 5.0, "5"),
        (numbers.share, 0.1234, "12.3 %"),
        (numbers.share, math.inf, "-"),
        (numbers.duration, 0, "0 s"),
        (numbers.duration, 252.4, "4 min 12 s"),
        (numbers.duration, 90_061, "1 d 1 h"),
    ],
)
def test_a_number_is_written_as_people_write_it(written: numbers.Written, value: float | None, text: str) -> None:
    assert written(value) == text


def test_a_change_is_a_signed_share_and_nothing_without_a_number_before() -> None:
    assert numbers.change(120, 100) == "+20.0 %"
    assert numbers.change(50, 100) == "-50.0 %"
    assert numbers.change(50, 0) is None
    assert numbers.change(None, 100) is None


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_readers_words_stay_words_in_a_query(text: str) -> None:
    rows = duckdb.sql(for_engine(f"SELECT {literal(text)} AS word", "duckdb")).fetchall()
    assert rows == [(text,)]


def test_values_of_a_condition_are_written_by_their_types() -> None:
    sql = f"SELECT {literal(date(2026, 6, 1))} = {literal('2026-06-01')}::DATE AND {one_of('1', [])} IS FALSE AS is_so"
    assert duckdb.sql(for_engine(sql, "duckdb")).fetchall() == [(True,)]
