"""Clients that may disconnect early, and limits on how many pieces may wait."""

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
    """Returns the result of `work`; cancels it if the client leaves or time runs out.

    Args:
        request: the client's request, with its body already read.
        work: the awaitable.
        seconds: time limit of the request, for all its work together.
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
    """Waits until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Places:
    """Counts the running and waiting pieces of each client.

    Args:
        config: the limits.
        others: the number of pieces that wait elsewhere, for a client, or None for all.
    """

    def __init__(
        self, config: ServerConfig, others: Callable[[str | None], int] = lambda _: 0
    ) -> None:
        self.config, self._others = config, others
        self._taken = collections.Counter[str]()

    def admit(self, request: Request, num_pieces: int) -> str:
        """Returns the client of a request if its pieces are within the limits."""
        client = request.client.host if request.client else ""
        own = self._others(client) + self._taken[client]
        if own + num_pieces > self.config.max_waiting_per_client:
            raise HTTPException(
                429, "Too much work from your address at once; try again.", RETRY
            )
        every = self._others(None) + self._taken.total()
        if every + num_pieces > self.config.max_waiting:
            raise HTTPException(503, "Too much work at once; try again.", RETRY)
        return client

    @contextlib.contextmanager
    def taken(self, request: Request, num_pieces: int = 1) -> Iterator[None]:
        """Counts work as waiting pieces, if they are within the limits."""
        client = self.admit(request, num_pieces)
        self._taken[client] += num_pieces
        try:
            yield
        finally:
            self._taken -= collections.Counter({client: num_pieces})
