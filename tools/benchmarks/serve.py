"""Serving over HTTP: latency, first bars, throughput, fairness and memory.

Clients on the same machine each request one 8-bar piece after another from the API, for
a fixed time, and read its stream. Then a short piece is requested alone and beside long
ones, in turn, and short pieces for a while; a memory leak would show as growth after
the first fifth of that time. With --saved_model, the clients also request the same
pieces from a SavedModel in the same run, through TensorFlow Serving's REST API, which
draws one piece at a time.

--preset is a preset, with random weights, or the name of a pretrained model.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from benchmarks import presets

BARS, SHORT_BARS, LONG_BARS, BAR_STEPS = 8, 2, 200, 16
CLIENTS = (1, 4, 16, 64)
# How long clients send requests; those that have begun are finished.
ASK_SECONDS, QUICK_ASK_SECONDS = 25.0, 4.0
# Long pieces, and the bars of the last one when the short one is requested.
NUM_LONG, BEGUN_BARS = 8, 6
SOAK_CLIENTS = 4
SOAK_MINUTES, QUICK_SOAK_MINUTES = 2.0, 0.1
SETTLED_SHARE = 0.2  # of the soak, before the first reading of memory
STOP_SECONDS = 300
JSON = {"Content-Type": "application/json"}


def run(
    quick: bool = False,
    preset: str = "deepj",
    saved_model: bool = False,
    soak_minutes: float | None = None,
) -> dict[str, Any]:
    """Measures the server, by number of clients."""
    seconds = QUICK_ASK_SECONDS if quick else ASK_SECONDS
    counts = CLIENTS[:3] if quick else CLIENTS
    figures: dict[str, Any] = {"preset": preset, "bars": BARS}
    with tempfile.TemporaryDirectory() as folder:
        light = presets.converted(preset, pathlib.Path(folder))
        with Server(f"--model_dir={light}") as server:
            figures["ready_seconds"] = server.ready_seconds
            figures["clients"] = {
                str(n): latencies(server, server.stream, n, seconds) for n in counts
            }
            figures["short_piece"] = beside_long_pieces(server, 3 if quick else 5)
            minutes = QUICK_SOAK_MINUTES if quick else SOAK_MINUTES
            figures |= soak(server, soak_minutes or minutes)
        if not saved_model:
            return figures
        exported = _saved_model(light, pathlib.Path(folder))
        with Server(f"--export_dir={exported}", f"--model_dir={light}") as server:
            figures["saved_model_ready_seconds"] = server.ready_seconds
            figures["clients_of_saved_model"] = {
                str(n): latencies(server, server.predict, n, seconds) for n in counts
            }
    return figures


def _saved_model(light: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The folder of a SavedModel with the same weights."""
    from poph_tf import models, serving

    limits = serving.Limits(max_steps=512, max_batch=16)
    own = folder / "model"
    model = models.load(own if own.exists() else light)
    serving.export(model, folder / "poph", limits=limits)
    return folder / "poph"


class Server:
    """A server in its own process, on a free port."""

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
        """The response to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, JSON | headers)
        try:
            yield connection.getresponse()
        finally:
            connection.close()

    def stream(self, seed: int, bars: int = BARS) -> tuple[float, float]:
        """Seconds until the first bar of a piece, and until its end."""
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
        """Seconds for a piece from the SavedModel, which has no first bar."""
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

    def processor_seconds(self) -> float:
        """CPU time of the server so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


def latencies(
    server: Server,
    ask: Callable[[int], tuple[float, float]],
    num_clients: int,
    seconds: float,
) -> Mapping[str, float]:
    """Times clients that request one piece after another for some seconds.

    Other processes on the machine do not change `processor_seconds_per_piece` much;
    `load` is the number of processes that wanted to run.
    """
    ask(0)
    print(f"{num_clients} clients", file=sys.stderr)
    used, start = server.processor_seconds(), time.perf_counter()

    def of_client(client: int) -> list[tuple[float, float]]:
        found = [ask(client * 1000)]
        while time.perf_counter() - start < seconds:
            found.append(ask(client * 1000 + len(found)))
        return found

    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        found = sum(pool.map(of_client, range(num_clients)), [])
    took = time.perf_counter() - start
    firsts, times = (sorted(column) for column in zip(*found, strict=True))
    return {
        **{f"p{share}_seconds": _percentile(times, share) for share in (50, 95, 99)},
        "p50_first_bar_seconds": _percentile(firsts, 50),
        "p95_first_bar_seconds": _percentile(firsts, 95),
        "pieces": len(times),
        "pieces_per_minute": 60 * len(times) / took,
        "processor_seconds_per_piece": (server.processor_seconds() - used) / len(times),
        "memory_mb": server.memory_mb(),
        "load": os.getloadavg()[0],
    }


def _percentile(values: list[float], share: int) -> float:
    return values[min(len(values) * share // 100, len(values) - 1)]


def beside_long_pieces(
    server: Server, rounds: int
) -> Mapping[str, float | list[float]]:
    """Median seconds of a short piece alone, and beside long ones, in turn."""
    alone, beside = [], []
    for k in range(rounds):
        alone.append(server.stream(k, SHORT_BARS)[1])
        with contextlib.ExitStack() as stack:
            body = {"num_bars": LONG_BARS}
            for _ in range(NUM_LONG):
                events = {"Accept": "text/event-stream"}
                request = server.answer("POST", "/v1/compose", body, **events)
                long = stack.enter_context(request)
            _skip_bars(long, BEGUN_BARS)
            beside.append(server.stream(k, SHORT_BARS)[1])
        time.sleep(1)  # until the closed requests have ended
    ratios = [long / short for short, long in zip(alone, beside, strict=True)]
    return {
        "bars": SHORT_BARS,
        "long_pieces": NUM_LONG,
        "alone_seconds": statistics.median(alone),
        "beside_long_pieces_seconds": statistics.median(beside),
        "ratio": statistics.median(ratios),
        "ratios": sorted(ratios),
    }


def _skip_bars(answer: http.client.HTTPResponse, count: int) -> None:
    """Reads a stream up to a bar."""
    while count and (line := answer.readline()):
        count -= line.startswith(b"event: bar")


def soak(server: Server, minutes: float) -> Mapping[str, float]:
    """Requests one-bar pieces for a while; raises on an error."""
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
