"""Sends requests that no server should take, and holds it to its answers.

  python tools/deployment/malformed.py --url=http://127.0.0.1:8501 --model=poph --count=10000

Each must be answered with a 4xx and a reason, and afterwards the server must compose
the same piece for the same seed as before. Prints one JSON object with the count of
answers by status; exit code 1 if any was wrong. Only the standard library is used.
"""

import argparse
import collections
import copy
import http.client
import json
import random
import sys
import urllib.parse

TIMEOUT_SECONDS = 120
# What may stand in place of anything in a request and is never right there.
_NEVER = (
    None,
    True,
    "",
    "x",
    {},
    {"b64": "AA=="},
    [],
    [[]],
    [None],
    10**400,
    -(10**30),
)
_TOO_SMALL = {
    "num_steps": (0, -1, -(2**31)),
    "temperature": (-0.1, -1e30),
    "tempo_qpm": (0, 9.9, -1),
}
_TOO_LARGE = {
    "num_steps": (2**20 + 1, 2**31 - 1, 2**31),
    "temperature": (10.01, 1e30, 1e300),
    "tempo_qpm": (1000.5, 1e30),
}
_FLOATS = ("temperature", "tempo_qpm")
_WORDS = (
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"\0" * 9, b"[" * 100_000,
    b'{"instances": [}', b'{"inputs": {"seed": [[1', b"9" * 5000, b"{}",
    b'{"inputs":1}',
    b'{"instances": []}', b'{"inputs": {}, "instances": []}', b"<xml/>",
)  # fmt: skip


def good_request(signature, styles):
    """A valid request of one piece in column format."""
    inputs = {
        "seed": [[1, 2]],
        "num_steps": [4],
        "temperature": [1.0],
        "style": [[1.0] + [0.0] * (styles - 1)],
    }
    if signature == "compose_midi":
        inputs["tempo_qpm"] = [120.0]
    if signature == "continue_":
        inputs["state_bytes"] = [{"b64": ""}]
    return {"signature_name": signature, "inputs": inputs}


def spoil(request, rng):
    """Makes one thing wrong in a valid request; gives the body's bytes."""
    request = copy.deepcopy(request)
    inputs = request["inputs"]
    changes = [
        _never_right, _out_of_range, _wrong_shape, _wrong_names, _wrong_style,
        _wrong_envelope, _cut, _words,
    ]  # fmt: skip
    if "state_bytes" in inputs:
        changes.append(_wrong_state)
    change = rng.choice(changes)
    body = change(request, inputs, rng)
    if body is not None:
        return body
    if rng.random() < 0.5 and "instances" not in request and _one_row(inputs):
        request["instances"] = [{name: value[0] for name, value in inputs.items()}]
        del request["inputs"]
    return json.dumps(request).encode()


def _one_row(inputs):
    return isinstance(inputs, dict) and all(
        isinstance(value, list) and len(value) == 1 for value in inputs.values()
    )


def _never_right(request, inputs, rng):
    name = rng.choice(sorted(inputs))
    value = rng.choice(_NEVER)
    allowed_in_state = ("", "x", {"b64": "AA=="})
    if name == "state_bytes" and value in allowed_in_state:
        value = 7  # a text or bytes may be a state
    inputs[name] = rng.choice(([value], [[value]], value))
    if name == "state_bytes" and value == [] and inputs[name] == [[]]:
        inputs[name] = 7


def _out_of_range(request, inputs, rng):
    name = rng.choice([n for n in sorted(inputs) if n in _TOO_SMALL])
    values = [*_TOO_SMALL[name], *_TOO_LARGE[name]]
    if name in _FLOATS:
        values += [float("nan"), float("inf"), float("-inf")]
    else:
        values += [1.5, 4.0]
    inputs[name] = [rng.choice(values)]


def _wrong_shape(request, inputs, rng):
    name = rng.choice(sorted(inputs))
    value = inputs[name]
    inputs[name] = rng.choice(([value], value * 2, value[0], [], value * 5000))


def _wrong_names(request, inputs, rng):
    name = rng.choice(sorted(inputs))
    if rng.random() < 0.5:
        del inputs[name]
    else:
        inputs[name + rng.choice("x_ 9é\0")] = inputs[name]


def _wrong_style(request, inputs, rng):
    size = len(inputs["style"][0])
    wrong = [
        [0.0] * size, [1.5] + [0.0] * (size - 1), [float("nan")] * size,
        [1.0] * (size + 1), [-1.0] + [1.0] * (size - 1), [0.9] + [0.0] * (size - 1),
    ]  # fmt: skip
    inputs["style"] = [rng.choice(wrong)]
    if size == 2 and inputs["style"] == [[-1.0, 1.0]]:
        inputs["style"] = [[-1.0, 2.0]]


def _wrong_envelope(request, inputs, rng):
    name = rng.choice(("signature_name", "instances", "extra"))
    wrong = {
        "signature_name": ["Compose", "score\0", 3, ["compose"], {}, "x" * 9000],
        "instances": [[], {}, None, [inputs]],
        "extra": [1],
    }
    request[name] = rng.choice(wrong[name])
    if not request[name] and name == "signature_name":
        request[name] = "no such"


def _wrong_state(request, inputs, rng):
    text = rng.choice(("AAAA", "!", "UEhTMQ==", "A" * 4000, "=", "é"))
    inputs["state_bytes"] = [{"b64": text}]


def _cut(request, inputs, rng):
    body = json.dumps(request).encode()
    return body[: rng.randrange(len(body))]


def _words(request, inputs, rng):
    return rng.choice(_WORDS)


class Client:
    """One connection that is kept alive, as a busy client has it."""

    def __init__(self, url, model):
        place = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(
            place.hostname, place.port, timeout=TIMEOUT_SECONDS
        )
        self.path = f"/v1/models/{model}"

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def predict(self, body):
        return self.ask("POST", f"{self.path}:predict", body)

    def styles(self):
        _, answer = self.ask("GET", f"{self.path}/metadata")
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        shape = signatures["compose"]["inputs"]["style"]["tensor_shape"]
        return int(shape["dim"][1]["size"])


def check(client, count, seed=0):
    """Sends `count` spoilt requests.

    Returns:
        (dict of status to count, list of the answers that were wrong).
    """
    rng = random.Random(seed)
    styles = client.styles()
    good = [good_request(s, styles) for s in ("compose", "compose_midi", "continue_")]
    known = json.dumps(good[0]).encode()
    before = client.predict(known)
    counts, wrong = collections.Counter(), []
    for _ in range(count):
        body = spoil(rng.choice(good), rng)
        status, answer = client.predict(body)
        counts[status] += 1
        if not 400 <= status < 500 or not answer.get("error"):
            wrong.append(
                (body[:300].decode("utf-8", "replace"), status, str(answer)[:300])
            )
    if before[0] != 200 or client.predict(known) != before:
        wrong.append(("the known piece", before[0], "not the same afterwards"))
    return dict(sorted(counts.items())), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="poph")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts, wrong = check(
        Client(options.url, options.model), options.count, options.seed
    )
    print(json.dumps({"answers": counts, "wrong": len(wrong)}, indent=2))
    for line in wrong[:10]:
        print(line, file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
