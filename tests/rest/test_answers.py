"""Answers of the REST APIs in other shapes than documented."""

from datetime import date, datetime
from typing import Any

import pytest

from amplitude_source.errors import AmplitudeError
from amplitude_source.rest.answers import entries_of, fit, row_of, series_of
from amplitude_source.rest.event_types import listed_types
from amplitude_source.tables import ANNOTATIONS_COLUMNS, Column

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 3)
SECOND = date(2026, 6, 2)
ISO = ["2026-06-01", "2026-06-02", "2026-06-03"]


@pytest.mark.parametrize("entry", [{"value": None}, {}, {"value": 7}, None, "click"])
def test_an_entry_of_the_event_list_without_a_name_is_left_out_with_a_warning(entry: object) -> None:
    warnings: list[str] = []
    good = {"value": "click", "display": None, "non_active": True}
    assert listed_types({"data": [entry, good]}, warnings.append) == [good]
    assert ["1 of 2 entries of the event list have no name" in text for text in warnings] == [True]


def test_a_value_of_the_event_list_that_has_the_wrong_type_is_null_with_a_warning() -> None:
    warnings: list[str] = []
    odd = {"value": "click", "display": ["x"], "non_active": "yes", "deleted": 1}
    nulls = {"value": "click", "display": None, "non_active": None, "deleted": None}
    assert listed_types({"data": [odd]}, warnings.append) == [nulls]
    assert len(warnings) == 3


@pytest.mark.parametrize("answer", [[], {}, None, {"data": None}, {"data": {"a": 1}}, {"error": "x"}, "text"])
def test_an_answer_that_is_no_event_list_is_an_error(answer: object) -> None:
    with pytest.raises(AmplitudeError, match="its shape is not known"):
        listed_types(answer, pytest.fail)


@pytest.mark.parametrize("answer", [[], {}, None, {"data": None}, {"data": [1]}, {"data": [None]}, "text", 7])
def test_an_answer_that_is_no_list_of_objects_is_an_error(answer: object) -> None:
    with pytest.raises(AmplitudeError, match=r"The answer of api/3/annotations has no list of objects named data"):
        entries_of(answer, "data", "api/3/annotations")


def read(data: Any) -> tuple[list[dict[date, float]], list[str]]:
    """The series in an answer, and the warnings."""
    warnings: list[str] = []
    return series_of({"data": data}, FIRST, LAST, "api/2/users", warnings.append), warnings


@pytest.mark.parametrize("labels", [ISO, ["Jun 01", "Jun 02", "Jun 03"], ["Jun 1", "Jun 2", "Jun 3"]])
def test_days_are_read_as_dates_and_as_month_and_day(labels: list[str]) -> None:
    assert read({"xValues": labels, "series": [[5, 6.5, 7]]}) == ([{FIRST: 5, SECOND: 6.5, LAST: 7}], [])


def test_values_are_read_as_numbers_and_as_objects() -> None:
    series = [[{"setId": "", "value": 5}, {"value": 6}, 7], [1, 2, 3]]
    assert read({"xValues": ISO, "series": series}) == (
        [{FIRST: 5, SECOND: 6, LAST: 7}, {FIRST: 1, SECOND: 2, LAST: 3}],
        [],
    )


@pytest.mark.parametrize(
    ("labels", "values", "found"),
    [
        (ISO, [5, 6], {FIRST: 5, SECOND: 6}),
        (ISO, [], {}),
        (ISO[:1], [5, 6], {FIRST: 5}),
        (["week 1", *ISO[1:]], [5, 6, 7], {SECOND: 6, LAST: 7}),
        ([None, *ISO[1:]], [5, 6, 7], {SECOND: 6, LAST: 7}),
        (["2026-05-31", *ISO[1:]], [5, 6, 7], {SECOND: 6, LAST: 7}),
        (ISO, [None, 6.0, "7"], {SECOND: 6}),
        (ISO, [True, 6, -1], {SECOND: 6}),
        (ISO, [{}, {"value": 6}, {"value": "7"}], {SECOND: 6}),
    ],
)
def test_numbers_that_cannot_be_read_are_left_out_with_a_warning(
    labels: list[object], values: list[object], found: dict[date, float]
) -> None:
    series, warnings = read({"xValues": labels, "series": [values]})
    assert series == [found]
    assert [f"of which {len(found)} can be read" in text for text in warnings] == [True]


@pytest.mark.parametrize("data", [None, [], {}, {"xValues": ISO}, {"xValues": 3, "series": [[1]]}, {"series": [[1]]}])
def test_an_answer_without_series_is_an_error(data: object) -> None:
    with pytest.raises(AmplitudeError, match=r"The answer of api/2/users has no series by day"):
        read(data)


@pytest.mark.parametrize(
    ("value", "type_", "fitted"),
    [
        (None, "bigint", None),
        ({"b": [1]}, "json", '{"b":[1]}'),
        ("x", "text", "x"),
        (7, "text", "7"),
        (7, "bigint", 7),
        ("-7", "bigint", -7),
        (7, "double", 7.0),
        (True, "bool", True),
        (1780304400, "timestamp", datetime(2026, 6, 1, 9)),
        ("2026-06-01T11:00:00+02:00", "timestamp", datetime(2026, 6, 1, 9)),
        ("2026-06-01T09:00:00.000Z", "timestamp", datetime(2026, 6, 1, 9)),
        ("2026-06-01", "date", FIRST),
        ("2026-06-01T09:00:00Z", "date", FIRST),
    ],
)
def test_a_value_fits_its_column_in_each_form_that_amplitude_uses(value: object, type_: str, fitted: object) -> None:
    assert fit(value, type_) == fitted


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", "bigint"),
        (True, "bigint"),
        (1.5, "bigint"),
        ([1], "text"),
        (1, "bool"),
        ("soon", "timestamp"),
        (10**30, "timestamp"),
        ("2026-13-01", "date"),
        (20260601, "date"),
        (True, "text"),
    ],
)
def test_a_value_that_does_not_fit_is_null_with_a_warning(value: object, type_: str) -> None:
    warnings: list[str] = []
    columns = {"a": Column(type_, "of a test")}
    assert row_of({"a": value}, columns, {}, "api/3/annotations", warnings.append) == {"a": None}
    assert ["The answer of api/3/annotations has a = " in text for text in warnings] == [True]


def test_a_nested_value_that_is_missing_is_null() -> None:
    keys = {"category": "category.name"}
    entries: list[dict[str, Any]] = [{}, {"category": None}, {"category": {}}, {"category": "x"}]
    for entry in entries:
        assert row_of(entry, ANNOTATIONS_COLUMNS, keys, "a list", pytest.fail)["category"] is None
