"""Clients who may leave before they are answered, and how many of them may wait."""

import asyncio
import collections
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from poph_tf.config import ServerConfig

RETRY = {"Retry-After": "2"}
Result = TypeVar("Result")


async def unless_gone(
    request: Request, work: Awaitable[Result], seconds: float, late: int = 503
) -> Result:
    """The result of work, which is cancelled if the client leaves or it is late.

    Args:
        request: the client's, its body read.
        work: to be awaited.
        seconds: that the request may take, all its work together.
        late: HTTP status if it takes longer.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    now = asyncio.get_running_loop().time()
    left = request.scope.setdefault("poph_tf.deadline", now + seconds) - now
    try:
        await asyncio.wait(
            {task, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            return task.result()
        if gone.done():
            raise HTTPException(499, "The client has left.")
        raise HTTPException(late, f"Took longer than {seconds:g} s.", RETRY)
    finally:
        for each in (task, gone):
            each.cancel()


async def _gone(request: Request) -> None:
    """Waits until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Places:
    """Pieces that are worked on or wait, of each client.

    Args:
        config: how many there may be.
        others: pieces that wait elsewhere: of a client, or None for all.
    """

    def __init__(
        self, config: ServerConfig, others: Callable[[str | None], int] = lambda _: 0
    ) -> None:
        self.config, self._others = config, others
        self._taken = collections.Counter[str]()

    def admit(self, request: Request, num_pieces: int) -> str:
        """The client of a request, if there is room for what it asks."""
        client = request.client.host if request.client else ""
        own = self._others(client) + self._taken[client]
        if own + num_pieces > self.config.max_waiting_per_client:
            raise HTTPException(
                429, "Too much is asked from your address at once; try again.", RETRY
            )
        every = self._others(None) + self._taken.total()
        if every + num_pieces > self.config.max_waiting:
            raise HTTPException(503, "Too much is asked at once; try again.", RETRY)
        return client

    @contextlib.contextmanager
    def taken(self, request: Request, num_pieces: int = 1) -> Iterator[None]:
        """Counts work as pieces that wait, if there is room for them."""
        client = self.admit(request, num_pieces)
        self._taken[client] += num_pieces
        try:
            yield
        finally:
            self._taken -= collections.Counter({client: num_pieces})
