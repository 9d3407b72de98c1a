"""Starts the server, loads its models in the background, and stops it at a signal.

The server responds from the first second; `/readyz` tells when the models are loaded.
"""

import asyncio
import contextlib
import logging
import os
import pathlib
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from poph_tf import cores
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import ServerConfig
from poph_tf.generation import light_engine
from poph_tf.models import pretrained
from poph_tf.serving import versions
from poph_tf.serving.api import app as api_lib
from poph_tf.serving.api import connections, page
from poph_tf.serving.api.clients import RETRY
from poph_tf.serving.api.composing import ServedModel
from poph_tf.serving.api.guard import Guard
from poph_tf.serving.api.scheduler import Scheduler, Stopping
from poph_tf.serving.api.workers import SCORER_BYTES, Workers

STOPPING = "The server is stopping; ask again in a moment."
# Seconds that predictions of a SavedModel have to end by themselves.
GRACE_SECONDS = 5.0


def run(
    config: ServerConfig,
    listener: socket.socket,
    *,
    model_dirs: Sequence[str] = (),
    export_dir: str | None = None,
    name: str = "",
) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        config: how the server runs.
        listener: the listening socket.
        model_dirs: model directories or names of pretrained models; empty for all
            pretrained models.
        export_dir: the SavedModel to serve at TF Serving's paths, if any.
        name: the SavedModel's name; "" for the last part of the directory.

    Raises:
        InputError: If a model cannot be used.
    """
    if export_dir:
        # Checked first, since importing TensorFlow takes seconds.
        versions.check(pathlib.Path(export_dir))
    with contextlib.ExitStack() as stack:
        server = Server(config, listener, stack, (model_dirs, export_dir, name))
        server.serve()
    if server.failure:
        raise server.failure
    if server.busy:
        # Exit at once: Python would wait for a running import and for TensorFlow.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class Server:
    """A server with its threads and processes.

    Args:
        config: how it runs.
        listener: the listening socket.
        stack: gets what must be closed.
        asked: model directories, export directory and name, as for `run`.

    Attributes:
        failure: why the models could not be loaded.
    """

    failure: BaseException | None = None

    def __init__(
        self,
        config: ServerConfig,
        listener: socket.socket,
        stack: contextlib.ExitStack,
        asked: tuple[Sequence[str], str | None, str],
    ) -> None:
        self.config, self.listener, self.stack = config, listener, stack
        self._asked = asked
        self._loading = threading.Thread(target=self._load, daemon=True)
        num_threads = config.num_threads or cores.available()
        self.scheduler = Scheduler(num_threads)
        stack.callback(self.scheduler.close)
        processes = Workers(num_threads)
        stack.callback(processes.close)
        scorers = Workers(1, SCORER_BYTES)
        stack.callback(scorers.close)
        self.api = api_lib.Api(config, self.scheduler, processes, scorers)
        self.tf_serving: Any = None
        self.uvicorn = _Uvicorn(self._settings(), self._end)

    def _settings(self) -> uvicorn.Config:
        config = self.config
        # Its warnings are about malformed forms; clients get those errors anyway.
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        app = page.application(self.api, self._answer_tf_serving, self._lifespan)
        return uvicorn.Config(
            Guard(app, config),
            http=connections.protocol(config),
            h11_max_incomplete_event_size=connections.MAX_HEAD_BYTES,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=config.idle_seconds,
            timeout_graceful_shutdown=int(config.timeout_seconds) + 1,
        )

    @property
    def address(self) -> str:
        """The address of the page."""
        host, port = self.listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def busy(self) -> bool:
        """Whether something still runs, or would take seconds to shut down."""
        return bool(self.tf_serving or self._loading.is_alive())

    def _end(self, predictions: bool) -> None:
        """Ends running pieces, and optionally predictions, with an error message."""
        self.scheduler.end_all(Stopping(STOPPING))
        if predictions and self.tf_serving:
            self.tf_serving.batcher.end_all(Stopping(STOPPING))

    def serve(self) -> None:
        """Serves until a signal, and loads the models meanwhile."""
        print(f"Loading the models; soon ready at {self.address}", flush=True)
        asyncio.run(self.uvicorn.serve(sockets=[self.listener]))

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self._loading.start()
        polling = asyncio.create_task(self._poll())
        yield
        polling.cancel()
        if self.tf_serving:
            self.tf_serving.batcher.close()

    def _load(self) -> None:
        try:
            names = self._load_models()
        except BaseException as error:
            self.failure = error
            self.uvicorn.should_exit = True
        else:
            print(f"Serving {', '.join(names)} at {self.address}", flush=True)

    async def _poll(self) -> None:
        while seconds := self.config.poll_seconds:
            await asyncio.sleep(seconds)
            if self.tf_serving:
                await asyncio.to_thread(self.tf_serving.refresh)

    def _load_models(self) -> list[str]:
        model_dirs, export_dir, name = self._asked
        if export_dir:
            import_tensorflow()
            from poph_tf.serving.tf_serving import app

            app.share_cores(self.config)
        folders = [_light(each, self.stack) for each in model_dirs]
        folders = folders or [pretrained.ROOT / name for name in pretrained.names()]
        loaded = [ServedModel.load(folder) for folder in folders]
        models = {model.name: model for model in loaded}
        self.api.models, names = models, list(models)
        if export_dir:
            self.tf_serving = app.load(pathlib.Path(export_dir), name, self.config)
            served = self.tf_serving.versions
            names.append(f"{served.name} version {served.current.number}")
        self.api.is_ready = True
        return names

    def _answer_tf_serving(self) -> Any:
        """The application for TF Serving's paths, once it is loaded."""
        if self.tf_serving:
            return self.tf_serving.app
        _, export_dir, _ = self._asked
        if export_dir:
            raise HTTPException(503, "The SavedModel is still being loaded.", RETRY)
        raise HTTPException(404, "No SavedModel is served here; see --export_dir.")


def _light(model_dir: str, stack: contextlib.ExitStack) -> pathlib.Path:
    """The folder of a converted model; converts others to a temporary folder."""
    folder = pretrained.resolve(model_dir)
    if light_engine.is_there(folder):
        return folder
    print(f"Converting {model_dir}...", flush=True)
    import_tensorflow()
    from poph_tf.serving import litert

    made = stack.enter_context(tempfile.TemporaryDirectory(prefix="poph-serve-"))
    return litert.export(folder, pathlib.Path(made) / folder.resolve().name)


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, end: Callable[[bool], None]) -> None:
        super().__init__(config)
        self.end = end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the shutdown; uvicorn's own method would raise the signal again."""
        if self.should_exit:  # after a second signal, do not wait for running requests
            self.force_exit = True
            asyncio.get_running_loop().call_soon_threadsafe(self.end, True)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends running pieces at the next bar, with an error message."""
        self.end(False)
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self.end, True)
        await super().shutdown(sockets)
        # uvicorn skips this after a second signal, and waiting tasks would then end
        # with a traceback.
        await self.lifespan.shutdown()
