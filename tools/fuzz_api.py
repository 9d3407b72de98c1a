"""Fuzzes the API with requests that its OpenAPI schema allows, and with invalid ones.

    python tools/fuzz_api.py --count=10000 --seed=1

Starts a server with a pretrained model and sends requests made by schemathesis to each
endpoint in turn, a third of them invalid. Exits with code 1 if a response has a 5xx
status (except 503, "try again"), or is an error without a sentence. Prints one JSON
object: requests by endpoint and status. Needs schemathesis (extra dev).
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


# Low limits keep each request quick.
LIMITS = ("--max_request_steps=32", "--max_waiting=16", "--timeout_seconds=30")
TIMEOUT_SECONDS = 120
# Requests that are generated before the first of them is sent.
AT_ONCE = 20
# Valid; valid and short, with numbers only and the music of the endpoint's example, so
# that many compose something; invalid.
MODES = ("positive", "plain", "negative")


def main(_: Sequence[str]) -> int:
    """Sends the requests and prints the results."""
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
    """Starts a server; returns its process and address."""
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
    """Requests for an endpoint, in one of `MODES`."""
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
    except hypothesis.errors.Unsatisfiable:  # no invalid request exists
        return
    yield from found


def _music_of_example(operation: Any) -> dict[str, Any]:
    """The music of an endpoint's example, and the settings that refer to it."""
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
    """The problem with a response; "" if there is none."""
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


if __name__ == "__main__":  # A test that imports this must not define flags.
    flags.DEFINE_integer("count", 1000, "Total number of requests.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of the requests.")
    flags.DEFINE_float("minutes", 60.0, "Stop after this long.", lower_bound=0.0)
    flags.DEFINE_string("url", "", "A running server; by default, one is started.")
    flags.DEFINE_string("model", "chorales", "The model of the started server.")
    commands.run(main)
