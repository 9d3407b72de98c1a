"""The application around the API: the page, the API's manual, TF Serving."""

import contextlib
import importlib.resources
import inspect
import json
from collections.abc import Callable
from typing import Any

import jinja2
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

import poph_tf
from poph_tf.serving.api.app import RETRY, Api, handle_errors

PAGE = importlib.resources.files("poph_tf.serving") / "web"
DIALECT_PATHS = ("/v1/models/{rest:path}", "/model_cards/{rest:path}")

_DOCS = jinja2.Template(
    """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{{ info.title }}: the API</title>
<h1>{{ info.title }}: the API</h1>
<p>As OpenAPI: <a href="openapi.json">openapi.json</a>.</p>
{% for path, methods in paths.items() %}{% for method, about in methods.items() %}
<h2><code>{{ method | upper }} {{ path }}</code></h2>
<p>{{ about.summary }}. {{ about.description }}</p>
{% set body = about.requestBody.content["application/json"].schema["$ref"] %}
{% if body %}<p>Body: <a href="#{{ body.split("/")[-1] }}">
{{ body.split("/")[-1] }}</a></p>{% endif %}
{% endfor %}{% endfor %}
{% for name, schema in components.schemas.items() %}
<h2 id="{{ name }}"><code>{{ name }}</code></h2>
<p>{{ schema.description }}</p>
<dl>{% for field, about in schema.properties.items() %}
<dt><code>{{ field }}</code>{% if about.default is defined %}
 = <code>{{ about.default | tojson }}</code>{% endif %}</dt>
<dd>{{ about.description }}</dd>{% endfor %}</dl>
{% endfor %}</html>""",
    autoescape=True,
    undefined=jinja2.ChainableUndefined,
)


def application(
    api: Api,
    dialect: Callable[[], Any],
    lifespan: Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]],
) -> FastAPI:
    """The whole application.

    Args:
        api: composes.
        dialect: gives the ASGI application of TF Serving's addresses; None: not yet.
        lifespan: what lasts as long as the application.
    """
    app = FastAPI(
        title="poph_tf",
        description=inspect.cleandoc("Composes polyphonic music."),
        version=poph_tf.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(api.router())
    handle_errors(app)
    routes = [Route(path, _Later(dialect)) for path in DIALECT_PATHS]
    app.router.routes += [
        *routes,
        Route("/docs", _docs(app)),
        Route("/", _index),
        Mount("/page", StaticFiles(directory=str(PAGE))),
    ]
    return app


class _Later:
    """An ASGI application that may still be loading."""

    def __init__(self, app: Callable[[], Any]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app()
        if app is None:
            raise HTTPException(503, "The SavedModel is still being loaded.", RETRY)
        await app(scope, receive, send)


async def no_saved_model(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers TF Serving's addresses where no SavedModel is served."""
    raise HTTPException(404, "No SavedModel is served here; see --export_dir.")


async def _index(request: Request) -> Response:
    return FileResponse(str(PAGE / "index.html"))


def _docs(app: FastAPI) -> Callable[[Request], Any]:
    async def docs(request: Request) -> Response:
        # No page from elsewhere, as FastAPI's own would be.
        return HTMLResponse(_DOCS.render(json.loads(json.dumps(app.openapi()))))

    return docs
