"""The development server in its own process, and helpers that send requests."""

import base64
import functools
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np

TIMEOUT_SECONDS = 120
# Shared by all tests of a process; conftest.py stops them after the last test.
shared_servers = []


class Server:
    """`python -m poph_tf.serve` on a free port, over the export of exported.py.

    Args:
        *flags: str, additional flags.
        export_dir: path, or None for exported.export_dir().
        model_dir: path or name of a pretrained model, used instead of an export.
    """

    def __init__(self, *flags, export_dir=None, model_dir=None):
        command = [sys.executable, "-m", "poph_tf.serve"]
        if model_dir:
            command.append(f"--model_dir={model_dir}")
        else:
            command.append(f"--export_dir={export_dir or _exported().export_dir()}")
        self.process = subprocess.Popen(
            [*command, "--port=0", "--nowarm_up", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = iter(self.process.stdout.readline, "")
        line = next((line for line in lines if line.startswith("Serving")), "")
        if not line:
            self.process.kill()
            raise RuntimeError(f"No server: {line}{self.process.stderr.read()}")
        self.url = line[line.index("http://") :].strip()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def stop(self):
        """Stops it as a service manager does; returns the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(TIMEOUT_SECONDS)
        finally:
            self.process.kill()
            self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def ask(self, path, body=None, method=None, **headers):
        """Sends a request; returns (status, answer), JSON decoded."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if data:
            headers = {"Content-Type": "application/json"} | headers
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, _decoded(response)
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error)

    def connect(self):
        """Opens a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS)

    def predict(self, body):
        return self.ask(f"v1/models/{_exported().MODEL_NAME}:predict", body)


def _exported():
    """Imports the module that needs TensorFlow; the API does not need it."""
    import exported

    return exported


def _decoded(response):
    content = response.read()
    kind = response.headers.get("Content-Type", "")
    return json.loads(content) if kind.startswith("application/json") else content


@functools.cache
def shared():
    """Returns one server for all tests that only send requests."""
    shared_servers.append(Server("--max_body_mb=1"))
    return shared_servers[-1]


@functools.cache
def composing():
    """Returns one server of the API with two pretrained models, no TensorFlow."""
    shared_servers.append(Server(model_dir="chorales,scores"))
    return shared_servers[-1]


def columns(signature, inputs):
    """Makes a request in column format from arrays."""
    return {
        "signature_name": signature,
        "inputs": {name: as_json(value) for name, value in inputs.items()},
    }


def rows(signature, inputs):
    """Makes a request in row format from arrays."""
    names = list(inputs)
    values = zip(*(as_json(inputs[name]) for name in names), strict=True)
    instances = [dict(zip(names, row, strict=True)) for row in values]
    return {"signature_name": signature, "instances": instances}


def as_json(array):
    if array.dtype == object:
        return [{"b64": base64.b64encode(item).decode()} for item in array]
    return array.tolist()


def arrays(outputs):
    """Returns the outputs of a column answer as arrays, bytes decoded."""
    return {name: _as_array(value) for name, value in outputs.items()}


def _as_array(value):
    if value and isinstance(value[0], dict):
        found = np.empty(len(value), object)
        found[:] = [base64.b64decode(item["b64"]) for item in value]
        return found
    return np.array(value, np.uint8 if np.ndim(value) == 3 else np.int32)
