"""Which of many alike cases run before a change lands, and which each night: see decision 0051."""

from collections.abc import Sequence

import pytest
from _pytest.mark import ParameterSet


def first_lands(*kinds: Sequence[object]) -> list[ParameterSet]:
    """Parameters of a test: the first of each kind, and the others with the mark `nightly`.

    Args:
        kinds: the values of each kind; a tuple is several arguments.
    """
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[pytest.mark.nightly] if number else [])
        for kind in kinds
        for number, case in enumerate(kind)
    ]
