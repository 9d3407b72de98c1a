"""Checks every request before the API sees it.

Checks Host and Origin (DNS rebinding, cross-site requests), and the size of the body
and the time it takes. Converts forms to JSON. Adds security headers for browsers to
every response.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poph_tf.config import ServerConfig
from poph_tf.errors import InputError
from poph_tf.serving.api import bodies

# The page loads nothing from other hosts.
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
MEGABYTE = 2**20
# If a body is too large, this much of it is read and discarded after the response, for
# at most this long: a client that is still sending when the connection closes would see
# only a broken pipe, not the response.
LINGER_MB, LINGER_SECONDS = 64, 5
JSON, FORM = "application/json", "multipart/form-data"

Pairs = list[tuple[bytes, bytes]]


class Refused(Exception):  # noqa: N818  a response, not a server error
    """The request is rejected at once.

    Args:
        status: HTTP status.
        reason: the error message, one sentence.
        sending: whether the client may still be sending the body.
    """

    def __init__(self, status: int, reason: str, sending: bool = False) -> None:
        super().__init__(reason)
        self.status, self.sending = status, sending


def encoded(headers: Iterable[tuple[str, str]]) -> Pairs:
    """Headers in the form that ASGI and h11 use."""
    return [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
    ]


class Guard:
    """ASGI middleware that checks requests.

    Args:
        app: handles the requests that pass.
        config: the limits.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self.app, self.config = app, config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, late = Headers(scope=scope), asyncio.Event()
        send = self._sender(headers, send, late)
        try:
            self._check_names(headers, (scope.get("server") or ("",))[0])
            if scope["method"] == "OPTIONS" and "origin" in headers:
                await _answer(send, 204, "")
                return
            body = await self._body(headers, scope["path"], receive)
            scope, body = await self._as_json(scope, headers, body)
        except Refused as error:
            text = json.dumps({"error": str(error)})
            await _answer(send, error.status, text, more_body=error.sending)
            if error.sending:
                await self._pass_over(receive)
                await send({"type": "http.response.body"})
            return
        if scope["method"] == "HEAD":  # the server drops the body
            scope = {**scope, "method": "GET"}
        try:
            await self.app(scope, _receiver(body, receive), send)
        except Exception:
            # A client that does not read its response is not a server error.
            if not late.is_set():
                raise

    def _check_names(self, headers: Headers, own_address: str) -> None:
        names = {*THIS_MACHINE, self.config.host, own_address, *self.config.allow_hosts}
        host = headers.get("host", "localhost")
        if _name(f"//{host}") not in names:
            raise Refused(
                400, f"The host {host[:60]!r} is not allowed; see --allow_hosts."
            )
        origin = headers.get("origin")
        if origin is None or origin in self.config.allow_origins:
            return
        if urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(
                403, f"The origin {origin[:60]!r} is not allowed; see --allow_origins."
            )

    async def _body(self, headers: Headers, path: str, receive: Receive) -> bytes:
        """The body of a request, limited in size and time."""
        config = self.config
        # A prediction includes the piece's state, which is as large as a file.
        is_large = path.endswith(":predict")
        is_large |= headers.get("content-type", "").startswith(FORM)
        megabytes = config.max_upload_mb if is_large else config.max_body_mb
        most, body = megabytes * MEGABYTE, bytearray()
        told = headers.get("content-length", "0")
        too_large = f"The body may have at most {most} bytes."
        if not told.isdecimal() or int(told[:20]) > most:
            # With `Expect`, the client asks before it sends the body.
            raise Refused(413, too_large, sending="expect" not in headers)
        try:
            async with asyncio.timeout(config.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "The body did not arrive.")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise Refused(413, too_large, sending=more)
                    if not more:
                        return bytes(body)
        except TimeoutError:
            raise Refused(408, "The body did not arrive in time.") from None

    async def _pass_over(self, receive: Receive) -> None:
        """Reads and discards what a client sends after it has its response."""
        left = LINGER_MB * MEGABYTE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(LINGER_SECONDS, self.config.body_seconds)):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        return

    async def _as_json(
        self, scope: Scope, headers: Headers, body: bytes
    ) -> tuple[Scope, bytes]:
        """Converts a form to JSON; TF Serving's clients may omit the Content-Type."""
        kind = headers.get("content-type", "")
        if scope["method"] != "POST" or ":" in scope["path"]:
            return scope, body
        if kind.startswith(FORM):
            try:
                body = await bodies.form_to_json(kind, body)
            except InputError as error:
                raise Refused(400, str(error)) from None
            kept = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
            return {**scope, "headers": kept + [(b"content-type", JSON.encode())]}, body
        if kind.split(";")[0].strip().lower() != JSON:
            raise Refused(415, f"The Content-Type must be {JSON} or {FORM}.")
        return scope, body

    def _sender(self, headers: Headers, send: Send, late: asyncio.Event) -> Send:
        """`send` with the common headers and a time limit."""
        added = dict(SECURITY_HEADERS)
        origin = headers.get("origin")
        if origin in self.config.allow_origins:
            added |= {
                "access-control-allow-origin": str(origin),
                "access-control-allow-methods": "GET, POST",
                "access-control-allow-headers": "content-type",
                "cross-origin-resource-policy": "cross-origin",
                "vary": "origin",
            }
        pairs = encoded(added.items())

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *pairs]}
            try:
                async with asyncio.timeout(self.config.body_seconds):
                    await send(message)
            except TimeoutError:
                late.set()
                raise

        return send_with_headers


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _receiver(body: bytes, receive: Receive) -> Receive:
    """Returns the whole body first, then further messages."""
    left: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return left.pop() if left else await receive()

    return give


async def _answer(send: Send, status: int, text: str, more_body: bool = False) -> None:
    headers = [("content-type", JSON), ("content-length", str(len(text.encode())))]
    # Do not wait for the rest of the body.
    headers += [("connection", "close")] if status >= 400 else []
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": encoded(headers)})
    body = {"body": text.encode(), "more_body": more_body}
    await send({"type": "http.response.body", **body})
