"""TF Serving's paths and responses, for a SavedModel.

    POST /v1/models/NAME[/versions/N]:predict     see rest_api.py
    GET  /v1/models/NAME[/versions/N]             state
    GET  /v1/models/NAME[/versions/N]/metadata    signatures
    GET  /model_cards/N                           model_card.json of a version

Errors are {"error": "..."}: 400 for what the model or the API does not allow, 404, 405,
429 and 503 for too much work at once, 503 while the server stops, 504 if a request
takes too long, 500 for an internal error. A request to a signature by its former name
gets a `Warning` header with the new one. `api/guard.py` has already limited the size
and the time of requests.
"""

import asyncio
import concurrent.futures
import functools
import http
import logging
import pathlib

import tensorflow as tf
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poph_tf import cores
from poph_tf.config import ServerConfig
from poph_tf.errors import InputError
from poph_tf.serving.api.clients import RETRY, Places, unless_gone
from poph_tf.serving.api.scheduler import Stopping
from poph_tf.serving.inputs import DEPRECATED
from poph_tf.serving.tf_serving import rest_api
from poph_tf.serving.tf_serving.batching import LANES, Batcher
from poph_tf.serving.tf_serving.model_versions import ModelVersion, ModelVersions


class _NameConvertor(StringConvertor):
    regex = "[^/:]+"  # without the verb after a colon


_PHRASES = [http.HTTPStatus(status).phrase for status in (404, 405)]
register_url_convertor("name", _NameConvertor())


def load(export_dir: pathlib.Path, name: str, config: ServerConfig) -> "Endpoints":
    """The endpoints of the newest version of an export.

    Args:
        export_dir: directory of the export.
        name: the model's name; "" for the last part of the directory.
        config: how the server runs.

    Raises:
        InputError: If the model cannot be used.
    """
    loaded = ModelVersions(export_dir, name, config.warm_up)
    max_rows = loaded.current.card["limits"]["max_batch"] if config.batching else 1
    num_threads = config.num_threads or cores.available()
    batcher = Batcher(num_threads, max_rows, config.batch_timeout_ms / 1000)
    return Endpoints(loaded, batcher, config)


def share_cores(config: ServerConfig) -> None:
    """Lets predictions run in parallel; call it before TensorFlow runs anything.

    A loop in a graph occupies a thread of TensorFlow's pool until it ends.
    """
    num_threads = config.num_threads or cores.available()
    tf.config.threading.set_inter_op_parallelism_threads(LANES * num_threads)


class Endpoints:
    """The endpoints over a model's versions.

    Args:
        versions: the versions, with a current one.
        batcher: runs the predict requests.
        config: limits of requests, and how often to look for versions.

    Attributes:
        app: the ASGI application.
    """

    def __init__(
        self, versions: ModelVersions, batcher: Batcher, config: ServerConfig
    ) -> None:
        self.versions = versions
        self.batcher = batcher
        self.config = config
        self.places = Places(config)
        # One body at a time: 8 MB of numbers become 300 MB.
        self._reader = concurrent.futures.ThreadPoolExecutor(1, "read")
        self.app = self._app()

    def _app(self) -> Starlette:
        routes: list[Route] = [Route("/model_cards/{version}", self.card)]
        model = "/v1/models/{name:name}"
        for path in (model, model + "/versions/{version:name}"):
            routes += [
                Route(path, self.state),
                Route(path + "/metadata", self.metadata),
                Route(path + ":predict", self.predict, methods=["POST"]),
            ]
        handled = (HTTPException, rest_api.BadRequest, Stopping, Exception)
        handlers = dict.fromkeys(handled, _answer_error)
        return Starlette(routes=routes, exception_handlers=handlers)

    def refresh(self) -> None:
        """Looks for a newer version."""
        try:
            if self.versions.refresh():
                logging.info("now serving version %d", self.versions.current.number)
        except InputError as error:  # the current version stays
            logging.debug("No version: %s", error)
        except Exception:
            logging.exception("The current version stays.")

    async def card(self, request: Request) -> Response:
        """The model card of a version."""
        return JSONResponse(self._version(request).card)

    async def state(self, request: Request) -> Response:
        """The state of a version, as TF Serving reports it."""
        number = str(self._version(request).number)
        status = {"error_code": "OK", "error_message": ""}
        state = {"version": number, "state": "AVAILABLE", "status": status}
        return JSONResponse({"model_version_status": [state]})

    async def metadata(self, request: Request) -> Response:
        """The signatures of a version, as TF Serving reports them."""
        version = self._version(request)
        spec = {"name": self.versions.name, "signature_name": ""}
        return JSONResponse(
            {
                "model_spec": spec | {"version": str(version.number)},
                "metadata": {"signature_def": {"signature_def": version.metadata}},
            }
        )

    async def predict(self, request: Request) -> Response:
        """Runs a signature."""
        version = self._version(request)
        with self.places.taken(request):
            body = await request.body()
            # Reading and writing megabytes of JSON would block all other requests.
            reading = asyncio.get_running_loop().run_in_executor(
                self._reader, rest_api.read_predict, body, version.specs
            )
            asked = await unless_gone(
                request, reading, self.config.timeout_seconds, late=504
            )
        num_steps = self._check_work(asked)
        function = version.functions[asked.signature]
        with self.places.taken(request, asked.num_pieces):
            outputs = await unless_gone(
                request,
                self.batcher.run(function, asked.inputs, num_steps),
                self.config.timeout_seconds,
                late=504,
            )
            text = await asyncio.to_thread(rest_api.write_predict, outputs, asked.rows)
        headers = {}
        if asked.signature in DEPRECATED:
            headers["Warning"] = f'299 - "{_warn_of_former_name(asked.signature)}"'
        return Response(text, media_type="application/json", headers=headers)

    def _check_work(self, asked: rest_api.Predict) -> int:
        """The steps of all pieces of a request, if they are within the limits."""
        pieces, steps = asked.num_pieces, asked.num_steps
        places = min(self.config.max_waiting, self.config.max_waiting_per_client)
        if pieces > places:
            raise rest_api.BadRequest(
                f"One request may ask for at most {places} pieces (--max_waiting, "
                f"--max_waiting_per_client), got {pieces}."
            )
        most = self.config.max_request_steps
        if pieces * steps > most:
            raise rest_api.BadRequest(
                f"One request may ask for at most {most} steps, all its pieces "
                f"together ({pieces} pieces of up to {most // pieces} steps each), "
                f"got {pieces} of {steps}."
            )
        return pieces * steps

    def _version(self, request: Request) -> ModelVersion:
        """The version that the address names."""
        wanted, current = request.path_params, self.versions.current
        name = wanted.get("name", self.versions.name)
        if name != self.versions.name:
            raise HTTPException(
                404, f"The model is {self.versions.name}, got {name[:60]}."
            )
        number = wanted.get("version", str(current.number))
        if number != str(current.number):
            raise HTTPException(
                404, f"Version {number[:60]} is not served; {current.number} is."
            )
        return current


@functools.cache
def _warn_of_former_name(signature: str) -> str:
    """The text of the warning; it is also logged once."""
    text = f"The signature {signature} is now called {DEPRECATED[signature]}."
    logging.warning("%s", text)
    return text


async def _answer_error(request: Request, error: Exception) -> Response:
    """Turns every error into a response."""
    if isinstance(error, rest_api.BadRequest):
        error = HTTPException(400, str(error))
    elif isinstance(error, Stopping):
        error = HTTPException(503, str(error), RETRY)
    elif not isinstance(error, HTTPException):
        error = HTTPException(500, "The server failed; its log has the details.")
    reason = error.detail
    if error.status_code in (404, 405) and reason in _PHRASES:  # starlette's own
        reason = (
            f"{reason}: GET /v1/models/NAME and /v1/models/NAME/metadata, "
            f"POST /v1/models/NAME:predict."
        )
    return JSONResponse({"error": reason}, error.status_code, error.headers)
