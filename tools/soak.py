"""Damages all kinds of input for a given time, and counts the outcomes.

    python tools/soak.py --minutes=60 --log=soak.json
    python tools/soak.py --minutes=5 --kinds=midi,records

Takes turns with music files of each format (tools/fuzz_readers.py); shards of records,
checkpoints and model files with one byte changed; and requests to a server: damaged
ones, and those that its OpenAPI schema allows or not (tools/fuzz_api.py; needs
schemathesis, of the extra dev). Input must be read as it was, or rejected with a
reason. Anything else is a failure: a crash, a 5xx response, a hang, or data that is
changed silently. Failures go to the log with what reproduces them. Prints a table; the
exit code is 1 if there is a failure.
"""

import atexit
import collections
import contextlib
import functools
import gzip
import http.client
import json
import pathlib
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import flags, logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import fuzz_api
import fuzz_readers

from poph_tf.cli import commands
from poph_tf.data import recovery
from poph_tf.data import shards as shards_lib
from poph_tf.errors import InputError
from poph_tf.evaluation import results

FLAGS = flags.FLAGS


# The good verdicts of a case; any other text is a failure.
READ, REFUSED = "read as before", "refused"
Case = Iterator[tuple[str, str]]
FILES_A_TURN, CASES_A_TURN, REQUEST_SECONDS = 50, 20, 120.0
# For all endpoints together, enough for more than the simplest request to each.
OPENAPI_A_TURN = 150
_SETTINGS = {"num_bars": 1, "seed": 3, "temperature": 1.0, "candidates": 1}
_SCORE = {
    "tracks": [{"name": "soprano", "program": 52, "is_drum": False}],
    "notes": [{"track": 0, "pitch": 67, "start": 0, "duration": 8, "velocity": 80}],
    "num_steps": 16, "steps_per_quarter": 4, "metre": "4/4", "tempo": 96, "pickup": 0,
}  # fmt: skip
REQUESTS = {
    "/v1/compose": _SETTINGS,
    "/v1/harmonize": {"seed": 1, "music": _SCORE},
    "/v1/score": {"music": _SCORE},
    "/v1/render": {"music": _SCORE, "format": "midi"},
}


def _flipped(random: np.random.Generator, data: bytes) -> bytes:
    """The data with one byte changed."""
    made = bytearray(data)
    made[int(random.integers(len(made)))] ^= int(random.integers(1, 256))
    return bytes(made)


def music(kind: str, seed: int) -> Case:
    """Damaged files of a format: each is read, or rejected with a reason."""
    result, failures = fuzz_readers.run(kind, FILES_A_TURN, seed)
    for reason, count in result["reasons"].items():
        for _ in range(count):
            yield (REFUSED if reason else READ), ""
    for failure in failures:
        yield failure["problem"], failure["hex"]


def records(seed: int) -> Case:
    """Shards with one byte changed: at most one record is lost, and not silently."""
    random = np.random.default_rng(seed)
    payloads = [random.bytes(int(size)) for size in random.integers(10, 400, 6)]
    members = [gzip.compress(shards_lib.framed(p), mtime=0) for p in payloads]
    whole = b"".join(members)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.tfrecord.gz"
        for _ in range(CASES_A_TURN):
            data = _flipped(random, whole)
            path.write_bytes(data)
            told: list[str] = []
            left = list(recovery.records(path, told))
            wrong = [record for record in left if record not in payloads]
            if wrong or len(left) < len(payloads) - 1:
                yield "wrong records, or more than one lost", data.hex()
            elif len(left) < len(payloads) and not told:
                yield "a record lost in silence", data.hex()
            else:
                yield (READ if len(left) == len(payloads) else REFUSED), ""


def checkpoints(seed: int) -> Case:
    """The newest checkpoint with one byte changed: equal, or the one before is used."""
    import keras

    from poph_tf.training.checkpoints import Checkpoints

    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        weight = keras.Variable(np.zeros(3_000, np.float32))
        kept = Checkpoints(pathlib.Path(folder), [weight], {})
        for step in (1, 2):
            weight.assign(np.full(3_000, step, np.float32))
            kept.save(step, step)
        files = sorted(pathlib.Path(folder).glob("ckpt-2-2.*"))
        for number in range(CASES_A_TURN):
            path = files[number % len(files)]
            whole = path.read_bytes()
            path.write_bytes(data := _flipped(random, whole))
            weight.assign(np.zeros(3_000, np.float32))
            found = Checkpoints(pathlib.Path(folder), [weight], {}).restore()
            path.write_bytes(whole)
            step = int(found.name[-1]) if found else 0
            if not step or not np.array_equal(weight.numpy(), [step] * 3_000):
                yield f"{path.name}: other weights than were saved", data.hex()
            else:
                yield (READ if step == 2 else REFUSED), ""


def models(seed: int) -> Case:
    """A model file with one byte changed: equal weights, or it is rejected."""
    from poph_tf import models as models_lib
    from poph_tf.models import pretrained

    random = np.random.default_rng(seed)
    whole = (pretrained.resolve("pop909") / "model.keras").read_bytes()
    sound = models_lib.load("pop909").get_weights()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        for _ in range(CASES_A_TURN // 4):
            path.write_bytes(data := _flipped(random, whole))
            try:
                found = models_lib.load(path).get_weights()
            except InputError:
                yield REFUSED, ""
                continue
            equal = all(map(np.array_equal, found, sound))
            place = next(
                k for k, (a, b) in enumerate(zip(whole, data, strict=True)) if a != b
            )
            yield (READ if equal else f"other weights; byte {place}"), ""


@functools.cache
def _server() -> str:
    """Starts a server for the whole run; returns its address."""
    process, url = fuzz_api.started("chorales")
    atexit.register(process.terminate)
    return url


def _status(route: str, body: bytes) -> int:
    """Posts a body to the server; returns the status of the response."""
    place = urllib.parse.urlsplit(_server()).netloc
    connection = http.client.HTTPConnection(place, timeout=REQUEST_SECONDS)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", route, body, headers)
        answer = connection.getresponse()
        answer.read()
    return answer.status


def requests(seed: int) -> Case:
    """Damaged bodies: the status must be below 500, or 503 if the server is busy."""
    random = np.random.default_rng(seed)
    for _ in range(CASES_A_TURN):
        route = list(REQUESTS)[int(random.integers(len(REQUESTS)))]
        change = (fuzz_readers.damaged, fuzz_readers.reworded)[int(random.integers(2))]
        body = change(random, json.dumps(REQUESTS[route]).encode())
        try:
            status = _status(route, body)
        except OSError as error:
            yield f"{route}: {type(error).__name__}", body.hex()
            continue
        if status >= 500 and status != 503:
            yield f"{route}: status {status}", body.hex()
        else:
            yield (READ if status == 200 else REFUSED), ""


def openapi(seed: int) -> Case:
    """Requests that OpenAPI allows or not: a response, or an error message."""
    counts, faults = fuzz_api.fuzz(_server(), OPENAPI_A_TURN, seed)
    answers = collections.Counter[str]()
    for found in counts.values():
        answers.update(found)
    read = sum(count for status, count in answers.items() if status < "400")
    yield from [(READ, "")] * read
    yield from [(REFUSED, "")] * (answers.total() - read - len(faults))
    yield from ((fault, "") for fault in faults)


KINDS: dict[str, Callable[[int], Case]] = {
    **{kind: functools.partial(music, kind) for kind in fuzz_readers.FORMATS},
    "records": records,
    "checkpoints": checkpoints,
    "models": models,
    "requests": requests,
    "openapi": openapi,
}


def run(
    kinds: Sequence[str], seconds: float, seed: int = 1
) -> tuple[dict[str, collections.Counter[str]], list[dict[str, str]]]:
    """Cycles through the kinds until the time is over, each at least once.

    Returns:
        counts by kind of cases that were read, refused or failed; the failures.
    """
    counts = {kind: collections.Counter[str]() for kind in kinds}
    failures, end, turn = [], time.monotonic() + seconds, 0
    while not turn or time.monotonic() < end:
        for kind in kinds:
            if turn and time.monotonic() > end:
                break
            # An exception in a case is a failure too; the rest of its turn is skipped.
            try:
                for verdict, data in KINDS[kind](seed + turn):
                    sound = verdict in (READ, REFUSED)
                    counts[kind][verdict if sound else "failed"] += 1
                    if not sound:
                        row = {"kind": kind, "problem": verdict, "hex": data}
                        failures.append(row)
            except Exception as error:
                counts[kind]["failed"] += 1
                problem = f"{type(error).__name__}: {error}"
                failures.append({"kind": kind, "problem": problem, "turn": str(turn)})
        turn += 1
    return counts, failures


def table(counts: dict[str, collections.Counter[str]]) -> str:
    """The counts, as a table for the manual."""
    columns = (READ, REFUSED, "failed")
    rows = [
        [kind, f"{found.total():,}", *(f"{found[column]:,}" for column in columns)]
        for kind, found in counts.items()
    ]
    return results.table(["kind", "cases", *columns], rows)


def main(_: Sequence[str]) -> None:
    """Runs, prints the table and writes the log.

    Raises:
        InputError: If there is no such kind, or anything failed.
    """
    kinds = FLAGS.kinds or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        raise InputError(f"No kind {sorted(unknown)[0]!r}; there are {list(KINDS)}.")
    logging.set_verbosity(logging.ERROR)  # no line for each skipped checkpoint
    counts, failures = run(kinds, 60 * FLAGS.minutes, FLAGS.seed)
    print(table(counts), end="")
    if FLAGS.log:
        result = {"counts": counts, "failures": failures}
        pathlib.Path(FLAGS.log).write_text(json.dumps(result, indent=1), "utf-8")
    if failures:
        raise InputError(f"{len(failures)} failures; the first: {failures[0]}")


if __name__ == "__main__":  # A test that imports this must not define flags.
    flags.DEFINE_float("minutes", 60, "How long to run.", lower_bound=0)
    flags.DEFINE_integer("seed", 1, "Seed of the damage.")
    flags.DEFINE_list("kinds", [], "Only these kinds; empty: all.")
    flags.DEFINE_string("log", "", "JSON file for the result and the failures.")
    commands.run(main)
