"""The client of tools/deployment over REST and gRPC, and the deployment's files."""

import concurrent.futures
import re
import subprocess
import sys

import exported
import numpy as np
import pytest
import servers
import small
from exported import call, compose_inputs

TOOLS = small.ROOT / "tools" / "deployment"


def client(*flags):
    command = [
        sys.executable,
        str(TOOLS / "client.py"),
        f"--model={exported.MODEL_NAME}",
    ]
    return subprocess.run(
        [*command, *flags], capture_output=True, text=True, timeout=300
    )


def rest(*flags):
    return client(f"--server={servers.shared().url.rstrip('/')}", *flags)


def wanted_midi(seed, bars):
    inputs = compose_inputs(1, 16 * bars, seed=seed) | {
        "tempo_qpm": np.array([90], np.float32)
    }
    return call("compose_midi", inputs)["midi_bytes"][0]


def test_rest_client_saves_the_piece_of_the_saved_model(tmp_path):
    path = tmp_path / "piece.mid"
    flags = ["--bars=2", "--seed=9", "--tempo=90", "--style=bach:3,palestrina"]
    done = rest(f"--output={path}", *flags)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == wanted_midi(9, 2)


def test_rest_client_streams_bar_by_bar():
    done = rest("--stream", "--bars=2", "--seed=7", "--style=bach:3,palestrina")
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"bar \d after .* s: (\d+) sounding cells", done.stdout)
    play = call("compose", compose_inputs(1, 32))["play"][0]
    assert [int(n) for n in counts] == [play[:16].sum(), play[16:].sum()]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--bars=0"], "num_steps must be 1 to 64, got [0]."),
        (["--style=jazz"], "The model knows bach, palestrina, got 'jazz'."),
        (["--model=other"], "The model is tiny, got other."),
    ],
)
def test_client_prints_one_line_about_a_wrong_request(tmp_path, flags, message):
    done = rest(f"--output={tmp_path}/piece.mid", *flags)
    assert done.returncode == 1
    assert done.stderr == f"error: {message}\n"
    assert not list(tmp_path.iterdir())


def test_client_without_a_server_prints_one_line(tmp_path):
    done = client("--server=localhost:1", f"--output={tmp_path}/piece.mid")
    assert done.returncode == 1
    assert done.stderr.startswith("error: http://localhost:1/")


def grpc_server():
    """A stand-in for TF Serving's gRPC service over the exported signatures."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            try:
                outputs = call(request.model_spec.signature_name, inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            answer = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return answer

        def GetModelMetadata(self, request, context):  # noqa: N802
            signatures = get_model_metadata_pb2.SignatureDefMap()
            style = signatures.signature_def["compose"].inputs["style"]
            for size in (-1, len(exported.STYLES)):
                style.tensor_shape.dim.add(size=size)
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            answer.metadata["signature_def"].Pack(signatures)
            return answer

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def test_grpc_client_saves_the_same_piece(tmp_path):
    pytest.importorskip("tensorflow_serving", reason="its protos are not installed")
    exported.signatures()
    server, port = grpc_server()
    path = tmp_path / "piece.mid"
    flags = ["--grpc", f"--server=127.0.0.1:{port}", f"--output={path}"]
    flags += ["--seed=9", "--tempo=90", "--style=1:3,2"]
    try:
        done = client(*flags, "--bars=2")
        assert done.returncode == 0, done.stderr
        assert path.read_bytes() == wanted_midi(9, 2)
        done = client(*flags, "--bars=9")
        assert done.returncode == 1
        assert "num_steps must be 1 to 64, got] [144]" in done.stderr
    finally:
        server.stop(0)


def mounted(compose):
    """(path here, path in the container) of each of our files and folders."""
    found = re.findall(r"- (\.\.?/[^:]+):([^:]+):ro", compose)
    return [(TOOLS / path, place) for path, place in found]


def test_deployment_mounts_existing_files():
    text = (TOOLS / "docker-compose.yml").read_text()
    assert len(mounted(text)) == 1
    for path, _ in mounted(text):
        assert path.exists(), path


def test_merged_batches_are_within_the_exports_limit():
    from poph_tf import serving

    text = (TOOLS / "config" / "batching.txt").read_text()
    (size,) = re.findall(r"max_batch_size \{ value: (\d+) \}", text)
    assert 1 < int(size) <= serving.Limits().max_batch
