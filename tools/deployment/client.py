"""Asks a server for a piece and saves it as a MIDI file.

  python tools/deployment/client.py --output=piece.mid --bars=8 --seed=3
  python tools/deployment/client.py --output=piece.mid --style=bach:0.7,palestrina:0.3
  python tools/deployment/client.py --output=piece.mid --grpc --server=localhost:8500
  python tools/deployment/client.py --output=piece.mid --stream

REST needs the standard library only and works against TensorFlow Serving and against
`python -m poph_tf.serve`. gRPC needs TensorFlow Serving, and the packages grpcio and
tensorflow-serving-api here. `--stream` draws bar by bar with the signature continue_,
prints when each bar came, and ends in the same notes (not in a file).
"""

import argparse
import base64
import json
import sys
import time
import urllib.error
import urllib.request

BAR_STEPS = 16
TIMEOUT_SECONDS = 300


class ServerError(Exception):
    """What the server said, or that it said nothing."""


class RestClient:
    """Predict calls over REST.

    Args:
        server: str, such as `localhost:8501`.
        model: str.
    """

    def __init__(self, server, model):
        self.url = (
            f"{server if '://' in server else 'http://' + server}/v1/models/{model}"
        )

    def predict(self, signature, inputs):
        """Sends one piece's inputs by name; gives its outputs.

        Bytes are bytes, lists are lists. A single output comes without its name.
        """
        instance = {name: _to_json(value) for name, value in inputs.items()}
        body = {"signature_name": signature, "instances": [instance]}
        answer = self._ask(f"{self.url}:predict", json.dumps(body).encode())
        return _from_json(answer["predictions"][0])

    def num_styles(self):
        answer = self._ask(f"{self.url}/metadata")
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        style = signatures["compose"]["inputs"]["style"]
        return int(style["tensor_shape"]["dim"][1]["size"])

    def style_names(self):
        """Names from the model card, where the server shows it; else numbers."""
        root, _, _ = self.url.partition("/v1/")
        try:
            state = self._ask(self.url)["model_version_status"]
            version = next(v["version"] for v in state if v["state"] == "AVAILABLE")
            return self._ask(f"{root}/model_cards/{version}")["model"]["styles"]
        except (ServerError, StopIteration):
            return [str(number + 1) for number in range(self.num_styles())]

    @staticmethod
    def _ask(url, body=None):
        try:
            with urllib.request.urlopen(url, body, TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ServerError(_reason(error)) from None
        except (OSError, ValueError) as error:
            raise ServerError(f"{url} does not answer: {error}") from None


class GrpcClient:
    """The same calls over gRPC."""

    def __init__(self, server, model):
        import grpc
        from tensorflow_serving.apis import (
            get_model_metadata_pb2,
            predict_pb2,
            prediction_service_pb2_grpc,
        )

        self.model, self.predict_pb2 = model, predict_pb2
        self.metadata_pb2 = get_model_metadata_pb2
        most = [("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(server, most)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.failure = grpc.RpcError

    def predict(self, signature, inputs):
        import tensorflow as tf

        types = {"seed": tf.int32, "num_steps": tf.int32}
        request = self.predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            dtype = (
                tf.string if isinstance(value, bytes) else types.get(name, tf.float32)
            )
            proto = tf.make_tensor_proto([value], dtype)
            request.inputs[name].CopyFrom(proto)
        try:
            answer = self.stub.Predict(request, TIMEOUT_SECONDS)
        except self.failure as error:
            raise ServerError(error.details()) from None
        found = {k: tf.make_ndarray(v)[0] for k, v in answer.outputs.items()}
        values = {
            k: v.tolist() if hasattr(v, "tolist") else v for k, v in found.items()
        }
        return next(iter(values.values())) if len(values) == 1 else values

    def style_names(self):
        request = self.metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = self.model
        request.metadata_field.append("signature_def")
        try:
            answer = self.stub.GetModelMetadata(request, TIMEOUT_SECONDS)
        except self.failure as error:
            raise ServerError(error.details()) from None
        signatures = self.metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        style = signatures.signature_def["compose"].inputs["style"]
        return [str(k + 1) for k in range(style.tensor_shape.dim[1].size)]


def _to_json(value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def _from_json(value):
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    if isinstance(value, dict):
        return {name: _from_json(item) for name, item in value.items()}
    return value


def _reason(error):
    try:
        return json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return f"The server answers with code {error.code}."


def style_shares(text, names):
    """`bach:0.7,palestrina:0.3` -> shares by the order of `names`; "" -> equal ones."""
    weights = dict.fromkeys(names, 0.0 if text else 1.0)
    for part in filter(None, text.split(",")):
        name, _, weight = part.strip().partition(":")
        if name not in weights:
            raise ServerError(f"The model knows {', '.join(names)}, got {name!r}.")
        weights[name] += float(weight or 1)
    total = sum(weights.values())
    return [weight / total for weight in weights.values()]


def stream(client, wishes, bars):
    """Draws bar by bar; prints a line when each has come."""
    state, start = b"", time.perf_counter()
    for bar in range(1, bars + 1):
        inputs = wishes | {"num_steps": BAR_STEPS, "state_bytes": state}
        outputs = client.predict("continue_", inputs)
        state = outputs["state_bytes"]
        sounding = sum(map(sum, outputs["play"]))
        seconds = time.perf_counter() - start
        print(f"bar {bar} after {seconds:.2f} s: {sounding} sounding cells")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:8501")
    parser.add_argument("--grpc", action="store_true", help="--server is a gRPC port")
    parser.add_argument("--model", default="poph")
    parser.add_argument("--output", help="the .mid file to write")
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


def run(options):
    make = GrpcClient if options.grpc else RestClient
    client = make(options.server, options.model)
    wishes = {
        "seed": [options.seed, 0],
        "temperature": options.temperature,
        "style": style_shares(options.style, client.style_names()),
    }
    if options.stream:
        stream(client, wishes, options.bars)
        return
    wishes |= {"num_steps": options.bars * BAR_STEPS, "tempo_qpm": options.tempo}
    midi = client.predict("compose_midi", wishes)
    with open(options.output, "wb") as file:
        file.write(midi)
    print(f"{options.output}: {options.bars} bars, {len(midi)} bytes")


if __name__ == "__main__":
    main()
