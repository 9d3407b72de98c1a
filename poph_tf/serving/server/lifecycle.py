"""Starts the server, runs it until a signal, then lets running requests end."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from poph_tf import cores
from poph_tf.config import ServerConfig
from poph_tf.errors import InputError
from poph_tf.serving import versions
from poph_tf.serving.server.app import Server
from poph_tf.serving.server.batching import Batcher
from poph_tf.serving.server.model_versions import ModelVersions

KEEP_ALIVE_SECONDS = 15
MAX_CONNECTIONS = 512


def run(
    config: ServerConfig,
    *,
    export_dir: str | None = None,
    model_dir: str | None = None,
    name: str = "",
) -> None:
    """Serves the newest version of an export until SIGTERM or SIGINT.

    Args:
        config: how the server runs.
        export_dir: directory of the export.
        model_dir: instead, a model directory or the name of a pretrained model; its
            export lasts as long as the server.
        name: the model's name; "" for the last part of the directory.

    Raises:
        InputError: If the address or the model cannot be used.
    """
    with (
        _listen(config.host, config.port) as listener,
        _exported(export_dir, model_dir) as directory,
    ):
        loaded = ModelVersions(directory, name, config.warm_up)
        max_rows = loaded.current.card["limits"]["max_batch"] if config.batching else 1
        num_threads = config.num_threads or cores.available()
        batcher = Batcher(num_threads, max_rows, config.batch_timeout_ms / 1000)
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        version = f"{loaded.name} version {loaded.current.number}"
        print(f"Serving {version} at {address}", flush=True)
        _serve(Server(loaded, batcher, config).app(), listener, config.timeout_seconds)
    if batcher.running:
        # Runs whose clients gave up cannot be stopped, and Python would wait for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _serve(app: Starlette, listener: socket.socket, grace_seconds: float) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(grace_seconds) + 1,
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
    )
    asyncio.run(_Uvicorn(config).serve(sockets=[listener]))


class _Uvicorn(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the end; uvicorn's own would raise the signal again afterwards."""
        # A second signal does not wait for running requests.
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise InputError(
            f"Cannot listen at {host}:{port} ({error.strerror or error}); choose "
            f"another --port, or 0 for a free one."
        ) from None


@contextlib.contextmanager
def _exported(export_dir: str | None, model_dir: str | None) -> Iterator[pathlib.Path]:
    """The export directory; that of a model directory is temporary."""
    if not model_dir:
        yield pathlib.Path(export_dir or "")
        return
    print(f"Exporting {model_dir}...", flush=True)
    # Until the server handles signals, one must not leave the folder behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="poph-serve-") as folder:
        directory = pathlib.Path(folder, pathlib.Path(model_dir).resolve().name)
        versions.export_model_dir(model_dir, directory)
        yield directory
