"""The application around the API: the web page, the API reference, TF Serving."""

import contextlib
import importlib.resources
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

import poph_tf
from poph_tf.serving.api import reference
from poph_tf.serving.api.app import Api, handle_errors

SHARED: list[str | tuple[str, str]] = [("poph_tf.rendering", "web")]  # by saved pages
PAGE = importlib.resources.files("poph_tf.serving") / "web"
TF_SERVING_PATHS = ("/v1/models/{rest:path}", "/model_cards/{rest:path}")


def application(
    api: Api,
    tf_serving: Callable[[], Any],
    lifespan: Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]],
) -> FastAPI:
    """Builds the whole application.

    Args:
        api: the API.
        tf_serving: returns the ASGI application for TF Serving's paths, or raises an
            HTTPException if there is none.
        lifespan: the lifespan context of the application.
    """
    app = FastAPI(
        title="poph_tf",
        description="Composes polyphonic music.",
        version=poph_tf.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(api.router())
    handle_errors(app)
    routes = [Route(path, _Later(tf_serving)) for path in TF_SERVING_PATHS]
    app.router.routes += [
        *routes,
        Route("/docs", _docs(app)),
        Route("/", _index),
        Mount("/page", StaticFiles(directory=str(PAGE), packages=SHARED)),
    ]
    return app


class _Later:
    """An ASGI application that may still be loading."""

    def __init__(self, app: Callable[[], Any]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app()(scope, receive, send)


async def _index(request: Request) -> Response:
    return FileResponse(str(PAGE / "index.html"))


def _docs(app: FastAPI) -> Callable[[Request], Any]:
    async def docs(request: Request) -> Response:
        # FastAPI's own page would load files from other hosts.
        return HTMLResponse(reference.page(app.openapi()))

    return docs
