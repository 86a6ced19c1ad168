"""Work ahead of its use: a bounded amount of it, and whoever uses it cannot tell but by the time it takes."""

import threading
from collections.abc import Callable

import pytest

from amplitude_source.background import read_ahead

COUNT = 3


def read_at_once(keys: int) -> Callable[[int], int]:
    """A read that goes on only once so many are under way at the same time."""
    together = threading.Barrier(keys)

    def read(key: int) -> int:
        if key < keys:
            together.wait(10)
        return -key

    return read


def test_the_next_are_read_at_the_same_time_and_come_in_order() -> None:
    reads = read_ahead(read_at_once(COUNT + 1), range(10), COUNT)
    assert [read() for read in reads] == [-key for key in range(10)]


def test_no_more_are_begun_than_asked_for() -> None:
    begun: list[int] = []
    for number, read in enumerate(read_ahead(begun.append, range(10), COUNT)):
        read()
        assert max(begun) <= number + COUNT
    assert sorted(begun) == [*range(10)]


def test_an_error_comes_in_its_turn_and_the_next_are_there_nevertheless() -> None:
    def read(key: int) -> int:
        if key == 1:
            raise ValueError(key)
        return key

    zeroth, first, second = read_ahead(read, range(3), COUNT)
    assert zeroth() == 0
    with pytest.raises(ValueError, match="1"):
        first()
    assert second() == 2
