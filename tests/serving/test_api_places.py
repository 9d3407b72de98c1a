"""Reading, rendering and scoring music: the places they take, and hang-ups."""

import asyncio
import json
import pathlib
import types

import fastapi
import pytest
from starlette.exceptions import HTTPException

from poph_tf.config import ServerConfig
from poph_tf.serving.api import answers, clients, workers
from poph_tf.serving.api import app as app_lib

PATHS = ("read", "render", "score", "vary")
MUSIC = answers.EXAMPLES["read"]


class Stuck:
    """Workers that run functions at once, except one that never ends.

    Args:
        function: the one that never ends.
    """

    def __init__(self, function=None):
        self.function = function
        self.began, self.cancelled = asyncio.Event(), 0

    async def run(self, seconds, function, *arguments):
        if function is not self.function:
            return function(*arguments)
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def api(stuck, **limits):
    """The API with such workers, and a model that only has a name."""
    scheduler = types.SimpleNamespace(waiting=lambda client=None: 0)
    made = app_lib.Api(ServerConfig(**limits), scheduler, stuck, stuck)
    made.models = {"m": types.SimpleNamespace(folder=pathlib.Path("m"))}
    application = fastapi.FastAPI()
    app_lib.handle_errors(application)
    application.include_router(made.router())
    return application


async def ask(application, path, gone, client="a"):
    """The status of an answer; the client leaves when `gone` is set."""
    sent, pending = [], [json.dumps(MUSIC).encode()]

    async def receive():
        if pending:
            return {"type": "http.request", "body": pending.pop()}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": f"/v1/{path}"}
    scope |= {
        "headers": [(b"content-type", b"application/json")],
        "client": (client, 1),
    }
    scope |= {"query_string": b"", "http_version": "1.1", "root_path": ""}
    await application(scope, receive, send)
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("path", "function"),
    [
        *((path, workers.read) for path in PATHS),
        ("render", workers.render),
        ("score", workers.score),
    ],
)
def test_work_on_music_ends_when_its_client_hangs_up(path, function):
    async def hang_up():
        stuck, gone = Stuck(function), asyncio.Event()
        asked = asyncio.create_task(ask(api(stuck), path, gone))
        await asyncio.wait_for(stuck.began.wait(), 60)
        gone.set()
        return await asyncio.wait_for(asked, 60), stuck.cancelled

    assert asyncio.run(hang_up()) == (499, 1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("limits", "same", "other"),
    [
        ({"max_waiting": 1}, 503, 503),
        ({"max_waiting_per_client": 1}, 429, 499),
    ],
)
def test_work_on_music_takes_a_place_until_it_ends(path, limits, same, other):
    async def crowd():
        stuck, gone, never = Stuck(workers.read), asyncio.Event(), asyncio.Event()
        application = api(stuck, **limits)
        first = asyncio.create_task(ask(application, path, gone))
        await asyncio.wait_for(stuck.began.wait(), 60)
        gone_too = asyncio.Event()
        gone_too.set()
        found = [
            await asyncio.wait_for(ask(application, path, leaves, client), 60)
            for leaves, client in ((never, "a"), (gone_too, "b"))
        ]
        gone.set()
        await first
        return [*found, await ask(application, path, gone_too)]

    assert asyncio.run(crowd()) == [same, other, 499]


def test_all_work_of_a_request_shares_its_time():
    async def never():
        await asyncio.Event().wait()

    async def work_twice():
        request = fastapi.Request({"type": "http"}, never)
        await clients.unless_gone(request, asyncio.sleep(1), 1.9)
        with pytest.raises(HTTPException, match=r"longer than 1\.9 s"):
            await clients.unless_gone(request, asyncio.sleep(1), 1.9)

    asyncio.run(work_twice())
