"""How a worker thread has something done in the event loop."""

import asyncio
import contextlib
from collections.abc import Callable


def call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    """Have it called; a worker that ends its work while the operator stops finds nobody to tell."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
