"""Bounds of the server: time, size, simultaneous requests. Without a model."""

import asyncio
import json
import shutil
import threading
import types

import exported
import numpy as np
import pytest
import tensorflow as tf

from poph_tf.config import ServerConfig
from poph_tf.errors import InputError
from poph_tf.models import pretrained
from poph_tf.serving.api import composing
from poph_tf.serving.tf_serving import app, batching, model_versions, rest_api


def ask_app(application, path, chunks=(b"{}",), method="POST"):
    """Sends a request straight into an ASGI application: (status, answer).

    A chunk that is None never arrives.
    """
    sent, pending = [], list(chunks)

    async def receive():
        chunk = pending.pop(0) if pending else None
        if chunk is None:
            await asyncio.Event().wait()
        more = bool(pending)
        return {"type": "http.request", "body": chunk, "more_body": more}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    scope |= {"query_string": b"", "http_version": "1.1", "root_path": ""}
    return application(scope, receive, send), sent


def answer_of(sent):
    body = b"".join(m.get("body", b"") for m in sent)
    return sent[0]["status"], json.loads(body)


def fake_server(function, signature="serving_default", **options):
    """A Server over one signature with one input `x`."""
    spec = tf.TensorSpec([None], tf.int32)
    version = types.SimpleNamespace(
        number=1,
        specs={signature: {"x": spec}},
        functions={signature: function},
    )
    versions = types.SimpleNamespace(name="m", current=version)
    config = ServerConfig(poll_seconds=0.0, **options)
    return app.Endpoints(versions, batching.Batcher(1), config)


def slow_server(**options):
    """A Server whose runs last until an event is set, and the event."""
    release = threading.Event()

    def slow(inputs, call):
        release.wait(60)
        return inputs

    return fake_server(slow, **options), release


ONE = b'{"inputs": {"x": [1]}}'
PREDICT = "/v1/models/m:predict"


def test_model_that_takes_too_long_is_a_504():
    server, release = slow_server(timeout_seconds=0.1)

    async def ask():
        coroutine, sent = ask_app(server.app, PREDICT, [ONE])
        await coroutine
        release.set()
        return answer_of(sent)

    assert asyncio.run(ask()) == (504, {"error": "Took longer than 0.1 s."})


def test_shutdown_does_not_wait_for_abandoned_runs():
    server, release = slow_server(timeout_seconds=0.1)

    async def ask():
        coroutine, sent = ask_app(server.app, PREDICT, [ONE])
        await coroutine
        server.batcher.close()
        return answer_of(sent)[0]

    assert asyncio.run(ask()) == 504
    (thread,) = server.batcher.threads._threads
    assert thread.is_alive()
    release.set()
    server.batcher.threads.shutdown(wait=True)
    assert not thread.is_alive()


def test_inputs_of_unequal_batches_are_refused_before_they_are_merged():
    spec = tf.TensorSpec([None], tf.int32)
    body = b'{"inputs": {"x": [1], "y": [1, 2]}}'
    with pytest.raises(rest_api.BadRequest, match="the same batch size"):
        rest_api.read_predict(body, {"serving_default": {"x": spec, "y": spec}})


def test_too_many_simultaneous_requests_are_a_503_and_later_ones_are_served():
    server, release = slow_server(max_waiting=2)
    application = server.app

    async def ask():
        asked = [ask_app(application, PREDICT, [ONE]) for _ in range(3)]
        tasks = [asyncio.create_task(coroutine) for coroutine, _ in asked]
        await tasks[2]
        release.set()
        await asyncio.gather(*tasks[:2])
        coroutine, sent = ask_app(application, PREDICT, [ONE])
        await coroutine
        return [answer_of(sent)[0] for sent in [*(s for _, s in asked), sent]]

    assert asyncio.run(ask()) == [200, 200, 503, 200]


def test_internal_error_is_a_500_without_details():
    def fail(inputs, call):
        raise RuntimeError("secret")

    server = fake_server(fail)
    coroutine, sent = ask_app(server.app, PREDICT, [ONE])
    with pytest.raises(RuntimeError):
        asyncio.run(coroutine)
    status, answer = answer_of(sent)
    assert status == 500
    assert "secret" not in answer["error"]


def test_a_former_name_is_answered_with_a_warning_that_names_the_new_one():
    server = fake_server(lambda inputs, call: inputs, "hear")
    body = b'{"signature_name": "hear", "inputs": {"x": [1]}}'
    coroutine, sent = ask_app(server.app, PREDICT, [body])
    asyncio.run(coroutine)
    assert answer_of(sent) == (200, {"outputs": [1]})
    warning = dict(sent[0]["headers"])[b"warning"]
    assert warning == b'299 - "The signature hear is now called prefill."'


def test_batcher_merges_requests_that_fit_and_splits_the_answer():
    sizes = []

    def double(inputs, call):
        sizes.append(len(inputs["x"]))
        return {"y": 2 * inputs["x"]}

    async def ask():
        batcher = batching.Batcher(1, max_rows=4, wait_seconds=0.05)
        given = [np.arange(3) + 10 * k for k in range(3)] + [np.zeros((1, 2))]
        jobs = [batcher.run(double, {"x": x}) for x in given]
        return given, await asyncio.gather(*jobs)

    given, found = asyncio.run(ask())
    for x, outputs in zip(given, found, strict=True):
        np.testing.assert_array_equal(outputs["y"], 2 * x)
    # Two requests of three rows do not fit into four; another shape runs alone.
    assert sorted(sizes) == [1, 3, 3, 3]


def test_batcher_merges_requests_that_arrive_while_it_is_busy():
    sizes = []

    def count(inputs, call):
        sizes.append(len(inputs["x"]))
        return inputs

    async def ask():
        batcher = batching.Batcher(1, max_rows=8, wait_seconds=0.05)
        one = {"x": np.zeros(1)}
        await asyncio.gather(*(batcher.run(count, one) for _ in range(5)))

    asyncio.run(ask())
    assert sizes == [5]


@pytest.mark.parametrize("name", ["saved_model.pb", "assets.extra/model_card.json"])
def test_a_version_with_a_damaged_file_is_left_out(tmp_path, caplog, name):
    for number in ("1", "2"):
        shutil.copytree(exported.version_dir(), tmp_path / number)
    (tmp_path / "2" / name).write_bytes(b"\xff" * name.endswith("json"))
    found = model_versions.ModelVersions(tmp_path, "m", warm_up=False)
    assert found.current.number == 1
    assert "Version 2 is left out: " in caplog.text


@pytest.mark.parametrize(
    "card", ["[]", "{}", '{"limits": {}}', '{"limits": {"max_batch": 0}}', "null"]
)
def test_a_version_with_a_card_of_a_wrong_shape_is_left_out(tmp_path, caplog, card):
    for number in ("1", "2"):
        shutil.copytree(exported.version_dir(), tmp_path / number)
    (tmp_path / "2" / "assets.extra" / "model_card.json").write_text(card)
    found = model_versions.ModelVersions(tmp_path, "m", warm_up=False)
    assert found.current.number == 1
    assert "model_card.json must be an object whose limits have max_st" in caplog.text


def fail(num_steps):
    """A signature that fails when it is warmed up."""
    with tf.control_dependencies([tf.debugging.Assert(False, ["out of order"])]):
        return {"played": tf.identity(num_steps)}


@pytest.mark.parametrize(
    ("function", "name", "reason"),
    [
        (fail, "num_steps", "out of order"),
        (lambda x: {"y": x}, "x", "serving_default takes x, an unknown input"),
    ],
)
def test_a_version_that_cannot_be_warmed_up_is_left_out(
    tmp_path, caplog, function, name, reason
):
    for number in ("1", "2"):
        shutil.copytree(exported.version_dir(), tmp_path / number)
    module, spec = tf.Module(), tf.TensorSpec([None], tf.int32, name=name)
    module.run = tf.function(function, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(tmp_path / "2"), module.run.get_concrete_function())
    found = model_versions.ModelVersions(tmp_path, "m")
    assert found.current.number == 1
    assert "Version 2 is left out: " in caplog.text
    assert reason in caplog.text


def test_settings_of_a_wrong_shape_are_no_converted_model(tmp_path):
    shutil.copytree(pretrained.resolve("scores"), tmp_path / "m")
    for settings in ("[]", "{}", '{"model": []}'):
        (tmp_path / "m" / "config.json").write_text(settings)
        with pytest.raises(InputError, match="holds no converted model"):
            composing.ServedModel.load(tmp_path / "m")


def test_versions_are_loaded_told_and_rolled_back(tmp_path, monkeypatch, caplog):
    loaded = []

    def load(path, warm_up=True):
        loaded.append(path.name)
        if (path / "broken").exists():
            raise InputError("broken.")
        return types.SimpleNamespace(number=int(path.name))

    monkeypatch.setattr(model_versions, "ModelVersion", load)
    for name in ("1", "2", "007", "0", "x"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    (tmp_path / "2" / "broken").touch()
    found = model_versions.ModelVersions(tmp_path, "m")
    assert found.current.number == 1
    assert "Version 2 is left out: broken." in caplog.text
    for _ in range(3):
        assert not found.refresh()
    assert loaded == ["2", "1"]
    (tmp_path / "3").mkdir()
    assert found.refresh()
    assert found.current.number == 3
    (tmp_path / "3").rmdir()
    assert found.refresh()
    assert found.current.number == 1
    (tmp_path / "1").rmdir()
    with pytest.raises(InputError, match=r"broken\."):
        found.refresh()
    assert found.current.number == 1
