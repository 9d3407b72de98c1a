"""The endpoints of the API.

    GET  /v1/models                                     the models
    POST /v1/compose, continue, harmonize, accompany,   music -> pieces; see bodies.py
         infill, vary, reharmonize
    POST /v1/read, render, score                        files -> notes, and back
    GET  /healthz, /readyz, /openapi.json, /docs

Pieces are returned as JSON, or in the file format that `Accept` names, or, with
`Accept: text/event-stream`, bar by bar as they are drawn.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from poph_tf.config import ServerConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError, one_line
from poph_tf.generation import given_music
from poph_tf.generation.request import Request as Drawing
from poph_tf.serving.api import bodies, clients, scores, workers
from poph_tf.serving.api.answers import (
    DEFECT,
    EVENTS,
    EXAMPLES,
    FAILURES,
    FILES,
    FORM,
    JSON,
    MEDIA_TYPES,
    NO_BUFFER,
    PIECES,
    SCORE,
    SUFFIXES,
    Answer,
    Scored,
    event_text,
    told,
)
from poph_tf.serving.api.clients import RETRY
from poph_tf.serving.api.composing import TASKS, Composition, Event, ServedModel
from poph_tf.serving.api.scheduler import Scheduler, Stopping
from poph_tf.serving.api.workers import Workers

# Seconds without events after which a stream sends a comment to stay alive.
HEARTBEAT_SECONDS = 10.0


def _example(name: str) -> Any:
    """The body in OpenAPI, with an example."""
    return Body(openapi_examples={name: {"value": EXAMPLES[name]}})


class Api:
    """The API for some models.

    Args:
        config: the limits.
        scheduler: draws the pieces.
        processes: workers that read and render music.
        scorers: workers that run models with TensorFlow.

    Attributes:
        models: by name, the default first; empty until they are loaded.
        is_ready: whether everything has been loaded.
    """

    def __init__(
        self,
        config: ServerConfig,
        scheduler: Scheduler,
        processes: Workers,
        scorers: Workers,
    ) -> None:
        self.config, self.scheduler = config, scheduler
        self.processes, self.scorers = processes, scorers
        self.models: Mapping[str, ServedModel] = {}
        self.is_ready = False
        # For reading, rendering and scoring; the scheduler counts the pieces it draws.
        self._places = clients.Places(config, scheduler.waiting)

    def router(self) -> APIRouter:
        """The router with all endpoints."""
        router = APIRouter(responses=FAILURES)
        router.get("/healthz", summary="Whether the server runs")(self.health)
        router.get("/readyz", summary="Whether the models are loaded")(self.ready)
        router.get("/v1/models", summary="The models")(self.list_models)
        form = {"requestBody": {"content": FORM}}
        for task in TASKS:
            router.post(
                f"/v1/{task}",
                summary=f"{task.capitalize()}",
                openapi_extra=None if task == "compose" else form,
                responses={200: PIECES},
            )(self._endpoint(task))
        read = router.post(
            "/v1/read",
            summary="Music file to score",
            openapi_extra=form,
            responses={200: SCORE},
        )
        read(self.read)
        router.post("/v1/score", summary="Likelihood of music", openapi_extra=form)(
            self.score
        )
        render = router.post(
            "/v1/render",
            summary="Score to file",
            responses={200: FILES},
            response_class=Response,
        )
        render(self.render)
        return router

    async def health(self) -> dict[str, str]:
        """Whether the server runs; it may still be loading models."""
        return {"status": "alive"}

    async def ready(self) -> dict[str, str]:
        """Whether all models are loaded, including a SavedModel."""
        if not self.is_ready:
            raise HTTPException(503, "The models are still being loaded.", RETRY)
        return {"status": "ready"}

    async def list_models(self) -> list[dict[str, Any]]:
        """The available models, the default first."""
        return [
            model.about(default=not place)
            for place, model in enumerate(self._loaded().values())
        ]

    def _loaded(self) -> Mapping[str, ServedModel]:
        if not self.models:
            raise HTTPException(503, "The models are still being loaded.", RETRY)
        return self.models

    def model(self, name: str) -> ServedModel:
        """A model by its name; "": the default."""
        models = self._loaded()
        found = models.get(name) if name else next(iter(models.values()))
        if found is None:
            raise HTTPException(
                404, f"model must be one of {', '.join(models)}, got {name[:60]!r}."
            )
        return found

    def _endpoint(self, task: str) -> Callable[..., Awaitable[Response]]:
        kind: Any = bodies.Composing if task == "compose" else bodies.Arranging
        known: Any = Annotated[kind, _example(task)]

        async def endpoint(request: Request, body: known) -> Response:
            return await self._compose(request, task, body)

        endpoint.__name__ = task
        return endpoint

    async def _compose(
        self, request: Request, task: str, body: bodies.Settings
    ) -> Response:
        model = self.model(body.model)
        notes = None
        if task != "compose":
            with self._places.taken(request):
                notes = await self._notes(request, body)
        drawings = await asyncio.to_thread(self._resolve, model, body, task, notes)
        answer = Answer(model, body, task, notes, drawings)
        client = self._places.admit(
            request, sum(drawing.num_rows for drawing in drawings)
        )
        accept = request.headers.get("accept", "")
        if EVENTS in accept:
            events = self._events(answer, client)
            return StreamingResponse(events, media_type=EVENTS, headers=NO_BUFFER)
        composition = Composition(model, drawings)
        pieces = await self._unless_gone(
            request, composition.run(self.scheduler, client)
        )
        for kind in ("midi", "musicxml"):
            if MEDIA_TYPES[kind] in accept:
                return await self._file(request, pieces[0], kind, told(answer.changes))
        return Response(await asyncio.to_thread(answer.text, pieces), media_type=JSON)

    def _resolve(
        self, model: ServedModel, body: bodies.Settings, task: str, notes: Any
    ) -> list[Drawing]:
        """Resolves what to draw for each candidate, and checks the amount of work."""
        configs = bodies.configs(body, task, notes)
        most, each = self.config.max_request_steps, len(configs) * configs[0].best_of
        # A step is at most a bar; the exact number is known after resolving.
        if task in ("compose", "continue") and configs[0].num_bars * each > most:
            raise InputError(_too_much(configs[0].num_bars * each, most))
        drawings = [config.resolve(model.config) for config in configs[:1]]
        if not model.engine.can(drawings[0]):
            why = "was converted before one of these settings was added"
            if drawings[0].num_particles:
                why = "has no tracks: here it can compose and continue only"
            raise InputError(f"The model {model.name} {why}.")
        num_steps = Composition(model, drawings).num_steps * len(configs)
        if num_steps > most:
            raise InputError(_too_much(num_steps, most))
        return drawings + [config.resolve(model.config) for config in configs[1:]]

    async def _unless_gone(self, request: Request, work: Awaitable[Any]) -> Any:
        return await clients.unless_gone(request, work, self.config.timeout_seconds)

    async def _events(self, answer: Answer, client: str) -> AsyncIterator[str]:
        """The event stream of a request: its bars, then the whole response."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Event]()

        def on_bar(event: Event) -> None:
            with contextlib.suppress(RuntimeError):  # the server is gone
                loop.call_soon_threadsafe(queue.put_nowait, event)

        composition = Composition(answer.model, answer.drawings, on_bar)
        work = asyncio.ensure_future(composition.run(self.scheduler, client))
        work.add_done_callback(lambda _: queue.put_nowait({}))
        try:
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": composing\n\n"
                    continue
                if not event:
                    break
                yield event_text("bar", json.dumps(event, separators=(",", ":")))
            text = await asyncio.to_thread(answer.text, work.result())
            yield event_text("done", text)
        except (InputError, Stopping) as error:
            yield event_text("error", json.dumps({"error": one_line(error)}))
        except Exception:
            logging.exception("a stream failed")
            yield event_text("error", json.dumps({"error": DEFECT}))
        finally:
            work.cancel()

    async def _notes(self, request: Request, body: Any) -> Any:
        """The notes of a body's music."""
        music = body.music
        if isinstance(music, scores.Score):
            return await asyncio.to_thread(scores.to_notes, music)
        content, name = music.content()
        work = self.processes.run(workers.READ_SECONDS, workers.read, content, name)
        notes = await self._unless_gone(request, work)
        # The same limits hold for files as for scores.
        await asyncio.to_thread(matrices.from_notes, notes, max_steps=scores.MAX_STEPS)
        return notes

    async def read(
        self, request: Request, body: Annotated[bodies.Reading, _example("read")]
    ) -> Response:
        """The score of a music file."""
        with self._places.taken(request):
            notes = await self._notes(request, body)
        piece, changes = await asyncio.to_thread(given_music.on_grid, notes)
        return JSONResponse(scores.of_matrices(piece), headers=told(changes))

    async def score(
        self, request: Request, body: Annotated[bodies.Scoring, _example("score")]
    ) -> Scored:
        """The surprise of each note and step, in nats, given all previous steps."""
        folder = str(self.model(body.model).folder)
        with self._places.taken(request):
            notes = await self._notes(request, body)
            work = self.scorers.run(
                workers.SCORE_SECONDS, workers.score, folder, notes, body.style
            )
            return Scored(**await self._unless_gone(request, work))

    async def render(
        self, request: Request, body: Annotated[bodies.Rendering, _example("render")]
    ) -> Response:
        """The music as a file."""
        with self._places.taken(request):
            notes = await self._notes(request, body)
            return await self._file(request, notes, body.format, view=body.view)

    async def _file(
        self,
        request: Request,
        music: Any,
        kind: str,
        headers: Mapping[str, str] | None = None,
        view: Mapping[str, Any] | None = None,
    ) -> Response:
        suffix = SUFFIXES.get(kind, f".{kind}")
        work = self.processes.run(
            workers.RENDER_SECONDS, workers.render, music, suffix, dict(view or {})
        )
        content = await self._unless_gone(request, work)
        return Response(content, media_type=MEDIA_TYPES[kind], headers=headers)


def _too_much(num_steps: int, most: int) -> str:
    return (
        f"One request may ask for at most {most} steps, its candidates and its music "
        f"together, got {num_steps}."
    )


def handle_errors(app: FastAPI) -> None:
    """Turns every error into a response with one sentence."""

    async def answer(request: Request, error: Any) -> Response:
        status, headers = 400, None
        if isinstance(error, HTTPException):
            status, headers, reason = error.status_code, error.headers, error.detail
            if status == 400:  # FastAPI's own, for bytes that are not text
                reason = "The body must be JSON."
            if status in (404, 405) and reason in ("Not Found", "Method Not Allowed"):
                reason = (
                    f"{reason}: {request.method} is not for this address; see /docs."
                )
        elif isinstance(error, RequestValidationError):
            reason = bodies.sentence(error.errors())
        elif isinstance(error, InputError):
            reason = one_line(f"{str(error).rstrip('.')}.")
        elif isinstance(error, Stopping):
            status, reason, headers = 503, str(error), RETRY
        else:
            status, reason = 500, DEFECT
        # JSON may hold lone surrogates, which a response cannot encode.
        reason = str(reason).encode("utf-8", "backslashreplace").decode()
        return JSONResponse({"error": reason}, status, headers)

    kinds = (HTTPException, RequestValidationError, InputError, Stopping, Exception)
    for kind in kinds:
        app.add_exception_handler(kind, answer)
