"""Runs an ASGI application until a signal, then lets running requests end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import uvicorn

from poph_tf.errors import InputError

KEEP_ALIVE_SECONDS = 15
MAX_CONNECTIONS = 512


def listen(host, port):
    """A listening socket.

    Raises:
        InputError: If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise InputError(
            f"Cannot listen at {host}:{port} ({error.strerror or error}); choose "
            f"another --port, or 0 for a free one."
        ) from None


def serve(app, listener, grace_seconds):
    """Serves until SIGTERM or SIGINT.

    Args:
        app: ASGI application.
        listener: socket.
        grace_seconds: float. How long running requests may go on after the signal.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(grace_seconds) + 1,
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
    )
    asyncio.run(_serve(_Quiet(config), listener))


def leave(batcher):
    """Ends the process where runs go on whose clients have given up.

    They can't be stopped, and Python would wait for their threads.
    """
    if batcher and batcher.running:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class _Quiet(uvicorn.Server):
    """A server that ends with exit code 0 after a signal.

    uvicorn would raise the signal again once it has shut down.
    """

    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def _serve(server, listener):
    loop = asyncio.get_running_loop()

    def stop():
        # A second signal does not wait for what runs.
        server.force_exit = server.should_exit
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])
