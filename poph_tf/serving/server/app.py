"""The HTTP side: TF Serving's paths and answers, and the page at `/`.

    POST /v1/models/NAME[/versions/N]:predict     see dialect.py
    GET  /v1/models/NAME[/versions/N]             state
    GET  /v1/models/NAME[/versions/N]/metadata    signatures
    GET  /model_cards/N                           model_card.json of a version
    GET  /, /page/...                             the page

Errors are {"error": "..."}: 400 for what the model or the dialect does not allow, 404,
405, 408 for a body that does not come, 413 for one too large, 503 for too many requests
at once, 504 for one that takes too long. Nothing that a client sends is a 500.
"""

import asyncio
import contextlib
import dataclasses
import importlib.resources
import logging
import re
import urllib.parse

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from poph_tf.errors import InputError
from poph_tf.serving.server import rest_api

PIECE_PAGE = importlib.resources.files("poph_tf.rendering") / "web"
SERVER_PAGE = importlib.resources.files("poph_tf.serving") / "web"
DEFAULT_NAME = "poph"
# The page asks for nothing from elsewhere, and sounds are made, not fetched.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_MODEL_PATH = re.compile(
    r"(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18}))?(?P<verb>/metadata|:\w+)?"
)
_VERSION = re.compile(r"\d{1,18}")


@dataclasses.dataclass(frozen=True)
class Options:
    """How requests are bounded.

    Args:
        max_body_bytes: int.
        body_seconds: float. Time for a request's body to come.
        run_seconds: float. Time for the model to answer.
        max_waiting: int. Predict requests at once, running or waiting.
        poll_seconds: float. Pause between looks for a new version; 0: no looks.
    """

    max_body_bytes: int = 32 * 2**20
    body_seconds: float = 30.0
    run_seconds: float = 120.0
    max_waiting: int = 64
    poll_seconds: float = 5.0


class Server:
    """The endpoints over a model's versions.

    Args:
        versions: loaded.Versions with a current version.
        make_batcher: function that gives a batching.Batcher, called in the loop.
        options: Options.
    """

    def __init__(self, versions, make_batcher, options):
        self.versions = versions
        self.make_batcher = make_batcher
        self.options = options
        self.num_waiting = 0
        self.batcher = None

    def app(self):
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/model_cards/{version}", self.card),
                Route("/v1/models/{path:path}", self.model, methods=["GET", "POST"]),
                Mount("/page/serve", StaticFiles(directory=str(SERVER_PAGE))),
                Mount("/page", StaticFiles(directory=str(PIECE_PAGE))),
            ],
            exception_handlers={HTTPException: _refuse, Exception: _fail},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app):
        self.batcher = self.make_batcher()
        poller = asyncio.create_task(self._poll())
        yield
        poller.cancel()
        self.batcher.close()

    async def _poll(self):
        while self.options.poll_seconds:
            await asyncio.sleep(self.options.poll_seconds)
            try:
                if await asyncio.to_thread(self.versions.refresh):
                    logging.info("now serving version %d", self.versions.current.number)
            except InputError as error:
                # What is loaded goes on.
                logging.warning("%s", error)
            except Exception:
                logging.exception("A new version could not be loaded.")

    async def page(self, request):
        name = self.versions.name
        if name != DEFAULT_NAME and request.query_params.get("model") != name:
            # The page learns the model's name from its address.
            return RedirectResponse(f"/?model={urllib.parse.quote(name)}")
        return FileResponse(str(SERVER_PAGE / "index.html"), headers=_HEADERS)

    async def card(self, request):
        number = request.path_params["version"]
        if not _VERSION.fullmatch(number):
            raise HTTPException(404, f"There is no version {number[:60]}.")
        return JSONResponse(self._version(number).card)

    async def model(self, request):
        found = _MODEL_PATH.fullmatch(request.path_params["path"])
        verb = found and found["verb"]
        if not found or verb not in (None, "/metadata", ":predict"):
            raise HTTPException(404, "There is :predict, /metadata and the state only.")
        if found["name"] != self.versions.name:
            raise HTTPException(
                404, f"The model is {self.versions.name}, got {found['name'][:60]}."
            )
        version = self._version(found["version"])
        wanted = "POST" if verb == ":predict" else "GET"
        if request.method != wanted:
            raise HTTPException(405, f"Use {wanted}.", {"Allow": wanted})
        if verb == ":predict":
            return await self._predict(request, version)
        return JSONResponse(self._metadata(version) if verb else self._state(version))

    def _version(self, number):
        current = self.versions.current
        if number is not None and int(number) != current.number:
            raise HTTPException(
                404, f"Version {number} is not served; {current.number} is."
            )
        return current

    @staticmethod
    def _state(version):
        status = {"error_code": "OK", "error_message": ""}
        state = {"version": str(version.number), "state": "AVAILABLE", "status": status}
        return {"model_version_status": [state]}

    def _metadata(self, version):
        spec = {"name": self.versions.name, "signature_name": ""}
        return {
            "model_spec": spec | {"version": str(version.number)},
            "metadata": {"signature_def": {"signature_def": version.metadata}},
        }

    async def _predict(self, request, version):
        if self.num_waiting >= self.options.max_waiting:
            raise HTTPException(
                503, "Too many requests at once; try again.", {"Retry-After": "1"}
            )
        self.num_waiting += 1
        try:
            body = await self._body(request)
            try:
                return await self._answer(body, version)
            except rest_api.BadRequest as error:
                raise HTTPException(400, str(error)) from None
            except TimeoutError:
                allowed = self.options.run_seconds
                raise HTTPException(504, f"Took longer than {allowed:g} s.") from None
        finally:
            self.num_waiting -= 1

    async def _answer(self, body, version):
        # Reading and writing megabytes of JSON would hold up everybody else.
        asked = await asyncio.to_thread(rest_api.read_predict, body, version.specs)
        async with asyncio.timeout(self.options.run_seconds):
            outputs = await self.batcher.run(
                version.functions[asked.signature], asked.inputs
            )
        text = await asyncio.to_thread(rest_api.write_predict, outputs, asked.rows)
        return Response(text, media_type="application/json")

    async def _body(self, request):
        """The body of a request, bounded in size and time."""
        most = self.options.max_body_bytes
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self.options.body_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise HTTPException(413, f"The body may have {most} bytes.")
                    chunks.append(chunk)
        except TimeoutError:
            raise HTTPException(408, "The body did not come in time.") from None
        return b"".join(chunks)


async def _refuse(request, error):
    return JSONResponse(
        {"error": error.detail}, status_code=error.status_code, headers=error.headers
    )


async def _fail(request, error):
    return JSONResponse({"error": "A fault of the server; see its log."}, 500)
