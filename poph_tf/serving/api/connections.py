"""Limits on the number of connections and on how long requests take to arrive."""

import asyncio
import json
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from poph_tf.config import ServerConfig
from poph_tf.serving.api.guard import JSON, SECURITY_HEADERS, encoded

# Limit for the head of a request.
MAX_HEAD_BYTES = 16 * 1024


def protocol(config: ServerConfig) -> type[H11Protocol]:
    """The protocol of uvicorn with the limits of the server."""
    return type("LimitedProtocol", (_Limited,), {"limits": config, "open": {}})


class _Limited(H11Protocol):
    limits: ClassVar[ServerConfig]
    open: ClassVar[dict[str, int]]
    _deadline: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.open[self._address] = self.open.get(self._address, 0) + 1
        limits = self.limits
        if self.open[self._address] > limits.max_connections_per_client:
            self._refuse(429, "Too many connections from your address.")
        elif sum(self.open.values()) > limits.max_connections:
            self._refuse(503, "Too many connections.")
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.open[self._address] -= 1
        if not self.open[self._address]:
            del self.open[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle and not self.cycle.response_complete:
            self._stop_waiting()
        elif not self._deadline:
            self._wait_for_head()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _wait_for_head(self) -> None:
        seconds = self.limits.header_seconds
        self._deadline = self.loop.call_later(seconds, self._late)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408, "The head of the request did not arrive in time.")

    def _refuse(self, status: int, reason: str) -> None:
        """Responds without uvicorn, and closes the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        content = json.dumps({"error": reason}).encode()
        own = {"content-type": JSON, "content-length": str(len(content))}
        own |= {"connection": "close", "retry-after": "2"}
        headers = encoded({**own, **SECURITY_HEADERS}.items())
        start = h11.Response(status_code=status, headers=headers)
        for event in (start, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
