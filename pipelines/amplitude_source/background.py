"""Work that is done ahead of its use, in threads that a Ctrl-C need not wait for."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")


class Ahead(Generic[Result]):
    """Work under way in a thread of its own: a daemon, which ends with the process at the latest."""

    def __init__(self, work: Callable[[], Result], name: str) -> None:
        self._result: Future[Result] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Result]) -> None:
        try:
            self._result.set_result(work())
        except BaseException as error:
            self._result.set_exception(error)

    def wait(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    def result(self) -> Result:
        """What the work gives, or raises, once it is done."""
        return self._result.result()


def read_ahead(read: Callable[[Key], Result], keys: Iterable[Key], count: int) -> Iterator[Callable[[], Result]]:
    """For each key, in order, the call that gives or raises what `read` does; the next `count` are read meanwhile."""
    under_way: deque[Ahead[Result]] = deque()
    for key in keys:
        under_way.append(Ahead(partial(read, key), "amplitude-read"))
        if len(under_way) > count:
            yield under_way.popleft().result
    while under_way:
        yield under_way.popleft().result
