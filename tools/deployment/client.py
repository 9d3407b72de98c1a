"""Requests a piece from a server and saves it as a MIDI file.

    python tools/deployment/client.py --output=piece.mid --bars=8 --seed=3
    python tools/deployment/client.py --output=piece.mid --style=bach:0.7,palestrina:0.3
    python tools/deployment/client.py --output=piece.mid --grpc --server=localhost:8500
    python tools/deployment/client.py --stream

REST needs only the standard library and works with TensorFlow Serving and with
`python -m poph_tf.serve`. gRPC needs TensorFlow Serving, and the packages grpcio and
tensorflow-serving-api here. `--stream` draws bar by bar with the signature continue_
and prints when each bar arrived; it writes no file.
"""

import argparse
import base64
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request
from typing import Any

BAR_STEPS = 16
TIMEOUT_SECONDS = 300


class ServerError(Exception):
    """The server's error message, or why there was no response."""


class RestClient:
    """Requests one piece at a time over REST."""

    def __init__(self, server: str, model: str) -> None:
        self.root = server if "://" in server else f"http://{server}"
        self.path = f"/v1/models/{model}"

    def predict(self, signature: str, inputs: dict[str, Any]) -> Any:
        """Gives the outputs by name; a single output comes without its name."""
        body = {"signature_name": signature, "instances": [inputs]}
        return self._ask(f"{self.path}:predict", body)["predictions"][0]

    def style_names(self) -> list[str]:
        """Names from the model card, or numbers if the server does not provide it."""
        try:
            (state, *_) = self._ask(self.path)["model_version_status"]
            return self._ask(f"/model_cards/{state['version']}")["model"]["styles"]
        except ServerError:
            metadata = self._ask(f"{self.path}/metadata")["metadata"]["signature_def"]
            style = metadata["signature_def"]["compose"]["inputs"]["style"]
            return _numbers(style["tensor_shape"]["dim"][1]["size"])

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Returns the JSON response; bytes are sent as {"b64": "..."}."""

        def encode(content: bytes) -> dict[str, str]:
            return {"b64": base64.b64encode(content).decode()}

        def decode(item: dict[str, Any]) -> Any:
            return base64.b64decode(item["b64"]) if set(item) == {"b64"} else item

        data = json.dumps(body, default=encode).encode() if body else None
        try:
            with urllib.request.urlopen(
                self.root + path, data, TIMEOUT_SECONDS
            ) as answer:
                return json.load(answer, object_hook=decode)
        except urllib.error.HTTPError as error:
            raise ServerError(json.load(error)["error"]) from None
        except (OSError, ValueError) as error:
            raise ServerError(f"{self.root}{path} does not answer: {error}") from None


class GrpcClient:
    """Requests one piece at a time over gRPC."""

    TYPES = {"seed": "int32", "num_steps": "int32", "state_bytes": "string"}

    def __init__(self, server: str, model: str) -> None:
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        channel = grpc.insecure_channel(
            server, [("grpc.max_receive_message_length", -1)]
        )
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.model, self.failure = model, grpc.RpcError

    def predict(self, signature: str, inputs: dict[str, Any]) -> Any:
        """Gives the outputs by name; a single output comes without its name."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            proto = tf.make_tensor_proto([value], self.TYPES.get(name, "float32"))
            request.inputs[name].CopyFrom(proto)
        answer = self._ask(self.stub.Predict, request)
        outputs = {k: tf.make_ndarray(v).tolist()[0] for k, v in answer.outputs.items()}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def style_names(self) -> list[str]:
        """Numbers, since gRPC has no model card."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.metadata_field.append("signature_def")
        answer = self._ask(self.stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        style = signatures.signature_def["compose"].inputs["style"]
        return _numbers(style.tensor_shape.dim[1].size)

    def _ask(self, call: Any, request: Any) -> Any:
        request.model_spec.name = self.model
        try:
            return call(request, TIMEOUT_SECONDS)
        except self.failure as error:
            raise ServerError(error.details()) from None


def _numbers(count: str | int) -> list[str]:
    return [str(number + 1) for number in range(int(count))]


def style_shares(text: str, names: list[str]) -> list[float]:
    """`bach:0.7,palestrina:0.3` -> shares in the order of `names`; "" -> equal ones."""
    weights = dict.fromkeys(names, 0.0 if text else 1.0)
    for part in filter(None, text.split(",")):
        name, _, weight = part.strip().partition(":")
        if name not in weights:
            raise ValueError(f"The model knows {', '.join(names)}, got {name!r}.")
        weights[name] += float(weight or 1)
    total = sum(weights.values())
    return [weight / total for weight in weights.values()]


def run(options: argparse.Namespace) -> None:
    """Composes bar by bar, or a whole file in one request."""
    make = GrpcClient if options.grpc else RestClient
    client = make(options.server, options.model)
    inputs = {
        "seed": [options.seed, 0],
        "temperature": options.temperature,
        "style": style_shares(options.style, client.style_names()),
    }
    if not options.stream:
        inputs |= {"num_steps": options.bars * BAR_STEPS, "tempo_qpm": options.tempo}
        midi = client.predict("compose_midi", inputs)
        pathlib.Path(options.output).write_bytes(midi)
        print(f"{options.output}: {options.bars} bars, {len(midi)} bytes")
        return
    inputs |= {"num_steps": BAR_STEPS, "state_bytes": b""}
    start = time.perf_counter()
    for bar in range(1, options.bars + 1):
        outputs = client.predict("continue_", inputs)
        inputs["state_bytes"] = outputs["state_bytes"]
        cells = sum(map(sum, outputs["play"]))
        seconds = time.perf_counter() - start
        print(f"bar {bar} after {seconds:.2f} s: {cells} sounding cells")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:8501")
    parser.add_argument("--grpc", action="store_true", help="--server is a gRPC port")
    parser.add_argument("--model", default="poph")
    parser.add_argument("--output", help="MIDI file to write")
    parser.add_argument("--stream", action="store_true", help="bar by bar, no file")
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--tempo", type=float, default=120.0)
    parser.add_argument("--style", default="", help="bach:0.7,palestrina:0.3")
    options = parser.parse_args()
    if not options.stream and not options.output:
        parser.error("give --output or --stream")
    try:
        run(options)
    except (ServerError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
