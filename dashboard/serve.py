"""The server of the pages. It gets ready what the first of them needs while the browser opens."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from streamlit.starlette import App


@asynccontextmanager
async def getting_ready(_: App) -> AsyncIterator[None]:
    """Work on in the background while the server answers."""
    threading.Thread(target=get_ready, daemon=True).start()
    yield


def get_ready() -> None:
    """Begin a copy of gold if the one that there is has become old, and import the pages, which takes a second."""
    from board.errors import UnansweredError
    from board.warehouse import warehouse

    with suppress(UnansweredError):  # the page shows why
        warehouse().refresh()
    import screens  # noqa: F401 - so that the first page need not


app = App("app.py", lifespan=getting_ready)
