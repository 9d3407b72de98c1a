"""The development server over a real socket."""

import os
import shutil
import subprocess
import sys
import threading
from unittest import mock

import exported
import numpy as np
import pytest
import servers
from exported import call, compose_inputs, roll_inputs, roll_of, states
from servers import columns, rows, shared
from systems import needs_posix

from poph_tf import models

NAME = exported.MODEL_NAME


def test_columns_and_rows_give_the_piece_of_the_saved_model():
    inputs = compose_inputs(2, num_steps=np.array([20, 12], np.int32))
    wanted = call("compose", inputs)
    status, answer = shared().predict(columns("compose", inputs))
    assert status == 200
    found = servers.arrays(answer["outputs"])
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)
    status, answer = shared().predict(rows("", inputs))
    assert status == 200
    assert answer["predictions"] == [
        {name: value[piece].tolist() for name, value in wanted.items()}
        for piece in range(2)
    ]


def test_midi_comes_as_base64_without_a_name():
    inputs = compose_inputs(2, 16) | {"tempo_qpm": np.array([120, 90], np.float32)}
    wanted = servers.as_json(call("compose_midi", inputs)["midi_bytes"])
    _, by_columns = shared().predict(columns("compose_midi", inputs))
    _, by_rows = shared().predict(rows("compose_midi", inputs))
    assert by_columns == {"outputs": wanted}
    assert by_rows == {"predictions": wanted}


def test_states_travel_and_bars_join_to_the_piece():
    state, bars = states(), []
    for _ in range(2):
        inputs = compose_inputs(2, 16) | {"state_bytes": state}
        _, answer = shared().predict(columns("continue_", inputs))
        outputs = servers.arrays(answer["outputs"])
        state = outputs["state_bytes"]
        bars.append(roll_of(outputs))
    whole = roll_of(call("compose", compose_inputs(2, 32)))
    np.testing.assert_array_equal(np.concatenate(bars, axis=1), whole)


def test_score_and_prefill_take_matrices():
    inputs = roll_inputs(call("compose", compose_inputs(2, 16)))
    _, answer = shared().predict(columns("score", inputs))
    np.testing.assert_allclose(
        answer["outputs"]["play_nats"], call("score", inputs)["play_nats"], rtol=1e-5
    )
    given = inputs | {"state_bytes": states(), "bar_steps": np.array([16, 16])}
    status, answer = shared().predict(rows("prefill", given))
    assert status == 200
    assert [set(item) for item in answer["predictions"]] == [{"b64"}, {"b64"}]


def test_state_and_metadata_are_those_of_tf_serving():
    for path in (f"v1/models/{NAME}", f"v1/models/{NAME}/versions/1"):
        status, answer = shared().ask(path)
        assert status == 200
        assert answer == {
            "model_version_status": [
                {
                    "version": "1",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }
    status, answer = shared().ask(f"v1/models/{NAME}/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": NAME, "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == set(exported.signatures())
    style = signatures["compose"]["inputs"]["style"]
    assert style["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in style["tensor_shape"]["dim"]] == ["-1", "2"]
    midi_bytes = signatures["compose_midi"]["outputs"]["midi_bytes"]
    assert midi_bytes["dtype"] == "DT_STRING"


def test_server_gives_the_model_card():
    status, card = shared().ask("model_cards/1")
    assert status == 200
    assert card["model"]["styles"] == list(exported.STYLES)
    assert shared().ask("model_cards/2")[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "method", "status"),
    [
        ("v1/models/other", None, "GET", 404),
        ("v1/models/other:predict", b"{}", "POST", 404),
        (f"v1/models/{NAME}/versions/2:predict", b"{}", "POST", 404),
        (f"v1/models/{NAME}/versions/x", None, "GET", 404),
        (f"v1/models/{NAME}:classify", b"{}", "POST", 404),
        (f"v1/models/{NAME}:predict", None, "GET", 405),
        (f"v1/models/{NAME}", b"{}", "POST", 405),
        (f"v1/models/{NAME}:predict", b"{}", "PUT", 405),
        ("v2/models", None, "GET", 404),
        ("page/../serve.py", None, "GET", 404),
        ("page/%2e%2e/serve.py", None, "GET", 404),
        ("model_cards/" + "9" * 5000, None, "GET", 404),
        ("model_cards/one", None, "GET", 404),
        (f"v1/models/{NAME}:predict", b" " * (2**23 + 1), "POST", 413),
    ],
)
def test_wrong_address_method_or_size_is_a_4xx_with_a_reason(
    path, body, method, status
):
    found, answer = shared().ask(path, body, method)
    assert found == status
    assert answer["error"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": [-1.0]}, "temperature must be 0 to 10, got [-1]."),
        ({"temperature": [float("nan")]}, "temperature must be 0 to 10, got [nan]."),
        ({"num_steps": [65]}, "num_steps must be 1 to 64, got [65]."),
        ({"num_steps": [2**31]}, "num_steps must be -2147483648 to 2147483647."),
        ({"num_steps": [1.5]}, "num_steps must be int32 [any], that is whole numbers"),
        ({"num_steps": 4}, "num_steps must be int32 [any], got shape []."),
        ({"seed": [[1, 2, 3]]}, "seed must be int32 [any, 2], got shape [1, 3]."),
        ({"seed": [[1, 2], [3]]}, "seed must be int32 [any, 2], got lists of unequal"),
        ({"seed": [[1, 2], [3, 4]]}, "all inputs must have the same batch size"),
        ({"style": [[1.0]]}, "style must be float32 [any, 2], got shape [1, 1]."),
        ({"tempo": [1.0]}, "num_steps, seed, style, temperature; got 'tempo' too."),
        ({"style": [["a", "b"]]}, "that is numbers of its range only."),
        # numpy would make an array of 20 million letters.
        ({"num_steps": ["a" * 4000] + [""] * 5000}, "that is whole numbers of its"),
        ({"num_steps": [None]}, "that is whole numbers of its range only."),
        ({"num_steps": [True]}, "that is whole numbers of its range only."),
    ],
)
def test_reason_names_the_allowed_and_the_received_value(change, reason):
    request = columns("compose", compose_inputs(1, 4))
    request["inputs"] |= change
    status, answer = shared().predict(request)
    assert status == 400
    assert reason in answer["error"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A server that merges requests and looks for newer versions."""
    directory = tmp_path_factory.mktemp("versions") / NAME
    shutil.copytree(exported.version_dir(), directory / "1")
    flags = ("--batching", "--batch_timeout_ms=200", "--poll_seconds=0.1")
    with servers.Server(*flags, export_dir=directory) as server:
        yield server, directory


def test_simultaneous_clients_get_their_own_pieces_from_merged_batches(own):
    server, _ = own
    seeds = range(6)
    inputs = [compose_inputs(1, 16, seed=seed) for seed in seeds]
    wanted = [roll_of(call("compose", each)) for each in inputs]
    bad = columns("compose", compose_inputs(1, 16))
    bad["inputs"]["temperature"] = [11.0]
    found = {}

    def ask(seed):
        found[seed] = server.predict(columns("compose", inputs[seed]))

    def ask_badly():
        found["bad"] = server.predict(bad)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in seeds]
    threads.append(threading.Thread(target=ask_badly))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["bad"][0] == 400
    for seed in seeds:
        status, answer = found[seed]
        assert status == 200
        outputs = servers.arrays(answer["outputs"])
        np.testing.assert_array_equal(roll_of(outputs), wanted[seed])


@needs_posix
def test_newer_version_takes_over_and_sigterm_lets_a_request_end(own):
    server, directory = own
    shutil.copytree(exported.version_dir(), directory / ".writing")
    (directory / ".writing").rename(directory / "2")
    path = f"v1/models/{NAME}/versions/2"
    for _ in range(600):
        if server.ask(path)[0] == 200:
            break
        threading.Event().wait(0.1)
    assert server.ask(path)[0] == 200
    answers = []
    request = columns("compose", compose_inputs(4, 64))
    client = threading.Thread(target=lambda: answers.append(server.predict(request)))
    client.start()
    threading.Event().wait(0.3)
    # This test stops the server.
    assert server.stop() == 0
    client.join()
    assert answers[0][0] == 200


@needs_posix
def test_a_model_that_is_not_converted_is_converted_for_the_servers_time(tmp_path):
    directory = tmp_path / "runs" / NAME
    directory.mkdir(parents=True)
    models.save(exported.model(), str(directory))
    (directory / "config.json").write_text("{}")
    (tmp_path / "temporary").mkdir()
    # The converted model goes there, so that the test can check its removal.
    with mock.patch.dict(os.environ, {"TMPDIR": str(tmp_path / "temporary")}):
        server = servers.Server(model_dir=directory)
    with server:
        status, answer = server.ask("v1/compose", {"num_bars": 1})
        assert status == 200
        assert answer["model"]["name"] == NAME
        assert list((tmp_path / "temporary").glob("poph-serve-*"))
        assert server.stop() == 0
    assert not list((tmp_path / "temporary").glob("poph-serve-*"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model_dir=/no/such"], "/no/such"),
        (["--export_dir=/no/such"], "There is no export directory '/no/such'"),
        (["--export_dir={empty}"], "holds no version yet: write one with"),
        (["--export_dir={broken}"], "is not an export of poph_tf"),
        (["--export_dir={empty}", "--host=256.0.0.1"], "Cannot listen at 256.0.0.1"),
    ],
)
def test_command_that_cannot_serve_gives_the_reason_in_one_line(
    tmp_path, flags, message
):
    places = {"empty": tmp_path / "empty", "broken": tmp_path / "broken"}
    (places["broken"] / "1").mkdir(parents=True)
    places["empty"].mkdir()
    flags = [flag.format(**places) for flag in flags]
    command = [sys.executable, "-m", "poph_tf.serve", "--port=0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    # Errors in an export are reported before TensorFlow is imported.
    assert ("Loading" in done.stdout) == ("--model_dir=/no/such" in flags)
