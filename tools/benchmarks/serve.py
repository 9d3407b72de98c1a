"""Serving over HTTP: latency, first bars, throughput, fairness, and a soak.

Clients on the same machine each ask for one piece of 8 bars after another: of the API,
which streams them, and, in the same run, of a SavedModel through TF Serving's dialect.
Then a short piece is asked for alone and beside long ones, and short pieces for a
while; a leak of memory would show as growth after the first fifth of that time.

--preset is a preset, with random weights, or the name of a pretrained model.
"""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

BARS, SHORT_BARS, LONG_BARS, BAR_STEPS = 8, 2, 200, 16
CLIENTS = (1, 4, 16)
NUM_LONG = 8
SOAK_CLIENTS = 4
SOAK_MINUTES, QUICK_SOAK_MINUTES = 10.0, 0.2
SETTLED_SHARE = 0.2  # of the soak, before memory is read first
STOP_SECONDS = 300
JSON = {"Content-Type": "application/json"}


def run(quick: bool = False, preset: str = "deepj") -> dict[str, Any]:
    """Figures of the server, by number of clients."""
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        light, saved_model = _models(preset, pathlib.Path(folder))
        with Server(f"--model_dir={light}") as server:
            figures: dict[str, Any] = {
                "ready_seconds": server.ready_seconds,
                "clients": {
                    str(n): latencies(server.stream, n, rounds) for n in CLIENTS
                },
                "short_piece": beside_long_pieces(server, 2 * rounds + 1),
                **soak(server, QUICK_SOAK_MINUTES if quick else SOAK_MINUTES),
            }
        with Server(f"--export_dir={saved_model}", f"--model_dir={light}") as server:
            figures["saved_model_ready_seconds"] = server.ready_seconds
            figures["clients_of_saved_model"] = {
                str(n): latencies(server.predict, n, rounds) for n in CLIENTS
            }
    return {"preset": preset, "bars": BARS, **figures}


def _models(preset: str, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The folders of the converted model and of the SavedModel."""
    from poph_tf import config, models, serving
    from poph_tf.models import pretrained
    from poph_tf.serving import litert

    limits = serving.Limits(max_steps=512, max_batch=16)
    own = pretrained.path_of(preset)
    if own:
        model = models.load(own)
    else:
        model = models.build(config.preset(preset))
        models.save(model, folder / "model")
        (folder / "model" / models.SETTINGS_FILE).write_text("{}")
    serving.export(model, folder / "poph", limits=limits)
    light = own or litert.export(folder / "model", folder / "light")
    return light, folder / "poph"


class Server:
    """The server in its own process, on a free port."""

    def __init__(self, *flags: str) -> None:
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "poph_tf.serve", "--port=0", *flags],
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout or ():
            if line.startswith("Serving"):
                break
        else:
            raise RuntimeError("The server did not start.")
        self.ready_seconds = time.perf_counter() - start
        self.port = int(line.strip().rstrip("/").rpartition(":")[2])
        self.num_styles = self._num_styles()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def _num_styles(self) -> int:
        with self.answer("GET", "/v1/models") as answer:
            return len(json.load(answer)[0]["styles"])

    @contextlib.contextmanager
    def answer(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, JSON | headers)
        try:
            yield connection.getresponse()
        finally:
            connection.close()

    def stream(self, seed: int, bars: int = BARS) -> tuple[float, float]:
        """Seconds to the first bar of a piece, and to its end."""
        body, start, first = {"seed": seed, "num_bars": bars}, time.perf_counter(), 0.0
        events = {"Accept": "text/event-stream"}
        with self.answer("POST", "/v1/compose", body, **events) as answer:
            for line in answer:
                if line.startswith(b"event: bar") and not first:
                    first = time.perf_counter() - start
            if answer.status != 200 or not line.strip() == b"":
                raise RuntimeError(f"The server answered {answer.status}.")
        return first, time.perf_counter() - start

    def predict(self, seed: int, bars: int = BARS) -> tuple[float, float]:
        """Seconds of a piece of the SavedModel, which has no first bar."""
        instance = {
            "seed": [seed, 0],
            "num_steps": bars * BAR_STEPS,
            "temperature": 1.0,
            "style": [1.0] + [0.0] * (self.num_styles - 1),
            "tempo_qpm": 120,
        }
        body = {"signature_name": "compose_midi", "instances": [instance]}
        start = time.perf_counter()
        with self.answer("POST", "/v1/models/poph:predict", body) as answer:
            if "predictions" not in json.load(answer):
                raise RuntimeError(f"The server answered {answer.status}.")
        return time.perf_counter() - start, time.perf_counter() - start

    def memory_mb(self) -> float:
        """Resident memory of the server."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


def latencies(
    ask: Callable[[int], tuple[float, float]], num_clients: int, rounds: int
) -> Mapping[str, float]:
    """Figures of `num_clients` clients that ask for `rounds` pieces each."""

    def of_client(client: int) -> list[tuple[float, float]]:
        return [ask(client * 1000 + k) for k in range(rounds)]

    ask(0)
    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        start = time.perf_counter()
        found = sum(pool.map(of_client, range(num_clients)), [])
        seconds = time.perf_counter() - start
    firsts, times = (sorted(column) for column in zip(*found, strict=True))
    figures = {
        f"p{share}_seconds": times[min(len(times) * share // 100, len(times) - 1)]
        for share in (50, 95, 99)
    }
    return figures | {
        "p50_first_bar_seconds": statistics.median(firsts),
        "pieces_per_minute": 60 * len(times) / seconds,
    }


def beside_long_pieces(server: Server, rounds: int) -> Mapping[str, float]:
    """Median seconds of a short piece alone, and beside long ones."""

    def median() -> float:
        return statistics.median(server.stream(k, SHORT_BARS)[1] for k in range(rounds))

    alone = median()
    with contextlib.ExitStack() as stack:
        body = {"num_bars": LONG_BARS}
        for _ in range(NUM_LONG):
            events = {"Accept": "text/event-stream"}
            request = server.answer("POST", "/v1/compose", body, **events)
            stack.enter_context(request).readline()
        beside = median()
    return {
        "bars": SHORT_BARS,
        "alone_seconds": alone,
        "beside_long_pieces_seconds": beside,
        "ratio": beside / alone,
    }


def soak(server: Server, minutes: float) -> Mapping[str, float]:
    """Asks for one-bar pieces for a while; an error raises."""
    end = time.monotonic() + 60 * minutes

    def ask(client: int) -> int:
        count = 0
        while time.monotonic() < end:
            server.stream(client * 100_000 + count, bars=1)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(SOAK_CLIENTS) as pool:
        counts = [pool.submit(ask, client) for client in range(SOAK_CLIENTS)]
        time.sleep(60 * minutes * SETTLED_SHARE)
        before = server.memory_mb()
        pieces = sum(count.result() for count in counts)
    after = server.memory_mb()
    return {
        "soak_minutes": minutes,
        "soak_pieces": pieces,
        "soak_memory_mb": after,
        "soak_memory_growth_mb": after - before,
    }
