"""Predictions that would never end: their limits, and what ends them."""

import concurrent.futures
import json
import threading
import time

import numpy as np
import pytest
import servers
import tensorflow as tf

from poph_tf.serving.tf_serving import rest_api

NAME = "counting"
NEVER, LONG, SHORT = 2**30, 1000, 10
FLAGS = ("--num_threads=1", f"--max_request_steps={NEVER}", "--poll_seconds=0")
COUNTS = {"num_steps": tf.TensorSpec([None], tf.int32, name="num_steps")}


def count(num_steps):
    """Counts to the highest number, step by step, as a piece is drawn."""
    last = tf.reduce_max(num_steps)
    counted = tf.while_loop(lambda at: at < last, lambda at: [at + 1], [0])[0]
    return {"counted": tf.fill(tf.shape(num_steps), counted)}


def write_version(directory):
    """A SavedModel that counts."""
    module = tf.Module()
    module.count = tf.function(count, autograph=False)
    signature = module.count.get_concrete_function(**COUNTS)
    tf.saved_model.save(module, str(directory), {"serving_default": signature})
    card = directory / "assets.extra" / "model_card.json"
    card.parent.mkdir()
    limits = {"max_steps": 2**20, "max_batch": 4}
    card.write_text(json.dumps({"name": NAME, "limits": limits}))


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("endless") / NAME
    write_version(directory / "1")
    return directory


@pytest.fixture
def server(export_dir):
    """A server that the test may stop."""
    with servers.Server(*FLAGS, export_dir=export_dir) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(export_dir):
    """A server for the tests that only ask; each takes seconds to start."""
    with servers.Server(*FLAGS, export_dir=export_dir) as running:
        yield running


def body_of(*num_steps):
    return {"inputs": {"num_steps": list(num_steps)}}


def predict(server, *num_steps):
    return server.ask(f"v1/models/{NAME}:predict", body_of(*num_steps))


def head_of(content):
    head = f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nHost: localhost\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode()


def begin(server, *num_steps):
    """A connection whose prediction has begun to run."""
    content = json.dumps(body_of(*num_steps)).encode()
    connection = server.connect()
    connection.sendall(head_of(content) + content)
    threading.Event().wait(0.5)
    return connection


def test_a_prediction_ends_when_its_client_has_left(server):
    begin(server, NEVER).close()
    # It would wait for the first one, as only one may run at a time.
    assert predict(server, LONG) == (200, {"outputs": [LONG]})
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert server.process.stderr.read() == ""


def test_a_short_prediction_does_not_wait_for_long_ones(lasting):
    with begin(lasting, NEVER), begin(lasting, NEVER):
        for _ in range(3):
            assert predict(lasting, SHORT) == (200, {"outputs": [SHORT]})


def test_a_second_signal_ends_predictions_with_a_sentence(server):
    with begin(server, NEVER) as connection:
        server.process.terminate()
        threading.Event().wait(0.5)
        server.process.terminate()
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"The server is stopping; ask again in a moment." in answer
    assert server.process.wait(60) == 0
    assert server.process.stderr.read() == ""


def test_predictions_have_five_seconds_after_a_signal(server):
    content = json.dumps(body_of(NEVER)).encode()
    with begin(server, NEVER) as running, server.connect() as late:
        late.sendall(head_of(content) + content[:-5])
        threading.Event().wait(0.5)
        server.process.terminate()
        answer = b"".join(iter(lambda: running.recv(65536), b""))
        # Its body arrives after all predictions have been ended.
        late.sendall(content[-5:])
        late_answer = b"".join(iter(lambda: late.recv(65536), b""))
    for each in (answer, late_answer):
        assert each.startswith(b"HTTP/1.1 503")
        assert b"The server is stopping; ask again in a moment." in each
    assert server.process.wait(60) == 0
    assert server.process.stderr.read() == ""


def test_more_pieces_than_a_client_has_places_are_never_possible(lasting):
    status, answer = predict(lasting, *[SHORT] * 129)
    assert status == 400
    assert answer["error"] == (
        "One request may ask for at most 128 pieces (--max_waiting, "
        "--max_waiting_per_client), got 129."
    )


@pytest.mark.parametrize("num_steps", [(NEVER, 1), (1, NEVER)])
def test_pieces_times_steps_are_bounded(lasting, num_steps):
    status, answer = predict(lasting, *num_steps)
    assert status == 400
    assert answer["error"] == (
        f"One request may ask for at most {NEVER} steps, all its pieces together "
        f"(2 pieces of up to {NEVER // 2} steps each), got 2 of {NEVER}."
    )


def test_steps_that_are_sent_count_like_those_to_draw():
    cells = np.zeros((2, 12, 4))
    drawn = {"num_steps": np.array([3, 5]), "play": cells}
    assert rest_api.Predict("", False, drawn).num_steps == 12
    assert rest_api.Predict("", False, {"num_steps": np.array([3, 5])}).num_steps == 5
    assert rest_api.Predict("", False, drawn).num_pieces == 2


@pytest.fixture(scope="module")
def hasty(export_dir):
    flags = (*FLAGS, "--timeout_seconds=1", "--max_upload_mb=64")
    with servers.Server(*flags, export_dir=export_dir) as running:
        yield running


def timed(server, *num_steps):
    """Status and seconds of a prediction."""
    begun = time.monotonic()
    status, _ = predict(server, *num_steps)
    return status, time.monotonic() - begun


def test_waiting_for_a_turn_counts_into_the_time_of_a_prediction(hasty):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: timed(hasty, NEVER), range(6)))
    assert {status for status, _ in found} == {504}
    # They run one after another: the last would take six seconds.
    assert all(1 <= seconds < 4 for _, seconds in found)


def test_waiting_to_be_read_counts_into_the_time_of_a_prediction(hasty):
    # Bodies are read one by one; this many numbers take seconds.
    content = b'{"inputs": {"num_steps": [' + b"1," * 15_000_000 + b"1]}}"
    with hasty.connect() as connection:
        connection.sendall(head_of(content) + content)
        threading.Event().wait(0.5)
        status, seconds = timed(hasty, SHORT)
        assert connection.recv(65536).startswith(b"HTTP/1.1 504")
    assert status == 504
    assert seconds >= 1
