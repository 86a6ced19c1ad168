"""A question of the explorer: a chart as its file would hold it, in the address as JSON."""

import json
from collections.abc import Mapping
from datetime import date
from io import StringIO
from typing import Any

import streamlit as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from amplitude_source.charts import definitions, properties
from amplitude_source.charts.book import TYPES, AnyType, Chart
from amplitude_source.charts.definitions import Words, read_words
from amplitude_source.errors import AmplitudeError
from amplitude_source.yaml_files import PlacedError, first_fault, sentence
from board.errors import UnansweredError
from board.warehouse import ROOT

Content = dict[str, Any]
"""A chart, as its file would hold it; days are texts."""


class FaultError(UnansweredError):
    """A chart cannot be.

    Args:
        sentence: why.
        key: the one that has the fault; None for the whole.
    """

    def __init__(self, sentence: str, key: str | None) -> None:
        super().__init__(sentence)
        self.key = key


def words_of_files() -> Words:
    """Return the words that charts may name; they are read again if a file has changed.

    Raises:
        UnansweredError: a file has a fault; with the line.
    """
    paths = [ROOT / each for each in (properties.FILE, definitions.FILE)]
    try:
        return _words(tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths))
    except AmplitudeError as error:
        raise UnansweredError(str(error)) from error


@st.cache_resource(max_entries=1)
def _words(times: tuple[int, ...]) -> Words:  # noqa: ARG001 - it is the cache's key
    return read_words(ROOT)


def checked(content: Mapping[str, Any], words: Words) -> Chart:
    """Return a chart.

    Raises:
        FaultError: it cannot be; with the package's own sentence.
    """
    model = TYPES.get(content["type"], AnyType) if isinstance(content.get("type"), str) else AnyType
    try:
        return model.model_validate_json(json.dumps(content), context=words)  # type: ignore[return-value]  # see book.py
    except ValidationError as error:
        fault = first_fault(error)
        cause = fault.get("ctx", {}).get("error")
        place = (*fault["loc"], *(cause.place if isinstance(cause, PlacedError) else ()))
        raise FaultError(sentence(fault, model), str(place[0]) if place else None) from error


def from_address(text: str, words: Words) -> tuple[Content, str]:
    """Read the chart of an address.

    Args:
        text: of the address.
        words: what a chart may name.

    Returns:
        the chart without the keys that have a fault, empty if nothing is left, and the first fault's sentence.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "The address asks for a chart that cannot be read."
    if not isinstance(content, dict):
        return {}, "The address asks for a chart that has no keys."
    said = ""
    while content:
        try:
            checked(content, words)
        except FaultError as fault:
            said = said or f"The address asks for a chart that cannot be. {fault}"
            if fault.key == "type" or content.pop(fault.key, None) is None:
                return {}, said
        else:
            break
    return content, said


def within_days(content: Mapping[str, Any], since: date, until: date) -> Content:
    """Return the chart of some days, where it has none of its own."""
    return {"since": since.isoformat(), "until": until.isoformat(), **content}


def yaml_of(content: Mapping[str, Any]) -> str:
    """Return a chart as its file holds it."""
    first = {key: content[key] for key in ("type", "title") if key in content}
    days = {key: date.fromisoformat(content[key]) for key in ("since", "until") if key in content}
    yaml, text = YAML(), StringIO()
    yaml.default_flow_style, yaml.width = False, 100
    yaml.dump({**first, **content, **days}, text)
    return text.getvalue()
