"""Asks a server of the API for what its OpenAPI allows, and for what it does not.

    python tools/fuzz_api.py --count=10000 --seed=1

Starts a server of a pretrained model, makes requests by schemathesis for each address
in turn, a third of them wrong, and exits with code 1 if an answer is a 5xx (but 503,
which asks to come back), or refuses without a sentence. Prints one JSON object:
requests by address and status. Needs schemathesis (extra dev).
"""

import collections
import itertools
import json
import math
import pathlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.errors import InputError

FLAGS = flags.FLAGS


# So that each request is quick.
LIMITS = ("--max_request_steps=32", "--max_waiting=16", "--timeout_seconds=30")
TIMEOUT_SECONDS = 120
# Requests that are made before the first of them is sent.
AT_ONCE = 20
# Right by the schema; right, with numbers only, short, and the music of the address'
# example, so that much is composed; wrong.
MODES = ("positive", "plain", "negative")


def main(_: Sequence[str]) -> int:
    """Asks, and prints what came."""
    start = time.monotonic()
    if FLAGS.url:
        url = f"{FLAGS.url.rstrip('/')}/"
        counts, faults = fuzz(url, FLAGS.count, FLAGS.seed, FLAGS.minutes)
    else:
        process, url = started(FLAGS.model)
        try:
            counts, faults = fuzz(url, FLAGS.count, FLAGS.seed, FLAGS.minutes)
            if process.poll() is not None:
                faults.append(f"The server ended with {process.returncode}.")
        finally:
            process.terminate()
            process.wait(TIMEOUT_SECONDS)
    seconds = round(time.monotonic() - start, 1)
    total = sum(sum(found.values()) for found in counts.values())
    figures = {"requests": total, "seconds": seconds, "faults": faults}
    print(json.dumps({**figures, "answers": counts}, indent=2))
    return int(bool(faults))


def started(model: str) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address."""
    command = [sys.executable, "-m", "poph_tf.serve", f"--model_dir={model}"]
    process = subprocess.Popen(
        [*command, "--port=0", *LIMITS], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout or ():
        if line.startswith("Serving"):
            return process, line[line.index("http://") :].strip()
    raise InputError("The server did not start.")


def fuzz(
    url: str, count: int, seed: int, minutes: float = math.inf
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Sends requests for each address.

    Args:
        url: of the server.
        count: requests in all, spread over addresses.
        seed: of the requests.
        minutes: after which no more are sent.

    Returns:
        The number of answers by address and status, and what was wrong.
    """
    try:
        import schemathesis
    except ModuleNotFoundError as error:
        raise InputError(f"Needs {error.name}: pip install -e '.[dev]'.") from None
    start = time.monotonic()
    with urllib.request.urlopen(
        f"{url}openapi.json", timeout=TIMEOUT_SECONDS
    ) as answer:
        schema = schemathesis.openapi.from_dict(json.load(answer))
    found: Any = schema.get_all_operations()
    operations: list[Any] = [each.ok() for each in found]
    counts = {each.label: collections.Counter[str]() for each in operations}
    faults: list[str] = []
    kinds = list(itertools.product(operations, MODES))
    each = min(-(-count // len(kinds)), AT_ONCE)
    for number in range(-(-count // (each * len(kinds)))):
        for operation, mode in kinds:
            if time.monotonic() - start > 60 * minutes:
                break
            for case in cases(operation, mode, each, seed + number):
                answer = case.call(base_url=url, timeout=TIMEOUT_SECONDS)
                counts[operation.label][str(answer.status_code)] += 1
                if wrong := fault(answer):
                    faults.append(f"{operation.label}: {wrong} {case.body!r:.300}")
    return {label: dict(found) for label, found in counts.items()}, faults


def cases(operation: Any, mode: str, count: int, seed: int) -> Iterator[Any]:
    """Requests for an address, of one of `MODES`."""
    import hypothesis
    from schemathesis import GenerationMode

    found: list[Any] = []
    music = _music_of_example(operation)
    kind = "negative" if mode == "negative" else "positive"
    strategy = operation.as_strategy(generation_mode=GenerationMode(kind))

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(case: Any) -> None:
        if mode == "plain" and isinstance(case.body, dict):
            case.body = {k: v for k, v in case.body.items() if not _is_text(k, v)}
            case.body |= {"num_bars": 1} if "/v1/co" in case.path else {}
            case.body |= music
        found.append(case)

    try:
        collect()
    except hypothesis.errors.Unsatisfiable:  # nothing of an address can be wrong
        return
    yield from found


def _music_of_example(operation: Any) -> dict[str, Any]:
    """The music of an address' example, and what is held of it."""
    body = operation.definition.raw.get("requestBody", {}).get("content", {})
    examples = body.get("application/json", {}).get("examples", {})
    own = ("music", "given", "draw", "bars")
    return {
        name: value
        for example in examples.values()
        for name, value in example["value"].items()
        if name in own
    }


def _is_text(name: str, value: Any) -> bool:
    return name not in ("music", "format") and isinstance(value, str | list)


def fault(answer: Any) -> str:
    """What is wrong with an answer; "" if nothing is."""
    status = answer.status_code
    if status < 400:
        return ""
    if status >= 500 and status != 503:
        return f"answered {status}"
    try:
        sentence = json.loads(answer.content)["error"]
    except (ValueError, KeyError, TypeError):
        sentence = ""
    if status != 405 and not str(sentence).endswith((".", "?", ")")):
        return f"answered {status} with {answer.content!r:.200}"
    return ""


if __name__ == "__main__":  # A test that imports this defines no flags.
    flags.DEFINE_integer("count", 1000, "Requests in all.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the requests.")
    flags.DEFINE_float("minutes", 60.0, "Stop after so long.", lower_bound=0.0)
    flags.DEFINE_string("url", "", "A server that runs; otherwise one is started.")
    flags.DEFINE_string("model", "chorales", "The model of the server that is started.")
    commands.run(main)
